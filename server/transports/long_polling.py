"""Long polling: a request held until the next event, the timeout, or an end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

from aiohttp import web
from pydantic import Field

from server.core.answers import JsonResponse
from server.core.auth import Gate
from server.core.errors import Problem, reset, unauthorized, unavailable
from server.core.routing import HELD, Answer, Encoded, identity_of, mark_held
from server.core.services import service
from server.realtime.event import Cursor, Event
from server.realtime.hub import Hub
from server.realtime.state_topic import STATE
from server.settings import Settings
from server.transports.connections import Connections, End, Slot

FoundT = TypeVar("FoundT")

PAGE_EVENTS = 100
"""Events in an answer at most; a reader that is further behind asks again at once."""
PAGE_BYTES = 256 * 1024
"""An answer of this size takes no more events: it stays in memory until it has been read."""
SEPARATOR = "~"
"""Between the cursors of topics that are read together; no cursor contains it."""

Seconds = Annotated[int, Field(ge=1, le=60)]
"""A route's parameter: how long to hold the request."""


WOKEN = object()
"""The result of a future whose wait has ended without news."""


class Wait:
    """How long one request may be held, its slot meanwhile, and what ends it early.

    It waits for one future; an end, and the end of the time, make that done as well.
    """

    __slots__ = ("_ended", "_ends_at", "_expires_at", "_loop", "_news", "_request", "_slot")

    def __init__(self, request: web.Request, timeout: float) -> None:
        """`timeout` is in seconds from now; a HEAD does not wait."""
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._ends_at = self._loop.time() + (timeout if request.method != "HEAD" else 0)
        self._expires_at = self._ends_at
        self._ended: End | None = None
        self._news: asyncio.Future[Any] | None = None
        self._slot: Slot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    async def begin(self) -> None:
        """Take a slot, once. Raises Problem 401, 429, 503."""
        if self._request.get(HELD):
            return
        mark_held(self._request, self._release)
        identity = identity_of(self._request)
        self._expires_at = self._loop.time() + identity.seconds_left
        connections = service(self._request, Connections)
        self._slot = connections.hold(identity, self._end, poll=True)
        # Registered first and checked then, so no revocation falls in between. What the gate
        # remembers is as good: an event that ends the session either makes it forget, or is still
        # to come and finds the slot.
        gate = service(self._request, Gate)
        if gate.recall(identity) is None:
            await gate.check(identity)

    async def until(self, news: asyncio.Future[Any], over: asyncio.Future[Any] | None) -> bool:
        """Wait until `news` is done: whether it was by itself. Else the time is up, the request has
        to end, or `over` is done.

        Raises Problem 401 where its token or session ended: its holder must not get what happened
        at the same time.
        """
        if not (news.done() or self._ended or (over is not None and over.done())):
            self._news = news
            if over is not None:
                over.add_done_callback(self._wake)
            timer = self._loop.call_at(min(self._ends_at, self._expires_at), self._wake)
            try:
                await news
            finally:
                self._news = None
                timer.cancel()
                if over is not None:
                    over.remove_done_callback(self._wake)
        self.check()
        return news.done() and news.result() is not WOKEN

    def check(self) -> None:
        """Raises Problem 401 where the token or the session ended."""
        if self._ended is None and self._expires_at < min(self._ends_at, self._now):
            self._ended = End.EXPIRED
        if self._ended is End.EXPIRED:
            raise unauthorized("The access token has expired. Refresh it.", kind="token-expired")
        if self._ended is End.REVOKED:
            raise unauthorized("The session was ended. Log in again.", kind="session-ended")

    @property
    def released(self) -> bool:
        """Whether the request has to end before its time."""
        return self._ended is not None

    @property
    def retry_after(self) -> int | None:
        """After how many seconds to ask again, where it was released; not said where it was its
        turn in a server that stops."""
        return 1 if self.released and self._ended is not End.DRAINING else None

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._now > self._ends_at

    @property
    def _now(self) -> float:
        """The time, to which the timers' precision is added: they may come so early."""
        return self._loop.time() + 0.001

    def _release(self) -> None:
        self._end(End.RELEASED)

    def _end(self, why: End) -> None:
        if self._ended is None:
            self._ended = why
            self._wake()

    def _wake(self, over: object = None) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(WOKEN)


@dataclass(slots=True)
class PollResult(Generic[FoundT]):
    """What a held request found; or nothing, and after how many seconds to ask again.

    `over` is what `until` returned, where that ended it.
    """

    found: FoundT | Encoded[FoundT] | None
    retry_after: int | None = None
    over: str | None = None

    @property
    def answer(self) -> Answer[FoundT]:
        """What was found, or 204."""
        if self.found is not None:
            return Answer(self.found)
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return Answer(None, status=204, headers=headers)


async def hold(
    request: web.Request,
    hub: Hub,
    topic: str,
    subject: str,
    *,
    timeout: float,
    fetch: Callable[[], Awaitable[FoundT | Encoded[FoundT] | None]],
    from_event: Callable[[Event], FoundT | Encoded[FoundT] | None],
    until: Callable[[], Awaitable[str]] | None = None,
    state: object = None,
) -> PollResult[FoundT]:
    """Answer at once with what `fetch` finds; else hold until `from_event` finds something in an
    event, or `until` returns; `timeout` in seconds.

    It subscribes first and fetches then, so nothing falls in between. It fetches again after an
    event in which `from_event` finds nothing, and where events were missed. If what `fetch` finds
    depends only on the subject and the `state` that the client knows, that is read once for all
    who know the same. Raises Problem 401 where the token ends meanwhile.
    """
    over = asyncio.ensure_future(until()) if until is not None else None
    try:
        with Wait(request, timeout) as wait:
            while True:
                watch = hub.watch(topic, subject)
                async with watch as next_event:
                    if state is None or not watch.knows(state):
                        found = await fetch()
                        if found is not None:
                            return PollResult(found)
                        watch.tell(state)
                    await wait.begin()
                    came = await wait.until(next_event, over)
                if came:
                    event = next_event.result()
                    found = from_event(event) if event is not None else None
                    if found is not None:
                        return PollResult(found)
                elif over is not None and over.done():
                    return PollResult(None, over=over.result())
                elif wait.released:
                    return PollResult(None, retry_after=wait.retry_after)
                if wait.over:
                    return PollResult(None)
    finally:
        if over is not None:
            over.cancel()


Entries = Iterable[tuple[str, str]]
"""What a reader gets of an event: types, and data as JSON text."""


def unchanged(event: Event) -> Entries:
    """The event's own type and data."""
    return ((event.type, event.data),)


@dataclass(frozen=True, slots=True)
class Source:
    """A topic to read, and what its readers get of each event, which is the same for all."""

    topic: str
    entries_of: Callable[[Event], Entries] = unchanged


def first_of(cursor: str | None) -> str | None:
    """The first topic's part of a cursor, with which other transports go on."""
    return cursor.partition(SEPARATOR)[0] if cursor is not None else None


class Page:
    """The events of one answer."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.filled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once there is something to answer."""
        self.problem: Problem | None = None
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether it takes nothing more."""
        return (
            self.problem is not None or len(self.events) >= PAGE_EVENTS or self._bytes >= PAGE_BYTES
        )

    def add(self, events: Iterable[bytes]) -> None:
        """Add these entries."""
        for event in events:
            self.events.append(event)
            self._bytes += len(event)
            self._wake()

    def send_out_of_band(self, type: str, data: str) -> None:
        """Add what is no event of a topic: it moves no cursor."""
        if not self.full:
            self.add([_encoded(type, data)])

    def fail(self, problem: Problem) -> None:
        """Answer with a problem instead."""
        self.problem = self.problem or problem
        self._wake()

    def _wake(self) -> None:
        if not self.filled.done():
            self.filled.set_result(None)


class _PageSink:
    """A page as the sink of one of its topics."""

    def __init__(self, page: Page, source: Source) -> None:
        self._page = page
        self._source = source
        self.cursor = ""
        """Where it began."""
        self._last: Event | None = None

    def reached(self, hub: Hub) -> str:
        """The cursor of the last event on the page."""
        return hub.log.cursor_of(self._last) if self._last is not None else self.cursor

    def write(self, event: Event) -> bool:
        """Put it on the page; False where that is full."""
        if self._page.full:
            return False
        encoded: list[bytes] | None = event.encoded.get("poll")
        if encoded is None:
            entries = self._source.entries_of(event)
            at = "" if event.topic.startswith(STATE) else event.at
            encoded = [_encoded(type, data, at) for type, data in entries]
            event.encoded["poll"] = encoded
        self._page.add(encoded)
        self._last = event
        return True

    async def ready(self) -> None:
        """Returns at once while there is room; a full page never has any again."""
        if self._page.full:
            await asyncio.get_running_loop().create_future()

    def reset(self) -> None:
        """The cursor is no good."""
        self._page.fail(reset())

    def fail(self) -> None:
        """The events cannot be read now."""
        self._page.fail(unavailable("The event log cannot be read now. Try again."))


async def read(
    request: web.Request,
    sources: Iterable[Source],
    after: str | None,
    timeout: float,
    *,
    admit: Callable[[], Awaitable[None]] | None = None,
    during: Callable[[Page], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> JsonResponse:
    """Answer `{"events": [{"type", "data"}], "cursor"}`: the topics' events after the cursor
    `after`, at once or as soon as there is one; 204 after `timeout` seconds. Without a cursor the
    answer comes at once and has no events: it says where to begin.

    Page after page, a reader gets every event of a stream of the same topics, once and in the same
    order. The cursor of the first topic alone is enough; a state topic then gives its newest
    event. `admit` is called again before a held request is answered. `during` is entered while the
    request is held, and may add something out of band.

    Raises Problem 401, 429, 503, 410 (`reset`) where the cursor cannot be honoured.
    """
    hub, page, sinks = service(request, Hub), Page(), list[_PageSink]()
    timeout = min(timeout, service(request, Settings).long_poll_seconds)
    cursors: list[str | None] = [*after.split(SEPARATOR)] if after is not None else [None]
    with Wait(request, timeout) as wait, contextlib.ExitStack() as stack:
        for source in sources:
            cursor = cursors.pop(0) if cursors else None
            sink = _PageSink(page, source)
            subscription = await hub.subscribe(source.topic, cursor, sink)
            stack.callback(subscription.close)
            if cursor is None:
                sink.cursor = hub.cursor_of(subscription)
            else:
                sink.cursor = str(Cursor.parse(cursor))
            if after is None:
                return _answer([], sink.cursor)
            sinks.append(sink)
        if cursors:
            raise reset()
        if not page.filled.done():
            await wait.begin()
            with during(page):
                await wait.until(page.filled, None)
            if page.events or page.problem is not None:
                # A right may have ended in another process, and the news of it be on its way.
                await service(request, Gate).check(identity_of(request))
                if admit is not None:
                    await admit()
                wait.check()
        if page.problem is not None:
            raise page.problem
        if page.events:
            return _answer(page.events, SEPARATOR.join(sink.reached(hub) for sink in sinks))
        return JsonResponse(204, None, {"Retry-After": "1"} if wait.retry_after else {})


def _encoded(type: str, data: str, logged_at: str = "") -> bytes:
    logged = f',"logged_at":"{logged_at}"' if logged_at else ""
    return f'{{"type":"{type}"{logged},"data":{data}}}'.encode()


def _answer(events: list[bytes], cursor: str) -> JsonResponse:
    body = b'{"events":[%b],"cursor":"%b"}' % (b",".join(events), cursor.encode())
    return JsonResponse(200, body, {})
