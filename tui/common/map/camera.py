"""What the window shows: everything, the one that is watched, or where it was moved to."""

from collections.abc import Sequence
from enum import Enum

from tui.common.map.markers import Scene, Spot
from tui.common.map.view import View, fit_margins

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

    def look(self, scene: Scene, columns: int, rows: int, other: Sequence[Spot] = ()) -> View:
        """The window for this scene; `other` is to be seen where the scene is empty."""
        view = self._view
        same = (view.columns, view.rows) == (columns, rows)
        view = view.resized(columns, rows)
        if self.aim is Aim.WHOLE:
            spots = scene.spots() or tuple(other)
            whole = View.fit(spots, columns, rows)
            margin = min(fit_margins(columns, rows)) / 3
            keep = same and spots and view.holds(spots, margin)
            if not keep or whole.scale > view.scale * SLACK:
                view = whole
        elif self.aim is Aim.FOLLOW and scene.watched is not None:
            column, row = view.cell(scene.watched.at)
            calm = abs(column - columns / 2) <= max(1.0, columns * CALM) and abs(
                row - rows / 2
            ) <= max(1.0, rows * CALM)
            if not calm or not same:
                view = view.centred(scene.watched.at)
        self._view = view
        return view

    def whole(self) -> None:
        """Show everything again."""
        self.aim = Aim.WHOLE
        self._view = View(0, 0)

    def follow(self, scene: Scene) -> bool:
        """Follow the one that is watched, close by, or stop it. False where there is none."""
        if self.aim is Aim.FOLLOW:
            self.whole()
            return True
        if scene.watched is None:
            return False
        if self.aim is Aim.WHOLE:
            self._view = self._view.zoomed(NEAR)
        self._view = self._view.centred(scene.watched.at)
        self.aim = Aim.FOLLOW
        return True

    def zoom(self, scene: Scene, steps: float, at: tuple[float, float] | None = None) -> None:
        """Closer by so many steps, or further; what is at that dot (the middle) stays there."""
        if self.aim is Aim.WHOLE:
            if steps > 0 and at is None and scene.watched is not None:
                self._view = self._view.centred(scene.watched.at)
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
