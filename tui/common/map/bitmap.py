"""Drawing in dots: a bitmap of areas and lines, its cells as quadrants, lines in braille."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import ceil, floor, hypot
from typing import Literal

from rich.style import Style

from tui.common.map.basemap import Kind
from tui.common.map.palette import Rgb, mix, style
from tui.common.styles import QUADRANTS

Dot = tuple[float, float]
"""Right and down from the top left corner; (0.5, 0.5) is the middle of the first dot."""

THIN = 1.4
CRISP = 3.5
"""Dots. Lines wider than `THIN` and narrower than `CRISP` keep to whole quadrants: across two
rows of them they would be a blur."""


class Bitmap:
    """`wide` by `high` dots, a byte each, all 0 at first. What lies outside is clipped."""

    def __init__(self, wide: int, high: int) -> None:
        self.wide, self.high = wide, high
        self.dots = bytearray(wide * high)

    def fill(self, rings: Iterable[Sequence[Dot]], value: int, tall: int = 1) -> None:
        """Fill what is inside an odd number of the rings.

        `tall` rows are always filled together: 2 keeps to whole quadrants of a cell.
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
        # A little longer at both ends, so that there are no gaps at bends.
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
    """The part of a line inside the rectangle (Liang-Barsky); None if there is none."""
    (ax, ay), (bx, by) = a, b
    dx, dy = bx - ax, by - ay
    start, end = 0.0, 1.0
    for step, span in ((-dx, ax - left), (dx, right - ax), (-dy, ay - top), (dy, bottom - ay)):
        if step == 0:
            if span < 0:
                return None
            continue
        t = span / step
        if step < 0:
            start = max(start, t)
        else:
            end = min(end, t)
        if start > end:
            return None
    return (ax + dx * start, ay + dy * start), (ax + dx * end, ay + dy * end)


Cell = tuple[str, Style, Rgb]
"""A character, its style, and the mean colour of the cell, to draw over."""

TEXTURES = {Kind.WATER: "≈", Kind.PARK: "·"}
"""Without colours; the other kinds are drawn in their shape."""
STREETS = (Kind.BRIDGE, Kind.MAIN, Kind.SIDE, Kind.PATH)


class Quadrants:
    """Turns the eight dots of a cell into a character. Each pattern is solved once."""

    def __init__(self, colours: Sequence[Rgb], ink: Rgb, mono: bool) -> None:
        """`colours` by `Kind`; `ink` is mixed into textures, which `mono` asks for."""
        self._colours = colours
        self._ink = ink
        self._mono = mono
        self._solved: dict[tuple[int, int, int, int], Cell] = {}

    def rows(self, bitmap: Bitmap) -> Iterator[list[Cell]]:
        """The cells of each line, from the top."""
        solved = self._solved
        pairs = memoryview(bitmap.dots).cast("H")
        columns = bitmap.wide // 2
        for start in range(0, len(pairs), 4 * columns):
            lines = (pairs[start + at * columns : start + (at + 1) * columns] for at in range(4))
            row: list[Cell] = []
            for key in zip(*lines, strict=True):
                cell = solved.get(key)
                if cell is None:
                    cell = solved[key] = self._solve(key)
                row.append(cell)
            yield row

    def _solve(self, key: tuple[int, int, int, int]) -> Cell:
        left = [pair.to_bytes(2, _ORDER)[0] for pair in key]
        right = [pair.to_bytes(2, _ORDER)[1] for pair in key]
        paper = self._mean([self._colours[kind] for kind in left + right])
        if Kind.GRID in left + right:
            return self._grid(left, right)
        if self._mono:
            return self._texture(left, right)
        # A quadrant is two dots high; where these differ it has the colour between.
        quarters = [
            mix(self._colours[column[top]], self._colours[column[top + 1]], 0.5)
            for top, column in product((0, 2), (left, right))
        ]
        # Of the eight ways to split four quadrants in two groups, the closest to their colours.
        bits, ink, basemap = min(
            (self._split(quarters, 2 * bits) for bits in range(8)), key=lambda found: found[0]
        )[1:]
        return QUADRANTS[bits], style(ink, basemap), paper

    def _split(self, quarters: list[Rgb], bits: int) -> tuple[int, int, Rgb, Rgb]:
        """How far the quadrants differ from two colours, one for those whose bit is set."""
        drawn = [quarter for at, quarter in enumerate(quarters) if bits >> at & 1]
        bare = [quarter for at, quarter in enumerate(quarters) if not bits >> at & 1]
        ink, basemap = self._mean(drawn or bare), self._mean(bare)
        off = sum(_apart(one, ink) for one in drawn) + sum(_apart(one, basemap) for one in bare)
        return off, bits, ink, basemap

    def _grid(self, left: list[int], right: list[int]) -> Cell:
        """Fine lines that cannot be taken for streets."""
        across = any(a == b == Kind.GRID for a, b in zip(left, right, strict=True))
        down = {Kind.GRID} in (set(left), set(right))
        land = self._colours[Kind.LAND]
        char = "┼" if across and down else "─" if across else "│"
        return char, style(self._colours[Kind.GRID], land), land

    def _texture(self, left: list[int], right: list[int]) -> Cell:
        dots = left + right
        land = self._colours[Kind.LAND]
        for kind in STREETS:
            if dots.count(kind) > 1:
                halves = product((slice(0, 2), slice(2, 4)), (left, right))
                bits = sum(
                    1 << at
                    for at, (half, column) in enumerate(halves)
                    if any(one in STREETS for one in column[half])
                )
                ink = mix(self._colours[kind], self._ink, 0.25)
                return QUADRANTS[bits], style(ink, land), land
        for kind, char in TEXTURES.items():
            if dots.count(kind) > 3:
                return char, style(mix(self._colours[kind], self._ink, 0.4), land), land
        return " ", style(self._ink, land), land

    @staticmethod
    def _mean(colours: list[Rgb]) -> Rgb:
        count = len(colours)
        return (
            sum(one[0] for one in colours) // count,
            sum(one[1] for one in colours) // count,
            sum(one[2] for one in colours) // count,
        )


def _apart(a: Rgb, b: Rgb) -> int:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2


_ORDER: Literal["little", "big"] = sys.byteorder

BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a braille dot, by its row and column in the cell."""
BRAILLE = 0x2800
ON, OFF = 5.0, 4.0
"""A dash and the gap after it, in dots."""


class BrailleLines:
    """The braille masks of the cells that lines go through."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.masks: dict[int, int] = {}

    def draw(self, dots: Iterable[Dot], *, dashed: bool = False, broad: bool = False) -> None:
        """Draw a line through these dots, two dots wide or three, as far as it is in view."""
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
