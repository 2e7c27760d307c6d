"""One fallback for every stream: long polling, on the same log and from the same cursor.

A feed is read by its primary transport: server-sent events, or a chat's WebSocket. The server sends
a first byte at once; so where the primary is refused, or no byte has come within max(2 s, 4 round
trips) of asking or of a loss, something on the way blocks it, and a long poll takes over from the
reader's cursor. (A server that cannot be reached at all is waited for: a poll would not reach it
either.) Meanwhile the primary is tried again after 15 s, then less and less often, at last every
2 min; what it brings is dropped. Once it is healthy (see `monitored`) the poll stops, and the
primary is opened once more from the reader's cursor, unless that is where it is already. So only
one of the two delivers at any time, the cursor moves with what is delivered, and nothing is lost or
repeated. What both refuse is refused for good.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tui.common.client.errors import ApiError, ClientError, NoStream, ResetStream
from tui.common.client.long_polling import EventPoll, json_text
from tui.common.client.meter import Pattern, State
from tui.common.client.monitored import MonitoredEventStream, MonitoredStream, Timeouts
from tui.common.client.retry import Backoff, is_permanent, short_message
from tui.common.client.sse import ServerSentEvent
from tui.common.client.stream import AsyncReader, ItemT
from tui.common.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from server.features.shared.schemas import EventPage
    from tui.common.client.long_polling import LongPoll
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

MAX_UNREAD = 4096
"""Items that may wait for a slow reader; more are left in the connection."""


class FallbackStream(AsyncReader[ItemT]):
    """`async for item in stream`, inside `async with`: by the primary transport, or by polling.

    Raises `ResetStream` when the server cannot go on from the cursor, `ApiError` when it refuses
    for good, `SignedOut`. `on_carrier` is called in the loop whenever `carrier` and `meter` have
    changed. Meant for one reader. Cancelling the reader closes the connections; reading on opens
    them again.
    """

    NEWEST_ONLY: ClassVar[bool] = False
    """Whether only the newest item counts: then the poll takes over at each loss, and both
    transports deliver."""

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
        """`name` is that of the meter, `pattern` the primary transport's."""
        self.name = name
        self.carrier = pattern
        """What delivers now."""
        self.cursor = cursor
        """Where the poll is, and where the primary began."""
        self._session = session
        self._pattern = pattern
        self._on_carrier = on_carrier
        self._timeouts = timeouts or Timeouts()
        self._primary_meter = session.wire.meter(name, pattern)
        self._poll_meter: Meter | None = None
        self._primary: MonitoredStream[Any, Any] | None = None
        self._poll: LongPoll[Any] | None = None
        self._poll_task: asyncio.Task[None] | None = None
        self._poll_backoff = Backoff()
        self._refusals: dict[Pattern, ClientError] = {}
        """What the transports were refused with, for good."""
        self._accepted = False
        """Whether a transport that is closed by now was accepted."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._unread: deque[ItemT] = deque()
        self._changed = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._finished = False
        self._fault: BaseException | None = None

    # -- for subclasses

    def _open_primary(self, cursor: str | None) -> MonitoredStream[Any, Any]:
        """Make the primary stream, monitored for this; it connects when it is read."""
        raise NotImplementedError

    def _open_poll(self, meter: Meter, cursor: str | None) -> LongPoll[Any]:
        raise NotImplementedError

    def _from_primary(self, item: Any) -> None:
        """Deliver what the primary has brought."""
        self._deliver((item,))

    def _from_poll(self, item: Any) -> None:
        """Deliver what the poll has brought, and move the cursor."""
        raise NotImplementedError

    def _gap_size(self, item: Any) -> int:
        """How many events are in what the poll has brought."""
        raise NotImplementedError

    def _on_poll_started(self, meter: Meter) -> None:
        """The poll has taken over."""

    def _on_poll_stopped(self) -> None:
        """The primary delivers again."""

    def _explain(self, reason: str, *, blocked: bool) -> str:
        """What the poll's meter shows while the poll delivers."""
        return _("no stream: {reason}").format(reason=reason)

    def _on_refused(self, error: ClientError) -> None:
        """Both transports are refused."""
        self._end(error)

    # -- reading

    async def __anext__(self) -> ItemT:
        while True:
            if self._unread:
                item = self._unread.popleft()
                if not self._unread:
                    self._space.set()
                return item
            if self._finished:
                await self._finish()
                raise StopAsyncIteration
            if not self._tasks:
                self._set_transport(self._pattern)
                self._start(self._follow())
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                await self._stop()
                raise

    @property
    def meter(self) -> Meter:
        """The meter of the transport that delivers now."""
        if self.carrier is self._pattern or self._poll_meter is None:
            return self._primary_meter
        return self._poll_meter

    def drop_connection(self) -> None:
        """Drop the connections; they come back by themselves."""
        for transport in (self._primary, self._poll):
            if transport is not None:
                transport.drop_connection()

    async def aclose(self) -> None:
        """End for good and close the connections."""
        self._finished = True
        self._unread.clear()
        await self._stop()

    def _deliver(self, items: Iterable[ItemT]) -> None:
        if not self._finished:
            self._unread.extend(items)
            if len(self._unread) >= MAX_UNREAD:
                self._space.clear()
            self._changed.set()

    # -- the primary

    async def _follow(self) -> None:
        try:
            await self._read_primary()
        except ClientError as error:
            self._end(error)
        else:
            # If this is not the end, the server has said not to open it again.
            self._refusals[self._pattern] = NoStream(
                _("There is nothing more to come on this stream."), _("no more events")
            )
            self.on_suspect(_("no more events"), None, blocked=True)

    async def _read_primary(self) -> None:
        """Read the primary to its end. Raises `ResetStream`, `SignedOut`."""
        primary = self._primary = self._open_primary(self.cursor)
        primary.gap = lambda meter: self._open_poll(meter, primary.position)
        primary.gap_size = self._gap_size
        try:
            async with primary:
                async for item in primary:
                    if self._poll is None or self.NEWEST_ONLY:
                        self._from_primary(item)
                        await self._space.wait()
        finally:
            self._accepted = self._accepted or primary.accepted

    def on_connecting(self) -> None:
        """The primary opens a connection: while the poll delivers, from where that is."""
        if self._poll is not None and self._primary is not None:
            self._primary.resume_from(self.cursor)

    def on_healthy(self) -> None:
        """The primary is healthy: the poll is not needed."""
        if not self._finished:
            self._refusals.pop(self._pattern, None)
            self._return_to_primary()

    def on_suspect(self, reason: str, error: ClientError | None, *, blocked: bool) -> None:
        """The primary brings nothing, for that reason: let the poll deliver."""
        if self._finished:
            return
        if error is not None and is_permanent(error):
            self._refusals[self._pattern] = error
        if Pattern.LONG_POLL in self._refusals:
            if self._pattern in self._refusals:
                self._on_refused(self._refusals[self._pattern])
            return
        poll = self._poll or self._start_fallback()
        poll.explain(self._explain(reason, blocked=blocked))
        self._set_transport(Pattern.LONG_POLL)

    # -- the poll

    def _start_fallback(self) -> LongPoll[Any]:
        if self._primary is not None:
            self.cursor = self._primary.position
        # Made when it is needed: the wire shows only what is in use.
        meter = self._session.wire.meter(f"{self.name} (poll)", Pattern.LONG_POLL)
        meter.line = self._primary_meter
        meter.set_state(State.CONNECTING)
        poll = self._open_poll(meter, self.cursor)
        poll.gap = lambda silent: self._open_poll(silent, self.cursor)
        poll.gap_size = self._gap_size
        self._poll, self._poll_meter = poll, meter
        self._poll_task = self._start(self._read_poll(poll, meter))
        self._on_poll_started(meter)
        return poll

    async def _read_poll(self, poll: LongPoll[Any], meter: Meter) -> None:
        try:
            async with poll:
                async for item in poll:
                    self._from_poll(item)
                    await self._space.wait()
        except ApiError as error:
            if self._finished or poll is not self._poll:
                return
            if poll.accepted:
                meter.set_state(State.IDLE)
                self._on_refused(error)
            elif self._pattern in self._refusals:
                meter.set_state(State.IDLE)
                self._on_refused(self._refusals[self._pattern])
            else:  # an older server without this poll: only the primary is left
                self._refusals[Pattern.LONG_POLL] = error
                self._poll_task = None
                self._return_to_primary()
        except ClientError as error:
            self._end(error)

    def _stop_fallback(self) -> None:
        if self._poll is not None:
            if self._poll_task is not None:
                self._poll_task.cancel()
                self._poll_task = None
            self._accepted = self._accepted or self._poll.accepted
            self._poll = None
            self._on_poll_stopped()

    def _return_to_primary(self) -> None:
        if self._poll is not None:
            self._stop_fallback()
            primary = self._primary
            if primary is not None and not self.NEWEST_ONLY and primary.position != self.cursor:
                primary.resume_from(self.cursor)
        self._set_transport(self._pattern)

    def _set_transport(self, carrier: Pattern) -> None:
        if carrier is not self.carrier:
            self.carrier = carrier
            if self._on_carrier is not None:
                self._on_carrier()

    # -- the end

    @property
    def _has_access(self) -> bool:
        """Whether the server has ever accepted this account here."""
        transports = (self._primary, self._poll)
        return self._accepted or any(one is not None and one.accepted for one in transports)

    def _end(self, fault: BaseException | None = None) -> None:
        """Deliver nothing more; the reader wakes up and closes the connections."""
        if not self._finished:
            self._finished = True
            self._fault = fault
            self._changed.set()

    async def _finish(self) -> None:
        """Close the connections, and raise the error that ended the stream."""
        await self._stop()
        fault, self._fault = self._fault, None
        if fault is None:
            return
        for meter in (self._primary_meter, self._poll_meter):
            if meter is None:
                continue
            if isinstance(fault, ResetStream):
                meter.set_state(State.CONNECTING, _("reloading everything"))
            else:
                words = short_message(fault) if isinstance(fault, ClientError) else "failed"
                meter.set_state(State.DOWN, words)
        raise fault

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.name} stream")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._end(fault)

    async def _stop(self) -> None:
        """Close all connections; reading on opens them from the cursor."""
        if self._primary is not None and self._poll is None:
            self.cursor = self._primary.position
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._stop_fallback()
        self._primary = None
        self._space.set()


class LogStream(FallbackStream[ServerSentEvent]):
    """The events of a log after `cursor`: by server-sent events, else by polling its other path."""

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
        return stream.monitor(self, self._timeouts)

    def _open_poll(self, meter: Meter, cursor: str | None) -> EventPoll:
        return EventPoll(self._session, self._poll_path, meter, cursor, backoff=self._poll_backoff)

    def _gap_size(self, item: Any) -> int:
        return len(cast("EventPage", item).events)

    def _from_poll(self, item: Any) -> None:
        page = cast("EventPage", item)
        self.cursor = page.cursor
        self._deliver(
            ServerSentEvent(one.type, json_text(one.data), page.cursor) for one in page.events
        )
