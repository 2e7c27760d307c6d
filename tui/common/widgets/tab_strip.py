"""The strip of panel names, where one panel fills the screen.

Hand-drawn: with Textual's `Tabs`, a change of panel took 38 ms instead of 2, and a second line.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from tui.common.format import fit

if TYPE_CHECKING:
    from tui.common.panel import Panel


LEAST_CELLS = 4


class TabStrip(Widget):
    """Names and badges of the panels, the longest cut where it is narrow; a click goes there."""

    DEFAULT_CSS = """
    TabStrip {
        display: none; height: 1; background: $bar; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    OF_PARTS = True

    class Picked(Message):
        """Posted when a name was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__()
        self._content = Content("")
        self._hit_areas: list[tuple[range, int]] = []

    def show(self, panels: Sequence["Panel"], main: "Panel | None") -> None:
        """Draw the strip with `main` as the one in front."""
        self._hit_areas = []
        cells = max((cell_len(panel.TITLE) for panel in panels), default=0)
        tabs = self._tabs(panels, main, cells)
        while cells > LEAST_CELLS and sum(tab.cell_length for tab in tabs) > self.app.size.width:
            cells -= 1
            tabs = self._tabs(panels, main, cells)
        at = 0
        for panel, tab in zip(panels, tabs, strict=True):
            self._hit_areas.append((range(at, at + tab.cell_length), panel.number))
            at += tab.cell_length
        self._content = Content.assemble(*tabs)
        self.refresh()

    def render(self) -> Content:
        """The names."""
        return self._content

    def on_click(self, event: events.Click) -> None:
        """Go to the panel of that name."""
        offset = event.get_content_offset(self)
        for cells, number in self._hit_areas:
            if offset is not None and offset.x in cells:
                self.post_message(self.Picked(number))

    def _tabs(self, panels: Sequence["Panel"], main: "Panel | None", cells: int) -> list[Content]:
        return [self._tab(panel, panel is main, cells) for panel in panels]

    def _tab(self, panel: "Panel", front: bool, cells: int) -> Content:
        """Its number, its name in at most so many cells, its badge."""
        name = fit(panel.TITLE, cells)
        badge = f" {panel.badge}" if panel.badge else ""
        if front:
            # without colours, the brackets show which panel is in front
            left, right = "[]" if self.app.no_color else "  "
            return Content.assemble(
                (f"{left}{panel.number} {name}{badge}{right}", "bold $badge-ink on $primary")
            )
        return Content.assemble(
            (f" {panel.number} ", "$wire-ink"), (name, "$title"), (badge, "bold $primary"), " "
        )
