"""One fallback for every stream: long polling, on the same log and from the same cursor.

A feed is carried by its primary pattern, server-sent events or a chat's WebSocket, wherever that
comes through. The server writes a first byte at once, so where a request is refused, or no byte of
its body has come within max(2 s, 4 round trips), something on the way refuses it or holds it back:
then a long poll goes on from the reader's cursor. (A server that cannot be reached at all is waited
for: a poll would not reach it either.) The poll carries, and its meter says why, until the primary
comes through again, which is tried after 15 s and then ever more seldom, every 2 min at last. Such
a probe is one more request, from the cursor that has been reached; what it brings is kept aside
until it is believed, which takes two sounds some time apart where sounds were held back before.
Then the poll is let go. If that has moved the cursor meanwhile, the probe's connection is opened
anew from there, otherwise what was kept aside comes next. So only one of the two ever hands out
news, the cursor moves with what is handed out, and nothing is lost or repeated. What both refuse is
refused for good.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tui.common.client.errors import ApiError, ClientError, ResetStream
from tui.common.client.long_polling import EventPoll, json_text
from tui.common.client.meter import Pattern, State
from tui.common.client.probation import MonitoredEventStream, MonitoredStream, Timeouts
from tui.common.client.retry import Backoff, is_permanent, short_message
from tui.common.client.sse import ServerSentEvent
from tui.common.client.stream import AsyncReader, ItemT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from server.features.shared.schemas import EventPage
    from tui.common.client.long_polling import LongPoll
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

AT_HAND = 4096
"""News that may wait for a slow reader; more is left to the connection."""


class FallbackStream(AsyncReader[ItemT]):
    """`async for news in stream`, inside `async with`: by the primary pattern, or by long polling.

    Raises `ResetStream` when the server cannot go on from the cursor, `ApiError` when it refuses
    for good, `SignedOut`. `on_carrier` is called in the loop whenever `carrier` and `meter` have
    changed. Meant for one reader. Cancelling the reader closes the connections; reading on opens
    them again.
    """

    AT_ONCE: ClassVar[bool] = False
    """Whether the poll carries from each loss on, instead of leaving it a moment to come back."""

    def __init__(
        self,
        session: Session,
        name: str,
        pattern: Pattern,
        cursor: str | None = None,
        *,
        on_carrier: Callable[[], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`name` is that of the meter, `pattern` the primary one."""
        self.name = name
        self.carrier = pattern
        """What brings the news now."""
        self.cursor = cursor
        """Where the poll goes on, and the primary after it."""
        self._session = session
        self._pattern = pattern
        self._on_carrier = on_carrier
        self._timeouts = timeouts or Timeouts()
        self._primary_meter = session.wire.meter(name, pattern)
        self._poll_meter: Meter | None = None
        self._primary: MonitoredStream[Any, Any] | None = None
        self._poll: LongPoll[Any] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._poll_backoff = Backoff()
        self._polled = False
        """Whether the poll has run since the primary was last believed."""
        self._moved = False
        """Whether it has brought anything since the primary's connection was asked for."""
        self._aside: list[Any] = []
        """What the primary has brought and is not believed yet."""
        self._refusal: ClientError | None = None
        """The primary's, for good."""
        self._poll_refused: ClientError | None = None
        self._granted = False
        """Whether the server has ever told this account anything here."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._unread: deque[ItemT] = deque()
        self._changed = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._finished = False
        self._fault: BaseException | None = None

    # -- what a subclass says

    def _open_primary(self, cursor: str | None) -> MonitoredStream[Any, Any]:
        """Nothing is asked before it is read; `watch` it for this."""
        raise NotImplementedError

    def _open_poll(self, meter: Meter, cursor: str | None) -> LongPoll[Any]:
        raise NotImplementedError

    def _from_primary(self, news: Any) -> None:
        """Hand out what the primary has brought."""
        self._hand_out((news,))

    def _from_poll(self, news: Any) -> None:
        """Hand out what the poll has brought, and move the cursor."""
        raise NotImplementedError

    def _poll_begins(self, meter: Meter) -> None:
        """It carries from now on."""

    def _poll_ends(self) -> None:
        """It carries no more."""

    def _why(self, words: str, *, blocked: bool) -> str:
        """What the poll's meter says of why it carries."""
        return f"no stream: {words}"

    # -- reading

    async def __anext__(self) -> ItemT:
        while True:
            if self._unread:
                news = self._unread.popleft()
                if not self._unread:
                    self._space.set()
                return news
            if self._finished:
                await self._conclude()
                raise StopAsyncIteration
            if not self._tasks:
                self._set_carrier(self._pattern)
                self._start(self._follow())
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                await self._halt()
                raise

    @property
    def meter(self) -> Meter:
        """The meter of what carries now."""
        if self.carrier is self._pattern or self._poll_meter is None:
            return self._primary_meter
        return self._poll_meter

    def drop_connection(self) -> None:
        """Drop the connection that carries; it comes back by itself."""
        carrier = self._primary if self.carrier is self._pattern else self._poll
        if carrier is not None:
            carrier.drop_connection()

    async def aclose(self) -> None:
        """End for good and close the connections."""
        self._finished = True
        self._unread.clear()
        await self._halt()

    def _hand_out(self, news: Iterable[ItemT]) -> None:
        if not self._finished:
            self._unread.extend(news)
            if len(self._unread) >= AT_HAND:
                self._space.clear()
            self._changed.set()

    # -- the primary

    async def _follow(self) -> None:
        try:
            await self._read_primary()
        except ClientError as error:
            self._end(error)
        else:
            # Where it is not over, it has been told not to come back.
            self.doubts("no more events", None, blocked=True)

    async def _read_primary(self) -> None:
        """Read the primary to its end. Raises `ResetStream`, `SignedOut`."""
        primary = self._primary = self._open_primary(self.cursor)
        try:
            async with primary:
                async for news in primary:
                    if self._polling is not None:
                        self._aside.append(news)
                    else:
                        self._from_primary(news)
                        await self._space.wait()
        finally:
            self._granted = self._granted or primary.accepted

    def begins(self) -> None:
        """The primary is about to ask for a connection."""
        self._moved = False
        self._aside.clear()
        if self._polled and self._primary is not None:
            self._primary.resume_from(self.cursor)

    def alive(self) -> None:
        """The primary is heard: the poll is not needed."""
        if self._finished:
            return
        self._refusal = None
        self._stop_polling()
        if self._moved and self._primary is not None:
            self._primary.resume_from(self.cursor)
            self._aside.clear()
        self._back_to_primary()

    def _back_to_primary(self) -> None:
        """What it has kept aside comes next, and its cursor is the cursor."""
        aside, self._aside = self._aside, []
        for news in aside:
            self._from_primary(news)
        self._polled = self._moved = False
        self._set_carrier(self._pattern)

    def doubts(self, words: str, error: ClientError | None, *, blocked: bool) -> None:
        """The primary does not carry, for that reason: let the poll."""
        if self._finished:
            return
        if error is not None and is_permanent(error):
            self._refusal = error
        if self._poll_refused is not None:
            if self._refusal is not None:
                self._refused(self._refusal)
            return
        if self._poll is None:
            if self._primary is not None and not self._polled:
                self.cursor = self._primary.position
            self._polled = True
            # Made once it is needed: a pattern that is not in use is none of the wire's business.
            meter = self._session.wire.meter(f"{self.name} (poll)", Pattern.LONG_POLL)
            self._poll_meter = meter
            meter.set_state(State.CONNECTING)
            self._poll = self._open_poll(meter, self.cursor)
            self._polling = self._start(self._ask(self._poll, meter))
            self._poll_begins(meter)
        self._poll.explain(self._why(words, blocked=blocked))
        self._set_carrier(Pattern.LONG_POLL)

    # -- the poll

    async def _ask(self, poll: LongPoll[Any], meter: Meter) -> None:
        """Poll until it is let go."""
        try:
            async with poll:
                async for news in poll:
                    self._from_poll(news)
                    await self._space.wait()
        except ApiError as error:
            if self._finished or poll is not self._poll:
                return
            if poll.accepted or self._refusal is not None:
                meter.set_state(State.IDLE)
                self._refused(self._refusal if not poll.accepted and self._refusal else error)
                return
            # It may be a server of before: the primary has the last word.
            self._poll_refused = error
            self._poll = self._polling = None
            self._poll_ends()
            self._back_to_primary()
        except ClientError as error:
            self._end(error)

    def _stop_polling(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            self._polling = None
            self._poll_ends()
        if self._poll is not None:
            self._granted = self._granted or self._poll.accepted
            self._poll = None

    def _set_carrier(self, carrier: Pattern) -> None:
        if carrier is not self.carrier:
            self.carrier = carrier
            if self._on_carrier is not None:
                self._on_carrier()

    # -- the end

    @property
    def _has_access(self) -> bool:
        """Whether the server has ever told this account anything here."""
        streams = (self._primary, self._poll)
        return self._granted or any(one is not None and one.accepted for one in streams)

    def _refused(self, error: ClientError) -> None:
        """Both say so: it is for good."""
        self._end(error)

    def _end(self, fault: BaseException | None = None) -> None:
        """Nothing comes any more; the reader finds out, and lets go of the connections."""
        if not self._finished:
            self._finished = True
            self._fault = fault
            self._changed.set()

    async def _conclude(self) -> None:
        """Close the connections and say why there is nothing more, where that was a fault."""
        await self._halt()
        fault, self._fault = self._fault, None
        if fault is None:
            return
        for meter in (self._primary_meter, self._poll_meter):
            if meter is None:
                continue
            if isinstance(fault, ResetStream):
                meter.set_state(State.CONNECTING, "reading everything again")
            else:
                words = short_message(fault) if isinstance(fault, ClientError) else "failed"
                meter.set_state(State.DOWN, words)
        raise fault

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.name} stream")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._end(fault)

    async def _halt(self) -> None:
        """Close all connections. What has been handed out by then moves the cursor."""
        primary = self._primary
        if primary is not None and not self._polled:
            self.cursor = primary.position
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._stop_polling()
        self._primary = None
        self._polled = False
        self._space.set()


class LogStream(FallbackStream[ServerSentEvent]):
    """The events of a log after `cursor`: by a stream, else by polling its other path."""

    def __init__(
        self,
        session: Session,
        stream_path: str,
        poll_path: str,
        name: str,
        cursor: str | None,
        *,
        on_carrier: Callable[[], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """The paths may have parameters; `name` is that of the meter."""
        super().__init__(
            session, name, Pattern.SSE, cursor, on_carrier=on_carrier, timeouts=timeouts
        )
        self._stream_path, self._poll_path = stream_path, poll_path

    def _open_primary(self, cursor: str | None) -> MonitoredEventStream:
        stream = MonitoredEventStream(self._session, self._stream_path, self._primary_meter, cursor)
        return stream.watch(self, self._timeouts)

    def _open_poll(self, meter: Meter, cursor: str | None) -> EventPoll:
        return EventPoll(self._session, self._poll_path, meter, cursor, backoff=self._poll_backoff)

    def _from_poll(self, news: Any) -> None:
        page = cast("EventPage", news)
        self.cursor, self._moved = page.cursor, True
        self._hand_out(
            ServerSentEvent(one.type, json_text(one.data), page.cursor) for one in page.events
        )
