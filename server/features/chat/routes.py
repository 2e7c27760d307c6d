"""Support chat over REST."""

from aiohttp import web

from server.core.routing import (
    CUSTOMER,
    CUSTOMER_OR_SUPPORT,
    PREFIX,
    SUPPORT,
    Answer,
    Before,
    IdempotencyKey,
    Limit,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.chat.messages import MessageService
from server.features.chat.schemas import Chat, ChatPage, ChatStatus, MessagePage, NewChat
from server.features.chat.service import ChatService
from server.features.shared.schemas import Id

router = Router("chat")


@router.route("POST", "/chats", roles=CUSTOMER, status=201, problems=(409,))
async def open_chat(
    request: web.Request, new: NewChat, idempotency_key: IdempotencyKey = None
) -> Answer[Chat]:
    """Ask support something; the same key and content again gives the same chat.

    409 (`type` `urn:tiffin:problem:too-many-chats`) where the account has as many open as it may,
    429 where it has opened as many as it may within a day.
    """
    chats = service(request, ChatService)
    chat = await chats.open(identity_of(request), new, idempotency_key)
    return Answer(chat, headers={"Location": f"{PREFIX}/chats/{chat.id}"})


@router.route("GET", "/chats", roles=CUSTOMER_OR_SUPPORT)
async def list_chats(
    request: web.Request,
    status: ChatStatus | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> ChatPage:
    """The customer's chats, or everybody's for support, the one opened last first.

    Without a `status` support gets the open ones, which are the queue; customers get all.
    """
    return await service(request, ChatService).chats(identity_of(request), status, before, limit)


@router.route("GET", "/chats/{id}", roles=CUSTOMER_OR_SUPPORT)
async def get_chat(request: web.Request, id: Id) -> Chat:
    """One chat."""
    return await service(request, ChatService).chat(identity_of(request), id)


@router.route("POST", "/chats/{id}/take", roles=SUPPORT, problems=(409,))
async def take_chat(request: web.Request, id: Id) -> Chat:
    """Claim a chat for the caller; 409 shows who has claimed it before."""
    return await service(request, ChatService).take(identity_of(request), id)


@router.route("POST", "/chats/{id}/close", roles=CUSTOMER_OR_SUPPORT)
async def close_chat(request: web.Request, id: Id) -> Chat:
    """Close a chat: it accepts no more messages. Closing it again changes nothing."""
    return await service(request, ChatService).close(identity_of(request), id)


@router.route("POST", "/chats/{id}/reopen", roles=CUSTOMER_OR_SUPPORT, problems=(409,))
async def reopen_chat(request: web.Request, id: Id) -> Chat:
    """Reopen a chat: it goes back to the queue, for anybody in support to claim.

    409 where its customer has as many open as they may.
    """
    return await service(request, ChatService).reopen(identity_of(request), id)


@router.route("GET", "/chats/{id}/messages", roles=CUSTOMER_OR_SUPPORT)
async def list_messages(
    request: web.Request, id: Id, before: Before = None, limit: Limit = 50
) -> MessagePage:
    """A chat's history, newest first, and the cursor with which to go on in its room."""
    messages = service(request, MessageService)
    return await messages.messages(identity_of(request), id, before, limit)
