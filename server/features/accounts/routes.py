"""Accounts over REST: log-in and log-out, refresh, the caller's profile."""

import contextlib
import logging
import re

from aiohttp import web

from server.core.addresses import address_key, client_address
from server.core.auth import Gate
from server.core.errors import Problem
from server.core.routing import (
    ANY_ROLE,
    PUBLIC,
    Before,
    IdempotencyKey,
    Limit,
    Router,
    identity_of,
    mark_held,
)
from server.core.services import service
from server.features.accounts.export import AccountExport
from server.features.accounts.schemas import (
    Account,
    AccountDeletion,
    Credentials,
    DemoLogin,
    PasswordChange,
    ProfileChange,
    RefreshGrant,
    Registration,
    Session,
    SessionPage,
)
from server.features.accounts.service import AccountService
from server.features.accounts.sessions import Origin
from server.features.shared.schemas import Id

logger = logging.getLogger(__name__)

router = Router("accounts")

CLIENT_LENGTH = 200
"""Characters of a `User-Agent` that are stored."""
_NOT_SHOWN = re.compile(r"[^\x21-\x7e]+")


@router.route("POST", "/auth/register", roles=PUBLIC, status=201, problems=(409,))
async def register(request: web.Request, body: Registration) -> Session:
    """Become a customer."""
    return await _accounts(request).register(body, _origin(request))


@router.route("POST", "/auth/login", roles=PUBLIC, problems=(401,))
async def log_in(request: web.Request, body: Credentials) -> Session:
    """Log in."""
    password = body.password.get_secret_value()
    return await _accounts(request).log_in(body.email, password, _origin(request))


@router.route("POST", "/auth/demo", roles=PUBLIC, problems=(404,))
async def demo(request: web.Request, body: DemoLogin) -> Session:
    """Log in to the demo with one button; only where the server runs in demo mode."""
    return await _accounts(request).demo(body.role, _origin(request))


@router.route("POST", "/auth/refresh", roles=PUBLIC, counted=False, problems=(401,))
async def refresh(request: web.Request, body: RefreshGrant, key: IdempotencyKey = None) -> Session:
    """Exchange a refresh token for new tokens.

    It is good for one exchange; another ends the session everywhere. With an Idempotency-Key the
    same exchange may be asked for again within 60 seconds, while its refresh token is unused.
    """
    return await _accounts(request).refresh(body.refresh_token, key, _origin(request))


@router.route("POST", "/auth/logout", roles=ANY_ROLE)
async def log_out(request: web.Request, body: RefreshGrant) -> None:
    """End the session of this refresh token, and its live streams."""
    await _accounts(request).log_out(
        identity_of(request), body.refresh_token, client_address(request)
    )


@router.route("GET", "/me", roles=ANY_ROLE)
async def me(request: web.Request) -> Account:
    """The caller's account."""
    return await _accounts(request).me(identity_of(request))


@router.route("PATCH", "/me", roles=ANY_ROLE)
async def change_profile(request: web.Request, body: ProfileChange) -> Account:
    """Change the caller's profile: null empties a field; a field left out keeps its value."""
    return await _accounts(request).change_profile(identity_of(request), body)


@router.route("DELETE", "/me", roles=ANY_ROLE, problems=(409,))
async def delete_account(request: web.Request, body: AccountDeletion) -> None:
    """Delete the caller's account and its data; refused while it has an open order."""
    await _accounts(request).delete(identity_of(request), body, client_address(request))


@router.route("PUT", "/me/password", roles=ANY_ROLE, problems=(409,))
async def change_password(request: web.Request, body: PasswordChange) -> None:
    """Change the caller's password; every other session of the account ends."""
    await _accounts(request).change_password(identity_of(request), body, client_address(request))


@router.route("GET", "/me/export", roles=ANY_ROLE, media=("application/json",))
async def export_data(request: web.Request) -> web.StreamResponse:
    """One's own data, as JSON, written while it is read.

    `account`, and lists: `sessions`, `audit` (what was done to the account, by whom, from where),
    `orders` that one has placed, `chats` of one's own and the `messages` in them, or of staff those
    they have written, `acknowledgements` of announcements, and `uploads` with the paths of their
    pictures. A few times an hour; an answer that breaks off is not complete.
    """
    exports, gate, who = (
        service(request, AccountExport),
        service(request, Gate),
        identity_of(request),
    )
    with exports.running(who):
        mark_held(request)
        name = f"tiffin-{who.account_id}.json"
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "Content-Disposition": f'attachment; filename="{name}"',
            }
        )
        try:
            async with contextlib.aclosing(exports.parts(who)) as parts:
                async for part in parts:
                    if not response.prepared:
                        await response.prepare(request)
                        if request.method == "HEAD":
                            return response
                    await response.write(part.encode())
                    if gate.recall(who) is None:  # it may have been ended meanwhile
                        await gate.check(who)
        except Problem as problem:
            if not response.prepared:
                raise
            logger.warning("an export broke off: %s", problem)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the export broke off") from None
    return response


@router.route("GET", "/me/sessions", roles=ANY_ROLE)
async def active_sessions(
    request: web.Request, limit: Limit = 50, before: Before = None
) -> SessionPage:
    """Where the account is logged in, the session used last first."""
    return await _accounts(request).sessions.listed(identity_of(request), before, limit)


@router.route("DELETE", "/me/sessions/{id}", roles=ANY_ROLE)
async def end_session(request: web.Request, id: Id) -> None:
    """End a session of the account, its live streams and its sockets."""
    await _accounts(request).sessions.end_own(identity_of(request), id, client_address(request))


@router.route("DELETE", "/me/sessions", roles=ANY_ROLE)
async def end_other_sessions(request: web.Request) -> None:
    """End all sessions of the account but the one that asks."""
    await _accounts(request).sessions.end_others(identity_of(request), client_address(request))


def _accounts(request: web.Request) -> AccountService:
    return service(request, AccountService)


def _origin(request: web.Request) -> Origin:
    shown = _NOT_SHOWN.sub(" ", request.headers.get("User-Agent", ""))
    client = " ".join(shown.split())[:CLIENT_LENGTH]
    return Origin(client_address(request), address_key(request), client)
