"""The ladder of a pattern: what went over its wire, and when, as the network saw it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.content import Content

from tui.common.sanitize import plain
from tui.common.wire.ladder import Way, rows_of
from tui.lab.records import Appended, Arrival, Exchange
from tui.lab.screen.figures import INKS, NAMES
from tui.lab.screen.lines import Lines

KEPT = 400
"""Rungs of a pattern."""
HEAD_BYTES = 1500
"""Of a packet, that are read for what it is."""
OPCODES = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
CHUNK = re.compile(rb"[0-9a-fA-F]+\r\n")


@dataclass(frozen=True, slots=True)
class Rung:
    """One step on the ladder."""

    at: float
    way: Way
    what: str | bytes
    """A packet's first bytes: they are read when they are drawn."""
    size: int = 0

    @property
    def words(self) -> str:
        """What has happened."""
        if isinstance(self.what, str):
            return self.what
        return packet_words(self.what, up=self.way == "up")


def packet_words(head: bytes, *, up: bool) -> str:
    """What a packet that begins like this is: its request or status line, its event, or its frame.

    Of what the reader sends no more than that, as it may hold a token.
    """
    if not head:
        return "nothing"
    if head[0] & 0x80:
        return _frame_words(head)
    if head.startswith(b"HTTP/1."):
        words, rest = _line(head)[9:], _after_head(head)
        body = _body_words(rest)
        return f"{words}, {body}" if body else words
    if re.match(rb"[A-Z]+ /", head):
        return _line(head).rsplit(" HTTP/", 1)[0]
    return "body" if up else _body_words(head) or "a part of a body"


def is_heartbeat(data: bytes) -> bool:
    """Whether it is a comment of a stream, a ping of WebSocket or one of Engine.IO."""
    if data[:1] == b"\x89" or data[:3] == b"\x81\x012":
        return True
    return CHUNK.sub(b"", data[:16], count=1).startswith(b":")


def _line(head: bytes) -> str:
    return plain(head.partition(b"\r\n")[0].decode("latin-1"))


def _after_head(head: bytes) -> bytes:
    return head.partition(b"\r\n\r\n")[2]


def _frame_words(head: bytes) -> str:
    kind = OPCODES.get(head[0] & 0x0F, "part")
    masked = len(head) > 1 and head[1] & 0x80
    if masked or len(head) < 3:
        return f"frame: {kind}"
    text = head[4:] if head[1] == 126 else head[2:]
    return f"frame: {kind} {_brief(text)}".rstrip()


def _body_words(body: bytes) -> str:
    """The first event, comment or JSON of a body."""
    body = CHUNK.sub(b"", body, count=1) if CHUNK.match(body) else body
    if body.startswith(b":"):
        return _line(body.replace(b"\n", b"\r\n"))
    if body.startswith((b"id:", b"event:", b"data:", b"retry:")):
        data = body.partition(b"data:")[2]
        return f"event {_brief(data)}".rstrip()
    return _brief(body)


def _brief(body: bytes) -> str:
    """The numbers of the events in it, else how it begins."""
    numbers = re.findall(rb'"seq"\s*:\s*(\d+)', body)
    if numbers:
        return ", ".join(f"#{number.decode()}" for number in numbers)
    return plain(body[:40].decode("utf-8", "replace").strip()).replace("\n", " ")


class Ladder:
    """A sink of a run's records and a tap of its network: the last steps of each pattern."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.rungs: dict[str, deque[Rung]] = {pattern: deque(maxlen=KEPT) for pattern in patterns}
        self.revision = 0

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        """See `Tap`."""
        self._add(pattern, Rung(at, "up" if up else "down", data[:HEAD_BYTES], len(data)))

    def connected(self, pattern: str, at: float) -> None:
        """See `Tap`."""
        self._add(pattern, Rung(at, "up", "connects (TCP)"))

    def appended(self, record: Appended) -> None:
        """See `Sink`."""
        for pattern in self.rungs:
            self._add(pattern, Rung(record.committed, "commit", f"event {record.seq} committed"))

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""
        if record.reader == 0:
            again = ", replayed" if record.replayed else ""
            age = (record.received - record.committed) * 1000
            words = f"event {record.seq} read{again}, {age:,.0f} ms old"
            self._add(record.pattern, Rung(record.received, "news", words))

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""
        if record.state == "failed" and record.reader == 0:
            self._add(record.pattern, Rung(record.at, "lost", f"lost: {plain(record.what)}"))

    def mark(self, at: float) -> None:
        """Set a mark in every ladder."""
        for pattern in self.rungs:
            self._add(pattern, Rung(at, "mark", "mark"))

    def _add(self, pattern: str, rung: Rung) -> None:
        self.rungs[pattern].append(rung)
        self.revision += 1


class LadderPanel(Lines):
    """The ladder of the pattern in focus; stands still while frozen or scrolled."""

    def __init__(self) -> None:
        super().__init__("Ladder", id="ladder")
        self._kept: dict[str, list[Rung]] | None = None
        self._scrolled = 0
        self._drawn: object = None

    def freeze(self, ladder: Ladder | None) -> None:
        """Keep the picture of that ladder; None goes on."""
        self._scrolled = 0
        self._kept = None
        if ladder is not None:
            self._kept = {pattern: list(rungs) for pattern, rungs in ladder.rungs.items()}

    def scroll_by(self, lines: int) -> None:
        """Scroll, up by a positive number."""
        self._scrolled = max(0, self._scrolled + lines)

    def draw(self, ladder: Ladder, began: float | None, focus: str, readers: int) -> None:
        """Draw its last lines, or those that were scrolled to."""
        rungs: Sequence[Rung] = (ladder.rungs if self._kept is None else self._kept)[focus]
        width, height = self.size.width, self.size.height
        self._scrolled = min(self._scrolled, max(0, len(rungs) - height))
        what: tuple[object, ...] = (
            width,
            height,
            focus,
            self._scrolled,
            ladder,
            self._kept is None,
        )
        what += (ladder.revision if self._kept is None else -1,)
        if what == self._drawn:
            return
        self._drawn = what
        end = len(rungs) - self._scrolled
        shown = sorted(rungs, key=lambda rung: rung.at)[max(0, end - height) : end]
        zero = began if began is not None else shown[0].at if shown else 0.0
        self.show(rows_of(shown, zero, width, INKS[focus]))
        whose = " (all readers)" if readers > 1 else ""
        self.border_title = Content(f"Ladder of {NAMES[focus]}{whose}: reader │ server │ source")
        above = f", {self._scrolled} below" if self._scrolled else ""
        frozen = "" if self._kept is None else f"frozen{above}, space goes on"
        self.border_subtitle = Content(frozen)
