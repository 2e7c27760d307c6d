"""The five steps of an order, the one it is at, or where it was cancelled."""

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

STEPS = ("Placed", "Accepted", "Cooking", "On its way", "Delivered")
SHORT_STEPS = ("Placed", "Taken", "Cooking", "Riding", "Here")
ROOMY = 50

STEP_OF: dict[str, int] = {
    "placed": 0,
    "accepted": 1,
    "preparing": 2,
    "ready": 2,
    "out_for_delivery": 3,
    "delivered": 4,
}
"""The step each status of an order stands at."""

Part = tuple[str, str]


class Stepper(Widget):
    """Draws a status as five steps; the current one beats until the order is over."""

    DEFAULT_CSS = "Stepper { height: 2; width: 1fr; }"

    status: reactive[str] = reactive("placed")
    """The order's status, as the wire names it."""
    reached: reactive[str] = reactive("placed")
    """For a cancelled order: the status it had before."""
    _beat: reactive[bool] = reactive(False)

    def show(self, status: str, reached: str = "placed") -> None:
        """Show `status`; `reached` is the one before a cancellation."""
        self.status, self.reached = status, reached

    def on_mount(self) -> None:
        """Start the beat."""
        self.set_interval(0.6, self._pulse)

    def _pulse(self) -> None:
        if self.status not in ("delivered", "cancelled") and self.is_on_screen:
            self._beat = not self._beat

    def render(self) -> Content:
        """The line of steps, and their names below."""
        width = self.content_size.width
        cancelled = self.status == "cancelled"
        at = STEP_OF.get(self.reached if cancelled else self.status, 0)
        names = list(STEPS if width >= ROOMY else SHORT_STEPS)
        if cancelled:
            at = min(at + 1, len(names) - 1)
            names[at] = "Cancelled" if width >= ROOMY else "Off"
        elif self.status == "ready":
            names[at] = "Ready"
        places = [int(width / len(names) * (step + 0.5)) for step in range(len(names))]
        return Content("\n").join(
            [
                Content.assemble(*self._line(places, at, cancelled)),
                Content.assemble(*self._labels(names, places, at, width, cancelled)),
            ]
        )

    def _line(self, places: list[int], at: int, cancelled: bool) -> list[Part]:
        parts: list[Part] = [(" " * places[0], "")]
        for step, place in enumerate(places):
            if step < at or (step == at and self.status == "delivered"):
                parts.append(("●", "$success"))
            elif step == at and cancelled:
                parts.append(("✕", "bold $error"))
            elif step == at:
                parts.append(("◎" if self._beat else "◉", "bold $primary"))
            else:
                parts.append(("○", "$wire-ink"))
            if step + 1 < len(places):
                gap = places[step + 1] - place - 1
                solid = step < at and not (cancelled and step == at - 1)
                parts.append(("━" * gap, "$success") if solid else ("╌" * gap, "$wire-sep"))
        return parts

    def _labels(
        self, names: list[str], places: list[int], at: int, width: int, cancelled: bool
    ) -> list[Part]:
        parts: list[Part] = []
        position = 0
        if sum(cell_len(name) + 1 for name in names) > width:
            # no room for all: the one it is at tells most
            names = [name if step == at else "" for step, name in enumerate(names)]
        for step, name in enumerate(names):
            cells = cell_len(name)
            start = max(position, min(width - cells, places[step] - cells // 2))
            ink = "$title" if step < at else "$wire-ink"
            if step == at:
                done = self.status == "delivered"
                ink = "bold $error" if cancelled else "bold $success" if done else "bold $primary"
            parts += [(" " * (start - position), ""), (name, ink)]
            position = start + cells
        return parts
