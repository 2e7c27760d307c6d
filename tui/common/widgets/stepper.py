"""The five steps of an order: the current one, or where it was cancelled."""

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from tui.common.format import STATUS_LOOKS

STEPS = tuple(
    STATUS_LOOKS[status][1]
    for status in ("placed", "accepted", "preparing", "out_for_delivery", "delivered")
)

STEP_OF: dict[str, int] = {
    "placed": 0,
    "accepted": 1,
    "preparing": 2,
    "ready": 2,
    "out_for_delivery": 3,
    "delivered": 4,
}
"""The step of each status of an order."""

Part = tuple[str, str]
BLINK_SECONDS = 0.6


class Stepper(Widget):
    """Draws a status as five steps; the current one blinks while the order is open."""

    DEFAULT_CSS = "Stepper { height: 2; width: 1fr; }"

    status: reactive[str] = reactive("placed")
    """The order's status, as the wire names it."""
    reached: reactive[str] = reactive("placed")
    """For a cancelled order: the status it had before."""
    _blink_on: reactive[bool] = reactive(False)

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None

    def show(self, status: str, reached: str = "placed") -> None:
        """Show `status`; `reached` is the one before a cancellation."""
        self.status, self.reached = status, reached

    def on_mount(self) -> None:
        """Blink while the order is open."""
        self._timer = self.set_interval(BLINK_SECONDS, self._blink, pause=True)
        self.watch_status(self.status)

    def watch_status(self, status: str) -> None:
        """Blink, or stop it."""
        if self._timer is None:
            return
        if status in ("delivered", "cancelled") or self.app.animation_level == "none":
            self._timer.pause()
        else:
            self._timer.resume()

    def _blink(self) -> None:
        if self.is_on_screen:
            self._blink_on = not self._blink_on

    def render(self) -> Content:
        """The line of steps, and their names below."""
        width = self.content_size.width
        cancelled = self.status == "cancelled"
        at = STEP_OF.get(self.reached if cancelled else self.status, 0)
        names = list(STEPS)
        if cancelled:
            at = min(at + 1, len(names) - 1)
            names[at] = STATUS_LOOKS["cancelled"][1]
        elif self.status == "ready":
            names[at] = STATUS_LOOKS["ready"][1]
        columns = [int(width / len(names) * (step + 0.5)) for step in range(len(names))]
        return Content("\n").join(
            [
                Content.assemble(*self._line(columns, at, cancelled)),
                Content.assemble(*self._labels(names, columns, at, width, cancelled)),
            ]
        )

    def _line(self, columns: list[int], at: int, cancelled: bool) -> list[Part]:
        parts: list[Part] = [(" " * columns[0], "")]
        for step, column in enumerate(columns):
            if step < at or (step == at and self.status == "delivered"):
                parts.append(("●", "$success"))
            elif step == at and cancelled:
                parts.append(("✕", "bold $error"))
            elif step == at:
                parts.append(("◎" if self._blink_on else "◉", "bold $primary"))
            else:
                parts.append(("○", "$wire-ink"))
            if step + 1 < len(columns):
                gap = columns[step + 1] - column - 1
                solid = step < at and not (cancelled and step == at - 1)
                parts.append(("━" * gap, "$success") if solid else ("╌" * gap, "$wire-sep"))
        return parts

    def _labels(
        self, names: list[str], columns: list[int], at: int, width: int, cancelled: bool
    ) -> list[Part]:
        if sum(cell_len(name) + 1 for name in names) - 1 > width:
            # there is room for the current one only
            names = [name if step == at else "" for step, name in enumerate(names)]
        starts: list[int] = []
        limit = width
        for name, column in zip(reversed(names), reversed(columns), strict=True):
            end = min(limit, column + (cell_len(name) + 1) // 2)
            starts.insert(0, max(0, end - cell_len(name)))
            limit = starts[0] - 1 if name else limit
        parts: list[Part] = []
        position = 0
        for step, (name, start) in enumerate(zip(names, starts, strict=True)):
            if not name:
                continue
            start = max(start, position + 1) if position else start
            ink = "$title" if step < at else "$wire-ink"
            if step == at:
                done = self.status == "delivered"
                ink = "bold $error" if cancelled else "bold $success" if done else "bold $primary"
            parts += [(" " * (start - position), ""), (name, ink)]
            position = start + cell_len(name)
        return parts
