"""Long polling: a request held until the next event, the timeout, or an end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

from aiohttp import web
from pydantic import Field

from server.core.auth import Gate
from server.core.errors import Problem, reset, unauthorized, unavailable
from server.core.routing import HELD, Answer, identity_of, mark_held
from server.core.services import service
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports.connections import Connections, End

FoundT = TypeVar("FoundT")

PAGE_EVENTS = 100
"""Events in an answer at most; who is further behind asks again at once."""
PAGE_BYTES = 256 * 1024
"""Beyond this much an answer takes no more events: it is kept in memory until it has been read."""
BETWEEN = "~"
"""Between the cursors of several topics that are read together; no cursor contains it."""

Seconds = Annotated[int, Field(ge=1, le=60)]
"""A door's parameter: how long to hold the request."""


class Wait:
    """How long one request may be held, the place it has meanwhile, and what ends it early."""

    def __init__(self, request: web.Request, timeout: float) -> None:
        """`timeout` is in seconds from now; a HEAD does not wait."""
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._deadline = self._loop.time() + (timeout if request.method != "HEAD" else 0)
        self._ended: asyncio.Future[End] = self._loop.create_future()
        self._place = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._place.close()

    async def begin(self) -> None:
        """Take a place, once. Raises Problem 401, 429, 503."""
        if self._request.get(HELD):
            return
        mark_held(self._request, lambda: self._end(End.RELEASED))
        identity = identity_of(self._request)
        connections = service(self._request, Connections)
        self._place.enter_context(connections.hold(identity, self._end, poll=True))
        # Registered before it is checked: a revocation in between is seen one way or the other.
        await service(self._request, Gate).check(identity)

    async def until(self, *news: asyncio.Future[Any]) -> None:
        """Returns when one of these is done, the time is up, or the request has to end.

        Raises Problem 401 where its token or session ended: what happened at the same time is not
        for its holder.
        """
        ends: tuple[asyncio.Future[Any], ...] = (*news, self._ended)
        await asyncio.wait(
            ends,
            timeout=max(0.0, self._deadline - self._loop.time()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        self.check()

    def check(self) -> None:
        """Raises Problem 401 where the token or the session ended."""
        why = self._ended.result() if self._ended.done() else None
        if why is End.EXPIRED:
            raise unauthorized("The access token has expired. Refresh it.", kind="token-expired")
        if why is End.REVOKED:
            raise unauthorized("The session was ended. Log in again.", kind="session-ended")

    @property
    def released(self) -> bool:
        """Whether the request has to end before its time."""
        return self._ended.done()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._loop.time() >= self._deadline

    def _end(self, why: End) -> None:
        if not self._ended.done():
            self._ended.set_result(why)


@dataclass(frozen=True, slots=True)
class Held(Generic[FoundT]):
    """How a hold ended: with what was found, or with nothing and a time to come back after.

    `over` is what `until` returned, where that ended it.
    """

    found: FoundT | None
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
    look: Callable[[], Awaitable[FoundT | None]],
    changed: Callable[[Event], FoundT | None],
    until: Callable[[], Awaitable[str]] | None = None,
) -> Held[FoundT]:
    """Answer at once with what `look` finds, else hold for an event that `changed` makes
    something of, or until `until` returns; `timeout` in seconds.

    It registers first and looks then, so nothing falls between; it looks again after an event
    that `changed` makes nothing of, and where events were missed. Raises Problem 401 where the
    token ends meanwhile.
    """
    over: asyncio.Future[str]
    over = (
        asyncio.ensure_future(until())
        if until is not None
        else asyncio.get_running_loop().create_future()
    )
    try:
        with Wait(request, timeout) as wait:
            while True:
                async with hub.watch(topic, subject) as change:
                    found = await look()
                    if found is not None:
                        return Held(found)
                    await wait.begin()
                    await wait.until(change, over)
                if change.done() and not change.cancelled():  # left alone, it is cancelled by now
                    event = change.result()
                    found = changed(event) if event is not None else None
                    if found is not None:
                        return Held(found)
                elif over.done():
                    return Held(None, over=over.result())
                elif wait.released:
                    return Held(None, retry_after=1)
                if wait.over:
                    return Held(None)
    finally:
        over.cancel()


Told = Iterable[tuple[str, str]]
"""What an event tells a reader: types, and data as JSON text."""


def as_it_is(event: Event) -> Told:
    """The event's own type and data."""
    return ((event.type, event.data),)


@dataclass(frozen=True, slots=True)
class Source:
    """A topic to be read, and what its events tell; the same for whoever reads it, or nothing."""

    topic: str
    tell: Callable[[Event], Told] = as_it_is


def first_of(cursor: str | None) -> str | None:
    """Of the cursor of several topics, that of the first; what other doors go on from."""
    return cursor.partition(BETWEEN)[0] if cursor is not None else None


class Page:
    """What one answer will tell."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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
        """Tell these too."""
        for event in events:
            self.events.append(event)
            self._bytes += len(event)
            self._wake()

    def aside(self, type: str, data: str) -> None:
        """Tell what is no event of a topic: it moves no cursor."""
        if not self.full:
            self.add([_encoded(type, data)])

    def fail(self, problem: Problem) -> None:
        """Answer with a problem instead."""
        self.problem = self.problem or problem
        self._wake()

    def _wake(self) -> None:
        if not self.news.done():
            self.news.set_result(None)


class _PageSink:
    """A page as the sink of one of the topics it tells of."""

    def __init__(self, page: Page, source: Source) -> None:
        self._page = page
        self._source = source

    def write(self, event: Event) -> bool:
        """Put it on the page; False where that is full."""
        if self._page.full:
            return False
        encoded: list[bytes] | None = event.encoded.get("poll")
        if encoded is None:
            encoded = [_encoded(type, data) for type, data in self._source.tell(event)]
            event.encoded["poll"] = encoded
        self._page.add(encoded)
        return True

    async def ready(self) -> None:
        """At once while there is room; a full page never has any again."""
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
    beside: Callable[[Page], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> web.Response:
    """Answer `{"events": [{"type", "data"}], "cursor"}`: what the topics told after the cursor
    `after`, at once or as soon as there is something; 204 after `timeout` seconds. Without a
    cursor the answer comes at once and has no events: it says where to begin.

    Every event of a stream of the same topic, once and in the same order, page after page. The
    cursor of the first source will do for all: of a state topic comes the newest then. `admit` is
    asked again before a held request is answered; inside `beside`, entered for as long as it waits,
    somebody else may tell it something aside.

    Raises Problem 401, 429, 503, 410 (`reset`) where the cursor cannot be honoured.
    """
    hub, page, places = service(request, Hub), Page(), []
    timeout = min(timeout, service(request, Settings).long_poll_seconds)
    cursors: list[str | None] = [*after.split(BETWEEN)] if after is not None else [None]
    with Wait(request, timeout) as wait, contextlib.ExitStack() as stack:
        for source in sources:
            cursor = cursors.pop(0) if cursors else None
            place = await hub.subscribe(source.topic, cursor, _PageSink(page, source))
            stack.callback(place.close)
            if after is None:
                return _answer([], hub.cursor_of(place))
            places.append(place)
        if cursors:
            raise reset()
        if not page.news.done():
            await wait.begin()
            with beside(page):
                await wait.until(page.news)
            if page.news.done():
                # A right may have ended in another process, and what tells of it be on its way.
                await service(request, Gate).check(identity_of(request))
                if admit is not None:
                    await admit()
                wait.check()
        if page.problem is not None:
            raise page.problem
        if page.events:
            return _answer(page.events, BETWEEN.join(map(hub.cursor_of, places)))
        retry = {"Retry-After": "1"} if wait.released else {}
        return web.Response(status=204, headers=retry)


def _encoded(type: str, data: str) -> bytes:
    return f'{{"type":"{type}","data":{data}}}'.encode()


def _answer(events: list[bytes], cursor: str) -> web.Response:
    return web.Response(
        body=b'{"events":[%b],"cursor":"%b"}' % (b",".join(events), cursor.encode()),
        content_type="application/json",
        charset="utf-8",
    )
