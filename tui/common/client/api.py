"""The server's REST routes as typed calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from server.features.announcements.schemas import (
    AckCount,
    Announcement,
    AnnouncementPage,
    AudienceSizes,
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
from server.features.kitchen.schemas import KitchenSummary
from server.features.orders.schemas import (
    Cancellation,
    NewRating,
    Order,
    OrderPage,
    PlaceOrder,
    Quote,
    StatusChange,
)
from server.features.restaurants.schemas import (
    MenuItem,
    MenuItemChange,
    NewMenuItem,
    Restaurant,
    RestaurantChange,
    RestaurantSummary,
    StaffPage,
)
from server.features.shared.schemas import Actor
from server.features.uploads.schemas import (
    MAX_BYTES,
    AcceptedUpload,
    NewUpload,
    Upload,
    UploadPage,
)
from tui.common.client.account_api import AccountApi
from tui.common.client.errors import ApiError
from tui.common.client.files import FileForm, Progress, read_file
from tui.common.client.http import API_PREFIX
from tui.common.client.request import parse, parse_object
from tui.common.client.retry import parse_retry_after, retry

PLACING_ATTEMPTS = 4
UPLOAD_SECONDS = 120.0
"""For a photo of some megabytes on a slow line."""


class Api(AccountApi):
    """Typed calls; each may raise `ApiError`, `Unreachable` and `SignedOut`, as `Session` does."""

    async def restaurants(self) -> list[RestaurantSummary]:
        """All restaurants, without their menus."""
        return await self._all(RestaurantSummary, "/restaurants")

    async def restaurant(self, restaurant_id: str) -> Restaurant:
        """One restaurant with its menu."""
        return await self._ask(Restaurant, "GET", f"/restaurants/{restaurant_id}")

    async def change_restaurant(self, restaurant_id: str, change: RestaurantChange) -> Restaurant:
        """Change the terms that are set, such as a pause."""
        return await self._ask(Restaurant, "PATCH", f"/restaurants/{restaurant_id}", json=change)

    async def staff(self, restaurant_id: str) -> list[Actor]:
        """The restaurant's employees who are signed in."""
        return (await self._ask(StaffPage, "GET", f"/restaurants/{restaurant_id}/staff")).items

    async def orders(self, before: str | None = None, limit: int = 50) -> OrderPage:
        """The customer's or the restaurant's orders, newest first; `before` is a page's `next`."""
        return await self._page(OrderPage, "/orders", before, limit)

    async def found_orders(self, text: str, before: str | None = None) -> OrderPage:
        """A page of the restaurant's orders of that number, customer or dish, newest first; one
        with a `next` may be empty."""
        return await self._page(OrderPage, "/orders", before, 50, find=text)

    async def orders_placed(self, since: str, until: str) -> list[Order]:
        """All of the restaurant's orders of a span, newest first; for the texts see `summary`."""
        return await self._all(Order, "/orders", **{"from": since, "to": until})

    async def summary(self, restaurant_id: str, since: str, until: str) -> KitchenSummary:
        """What the restaurant did with the orders of a span, by its clock: `2026-01-31T18:00`.
        `ApiError` 422 where these are too many."""
        params = {"from": since, "to": until}
        path = f"/restaurants/{restaurant_id}/summary"
        return await self._ask(KitchenSummary, "GET", path, params=params)

    async def open_orders(self) -> list[Order]:
        """All of them that are neither delivered nor cancelled, newest first."""
        return await self._all(Order, "/orders", open="true")

    async def order(self, order_id: str) -> Order:
        """One order, whole."""
        return await self._ask(Order, "GET", f"/orders/{order_id}")

    async def place_order(self, basket: PlaceOrder, idempotency_key: str) -> Order:
        """Send a basket off.

        The key makes the same basket one order however often it arrives, so this asks again by
        itself when an answer was lost. Keep the key until this has returned or was refused.
        """

        async def send() -> Order:
            headers = {"Idempotency-Key": idempotency_key}
            return await self._ask(Order, "POST", "/orders", json=basket, headers=headers)

        return await retry(send, attempts=PLACING_ATTEMPTS)

    async def quote(self, basket: PlaceOrder) -> Quote:
        """What a basket would cost; `ApiError` 409 and 422 as for an order."""
        return await self._ask(Quote, "POST", "/orders/quote", json=basket)

    async def rate(self, order_id: str, rating: NewRating) -> None:
        """Rate an order that has come; `ApiError` 409 where it has not."""
        await self._session.request("POST", f"/orders/{order_id}/rating", json=rating)

    async def cancel(self, order_id: str, reason: str | None = None) -> Order:
        """Cancel an order of the customer's; `ApiError` 409 once it is being prepared."""
        path = f"/orders/{order_id}/cancel"
        return await self._ask(Order, "POST", path, json=Cancellation(reason=reason))

    async def set_status(self, order_id: str, change: StatusChange) -> Order:
        """Take an order a step along; `ApiError` 409 where the step or the version does not fit."""
        path = f"/orders/{order_id}/status"
        return await self._ask(Order, "POST", path, json=change)

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
        """Report where a driver is. `ApiError` 422 for a time in the future, 429 if too often."""
        await self._session.request("PUT", f"/drivers/{driver_id}/location", json=position)

    async def town_map(self) -> dict[str, Any] | None:
        """The town's streets, waters and parks as GeoJSON; None where the server has no map."""
        headers = {"Accept": "application/geo+json, application/json"}
        try:
            reply = await self._session.request("GET", "/map", headers=headers)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return parse_object("map", reply)

    async def route(self, start: Point, end: Point) -> Route:
        """The shortest way along the streets; the straight line where there is none."""
        params = {
            "from_lat": str(start.lat),
            "from_lng": str(start.lng),
            "to_lat": str(end.lat),
            "to_lng": str(end.lng),
        }
        return await self._ask(Route, "GET", "/map/route", params=params)

    async def announcements(
        self, scope: Scope = Scope.OWN, before: str | None = None, limit: int = 50
    ) -> AnnouncementPage:
        """The account's announcements, newest first; `before` is a page's `next`. An employee may
        ask for `Scope.ALL`."""
        more = {} if scope is Scope.OWN else {"scope": scope.value}
        return await self._page(AnnouncementPage, "/announcements", before, limit, **more)

    async def announce(self, new: NewAnnouncement, idempotency_key: str) -> Announcement:
        """Announce something; the same key again gives the same announcement."""
        headers = {"Idempotency-Key": idempotency_key}
        return await self._ask(Announcement, "POST", "/announcements", json=new, headers=headers)

    async def audiences(self) -> AudienceSizes:
        """How many people an announcement would reach."""
        return await self._ask(AudienceSizes, "GET", "/announcements/audiences")

    async def withdraw(self, announcement_id: str) -> None:
        """Withdraw an announcement; again does nothing."""
        await self._session.request("DELETE", f"/announcements/{announcement_id}")

    async def acknowledge(self, announcement_id: str) -> None:
        """Mark an announcement as read; again does nothing. `ApiError` 404 once it is gone."""
        await self._session.request("POST", f"/announcements/{announcement_id}/ack")

    async def acks(self, announcement_id: str) -> AckCount:
        """How many have marked an announcement as read."""
        return await self._ask(AckCount, "GET", f"/announcements/{announcement_id}/acks")

    async def chats(
        self, status: ChatStatus | None = None, before: str | None = None, limit: int = 50
    ) -> ChatPage:
        """One's own chats, or for an employee everybody's, the one opened last first.

        Without a `status` an employee gets the open ones.
        """
        more = {} if status is None else {"status": status.value}
        return await self._page(ChatPage, "/chats", before, limit, **more)

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
        return await self._ask(Chat, "GET", f"/chats/{chat_id}")

    async def open_chat(self, new: NewChat, idempotency_key: str) -> Chat:
        """Open a chat with support; the same content and key give the same chat."""
        headers = {"Idempotency-Key": idempotency_key}
        return await self._ask(Chat, "POST", "/chats", json=new, headers=headers)

    async def take_chat(self, chat_id: str) -> Chat:
        """Claim a chat; `ApiError` 409 where somebody has it, or it is closed."""
        return await self._ask(Chat, "POST", f"/chats/{chat_id}/take")

    async def close_chat(self, chat_id: str) -> Chat:
        """Close a chat: it accepts no more messages."""
        return await self._ask(Chat, "POST", f"/chats/{chat_id}/close")

    async def reopen_chat(self, chat_id: str) -> Chat:
        """Reopen a closed chat: it waits in the queue again."""
        return await self._ask(Chat, "POST", f"/chats/{chat_id}/reopen")

    async def messages(
        self, chat_id: str, before: str | None = None, limit: int = 50
    ) -> MessagePage:
        """A page of a chat's history, newest first; its cursor is where the room goes on."""
        return await self._page(MessagePage, f"/chats/{chat_id}/messages", before, limit)

    async def add_menu_item(self, restaurant_id: str, item: NewMenuItem) -> MenuItem:
        """Put a dish at the menu's end."""
        path = f"/restaurants/{restaurant_id}/menu"
        return await self._ask(MenuItem, "POST", path, json=item)

    async def change_menu_item(
        self, restaurant_id: str, item_id: str, change: MenuItemChange
    ) -> MenuItem:
        """Change the fields of a dish that are set."""
        path = f"/restaurants/{restaurant_id}/menu/{item_id}"
        return await self._ask(MenuItem, "PATCH", path, json=change)

    async def remove_menu_item(self, restaurant_id: str, item_id: str) -> None:
        """Remove a dish from the menu."""
        await self._session.request("DELETE", f"/restaurants/{restaurant_id}/menu/{item_id}")

    async def send_photo(
        self,
        path: Path,
        new: NewUpload,
        idempotency_key: str,
        progress: Progress | None = None,
    ) -> tuple[AcceptedUpload, float]:
        """Send a photo off; returns the upload, and in how many seconds to ask for it.

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
            return parse(AcceptedUpload, reply)

        seconds: list[float] = []
        accepted = await retry(send, attempts=PLACING_ATTEMPTS)
        return accepted, seconds[-1]

    async def upload(self, upload_id: str) -> Upload:
        """One of the account's uploads; `UploadPoll` follows it."""
        return await self._ask(Upload, "GET", f"/uploads/{upload_id}")

    async def uploads(self, before: str | None = None, limit: int = 50) -> UploadPage:
        """One's own uploads, newest first; `before` is a page's `next`."""
        return await self._page(UploadPage, "/uploads", before, limit)

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
        )
        return reply.body
