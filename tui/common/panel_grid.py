"""Where the panels are: a grid, one large beside cards, or one alone."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from textual import events
from textual.containers import Container
from textual.geometry import Offset, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.screen import UPDATE_PERIOD, Screen
from textual.widget import Widget

from tui.common.client.meter import Wire
from tui.common.panel import Panel
from tui.common.redraw import Redraw
from tui.common.terminal_cells import LineCompositor

CARD_ROWS = 4
"""Lines of a card: border, a line and the wire. Without room for them, there are no cards."""
COLUMNS_FOR = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}


class PanelGrid(Container):
    """Holds the panels, knows which is in front, and lays them out by the screen's breakpoint."""

    DEFAULT_CSS = """
    PanelGrid {
        height: 1fr; layout: grid; grid-gutter: 0 1; padding: 0 1;
        &.-pair { grid-columns: 3fr 2fr; }
    }
    """

    class Changed(Message):
        """Posted when another panel is in front, or panels were added or removed."""

    def __init__(self, wire: Wire, wire_drawn: Callable[[], None]) -> None:
        """`wire_drawn` is called when the panels' wire lines have been drawn."""
        super().__init__(id="grid")
        self.panels: list[Panel] = []
        self.main: Panel | None = None
        self._started: list[Panel] = []
        self._sizes: dict[Widget, Size] = {}
        """Of all that the panels consist of, as of the last layout."""
        self._redraw = Redraw(wire, lambda: self._started, wire_drawn)

    async def fill(self, panels: Sequence[Panel]) -> None:
        """Add these panels, the first in front."""
        self.panels = list(panels)
        for number, panel in enumerate(panels, start=1):
            panel.number = number
            panel.on_redraw_wanted = partial(self._redraw.request_panel, panel)
        self.main = None
        self._make_cells()
        self.set_class(len(panels) == 2, "-pair")
        await self.mount_all(panels)
        self._update_crowded(self.size.height)
        if self.panels:
            self.show_panel(self.panels[0])

    def _make_cells(self) -> None:
        """As many as the panels need, one of which may take several while it is in front."""
        span = self.main.SPAN if self.main is not None else 1
        cells = len(self.panels) - 1 + span**2
        columns = COLUMNS_FOR.get(cells, 3)
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = max(1, -(-cells // columns))
        # the first panel beside a large one has more room: the kitchen's is the drivers' map
        self.styles.grid_rows = "3fr 2fr 2fr" if span > 1 else "1fr"
        for panel in self.panels:
            panel.styles.column_span = panel.styles.row_span = (
                panel.SPAN if panel is self.main else 1
            )

    def start_panels(self) -> None:
        """Open the panels' streams, and draw what changes."""
        self._started = self.panels
        for panel in self.panels:
            panel.start()
        self._redraw.request()

    async def clear(self) -> None:
        """Remove all panels."""
        panels, self.panels, self.main = self.panels, [], None
        self._started = []
        for panel in panels:
            panel.stop()
        self.remove_class("-zoomed")
        await self.remove_children()
        self.post_message(self.Changed())

    def on_mount(self) -> None:
        """Draw what changes."""
        self._redraw.start(self)
        # what a panel shows depends on the sizes of its parts, and on whether it is in view
        self.screen.screen_layout_refresh_signal.subscribe(self, self._on_layout)
        self.app.screen_change_signal.subscribe(self, self._redraw.request_all)

    def _on_layout(self, _: object) -> None:
        parts = (part for panel in self.panels for part in (panel, *panel.walk_children(Widget)))
        sizes = {part: part.outer_size for part in parts if part.outer_size}
        for part, size in sizes.items():
            # Textual does not where anything has asked for the new size before the layout was over
            if size != self._sizes.get(part):
                part.post_message(events.Resize(size, part.virtual_size))
        if sizes != self._sizes:  # a redraw that leads to a layout must not lead to a redraw
            self._sizes = sizes
            self._redraw.request_all()

    def on_unmount(self) -> None:
        """Stop drawing."""
        self._redraw.stop()

    def refresh_remote(self) -> None:
        """Have all panels check what another window of the account may have done, and update their
        clocks."""
        self._redraw.request_all()
        for panel in self.panels:
            panel.refresh_remote()

    @property
    def zoomed(self) -> bool:
        """Whether one panel fills the screen by request."""
        return self.has_class("-zoomed")

    @property
    def alone(self) -> bool:
        """Whether one panel fills the screen, by request or since there is no room for cards."""
        crowded = self.has_class("-crowded") and self.screen.has_class("-medium")
        return self.zoomed or crowded

    def on_resize(self, event: events.Resize) -> None:
        """Check whether there is room for cards beside the panel in front."""
        self._update_crowded(event.size.height)

    def _update_crowded(self, rows: int) -> None:
        crowded = rows < CARD_ROWS * (len(self.panels) - 1)
        if crowded != self.has_class("-crowded"):
            self.set_class(crowded, "-crowded")
        self.post_message(self.Changed())

    def zoom(self) -> None:
        """Show one panel on the whole screen, or all again."""
        self.toggle_class("-zoomed")
        self.post_message(self.Changed())

    def by_number(self, number: int) -> Panel | None:
        """The panel with that number."""
        return next((panel for panel in self.panels if number == panel.number), None)

    def step(self, distance: int) -> None:
        """Go to the panel before or after, in a circle."""
        if self.main is not None:
            at = self.panels.index(self.main) + distance
            self.show_panel(self.panels[at % len(self.panels)])

    def show_panel(self, panel: Panel) -> None:
        """Bring `panel` to the front and focus it."""
        self._set_front(panel)
        panel.enter()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The panel that has the focus comes to the front."""
        for node in event.widget.ancestors:
            if isinstance(node, Panel):
                self._set_front(node)
                return

    def _set_front(self, panel: Panel) -> None:
        if panel is self.main:
            return
        self.main = panel
        self._make_cells()
        self._redraw.request_all()
        for other in self.panels:
            other.set_class(other is panel, "-main", update=False)
            other.set_class(other is not panel, "-card", update=False)
            # only these depend on the two classes; restyling all below takes a tenth of a second
            self.app.stylesheet.update_nodes([other, *other.children])
        self.post_message(self.Changed())


class PaintTimer:
    """In place of the screen's timer, which wakes once more after each painting."""

    def __init__(self, screen: Screen[None]) -> None:
        self._screen = screen
        self._next: asyncio.TimerHandle | None = None
        self._painted_at = 0.0

    def resume(self) -> None:
        """Paint what has changed, at most 60 times a second."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            at = max(loop.time(), self._painted_at + UPDATE_PERIOD)
            self._next = loop.call_at(at, self._paint)

    def pause(self) -> None:
        """Paint no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _paint(self) -> None:
        self._next = None
        self._painted_at = asyncio.get_running_loop().time()
        if not self._screen.is_running:
            return
        try:
            self._screen._on_timer_update()
        except Exception as error:
            self._screen.app._handle_exception(error)


class MainScreen(Screen[None]):
    """A screen that is not repainted completely for every change of focus.

    The widgets that gain and lose the focus repaint themselves; a whole screen of panels takes
    longer than a key press may.
    """

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._compositor = LineCompositor()
        self._paint_timer = PaintTimer(self)

    @property
    def _update_timer(self) -> PaintTimer:  # type: ignore[override]
        return self._paint_timer

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """What the mouse is on. Textual takes the second cell of a wide character for the one that
        follows: then the cell to the right names the same."""
        found = super().get_widget_and_offset_at(x, y)
        second = found[1] is not None and super().get_widget_and_offset_at(x + 1, y) == found
        return super().get_widget_and_offset_at(x - 1, y) if second else found
