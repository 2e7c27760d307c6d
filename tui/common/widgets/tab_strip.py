"""The strip of panel names, where one panel fills the screen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

if TYPE_CHECKING:
    from tui.common.panel import Panel


class TabStrip(Widget):
    """Names and badges of the panels; a click goes there."""

    DEFAULT_CSS = """
    TabStrip {
        display: none; height: 1; background: $bar; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    class Picked(Message):
        """Posted when a name was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__()
        self._content = Content("")
        self._places: list[tuple[range, int]] = []

    def show(self, panels: Sequence["Panel"], main: "Panel | None") -> None:
        """Draw the strip with `main` as the one in front."""
        tabs: list[Content] = []
        self._places = []
        at = 0
        for panel in panels:
            tab = self._tab(panel, panel is main)
            tabs.append(tab)
            self._places.append((range(at, at + tab.cell_length), panel.number))
            at += tab.cell_length
        self._content = Content.assemble(*tabs)
        self.refresh()

    def render(self) -> Content:
        """The names."""
        return self._content

    def on_click(self, event: events.Click) -> None:
        """Go to the panel of that name."""
        offset = event.get_content_offset(self)
        for place, number in self._places:
            if offset is not None and offset.x in place:
                self.post_message(self.Picked(number))

    def _tab(self, panel: "Panel", front: bool) -> Content:
        name = panel.SHORT or panel.TITLE
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
