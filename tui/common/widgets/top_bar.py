"""The top line: the product, what matters most now, the connections, who is logged in, the time."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from tui.common.client.meter import State
from tui.common.format import ROLES, fit, hours_minutes
from tui.common.language import _
from tui.common.styles import STATE_GLYPH

if TYPE_CHECKING:
    from tui.common.client.meter import Meter

NAME_CELLS = 18


class TopBar(Widget):
    """One line; parts are left out by worth as it narrows."""

    OF_PARTS = True
    DEFAULT_CSS = "TopBar { dock: top; height: 1; background: $bar; padding: 0 1; }"

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        self.headline = Content("")
        self.who = ""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The server's clock once there is one: the panels show its times."""
        self._meters: Sequence[Meter] = ()
        self._drawn: object = None

    def on_mount(self) -> None:
        """Keep the clock right."""
        self._on_minute()

    def _on_minute(self) -> None:
        self.update()
        self.set_timer(60 - self.now().timestamp() % 60, self._on_minute)

    def follow(self, meters: Sequence["Meter"]) -> None:
        """Show the state of these meters, one dot each."""
        self._meters = meters
        self.update()

    def update(self) -> None:
        """Repaint if something that is shown has changed."""
        states = tuple(meter.state for meter in self._meters)
        shown = (hours_minutes(self.now()), states, self.headline, self.who, self.role)
        if shown != self._drawn:
            self._drawn = shown
            self.refresh()

    def render(self) -> Content:
        """Left, centred middle, right."""
        width = self.content_size.width
        brand = Content.assemble(("▌", "$primary"), ("tiffin", "bold $foreground"))
        clock = Content.assemble((hours_minutes(self.now()), "bold"))
        dots, words = self._connections()
        who = Content.assemble((fit(self.who, NAME_CELLS), "$foreground"))
        gap = Content("  ")
        left = [brand, gap, Content.assemble((ROLES.get(self.role, self.role), "$wire-ink"))]
        right = [dots, words, gap, who, gap, clock] if self.who else [dots, words, gap, clock]
        middle = self.headline
        for shorter_left, shorter_right in (
            (left, right),
            (left, [dots, gap, clock]),
            ([brand], [dots, gap, clock]),
        ):
            left, right = shorter_left, shorter_right
            if _cells(left) + _cells(right) + middle.cell_length + 4 <= width:
                break
        room = width - _cells(left) - _cells(right) - 4
        if middle.cell_length > room:
            middle = middle.truncate(max(0, room), ellipsis=True)
        before = max(2, (width - middle.cell_length) // 2 - _cells(left))
        after = max(1, width - _cells(left) - before - middle.cell_length - _cells(right))
        if after == 1:
            before = max(1, width - _cells(left) - middle.cell_length - _cells(right) - 1)
        return Content.assemble(*left, " " * before, middle, " " * after, *right)

    def _connections(self) -> tuple[Content, Content]:
        """A dot for each meter, and what they come to in words."""
        used = [meter.state for meter in self._meters if meter.state is not State.IDLE]
        dots = Content.assemble(*(STATE_GLYPH[state] for state in used))
        if not used:
            return dots, Content("")
        lost = sum(state in (State.RETRY, State.DOWN) for state in used)
        if lost:
            return dots, Content.assemble(
                (_(" {lost} of {used} offline").format(lost=lost, used=len(used)), "$warning")
            )
        if State.CONNECTING in used:
            return dots, Content.assemble((_(" connecting"), "$wire-ink"))
        return dots, Content.assemble((_(" online"), "$wire-ink"))


def _cells(parts: Sequence[Content]) -> int:
    return sum(part.cell_length for part in parts)
