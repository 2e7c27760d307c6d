"""Server-sent events out of bytes, as the WHATWG standard reads them, however they are split."""

import re
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n?|\n")
EVENT_BYTES = 4 * 1024 * 1024
"""Of one event, as much as a WebSocket's message may have; no server of ours sends more."""
ID_CHARACTERS = 1024
"""Of an id, which travels in a request's head when the stream is opened again."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. `last_event_id` is the stream's newest id, which this event need not have brought.

    `has_id` says whether it did; `size` is the block's length in bytes as it arrived.
    """

    type: str
    data: str
    last_event_id: str
    has_id: bool = field(default=False, compare=False)
    size: int = field(default=0, compare=False)


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
        self._partial = bytearray()
        self._first_line = True
        self._skip_lf = False
        self._id = last_event_id
        self._has_id = False
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete. Raises `EventTooLarge`."""
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
            event = self._line(line)
            if event is not None:
                events.append(event)
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
            )
            self._data.clear()
        self._type = ""
        self._has_id = False
        self._size = 0
        return event
