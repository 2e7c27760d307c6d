"""What the window shows: everything, the one that is watched, or where it was moved to."""

from collections.abc import Sequence
from enum import Enum
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region
from textual.strip import Strip
from textual.widget import Widget

from tui.common.map import render as overlay
from tui.common.map.basemap import Basemap
from tui.common.map.geometry import LatLng, Overlay, View, fit_margins
from tui.common.map.palette import Palette
from tui.common.map.render import RenderedBasemap

STEP = 1.5
"""A zoom."""
NEAR = 2.2
"""How much closer following is than the whole."""
SLACK = 1.7
"""How much closer the whole could be drawn before it is."""
CALM = 0.18
"""How far from the middle, as a part of the window, the one followed may go."""


class Aim(Enum):
    """What decides where the window is."""

    WHOLE = "whole"
    FOLLOW = "follow"
    FREE = "free"


class Camera:
    """Keeps a window as long as it serves: each new one costs a drawing of the ground."""

    def __init__(self) -> None:
        self.aim = Aim.WHOLE
        self._view = View(0, 0)

    def look(self, overlay: Overlay, columns: int, rows: int, other: Sequence[LatLng] = ()) -> View:
        """The window for this scene; `other` is to be seen where the scene is empty."""
        view = self._view
        same = (view.columns, view.rows) == (columns, rows)
        view = view.resized(columns, rows)
        if self.aim is Aim.WHOLE:
            lat_lngs = overlay.lat_lngs() or tuple(other)
            whole = View.fit(lat_lngs, columns, rows)
            margin = min(fit_margins(columns, rows)) / 3
            keep = same and lat_lngs and view.holds(lat_lngs, margin)
            if not keep or whole.scale > view.scale * SLACK:
                view = whole
        elif self.aim is Aim.FOLLOW and overlay.watched is not None:
            column, row = view.cell(overlay.watched.at)
            calm = abs(column - columns / 2) <= max(1.0, columns * CALM) and abs(
                row - rows / 2
            ) <= max(1.0, rows * CALM)
            if not calm or not same:
                view = view.centred(overlay.watched.at)
        self._view = view
        return view

    def whole(self) -> None:
        """Show everything again."""
        self.aim = Aim.WHOLE
        self._view = View(0, 0)

    def follow(self, overlay: Overlay) -> bool:
        """Follow the one that is watched, close by, or stop it. False where there is none."""
        if self.aim is Aim.FOLLOW:
            self.whole()
            return True
        if overlay.watched is None:
            return False
        if self.aim is Aim.WHOLE:
            self._view = self._view.zoomed(NEAR)
        self._view = self._view.centred(overlay.watched.at)
        self.aim = Aim.FOLLOW
        return True

    def zoom(self, overlay: Overlay, steps: float, at: tuple[float, float] | None = None) -> None:
        """Closer by so many steps, or further; what is at that dot (the middle) stays there."""
        if self.aim is Aim.WHOLE:
            if steps > 0 and at is None and overlay.watched is not None:
                self._view = self._view.centred(overlay.watched.at)
                self.aim = Aim.FOLLOW
            else:
                self.aim = Aim.FREE
        elif at is not None:
            self.aim = Aim.FREE
        self._view = self._view.zoomed(STEP**steps, at)

    def pan(self, right: float, down: float) -> None:
        """Move by so many dots; nothing is followed any more."""
        self.aim = Aim.FREE
        self._view = self._view.moved(right, down)


MANY_REGIONS = 60
"""Changed stretches from which on all is painted anew."""


class TownMap(Widget, can_focus=True):
    """Draws `overlay` over `basemap`. Without a ground it is a plain grid of known width."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "TownMap { height: 1fr; width: 1fr; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow"),
        Binding("plus,equals_sign", "zoom(1)", "Zoom", key_display="+ -"),
        Binding("minus", "zoom(-1)", "Zoom out", show=False),
        Binding("0", "whole", "Whole way", show=False),
        Binding("left", "pan(-1, 0)", "Move left", show=False),
        Binding("right", "pan(1, 0)", "Move right", show=False),
        Binding("up", "pan(0, -1)", "Move up", show=False),
        Binding("down", "pan(0, 1)", "Move down", show=False),
    ]

    def __init__(self, basemap: Basemap | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.overlay = Overlay()
        self.grounds_drawn = 0
        """How often the ground has been drawn: each time the window on it changed."""
        self._basemap = basemap
        self._camera = Camera()
        self._palette: Palette | None = None
        self._inks_checked = False
        self._settled = False
        """Whether what is drawn is what should be."""
        self._view = View(0, 0)
        self._rendered: RenderedBasemap | None = None
        self._held: Offset | None = None
        self._drawn: overlay.Drawn = {}
        self._drawn_rows: set[int] = set()
        self._plain: dict[int, Strip] = {}
        self._drawn_scene: Overlay | None = None

    @property
    def basemap(self) -> Basemap | None:
        """What lies under the scene; None is a plain grid, and never invented streets."""
        return self._basemap

    @basemap.setter
    def basemap(self, basemap: Basemap | None) -> None:
        if basemap is not self._basemap:
            self._basemap = basemap
            self._rendered = None
            self._settled = False
            self.refresh()

    @property
    def following(self) -> bool:
        """Whether the window goes along with the one that is watched."""
        return self._camera.aim is Aim.FOLLOW

    def show(self, overlay: Overlay) -> None:
        """Show this from now on. Only what has changed is painted."""
        if overlay == self.overlay:
            return
        self.overlay = overlay
        self._changed()

    def action_follow(self) -> None:
        """Follow the one that is watched, or show everything again."""
        if self._camera.follow(self.overlay):
            self._changed()

    def action_zoom(self, steps: int) -> None:
        """Closer, or further away."""
        self._camera.zoom(self.overlay, steps)
        self._changed()

    def action_whole(self) -> None:
        """Everything in view."""
        self._camera.whole()
        self._changed()

    def action_pan(self, right: int, down: int) -> None:
        """Move the window by a part of its size."""
        self._camera.pan(right * self.size.width * 0.3, down * self.size.height * 0.6)
        self._changed()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Closer, where the mouse is."""
        self._wheel(event, 0.5)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Further away from where the mouse is."""
        self._wheel(event, -0.5)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the map."""
        self._held = event.screen_offset
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move what is held."""
        if self._held is not None and event.screen_offset != self._held:
            moved = event.screen_offset - self._held
            self._held = event.screen_offset
            self._camera.pan(-2 * moved.x, -4 * moved.y)
            self._changed()

    def on_mouse_up(self) -> None:
        """Let it go."""
        self._held = None
        self.release_mouse()

    def notify_style_update(self) -> None:
        """The theme may be another."""
        super().notify_style_update()
        self._inks_checked = self._settled = False

    def render_line(self, y: int) -> Strip:
        """One line of the window, made of what was drawn."""
        self._draw()
        if self._rendered is None or not 0 <= y < len(self._rendered.rows):
            return Strip.blank(self.size.width, self.rich_style)
        if y not in self._drawn_rows:
            strip = self._plain.get(y)
            if strip is None:
                strip = self._plain[y] = self._strip(y, {})
            return strip
        return self._strip(y, self._drawn)

    def _wheel(self, event: events.MouseEvent, steps: float) -> None:
        event.stop()
        self._camera.zoom(self.overlay, steps, (2.0 * event.x, 4.0 * event.y))
        self._changed()

    def _changed(self) -> None:
        """Paint what differs from what is on the screen."""
        self._settled = False
        before, old = self._rendered, self._drawn
        if before is None or not self.is_on_screen:
            self.refresh()
            return
        self._draw()
        if self._rendered is not before:
            self.refresh()
            return
        regions = changed_regions(old, self._drawn, self._view.columns)
        if len(regions) > MANY_REGIONS:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def _draw(self) -> None:
        """Bring backdrop and overlay up to date; nothing is done where they are."""
        columns, rows = self.size
        if self._settled and (columns, rows) == (self._view.columns, self._view.rows):
            return
        self._settled = True
        if not columns or not rows:
            self._view, self._rendered, self._drawn = View(columns, rows), None, {}
            return
        palette = self._palette
        if palette is None or not self._inks_checked:
            app = self.app
            palette = Palette.of(app.theme_variables, app.current_theme.dark, app.no_color)
            self._inks_checked = True
            if palette != self._palette:
                self._palette, self._rendered = palette, None
        corners = self._basemap.middle() if self._basemap and not self.overlay.lat_lngs() else ()
        view = self._camera.look(self.overlay, columns, rows, corners)
        if self._rendered is None or view != self._view:
            self._view = view
            self._rendered = RenderedBasemap.draw(self._basemap, view, palette)
            self._plain.clear()
            self._drawn_scene = None
            self.grounds_drawn += 1
        if self._drawn_scene is not self.overlay:
            self._drawn = overlay.draw(
                self.overlay, view, self._rendered, palette, self._basemap is None
            )
            self._drawn_rows = {cell // columns for cell in self._drawn}
            self._drawn_scene = self.overlay

    def _strip(self, y: int, drawn: overlay.Drawn) -> Strip:
        assert self._rendered is not None
        start = y * self._view.columns
        segments: list[Segment] = []
        text: list[str] = []
        style = None
        for column, (char, basemap, _) in enumerate(self._rendered.rows[y]):
            shown, wanted = drawn.get(start + column, (char, basemap))
            if wanted is not style:
                if text:
                    segments.append(Segment("".join(text), style))
                text, style = [], wanted
            text.append(shown)
        segments.append(Segment("".join(text), style))
        return Strip(segments, self._view.columns)


def changed_regions(old: overlay.Drawn, new: overlay.Drawn, columns: int) -> list[Region]:
    """Where two drawings differ, a region a row."""
    changed: dict[int, tuple[int, int]] = {}
    for cell in old.keys() | new.keys():
        before, after = old.get(cell), new.get(cell)
        if before != after:
            row, column = divmod(cell, columns)
            cells = max(1, *(cell_len(drawn[0]) for drawn in (before, after) if drawn))
            first, end = changed.get(row, (column, column))
            changed[row] = (min(first, column), max(end, column + cells))
    return [Region(first, row, end - first, 1) for row, (first, end) in changed.items()]
