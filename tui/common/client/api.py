"""The server's REST routes as typed calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from server.features.accounts.schemas import Account, PasswordChange, ProfileChange
from server.features.announcements.schemas import (
    AckCount,
    Announcement,
    AnnouncementPage,
    NewAnnouncement,
    Scope,
)
from server.features.chat.schemas import Chat, ChatPage, ChatStatus, MessagePage, NewChat
from server.features.drivers.schemas import (
    DriverOnDuty,
    DriverOnDutyPage,
    DriverPosition,
    Point,
    Route,
)
from server.features.orders.schemas import (
    Cancellation,
    Order,
    OrderPage,
    PlaceOrder,
    StatusChange,
)
from server.features.restaurants.schemas import (
    MenuItem,
    MenuItemChange,
    NewMenuItem,
    Restaurant,
    RestaurantSummary,
)
from server.features.shared.schemas import Page
from server.features.uploads.schemas import (
    MAX_BYTES,
    AcceptedUpload,
    NewUpload,
    Upload,
    UploadPage,
)
from tui.common.client.errors import ApiError, Unreachable
from tui.common.client.form import FileForm, Progress, read_file
from tui.common.client.http_client import API_PREFIX
from tui.common.client.reconnect import Backoff, is_final, parse_retry_after

if TYPE_CHECKING:
    from tui.common.client.session import Reply, Session

ModelT = TypeVar("ModelT", bound=BaseModel)
PageT = TypeVar("PageT", bound=Page[Any])

PLACING_ATTEMPTS = 4
PICTURE_BYTES = 32 * 1024 * 1024
"""Of a picture that is fetched; no server of ours gives out a larger one."""
UPLOAD_SECONDS = 120.0
"""For a photo of some megabytes on a slow line."""


class Api:
    """Typed calls; each may raise `ApiError`, `Unreachable` and `SignedOut`, as `Session` does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def restaurants(self) -> list[RestaurantSummary]:
        """All restaurants, without their menus."""
        return await self._all(RestaurantSummary, "/restaurants")

    async def restaurant(self, restaurant_id: str) -> Restaurant:
        """One restaurant with its menu."""
        return _parse(
            Restaurant, await self._session.request("GET", f"/restaurants/{restaurant_id}")
        )

    async def orders(self, before: str | None = None, limit: int = 50) -> OrderPage:
        """One's own orders, or one's restaurant's, newest first; `before` is a page's `next`."""
        params: dict[str, str | int] = {"limit": limit}
        if before is not None:
            params["before"] = before
        return _parse(OrderPage, await self._session.request("GET", "/orders", params=params))

    async def order(self, order_id: str) -> Order:
        """One order, whole."""
        return _parse(Order, await self._session.request("GET", f"/orders/{order_id}"))

    async def place_order(self, basket: PlaceOrder, idempotency_key: str) -> Order:
        """Send a basket off.

        The key makes the same basket one order however often it arrives, so this asks again by
        itself when an answer was lost. Keep the key until this has returned or was refused.
        """

        async def send() -> Order:
            headers = {"Idempotency-Key": idempotency_key}
            reply = await self._session.request("POST", "/orders", json=basket, headers=headers)
            return _parse(Order, reply)

        return await self._until_answered(send)

    async def _until_answered(self, send: Callable[[], Awaitable[ModelT]]) -> ModelT:
        """Ask again, some times, where it can be that no answer came or it was not now."""
        backoff = Backoff()
        while True:
            try:
                return await send()
            except (ApiError, Unreachable) as trouble:
                # A 409 that names a time is the same send, still running on the server.
                still_running = (
                    isinstance(trouble, ApiError)
                    and trouble.status == 409
                    and trouble.retry_after is not None
                )
                hopeless = is_final(trouble) and not still_running
                if hopeless or backoff.attempt >= PLACING_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(backoff.lost(trouble.retry_after))

    async def cancel(self, order_id: str, reason: str | None = None) -> Order:
        """Call one's own order off; `ApiError` 409 once it is being prepared."""
        path = f"/orders/{order_id}/cancel"
        return _parse(
            Order, await self._session.request("POST", path, json=Cancellation(reason=reason))
        )

    async def set_status(self, order_id: str, change: StatusChange) -> Order:
        """Take an order a step along; `ApiError` 409 where the step or the version does not fit."""
        path = f"/orders/{order_id}/status"
        return _parse(Order, await self._session.request("POST", path, json=change))

    async def drivers(self) -> list[DriverOnDuty]:
        """The restaurant's drivers, what each carries and where they were last."""
        return (await self.drivers_on_duty()).items

    async def drivers_on_duty(self) -> DriverOnDutyPage:
        """The same as one page of all of them, with the seconds between two positions."""
        drivers: list[DriverOnDuty] = []
        interval = 0.0
        async for page in self._pages(DriverOnDutyPage, "/drivers"):
            drivers += page.items
            interval = page.interval_seconds
        return DriverOnDutyPage(items=drivers, next=None, interval_seconds=interval)

    async def put_location(self, driver_id: str, position: DriverPosition) -> None:
        """Tell where a driver is. `ApiError` 422 for a time to come, 429 where it is too often."""
        await self._session.request("PUT", f"/drivers/{driver_id}/location", json=position)

    async def town_map(self) -> dict[str, Any] | None:
        """The town's streets, waters and parks as GeoJSON; None where the server has no map."""
        headers = {"Accept": "application/geo+json, application/json"}
        try:
            reply = await self._session.request("GET", "/map", headers=headers)
        except ApiError as trouble:
            if trouble.status == 404:
                return None
            raise
        return _parse_object("map", reply)

    async def route(self, start: Point, end: Point) -> Route:
        """The shortest way along the streets; the straight line where there is none."""
        params = {
            "from_lat": str(start.lat),
            "from_lng": str(start.lng),
            "to_lat": str(end.lat),
            "to_lng": str(end.lng),
        }
        return _parse(Route, await self._session.request("GET", "/map/route", params=params))

    async def announcements(
        self, scope: Scope = Scope.OWN, before: str | None = None, limit: int = 50
    ) -> AnnouncementPage:
        """What is announced to one, newest first; `before` is a page's `next`. An employee may ask
        for `Scope.ALL`."""
        params: dict[str, str | int] = {"limit": limit}
        if scope is not Scope.OWN:
            params["scope"] = scope.value
        if before is not None:
            params["before"] = before
        reply = await self._session.request("GET", "/announcements", params=params)
        return _parse(AnnouncementPage, reply)

    async def announce(self, new: NewAnnouncement, idempotency_key: str) -> Announcement:
        """Announce something; the same key again gives the same announcement."""
        headers = {"Idempotency-Key": idempotency_key}
        reply = await self._session.request("POST", "/announcements", json=new, headers=headers)
        return _parse(Announcement, reply)

    async def withdraw(self, announcement_id: str) -> None:
        """Take an announcement back; once more does nothing."""
        await self._session.request("DELETE", f"/announcements/{announcement_id}")

    async def acknowledge(self, announcement_id: str) -> None:
        """Take note of an announcement; once more does nothing. `ApiError` 404 once it is gone."""
        await self._session.request("POST", f"/announcements/{announcement_id}/ack")

    async def acks(self, announcement_id: str) -> AckCount:
        """How many have taken note of an announcement."""
        path = f"/announcements/{announcement_id}/acks"
        return _parse(AckCount, await self._session.request("GET", path))

    async def chats(
        self, status: ChatStatus | None = None, before: str | None = None, limit: int = 50
    ) -> ChatPage:
        """One's own chats, or for an employee everybody's, the one opened last first.

        Without a `status` an employee gets the open ones.
        """
        params: dict[str, str | int] = {"limit": limit}
        if status is not None:
            params["status"] = status.value
        if before is not None:
            params["before"] = before
        return _parse(ChatPage, await self._session.request("GET", "/chats", params=params))

    async def open_chats(self) -> ChatPage:
        """All open chats as one page; its cursor is where `GET /chats/stream` goes on."""
        chats: list[Chat] = []
        cursor = None
        async for page in self._pages(ChatPage, "/chats", status=ChatStatus.OPEN.value):
            # The first page's cursor is the oldest: the stream repeats, and loses nothing.
            cursor = cursor or page.cursor
            chats += page.items
        return ChatPage(items=chats, next=None, cursor=cursor)

    async def chat(self, chat_id: str) -> Chat:
        """One chat."""
        return _parse(Chat, await self._session.request("GET", f"/chats/{chat_id}"))

    async def open_chat(self, new: NewChat, idempotency_key: str) -> Chat:
        """Ask support something; the same content and key again is the same chat."""
        headers = {"Idempotency-Key": idempotency_key}
        return _parse(
            Chat, await self._session.request("POST", "/chats", json=new, headers=headers)
        )

    async def take_chat(self, chat_id: str) -> Chat:
        """Take a chat up; `ApiError` 409 where somebody has it, or it is closed."""
        return _parse(Chat, await self._session.request("POST", f"/chats/{chat_id}/take"))

    async def close_chat(self, chat_id: str) -> Chat:
        """Close a chat: nobody writes in it any more."""
        return _parse(Chat, await self._session.request("POST", f"/chats/{chat_id}/close"))

    async def reopen_chat(self, chat_id: str) -> Chat:
        """Go on with a closed chat: it waits in the queue again."""
        return _parse(Chat, await self._session.request("POST", f"/chats/{chat_id}/reopen"))

    async def messages(
        self, chat_id: str, before: str | None = None, limit: int = 50
    ) -> MessagePage:
        """A page of a chat's history, newest first; its cursor is where the room goes on."""
        params: dict[str, str | int] = {"limit": limit}
        if before is not None:
            params["before"] = before
        path = f"/chats/{chat_id}/messages"
        return _parse(MessagePage, await self._session.request("GET", path, params=params))

    async def add_menu_item(self, restaurant_id: str, item: NewMenuItem) -> MenuItem:
        """Put a dish at the menu's end."""
        path = f"/restaurants/{restaurant_id}/menu"
        return _parse(MenuItem, await self._session.request("POST", path, json=item))

    async def change_menu_item(
        self, restaurant_id: str, item_id: str, change: MenuItemChange
    ) -> MenuItem:
        """Change the fields of a dish that are set."""
        path = f"/restaurants/{restaurant_id}/menu/{item_id}"
        return _parse(MenuItem, await self._session.request("PATCH", path, json=change))

    async def remove_menu_item(self, restaurant_id: str, item_id: str) -> None:
        """Take a dish off the menu."""
        await self._session.request("DELETE", f"/restaurants/{restaurant_id}/menu/{item_id}")

    async def me(self) -> Account:
        """One's own account, as it stands on the server; the session's copy follows."""
        return self._keep(_parse(Account, await self._session.request("GET", "/me")))

    async def change_profile(self, change: ProfileChange) -> Account:
        """Change the fields that are set; one set to None is emptied."""
        reply = await self._session.request("PATCH", "/me", json=change)
        return self._keep(_parse(Account, reply))

    async def change_password(self, current: str, new: str) -> None:
        """Set a new password; the server may end other sessions for it."""
        change = PasswordChange(current_password=current, new_password=new)
        await self._session.request("PUT", "/me/password", json=change)

    async def delete_account(self) -> None:
        """Delete one's account for good, and sign out here."""
        await self._session.request("DELETE", "/me")
        await self._session.forget()

    async def send_photo(
        self,
        path: Path,
        new: NewUpload,
        idempotency_key: str,
        progress: Progress | None = None,
    ) -> tuple[AcceptedUpload, float]:
        """Send a photo off; gives the upload, and in how many seconds to ask for it.

        Raises `UnfitFile` before anything is sent, where there is no such file or it is too large.
        The key makes it one upload however often it arrives, so this asks again by itself when an
        answer was lost. `progress` is called with the bytes that have left, and with all there are.
        """
        content = await read_file(path, MAX_BYTES)
        form = FileForm(new, content, path.name, progress)

        async def send() -> AcceptedUpload:
            headers = {"Idempotency-Key": idempotency_key}
            reply = await self._session.request(
                "POST", "/uploads", form=form, headers=headers, total=UPLOAD_SECONDS
            )
            seconds.append(parse_retry_after(reply.headers.get("Retry-After")) or 0.0)
            return _parse(AcceptedUpload, reply)

        seconds: list[float] = []
        accepted = await self._until_answered(send)
        return accepted, seconds[-1]

    async def upload(self, upload_id: str) -> Upload:
        """One of one's own uploads; `UploadPoll` follows it."""
        return _parse(Upload, await self._session.request("GET", f"/uploads/{upload_id}"))

    async def uploads(self, before: str | None = None, limit: int = 50) -> UploadPage:
        """One's own uploads, newest first; `before` is a page's `next`."""
        params: dict[str, str | int] = {"limit": limit}
        if before is not None:
            params["before"] = before
        return _parse(UploadPage, await self._session.request("GET", "/uploads", params=params))

    async def delete_upload(self, upload_id: str) -> None:
        """Delete an upload and its pictures; a dish or avatar that showed it has none then."""
        await self._session.request("DELETE", f"/uploads/{upload_id}")

    async def picture(self, url: str) -> bytes:
        """The picture at one of the server's paths: `original_url`, `result_url`, `photo_url`,
        `avatar_url`. `ApiError` 404 once it is gone."""
        path = url.removeprefix(API_PREFIX)
        headers = {"Accept": "image/*"}
        reply = await self._session.request(
            "GET",
            path,
            headers=headers,
            total=UPLOAD_SECONDS,
            redirects=True,
            most=PICTURE_BYTES,
        )
        return reply.body

    def _keep(self, account: Account) -> Account:
        self._session.account = account
        return account

    async def _all(self, model: type[ModelT], path: str) -> list[ModelT]:
        """Every page of a list."""
        page_type: type[Page[ModelT]] = Page[model]  # type: ignore[valid-type]
        return [item async for page in self._pages(page_type, path) for item in page.items]

    async def _pages(self, page_type: type[PageT], path: str, **more: str) -> AsyncIterator[PageT]:
        params: dict[str, str | int] = {"limit": 200, **more}
        while True:
            reply = await self._session.request("GET", path, params=params)
            page = _parse(page_type, reply, "list")
            yield page
            if page.next is None or not page.items:
                return
            params["before"] = page.next


def _parse(model: type[ModelT], reply: Reply, what: str = "") -> ModelT:
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as fault:
        raise _not_understood(what or model.__name__, fault) from fault


def _parse_object(what: str, reply: Reply) -> dict[str, Any]:
    try:
        return TypeAdapter(dict[str, Any]).validate_json(reply.body)
    except ValidationError as fault:
        raise _not_understood(what, fault) from fault


def _not_understood(what: str, fault: ValidationError) -> Unreachable:
    first = fault.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return Unreachable(
        f"The server's answer was no {what} that this version understands ({where}: "
        f"{first['msg']}). Are client and server of the same version?",
        "answer not understood",
    )
