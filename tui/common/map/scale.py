"""Round distances: the scale bar's, and the grid's where there is no ground."""

from tui.common.map.view import View

GRID_DOTS = 26.0
"""The least between two lines of the grid."""


def round_metres(most: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is no more than `most`."""
    power = 1.0
    while power * 10 <= most:
        power *= 10
    while power > most and power > 1e-3:
        power /= 10
    return next((power * times for times in (5, 2) if power * times <= most), power)


def grid_metres(view: View) -> float:
    """Between two lines of the grid."""
    least = GRID_DOTS * view.metres_a_dot
    metres = round_metres(least)
    steps = (metres * times for times in (1, 2, 2.5, 5, 10))
    return next(step for step in steps if step >= least * 0.999 and _round(step))


def _round(metres: float) -> bool:
    return round_metres(metres * 1.001) >= metres * 0.999


def human_metres(metres: float) -> str:
    """A distance: `200 m`, `5 km`."""
    if metres >= 1000:
        return f"{metres / 1000:g} km"
    return f"{metres:g} m"


def scale_bar(view: View, square: bool) -> str:
    """A bar and what it is long; where `square`, the width of the grid's squares."""
    if square:
        metres = grid_metres(view)
        words = f" {human_metres(metres)} a square "
        return words if len(words) <= view.columns else ""
    metres = round_metres(min(40.0, view.wide * 0.3) * view.metres_a_dot)
    cells = max(1, round(metres / view.metres_a_dot / 2))
    bar = "╺" + "━" * (cells - 2) + "╸" if cells > 1 else "━"
    words = f" {bar} {human_metres(metres)} "
    return words if len(words) <= view.columns else ""
