"""Server-sent events out of bytes, as the WHATWG standard reads them, however they are split."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tui.common.client.errors import NoStream, ResetStream, Unreachable
from tui.common.client.figures import byte_length
from tui.common.client.frame import Contents
from tui.common.client.meter import State
from tui.common.client.stream import RequestStream
from tui.common.language import _

if TYPE_CHECKING:
    from tui.common.client.meter import Meter
    from tui.common.client.request import RequestContext
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

_LINE_END = re.compile(rb"\r\n?|\n")
EVENT_BYTES = 4 * 1024 * 1024
"""Of one event, as much as a WebSocket's message may have; no server of ours sends more."""
ID_CHARACTERS = 1024
"""Of an id, which travels in a request's head when the stream is opened again."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. `last_event_id` is the stream's newest id, which this event need not have brought.

    `has_id` says whether it did; `size` is the block's length in bytes as it arrived. `logged_at`
    is when it happened by the server's clock, RFC 3339, where the server says so.
    """

    type: str
    data: str
    last_event_id: str
    has_id: bool = field(default=False, compare=False)
    size: int = field(default=0, compare=False)
    logged_at: str = field(default="", compare=False)
    replayed: bool = field(default=False, compare=False)
    """It was missed while the connection was lost."""


class EventTooLarge(Exception):
    """The event that is coming has more than `EVENT_BYTES`."""


class SSEParser:
    """Turns a byte stream into events; one parser a connection.

    An unfinished block at the connection's end is dropped with the parser, as the standard asks.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        """The id to come back with: of the last block that ended, event or not."""
        self.retry_ms: int | None = None
        """Milliseconds, from the newest `retry:`."""
        self.comments = 0
        self.caught_up_at: int | None = None
        """How many events of the last `feed` came before a block that has only an id."""
        self._partial = bytearray()
        self._first_line = True
        self._skip_lf = False
        self._id = last_event_id
        self._has_id = False
        self._type = ""
        self._data: list[str] = []
        self._logged_at = ""
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete. Raises `EventTooLarge`."""
        self.caught_up_at = None
        start = 0
        if self._skip_lf and chunk:
            self._skip_lf = False
            # The CR already ended the line; this LF is its other half.
            start = 1 if chunk[0] == 0x0A else 0
        events: list[ServerSentEvent] = []
        for end in _LINE_END.finditer(chunk, start):
            line = chunk[start : end.start()]
            if self._partial:
                line = bytes(self._partial) + line
                self._partial.clear()
            self._size += len(line) + end.end() - end.start()
            start = end.end()
            has_id = self._has_id
            event = self._line(line)
            if event is not None:
                events.append(event)
            elif has_id and not line:
                self.caught_up_at = len(events)
        self._partial += chunk[start:]
        if self._size + len(self._partial) > EVENT_BYTES:
            raise EventTooLarge
        self._skip_lf = self._skip_lf or chunk.endswith(b"\r")
        return events

    def _line(self, raw: bytes) -> ServerSentEvent | None:
        # Line ends are ASCII and never part of another character, so that lines can be cut first
        # and decoded one by one, faulty bytes included.
        if self._first_line:
            self._first_line = False
            raw = raw.removeprefix(_BOM)
        if not raw:
            return self._dispatch()
        if raw[0] == 0x3A:
            self.comments += 1
            return None
        name, _, value = raw.decode("utf-8", "replace").partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "logged_at":  # of Tiffin's own; the standard ignores it
            self._logged_at = value
        elif name == "id":
            if "\0" not in value and len(value) <= ID_CHARACTERS:
                self._id = value
                self._has_id = True
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value) if len(value) < 10 else 10**9

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._id
        event = None
        if self._data:
            event = ServerSentEvent(
                type=self._type or "message",
                data="\n".join(self._data),
                last_event_id=self._id,
                has_id=self._has_id,
                size=self._size,
                logged_at=self._logged_at,
            )
            self._data.clear()
        self._type = self._logged_at = ""
        self._has_id = False
        self._size = 0
        return event


SILENCE_SECONDS = 40.0
RETRY_AT_MOST = 30.0
IDS_KEPT = 1024
COALESCE_SECONDS = 0.05
RUSH_SECONDS = 2 * COALESCE_SECONDS
"""What comes faster than this is read as one: a read for each event costs more than the event."""
LAST_EVENTS = frozenset({"end"})
RESET = "reset"


def _head_of(event: ServerSentEvent) -> str:
    """Its fields besides the data."""
    fields = (
        ("id", event.last_event_id if event.has_id else ""),
        ("event", event.type),
        ("logged_at", event.logged_at),
    )
    return "\n".join(f"{name}: {value}" for name, value in fields if value)


class EventStream(RequestStream[ServerSentEvent]):
    """`async for event in stream`, for ever, or up to an `end` event.

    `cursor` is where to begin (a snapshot's cursor; None for the present) and moves with each event
    handed out. Raises `ResetStream` when the server cannot go on from there, `ApiError` when it
    refuses for good, `SignedOut`. Silent for `silence` seconds, it is taken for dead; heartbeats
    count as sound.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        meter: Meter,
        cursor: str | None = None,
        *,
        silence: float = SILENCE_SECONDS,
        coalesce: float = COALESCE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        """`coalesce` is for how long events that come quickly are read as one, in seconds."""
        super().__init__(session, meter, backoff)
        self.path = path
        self.cursor = cursor
        self._silence = silence
        self._coalesce = coalesce
        self._parser = SSEParser(cursor or "")
        self._ids: deque[str] = deque(maxlen=IDS_KEPT)
        self._seen: set[str] = {cursor} if cursor else set()
        self._replaying = False
        """Until the server says that all was sent that was missed, by an id without an event."""
        self._rushing = False
        self._heard_at = 0.0

    async def _receive(self) -> None:
        request = self._connection or await self._open_connection()
        if self._rushing and self._coalesce:
            await request.coalesce(self._coalesce)
        chunk = await request.chunk()
        now = time.monotonic()
        self._rushing = now - self._heard_at < RUSH_SECONDS
        self._heard_at = now
        if not chunk:
            if (dropped := self._pop_drop_error()) is not None:
                raise dropped
            self._drop()
            await self._wait(_("the server ended the stream"), self._delay_after_end())
            return
        comments = self._parser.comments
        try:
            events = self._parser.feed(chunk)
        except EventTooLarge as fault:
            raise Unreachable(
                _("An event of the server at {base_url} has no end; the rest was not read.").format(
                    base_url=self._session.base_url
                ),
                _("event too large"),
            ) from fault
        if not events and self._parser.comments > comments:
            self._meter.heartbeat("heartbeat", len(chunk))
        if self._parser.retry_ms is not None:
            self._backoff.floor = min(self._parser.retry_ms / 1000, RETRY_AT_MOST)
        caught_up_at = self._parser.caught_up_at
        for number, event in enumerate(events):
            replaying = self._replaying and (caught_up_at is None or number < caught_up_at)
            if not (event.has_id and event.last_event_id in self._seen):
                self._remember(event)
                self._pending.append(replace(event, replayed=True) if replaying else event)
                self._meter.event(
                    event.type,
                    event.size,
                    replayed=replaying,
                    payload=byte_length(event.data),
                    logged_at=event.logged_at,
                    contents=Contents.of(_head_of(event), event.data),
                )
        self._replaying = self._replaying and caught_up_at is None
        self._on_received(heartbeat=self._parser.comments > comments)

    def resume_from(self, cursor: str | None) -> None:
        """Open the next connection from there; what was read and not handed out is dropped."""
        self._drop()
        self._pending.clear()
        self._ids.clear()
        self._seen = {cursor} if cursor else set()
        self.cursor, self._parser = cursor, SSEParser(cursor or "")

    @property
    def position(self) -> str | None:
        """The cursor after all that was handed out."""
        return self.cursor if self._pending else self._parser.last_event_id or None

    async def _open_connection(self) -> RequestContext:
        # An id that was emptied is none, and is not sent.
        self.cursor = self.position
        self._parser = SSEParser(self.cursor or "")
        if self._meter.state is not State.CONNECTING:
            self._meter.set_state(State.CONNECTING)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self.cursor:
            headers["Last-Event-ID"] = self.cursor
        request = await self._open(
            self.path, headers=headers, silence=self._silence, on_sent=self._on_sent
        )
        response = request.response
        if response.status == 204:
            # By the standard: no more events, and do not come back.
            self._finish(State.IDLE)
            raise NoStream(_("There is nothing more to come on this stream."), _("no more events"))
        if response.status != 200:
            raise NoStream(
                _(
                    "Expected a stream of events, but got HTTP {status}. Something between "
                    "here and the server at {base_url} answers in its place."
                ).format(status=response.status, base_url=self._session.base_url),
                _("not a stream (HTTP {status})").format(status=response.status),
            )
        if response.content_type != "text/event-stream":
            raise NoStream(
                _(
                    "Expected a stream of events, but got {content_type}. Something between "
                    "here and the server at {base_url} answers in its place."
                ).format(content_type=response.content_type, base_url=self._session.base_url),
                _("not a stream ({content_type})").format(content_type=response.content_type),
            )
        self.accepted = True
        self._meter.measured(request.latency_ms)
        self._meter.frame(_("200 the stream begins"), request.size, request.contents(b""))
        self._replaying = self._lost_before
        self._rushing = False
        self._heard_at = time.monotonic()
        self._backoff.opened()
        self._set_open(State.LIVE)
        return request

    def _deliver(self, news: ServerSentEvent) -> None:
        if news.type == RESET:
            self._finish(State.CONNECTING, _("reloading the snapshot"))
            raise ResetStream(_("Too much was missed; reloading everything."))
        self.cursor = news.last_event_id or None
        if news.type in LAST_EVENTS:
            self._finish(State.IDLE)

    def _remember(self, event: ServerSentEvent) -> None:
        if not event.has_id or not event.last_event_id:
            return
        if len(self._ids) == IDS_KEPT:
            self._seen.discard(self._ids[0])
        self._ids.append(event.last_event_id)
        self._seen.add(event.last_event_id)
