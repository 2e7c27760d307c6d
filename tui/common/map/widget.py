"""The map: a town's ground with a scene over it, to be zoomed, moved and followed."""

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region
from textual.strip import Strip
from textual.widget import Widget

from tui.common.map import overlay
from tui.common.map.background import Backdrop
from tui.common.map.basemap import Ground
from tui.common.map.camera import Aim, Camera
from tui.common.map.markers import Scene
from tui.common.map.palette import Inks
from tui.common.map.view import View

MANY_REGIONS = 60
"""Changed stretches from which on all is painted anew."""


class TownMap(Widget, can_focus=True):
    """Draws `scene` over `ground`. Without a ground it is a plain grid of known width."""

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

    def __init__(self, ground: Ground | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.scene = Scene()
        self.grounds_drawn = 0
        """How often the ground has been drawn: each time the window on it changed."""
        self._ground = ground
        self._camera = Camera()
        self._inks: Inks | None = None
        self._inks_checked = False
        self._settled = False
        """Whether what is drawn is what should be."""
        self._view = View(0, 0)
        self._backdrop: Backdrop | None = None
        self._held: Offset | None = None
        self._drawn: overlay.Drawn = {}
        self._drawn_rows: set[int] = set()
        self._plain: dict[int, Strip] = {}
        self._drawn_scene: Scene | None = None

    @property
    def ground(self) -> Ground | None:
        """What lies under the scene; None is a plain grid, and never invented streets."""
        return self._ground

    @ground.setter
    def ground(self, ground: Ground | None) -> None:
        if ground is not self._ground:
            self._ground = ground
            self._backdrop = None
            self._settled = False
            self.refresh()

    @property
    def following(self) -> bool:
        """Whether the window goes along with the one that is watched."""
        return self._camera.aim is Aim.FOLLOW

    def show(self, scene: Scene) -> None:
        """Show this from now on. Only what has changed is painted."""
        if scene == self.scene:
            return
        self.scene = scene
        self._changed()

    def action_follow(self) -> None:
        """Follow the one that is watched, or show everything again."""
        if self._camera.follow(self.scene):
            self._changed()

    def action_zoom(self, steps: int) -> None:
        """Closer, or further away."""
        self._camera.zoom(self.scene, steps)
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
        if self._backdrop is None or not 0 <= y < len(self._backdrop.rows):
            return Strip.blank(self.size.width, self.rich_style)
        if y not in self._drawn_rows:
            strip = self._plain.get(y)
            if strip is None:
                strip = self._plain[y] = self._strip(y, {})
            return strip
        return self._strip(y, self._drawn)

    def _wheel(self, event: events.MouseEvent, steps: float) -> None:
        event.stop()
        self._camera.zoom(self.scene, steps, (2.0 * event.x, 4.0 * event.y))
        self._changed()

    def _changed(self) -> None:
        """Paint what differs from what is on the screen."""
        self._settled = False
        before, old = self._backdrop, self._drawn
        if before is None or not self.is_on_screen:
            self.refresh()
            return
        self._draw()
        if self._backdrop is not before:
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
            self._view, self._backdrop, self._drawn = View(columns, rows), None, {}
            return
        inks = self._inks
        if inks is None or not self._inks_checked:
            app = self.app
            inks = Inks.of(app.theme_variables, app.current_theme.dark, app.no_color)
            self._inks_checked = True
            if inks != self._inks:
                self._inks, self._backdrop = inks, None
        corners = self._ground.middle() if self._ground and not self.scene.spots() else ()
        view = self._camera.look(self.scene, columns, rows, corners)
        if self._backdrop is None or view != self._view:
            self._view = view
            self._backdrop = Backdrop.draw(self._ground, view, inks)
            self._plain.clear()
            self._drawn_scene = None
            self.grounds_drawn += 1
        if self._drawn_scene is not self.scene:
            self._drawn = overlay.draw(self.scene, view, self._backdrop, inks, self._ground is None)
            self._drawn_rows = {cell // columns for cell in self._drawn}
            self._drawn_scene = self.scene

    def _strip(self, y: int, drawn: overlay.Drawn) -> Strip:
        assert self._backdrop is not None
        start = y * self._view.columns
        segments: list[Segment] = []
        text: list[str] = []
        style = None
        for column, (char, ground, _) in enumerate(self._backdrop.rows[y]):
            shown, wanted = drawn.get(start + column, (char, ground))
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
