"""One frame of the log, whole: what is known of it, its head, and its body."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.common.client.frame import BODY_KEPT
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.copy import Copyable
from tui.common.format import human_latency, time_of_day
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.styles import PATTERN_COLOR

if TYPE_CHECKING:
    from tui.common.client.meter import Frame


def log_time(at: float, *, thousandths: bool = True) -> str:
    """The local time of a Unix time, in a column of a log: `12:46:07.125`."""
    local = time.localtime(at)
    seconds = f":{local.tm_sec:02}" + (f".{int(at % 1 * 1000):03}" if thousandths else "")
    return time_of_day(local.tm_hour, local.tm_min, seconds, in_column=True)


class FrameScreen(Dialog[None]):
    """Head and body of a frame; p shows a JSON body as it came, and pretty again."""

    DEFAULT_CSS = "FrameScreen > .box { width: 110; padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "close", show=False),
        Binding("p", "pretty", _("Pretty, or as it came")),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
    ]

    def __init__(self, frame: "Frame") -> None:
        super().__init__()
        self._frame = frame
        self._pretty = True

    def body(self) -> ComposeResult:
        """The lines."""
        with VerticalScroll(classes="box") as box:
            box.border_title = Content(plain(self._frame.words))
            box.border_subtitle = _("p pretty, as it came · ↑↓ scroll · esc closes")
            yield Static(markup=False)

    def on_mount(self) -> None:
        """Draw it: a frame does not change."""
        self._draw()

    def copyable(self) -> Sequence[Copyable]:
        """The frame."""
        return frame_parts(self._frame)

    def action_pretty(self) -> None:
        """The other way."""
        self._pretty = not self._pretty
        self._draw()

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def _draw(self) -> None:
        self.query_one(Static).update(Content("\n").join(self._lines()))

    def _lines(self) -> Iterator[Content]:
        frame, kept = self._frame, self._frame.contents
        way = _("received from") if frame.direction == "in" else _("sent to")
        number = (
            _(", exchange {exchange} of this app").format(exchange=frame.exchange)
            if frame.exchange
            else ""
        )
        yield Content.assemble(
            (str(frame.pattern), f"bold {PATTERN_COLOR[frame.pattern]}"),
            _(" of {meter}{number}: {way} the server at {time}, {size:,} B").format(
                meter=plain(frame.meter) or _("several panels"),
                number=number,
                way=way,
                time=log_time(frame.at).strip(),
                size=frame.size,
            ),
        )
        if frame.age_ms is not None:
            yield Content(
                _("news, {age_ms} old when it arrived").format(age_ms=human_latency(frame.age_ms))
            )
        if kept.took_ms is not None:
            yield Content(
                _("first byte {took_ms} after the request left").format(
                    took_ms=human_latency(kept.took_ms)
                )
            )
        if frame.replayed:
            yield Content(_("replayed: it happened while the line was down"))
        if kept.head:
            yield Content.assemble("\n", (_("Head"), "bold $title"))
            yield Content(plain(kept.head, newlines=True))
        if kept.body:
            yield Content.assemble("\n", (_("Body"), "bold $title"))
            yield Content(plain(self._body(), newlines=True))
            if len(kept.body) >= BODY_KEPT:
                yield Content.assemble(
                    (
                        _("… only the first {body_kept:,} are kept").format(body_kept=BODY_KEPT),
                        "$wire-ink",
                    )
                )
        if not kept.head and not kept.body:
            yield Content.assemble((_("\nNothing of it is kept but its size."), "$wire-ink"))

    def _body(self) -> str:
        body = self._frame.contents.body
        text = body if isinstance(body, str) else body.decode("utf-8", "replace")
        if self._pretty:
            try:
                return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
            except (ValueError, RecursionError):  # cut, or no JSON
                return text
        return text


def frame_parts(frame: "Frame") -> list[Copyable]:
    """What of a frame can be copied: its body as it came, its head, its line in the log."""
    kept = frame.contents
    body = kept.body if isinstance(kept.body, str) else kept.body.decode("utf-8", "replace")
    parts = [("body", body), ("head", kept.head), ("line", frame.words)]
    return [(what, text) for what, text in parts if text.strip()]
