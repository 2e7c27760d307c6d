"""Fine lines over the ground, in braille: eight dots a cell."""

from collections.abc import Iterable
from math import floor, hypot

from tui.common.map.bitmap import Dot, clip

BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a dot, by its row and column in the cell."""
BRAILLE = 0x2800
ON, OFF = 5.0, 4.0
"""A dash and the gap after it, in dots."""


class FineLines:
    """The braille masks of the cells that lines go through."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.masks: dict[int, int] = {}

    def draw(self, dots: Iterable[Dot], *, dashed: bool = False, broad: bool = False) -> None:
        """A line two dots wide, or three, through these dots; what is out of view is skipped."""
        wide, high = 2.0 * self.columns, 4.0 * self.rows
        last: Dot | None = None
        gone = 0.0
        for dot in dots:
            if last is None:
                last = dot
                continue
            long = hypot(dot[0] - last[0], dot[1] - last[1])
            if long < 0.5:
                continue
            clipped = clip(last, dot, -2.0, -2.0, wide + 2, high + 2)
            if clipped is not None:
                start = hypot(clipped[0][0] - last[0], clipped[0][1] - last[1])
                self._stroke(*clipped, gone + start, dashed, broad)
            gone += long
            last = dot

    def _stroke(self, a: Dot, b: Dot, gone: float, dashed: bool, broad: bool) -> None:
        dx, dy = b[0] - a[0], b[1] - a[1]
        long = hypot(dx, dy)
        steps = max(1, round(max(abs(dx), abs(dy))))
        # The second dot is beside the first, across the direction of travel.
        beside = (0, 1) if abs(dx) >= abs(dy) else (1, 0)
        for step in range(steps + 1):
            part = step / steps
            if dashed and (gone + long * part) % (ON + OFF) >= ON:
                continue
            x, y = floor(a[0] + dx * part), floor(a[1] + dy * part)
            self._dot(x, y)
            self._dot(x - beside[0], y - beside[1])
            if broad:
                self._dot(x + beside[0], y + beside[1])

    def _dot(self, x: int, y: int) -> None:
        column, row = x >> 1, y >> 2
        if 0 <= column < self.columns and 0 <= row < self.rows:
            cell = row * self.columns + column
            self.masks[cell] = self.masks.get(cell, 0) | BITS[y & 3][x & 1]
