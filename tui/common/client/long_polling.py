"""Long polling: one held request after another; for an order's status, and for any log."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tui.common.client.errors import ApiError, ResetStream, Unreachable
from tui.common.client.meter import State
from tui.common.client.retry import HEALTHY_AFTER, parse_retry_after
from tui.common.client.stream import ItemT, Poll
from tui.common.language import _

if TYPE_CHECKING:
    from server.features.orders.schemas import OrderPage, OrderStatus, TrackedStatus
    from server.features.shared.schemas import EventPage
    from tui.common.client.errors import ClientError
    from tui.common.client.frame import Contents
    from tui.common.client.meter import Meter
    from tui.common.client.request import RequestContext
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

HOLD_SECONDS = 45
"""Asked of the server; under the 50 and 60 s after which proxies cut an idle connection."""
GRACE_SECONDS = 15.0
"""More than was asked for before a request that nobody answers is given up."""
TOO_EARLY_SECONDS = 0.5
PAGE = '{"events":[],"cursor":""}'
ENTRY = '{"type":"","logged_at":"2026-01-31T12:00:00.000Z","data":},'
"""What an answer has besides the types, the cursor and the data of its events."""
BUSY = _("the server is busy and answered early")


class LongPoll(Poll[ItemT]):
    """`async for news in poll`; subclasses say what is asked for and what is news.

    What the reader knows is sent along, as the acknowledgement; without it the first answer comes
    at once. Raises `ApiError` when the server refuses for good, and `SignedOut`.

    Latency is only measured where nothing was known: any other answer may have been held, and how
    long the server waited is not how long the way was.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        meter: Meter,
        *,
        hold: int,
        grace: float,
        backoff: Backoff | None,
    ) -> None:
        super().__init__(session, path, meter, backoff)
        self._hold = hold
        self._grace = grace
        self._reason = ""
        self._sent_at: float | None = None

    def explain(self, reason: str) -> None:
        """Why it is asked at all, in words: the meter's detail while all is well."""
        self._reason = reason
        if self._meter.state in (State.CONNECTING, State.WAITING):
            self._meter.set_state(self._meter.state, reason)

    def _known(self) -> dict[str, str | int]:
        """What the reader has, as parameters; empty where that is nothing."""
        raise NotImplementedError

    def _parameters(self, known: dict[str, str | int]) -> dict[str, str | int]:
        """All that the request has, with that."""
        return {"timeout": self._hold, **known}

    def _is_news(self, news: ItemT) -> bool:
        raise NotImplementedError

    async def _receive(self) -> None:
        """One held request, which may bring no news."""
        known = self._known()
        asked_at = time.monotonic()
        self._sent_at = None
        try:
            request = await self._open(
                self.path,
                params=self._parameters(known),
                headers={"Accept": "application/json"},
                silence=self._hold + self._grace,
                on_sent=self._on_sent,
            )
            body = await request.read()
        except Unreachable:
            if self._sent_at is not None and time.monotonic() - self._sent_at >= HEALTHY_AFTER:
                self._backoff.reset()  # held for a while: the server is there, something cut it
            raise
        self._connection = None
        if request.response.status == 204:
            self.accepted = True
            await self._nothing_new(request, time.monotonic() - asked_at)
            return
        news = self._parsed(body)
        if not self._is_news(news):
            # Asking again at once would only bring the same.
            await self._pause(_("the server sends nothing new"), self._backoff.lost())
            return
        self._backoff.reset()
        if not known:
            self._meter.measured(request.latency_ms)
        self._count(news, request.size, len(body), request.contents(body))
        self._pending.append(news)

    def _count(self, news: ItemT, size: int, payload: int, contents: Contents) -> None:
        """Note it on the meter: the bytes of the answer, and of its body."""
        self._meter.event(
            f"200 {self._name(news)}",
            size,
            payload=payload,
            logged_at=getattr(news, "logged_at", None),
            contents=contents,
        )

    def _on_sent(self) -> None:
        self._sent_at = time.monotonic()
        self._set_open(State.WAITING)
        if self._reason:
            self._meter.set_state(State.WAITING, self._reason)

    async def _nothing_new(self, request: RequestContext, held: float) -> None:
        self._meter.frame(_("204 nothing new"), request.size, request.contents(b""))
        retry_after = parse_retry_after(request.response.headers.get("Retry-After"))
        if retry_after:
            self._backoff.reset()
            await self._pause(BUSY, retry_after * random.uniform(1.0, 1.1))  # noqa: S311
        elif held < TOO_EARLY_SECONDS:
            await self._pause(_("the server does not hold our request"), self._backoff.lost())
        else:
            self._backoff.reset()

    async def _pause(self, detail: str, delay: float) -> None:
        """Wait before asking again though nothing has been lost."""
        lost_before = self._lost_before
        await self._wait(detail, delay)
        self._lost_before = lost_before


class StatusPoll(LongPoll["TrackedStatus"]):
    """Each change of one order's status, ending with a terminal one.

    `last_status` is what the reader already knows and moves with each status handed out. An order
    that is quicker than the poll may pass through a status unseen; the last one is always seen.
    """

    def __init__(
        self,
        session: Session,
        order_id: str,
        meter: Meter,
        last_status: OrderStatus | None = None,
        *,
        hold: int = HOLD_SECONDS,
        grace: float = GRACE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        path = f"/orders/{order_id}/status"
        super().__init__(session, path, meter, hold=hold, grace=grace, backoff=backoff)
        self.order_id = order_id
        self.last_status = last_status
        self._version: int | None = None
        self._finished = last_status is not None and last_status.terminal

    def _known(self) -> dict[str, str | int]:
        return {} if self.last_status is None else {"last_status": self.last_status.value}

    def _parse(self, body: bytes) -> TrackedStatus:
        from server.features.orders.schemas import TrackedStatus

        return TrackedStatus.model_validate_json(body)

    def _is_news(self, news: TrackedStatus) -> bool:
        return (news.status, news.version) != (self.last_status, self._version) and (
            news.status is not self.last_status or news.terminal
        )

    def _open_gap(self, meter: Meter) -> StatusPoll:
        return StatusPoll(self._session, self.order_id, meter, self.last_status)

    def _name(self, news: TrackedStatus) -> str:
        return news.status.value

    def _deliver(self, news: TrackedStatus) -> None:
        self.last_status = news.status
        self._version = news.version
        if news.terminal:
            self._finish(State.IDLE)


class HasCursor(Protocol):
    """A page that says where the next one begins."""

    @property
    def cursor(self) -> str:
        """What to ask for next."""


PageT = TypeVar("PageT", bound=HasCursor)


class CursorPoll(LongPoll[PageT]):
    """What has happened after `cursor`, page by page; without one, from now on.

    Raises `ResetStream` when the server cannot go on from there.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        meter: Meter,
        cursor: str | None = None,
        *,
        hold: int = HOLD_SECONDS,
        grace: float = GRACE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(session, path, meter, hold=hold, grace=grace, backoff=backoff)
        self.cursor = cursor

    def _known(self) -> dict[str, str | int]:
        return {} if self.cursor is None else {"after": self.cursor}

    def _is_news(self, news: PageT) -> bool:
        return news.cursor != self.cursor

    def _deliver(self, news: PageT) -> None:
        self.cursor = news.cursor

    async def _recover(self, error: ClientError) -> None:
        if isinstance(error, ApiError) and error.status == 410:
            self._finish(State.CONNECTING, _("reloading everything"))
            raise ResetStream(error.message) from error
        await super()._recover(error)


class EventPoll(CursorPoll["EventPage"]):
    """The events of a log."""

    def _parse(self, body: bytes) -> EventPage:
        from server.features.shared.schemas import EventPage

        return EventPage.model_validate_json(body)

    def _is_news(self, news: EventPage) -> bool:
        # Only the first page may be without events: it says where to begin.
        return self.cursor is None or (bool(news.events) and news.cursor != self.cursor)

    def _count(self, news: EventPage, size: int, payload: int, contents: Contents) -> None:
        if not news.events:
            self._meter.frame(_("200 where to begin"), size, contents)
        envelope = len(PAGE) + len(news.cursor)
        envelope += sum(len(ENTRY) + len(event.type) for event in news.events)
        for number, event in enumerate(news.events):
            self._meter.event(
                f"200 {event.type}",
                0 if number else size,
                payload=0 if number else max(0, payload - envelope),
                logged_at=event.logged_at,
                contents=contents,
            )


class OrdersPoll(CursorPoll["OrderPage"]):
    """The customer's orders that were placed or changed, in whichever window."""

    def __init__(self, session: Session, meter: Meter, cursor: str) -> None:
        """`cursor` is that of a page of orders."""
        super().__init__(session, "/orders", meter, cursor)
        self.replayed = False
        """Whether what was handed out last was missed while the connection was lost."""

    def _parse(self, body: bytes) -> OrderPage:
        from server.features.orders.schemas import OrderPage

        return OrderPage.model_validate_json(body)

    def _is_news(self, news: OrderPage) -> bool:
        return bool(news.items) and super()._is_news(news)

    def _open_gap(self, meter: Meter) -> OrdersPoll | None:
        return None if self.cursor is None else OrdersPoll(self._session, meter, self.cursor)

    def _gap_size(self, news: OrderPage) -> int:
        return len(news.items)

    def _count(self, news: OrderPage, size: int, payload: int, contents: Contents) -> None:
        newest = len(news.items) - 1
        for number, order in enumerate(news.items):
            self.replayed = self._meter.event(
                f"200 #{order.number:04d} {order.status}",
                0 if number else size,
                payload=0 if number else payload,
                logged_at=news.logged_at if number == newest else None,
                contents=contents,
            )


def json_text(data: dict[str, Any]) -> str:
    """An event's data as the text that a stream would have brought."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
