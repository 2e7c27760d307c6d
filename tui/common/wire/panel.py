"""The panel "Wire": what each pattern costs, and every frame as it passes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content

from tui.common.client.meter import Pattern
from tui.common.dialogs.copy import Copyable
from tui.common.format import human_bytes
from tui.common.hosted import deliver, hosted_where
from tui.common.language import _
from tui.common.panel import Panel
from tui.common.styles import PATTERN_COLOR
from tui.common.widgets.filter import FilterField
from tui.common.wire.frame_screen import frame_parts
from tui.common.wire.log import FrameLog
from tui.common.wire.table import PatternTable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tui.common.client.meter import PatternTotals


class WirePanel(Panel):
    """Compares the patterns in use, and logs frames; p holds the log still, e writes it out."""

    TITLE = _("Wire")
    PATTERN = Pattern.REST
    WHY = _(
        "What is asked once and answered once, such as a log-in or a page of "
        "history, needs no connection that stays."
    )
    SOURCES = (
        "server/core/routing.py",
        "tui/common/client/session.py",
        "tui/common/client/meter.py",
    )
    NOTHING_TO_CUT = _("This panel only watches. Go to another one to cut its line.")
    METER = "requests"
    VERB = "requests"
    REDRAW_SECONDS = 0.5
    CARD_BODY = (32, 16)
    KEYS = (
        ("↑ ↓", _("select a frame")),
        ("enter", _("open the frame")),
        ("/", _("filter the log; esc clears")),
        ("p", _("pause the log, resume it")),
        ("e", _("write the log to a file")),
    )

    DEFAULT_CSS = """
    WirePanel {
        & PatternTable { height: auto; }
        & FrameLog { height: 1fr; margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", _("Pause")),
        Binding("e", "export", _("Export")),
    ]

    def body(self) -> ComposeResult:
        """The comparison above, the log below."""
        yield PatternTable(self.wire)
        yield FilterField()
        yield FrameLog(self.wire)

    def start(self) -> None:
        """Draw what has crossed the wire until now."""
        self.needs_redraw = True

    @property
    def watches_wire(self) -> bool:
        """In front, heartbeats are shown as they come; as a card, with the next news."""
        return self.in_view

    def on_wire_changed(self) -> None:
        """Draw it."""
        self.needs_redraw = True

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        paused = self._log.paused
        yield SystemCommand(
            _("Resume the wire log") if paused else _("Pause the wire log"),
            _("Pause or resume the log of frames"),
            self.action_pause,
        )
        yield SystemCommand(
            _("Export the wire log"), _("Write all frames kept to a file"), self.action_export
        )

    def redraw(self) -> None:
        """Paint table, log and summary."""
        totals = self.wire.totals()
        self.query_one(PatternTable).show(totals)
        self._log.update_lines()
        self.set_summary(_in_short(totals))
        self._show_hint()

    def copyable(self) -> Sequence[Copyable]:
        """The selected frame, or the newest in view."""
        frame = self._log.frame
        return () if frame is None else frame_parts(frame)

    def action_pause(self) -> None:
        """Hold the log still, or let it run again."""
        self._log.paused = not self._log.paused
        self._log.update_lines()
        self._show_hint()

    def action_export(self) -> None:
        """Write the frames kept to a file in the working directory, and say where it is; in hosted
        mode, offer it as a download."""
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")[:-3]
        path = Path(f"tiffin-wire-{stamp}.jsonl")
        lines = self._log.exported()
        if hosted_where():
            self.run_worker(self._offer(lines, path.name), exit_on_error=False)
            return
        try:
            path = path.absolute()  # fails where the folder is gone
            with path.open("x", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            self.notify(
                _(
                    "Not written: {strerror}. Start the app in a folder you can write to.\n{path}"
                ).format(strerror=error.strerror, path=path),
                title=_("Wire log"),
                severity="error",
            )
            return
        self.notify(
            _("{count} frames in {path}").format(count=len(lines), path=path),
            title=_("Wire log"),
            timeout=8,
        )

    async def _offer(self, lines: list[str], name: str) -> None:
        async def content() -> "AsyncGenerator[bytes, None]":
            yield "".join(lines).encode()

        self.notify(await deliver(self.app, content, name), title=_("Wire log"))

    @property
    def _log(self) -> FrameLog:
        return self.query_one(FrameLog)

    def _show_hint(self) -> None:
        """The panel's keys, where they work: not on a card."""
        front = self.has_class("-main")
        parts = [(_("‖ paused"), "bold $warning")] if self._log.paused else []
        if front and self._log.paused:
            parts.append((_(" · p resumes"), "$wire-ink"))
        elif front:
            parts.append((_("enter opens · / filters · p pauses · e exports"), "$wire-ink"))
        self.set_badge(0, Content.assemble(*parts))


def _in_short(totals: "list[PatternTotals]") -> Content:
    """The card's two lines: events and requests a minute, and the dearest pattern."""
    if not totals:
        return Content.assemble((_("nothing on the wire yet"), "$wire-ink"))
    events = sum(total.figures.events_per_minute for total in totals)
    requests = sum(total.figures.requests_per_minute for total in totals)
    amount = sum(total.figures.bytes for total in totals)
    first = Content.assemble(
        (f"{events}", "bold"), _(" events "), (f"{requests}", "bold"), _(" requests/min "),
        (human_bytes(amount), "bold"),
    )  # fmt: skip
    dear = max(totals, key=lambda total: total.figures.bytes_per_event or 0)
    second = Content.assemble(
        (f"{dear.pattern} ", f"bold {PATTERN_COLOR[dear.pattern]}"),
        (
            _("costs {bytes_per_event} an event").format(
                bytes_per_event=human_bytes(dear.figures.bytes_per_event or 0)
            ),
            "$wire-ink",
        ),
    )
    return Content("\n").join([first, second])
