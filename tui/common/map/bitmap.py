"""A bitmap of small numbers: areas and lines filled in, a byte a dot."""

from collections.abc import Iterable, Sequence
from math import ceil, floor, hypot

Dot = tuple[float, float]
"""Right and down from the top left corner; (0.5, 0.5) is the middle of the first dot."""

THIN = 1.4
CRISP = 3.5
"""Dots. A narrower line would be a blur wherever it lies across two rows of quadrants."""


class Raster:
    """`wide` by `high` dots, all 0 at first. Whatever is outside is clipped."""

    def __init__(self, wide: int, high: int) -> None:
        self.wide, self.high = wide, high
        self.dots = bytearray(wide * high)

    def fill(self, rings: Iterable[Sequence[Dot]], value: int, tall: int = 1) -> None:
        """Fill what is inside of an odd number of the rings.

        `tall` rows are always filled alike: 2 keeps to whole quadrants of a cell.
        """
        crossings: dict[int, list[float]] = {}
        for ring in rings:
            for (ax, ay), (bx, by) in zip(ring, (*ring[1:], ring[0]), strict=True):
                if ay > by:
                    ax, ay, bx, by = bx, by, ax, ay
                first = max(0, ceil(ay / tall - 0.5))
                last = min(self.high // tall, ceil(by / tall - 0.5))
                if first >= last:
                    continue
                slope = (bx - ax) / (by - ay) * tall
                x = ax + ((first + 0.5) * tall - ay) * slope / tall
                for row in range(first, last):
                    crossings.setdefault(row, []).append(x)
                    x += slope
        for row, places in crossings.items():
            places.sort()
            for left, right in zip(places[::2], places[1::2], strict=False):
                for one in range(row * tall, row * tall + tall):
                    self._span(one, left, right, value)

    def line(self, a: Dot, b: Dot, width: float, value: int) -> None:
        """A straight line, `width` dots wide and never less than one."""
        clipped = clip(a, b, -width, -width, self.wide + width, self.high + width)
        if clipped is None:
            return
        (ax, ay), (bx, by) = clipped
        long = hypot(bx - ax, by - ay)
        if width <= THIN or long == 0.0:
            self._thin(ax, ay, bx, by, value)
            return
        # A little longer at both ends, so that bends have no gaps.
        along = width * 0.35 / long
        ex, ey = (bx - ax) * along, (by - ay) * along
        ox, oy = (by - ay) * width / 2 / long, (ax - bx) * width / 2 / long
        ax, ay, bx, by = ax - ex, ay - ey, bx + ex, by + ey
        corners = ((ax + ox, ay + oy), (bx + ox, by + oy), (bx - ox, by - oy), (ax - ox, ay - oy))
        self.fill([corners], value, 2 if width < CRISP else 1)

    def _thin(self, ax: float, ay: float, bx: float, by: float, value: int) -> None:
        steps = max(1, round(max(abs(bx - ax), abs(by - ay))))
        dx, dy = (bx - ax) / steps, (by - ay) / steps
        wide, high, dots = self.wide, self.high, self.dots
        for step in range(steps + 1):
            x, y = floor(ax + dx * step), floor(ay + dy * step)
            if 0 <= x < wide and 0 <= y < high:
                dots[y * wide + x] = value

    def _span(self, row: int, left: float, right: float, value: int) -> None:
        first, last = max(0, ceil(left - 0.5)), min(self.wide, ceil(right - 0.5))
        if first < last:
            start = row * self.wide
            self.dots[start + first : start + last] = bytes((value,)) * (last - first)


def clip(
    a: Dot, b: Dot, left: float, top: float, right: float, bottom: float
) -> tuple[Dot, Dot] | None:
    """The part of a line that is in the rectangle, after Liang and Barsky; None where none is."""
    (ax, ay), (bx, by) = a, b
    dx, dy = bx - ax, by - ay
    start, end = 0.0, 1.0
    for step, room in ((-dx, ax - left), (dx, right - ax), (-dy, ay - top), (dy, bottom - ay)):
        if step == 0:
            if room < 0:
                return None
            continue
        t = room / step
        if step < 0:
            start = max(start, t)
        else:
            end = min(end, t)
        if start > end:
            return None
    return (ax + dx * start, ay + dy * start), (ax + dx * end, ay + dy * end)
