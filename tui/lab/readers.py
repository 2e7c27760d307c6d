"""The lab's readers: each reads a run over one pattern, by the client library, and records it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from server.features.lab.schemas import EVENT, LabEvent, Latest
from server.features.shared.schemas import EventPage
from tui.common.client.errors import ClientError, ResetStream
from tui.common.client.fallback import LogStream
from tui.common.client.frame import NOTHING, Contents
from tui.common.client.long_polling import EventPoll
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.monitored import MonitoredEventStream
from tui.common.client.retry import short_message
from tui.common.client.short_polling import ShortPoll
from tui.common.client.socket_stream import SocketStream
from tui.common.client.socketio import Exchanged, SocketIoStream, Step
from tui.common.client.sse import EventStream, ServerSentEvent
from tui.common.client.stream import AsyncReader, ItemT, Stream
from tui.lab.records import (
    LONG_POLL,
    SHORT_POLL,
    SOCKETIO,
    SSE,
    SSE_FALLBACK,
    SSE_NO_CURSOR,
    WEBSOCKET,
    Arrival,
    Exchange,
    Plan,
    Sink,
)

if TYPE_CHECKING:
    from tui.common.client.request import RequestContext
    from tui.common.client.session import Session

ToLocal = Callable[[float], float]
"""The lab's time of a time by the server's monotonic clock."""
Kind = Literal["request", "connection"]

_PATTERNS = {
    SHORT_POLL: Pattern.SHORT_POLL,
    LONG_POLL: Pattern.LONG_POLL,
    SSE: Pattern.SSE,
    SSE_FALLBACK: Pattern.SSE,
    SSE_NO_CURSOR: Pattern.SSE,
    WEBSOCKET: Pattern.WEBSOCKET,
    SOCKETIO: Pattern.WEBSOCKET,
}
HOLD_SECONDS = 45
SSE_SILENCE_SECONDS = 25.0


class Recorder:
    """Gives the records of one reader to the sink."""

    def __init__(self, sink: Sink, pattern: str, reader: int, to_local: ToLocal) -> None:
        self._sink = sink
        self.pattern = pattern
        self.reader = reader
        self._to_local = to_local
        self.exchanges = 0
        self.failure = ""
        """Why it is not answered now, in words."""
        self.back_at = 0.0
        """When it was connected again after a loss, by `time.monotonic`; 0 before the first."""
        self.has_begun = asyncio.Event()
        """Set once the server has answered or held a request, or it has become clear that it does
        not for now."""

    def arrived(self, event: LabEvent) -> None:
        """An event is here."""
        committed = self._to_local(event.monotonic)
        replayed = self.pattern != SHORT_POLL and committed < self.back_at
        now = time.monotonic()
        self._sink.arrived(Arrival(self.pattern, self.reader, event.seq, committed, now, replayed))

    def step(
        self, number: int, kind: Kind, state: Step, up: int, down: int, what: str, at: float = 0.0
    ) -> None:
        """A request or a connection has gone a step further, now unless `at` says when."""
        held = self.pattern in (LONG_POLL, SSE_FALLBACK) and kind == "request"
        if state in ("answered", "failed") or held:
            self.has_begun.set()
        at = at or time.monotonic()
        self._sink.exchanged(
            Exchange(self.pattern, self.reader, number, kind, state, at, up, down, what)
        )


class RecordingMeter(Meter):
    """Makes the steps of a stream's exchanges from what the client library counts.

    It has one at a time. How one has ended shows only after it is closed, by what follows: `fail`,
    or anything else.
    """

    def __init__(self, recorder: Recorder, kind: Kind, pattern: Pattern | None = None) -> None:
        super().__init__(Wire(), recorder.pattern, pattern or _PATTERNS[recorder.pattern])
        self._recorder = recorder
        self._kind: Kind = kind
        self._number = 0
        self._what = ""
        self._started = self._answered = False
        self._before = (0, 0)
        """`bytes_sent` and `bytes` before this exchange."""
        self._closed_at = 0.0

    def begin(self, what: str) -> None:
        """The request is about to leave."""
        self._end()
        self._before = (self.bytes_sent, self.bytes)
        self._start(what)

    def fail(self, what: str) -> None:
        """The exchange under way, or closed just now, has failed."""
        self._what = self._recorder.failure = what
        self._end("failed")

    def sent(self, what: str, size: int, contents: Contents = NOTHING) -> None:
        if self._started and not self._closed_at:  # begun before it was sent
            super().sent(what, size, contents)
            return
        self._end()
        self._before = (self.bytes_sent, self.bytes)
        super().sent(what, size, contents)
        self._start(what)

    def received(self, size: int) -> None:
        super().received(size)
        if self._started and not self._answered:
            self._answered, self._recorder.failure = True, ""
            self._step("answered")

    def closed(self) -> None:
        super().closed()
        if self._started:
            self._closed_at = time.monotonic()

    def frame(self, what: str, size: int, contents: Contents = NOTHING) -> None:
        super().frame(what, size, contents)
        if self._closed_at:
            self._what = what
            self._end("failed" if what[:1] in "45" else "ended")

    def event(self, what: str, size: int, **more: Any) -> bool:
        replayed = super().event(what, size, **more)
        if self._closed_at:
            self._what = what
            self._end()
        return replayed

    def reconnected(self) -> None:
        super().reconnected()
        self._recorder.back_at = time.monotonic()

    def _set(self, state: State, detail: str, delay: float | None) -> None:
        super()._set(state, detail, delay)
        if self._closed_at and state in (State.RETRY, State.IDLE, State.DOWN):
            self._end()

    def _start(self, what: str) -> None:
        self._recorder.exchanges += 1
        self._number = self._recorder.exchanges
        self._started, self._answered, self._what = True, False, what
        self._step("started")

    def _end(self, state: Step = "ended") -> None:
        if self._started:
            self._step(state)
            self._started, self._closed_at = False, 0.0

    def _step(self, state: Step) -> None:
        up, down = self.bytes_sent - self._before[0], self.bytes - self._before[1]
        self._recorder.step(self._number, self._kind, state, up, down, self._what, self._closed_at)


class RecordingWire(Wire):
    """Records what is exchanged by a stream of the apps and by its fallback."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def meter(self, name: str, pattern: Pattern) -> Meter:
        if name not in self.meters and pattern in (Pattern.SSE, Pattern.LONG_POLL):
            kind: Kind = "connection" if pattern is Pattern.SSE else "request"
            self.meters[name] = RecordingMeter(self._recorder, kind, pattern)
        return super().meter(name, pattern)


class Recorded(Stream[Any, ItemT]):
    """Mixed into a stream whose meter is a `RecordingMeter`: reports what fails."""

    _meter: RecordingMeter

    async def _recover(self, error: ClientError) -> None:
        self._meter.fail(short_message(error))
        await super()._recover(error)


class PacedPoll(Recorded[ItemT], ShortPoll[ItemT]):
    """A state that is asked for at the plan's pace."""

    def __init__(self, session: Session, path: str, meter: RecordingMeter, plan: Plan) -> None:
        super().__init__(session, path, meter)
        self._seconds = plan.poll_seconds
        self._by_rate = plan.poll_pace == "rate"
        self._due_at = time.monotonic()

    async def _wait_until_due(self) -> None:
        await super()._wait_until_due()
        self._due_at += self._seconds

    def _interval(self, retry_after: float | None) -> float:
        if not self._by_rate:
            return self._seconds
        # After an answer that came late, none is made up for.
        self._due_at = max(self._due_at, time.monotonic())
        return self._due_at - time.monotonic()


class LatestPoll(PacedPoll[Latest]):
    """The newest event, to the run's end."""

    def _parse(self, body: bytes) -> Latest:
        return Latest.model_validate_json(body)

    def _is_final(self, news: Latest) -> bool:
        return not news.state.active

    def _name(self, news: Latest) -> str:
        return f"seq {news.newest.seq if news.newest else 0}"


class RunPoll(Recorded[EventPage], EventPoll):
    """The events of a run, by one held request after another."""


class RunStream(Recorded[ServerSentEvent], EventStream):
    """The events of a run as a stream."""


class ForgetfulStream(RunStream):
    """The same, coming back without a cursor after a loss."""

    async def _open_connection(self) -> RequestContext:
        if self._lost_before:
            self.resume_from(None)
        return await super()._open_connection()


class _Primary(Recorded[ServerSentEvent], MonitoredEventStream):
    """The stream for which a poll can stand in."""


class RunLog(LogStream):
    """The events of a run as the apps read a log: as a stream, else by polling."""

    _primary_meter: RecordingMeter

    def _open_primary(self, cursor: str | None) -> MonitoredEventStream:
        stream = _Primary(self._session, self._stream_path, self._primary_meter, cursor)
        return stream.monitor(self, self._timeouts)

    def _open_poll(self, meter: Meter, cursor: str | None) -> EventPoll:
        return RunPoll(self._session, self._poll_path, meter, cursor, backoff=self._poll_backoff)


class RunSocket(Recorded[LabEvent], SocketStream[LabEvent]):
    """The events of a run over WebSocket."""

    WHAT = "run"
    _meter: RecordingMeter

    def _on_sent(self) -> None:
        self._meter.begin(f"GET {self.path}")

    def _read_frame(self, text: str) -> None:
        frame = _Frame.model_validate_json(text)
        self._meter.event(frame.type, len(text))
        if frame.type == EVENT:
            self._pending.append(frame)

    def _deliver(self, news: LabEvent) -> None:
        assert isinstance(news, _Frame)
        self.cursor = news.cursor


class _Frame(LabEvent):
    """An event as WebSocket and Socket.IO bring it."""

    type: str
    cursor: str


class RunSocketIo(SocketIoStream[LabEvent]):
    """The events of a run over Socket.IO."""

    def __init__(self, session: Session, run_id: str, recorder: Recorder, cursor: str) -> None:
        meter = Meter(Wire(), SOCKETIO, Pattern.WEBSOCKET)
        super().__init__(session, meter)
        self._recorder = recorder
        self._run_id = run_id
        self._numbers: dict[Exchanged, int] = {}
        self.cursor = cursor

    def _subscription(self) -> tuple[str, dict[str, Any]]:
        return "lab", {"run": self._run_id, "after": self.cursor}

    def _read_frame(self, frame: dict[str, Any]) -> None:
        if frame.get("type") == "reset":
            raise ResetStream("The run's events are no longer available.")
        if frame.get("type") == EVENT:
            self._pending.append(_Frame.model_validate(frame))

    def _deliver(self, news: LabEvent) -> None:
        assert isinstance(news, _Frame)
        self.cursor = news.cursor

    def _set_open(self, state: State) -> None:
        if self._lost_before:
            self._recorder.back_at = time.monotonic()
        super()._set_open(state)

    def _on_step(self, exchanged: Exchanged, state: Step) -> None:
        number = self._numbers.get(exchanged)
        if number is None:
            self._recorder.exchanges += 1
            number = self._numbers[exchanged] = self._recorder.exchanges
        if state in ("ended", "failed"):
            del self._numbers[exchanged]
        kind: Kind = "connection" if exchanged.is_socket else "request"
        self._recorder.step(number, kind, state, exchanged.up, exchanged.down, exchanged.what)


async def read_run(
    recorder: Recorder, session: Session, run_id: str, cursor: str, plan: Plan
) -> None:
    """Read a run from its cursor on over the recorder's pattern, until this is cancelled; a short
    poll ends with the run.

    Raises `ApiError` where the server refuses for good, `ResetStream` where it has dropped events.
    """
    path, pattern = f"/lab/runs/{run_id}", recorder.pattern
    kind: Kind = "request" if pattern in (SHORT_POLL, LONG_POLL) else "connection"
    meter = RecordingMeter(recorder, kind)
    if pattern == SHORT_POLL:
        async with LatestPoll(session, f"{path}/latest", meter, plan) as polled:
            seq = 0
            async for latest in polled:
                # The run's end is news too, and has the same event.
                if latest.newest is not None and latest.newest.seq != seq:
                    seq = latest.newest.seq
                    recorder.arrived(latest.newest)
    elif pattern == LONG_POLL:
        poll = RunPoll(session, f"{path}/events", meter, cursor, hold=HOLD_SECONDS)
        async with poll:
            async for page in poll:
                for event in page.events:
                    if event.type == EVENT:
                        recorder.arrived(LabEvent.model_validate(event.data))
    elif pattern in (SSE, SSE_FALLBACK, SSE_NO_CURSOR):
        stream: AsyncReader[ServerSentEvent]
        if pattern == SSE_FALLBACK:
            session.wire = RecordingWire(recorder)
            stream = RunLog(session, f"{path}/stream", f"{path}/events", pattern, cursor)
        else:
            made = RunStream if pattern == SSE else ForgetfulStream
            # Coalesced events would arrive later than over the other patterns.
            stream = made(
                session, f"{path}/stream", meter, cursor, silence=SSE_SILENCE_SECONDS, coalesce=0
            )
        async with stream:
            async for sent in stream:
                if sent.type == EVENT:
                    recorder.arrived(LabEvent.model_validate_json(sent.data))
    else:
        reader: Stream[Any, LabEvent]
        if pattern == WEBSOCKET:
            reader = RunSocket(session, f"{path}/ws", meter, cursor)
        else:
            reader = RunSocketIo(session, run_id, recorder, cursor)
        async with reader:
            async for frame in reader:
                recorder.arrived(frame)
