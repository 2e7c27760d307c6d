"""A bitmap as cells: quadrant blocks in the two colours that suit each cell best, or textures."""

import sys
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Literal

from rich.style import Style

from tui.common.map.basemap import Kind
from tui.common.map.bitmap import Raster
from tui.common.map.palette import Rgb, mix, style

Cell = tuple[str, Style, Rgb]
"""A character, its style, and the one colour that stands for the cell's ground."""

QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By bits: top left, top right, bottom left, bottom right."""
TEXTURES = {Kind.WATER: "≈", Kind.PARK: "·"}
"""Without colours; what has none is drawn in its shape."""
STREETS = (Kind.BRIDGE, Kind.MAIN, Kind.SIDE, Kind.PATH)


class Blocks:
    """Turns the eight dots of a cell into a character. Each pattern of dots is solved once."""

    def __init__(self, colours: Sequence[Rgb], ink: Rgb, mono: bool) -> None:
        """`colours` by `Kind`; `ink` is what textures tend to, where `mono` asks for them."""
        self._colours = colours
        self._ink = ink
        self._mono = mono
        self._solved: dict[tuple[int, int, int, int], Cell] = {}

    def rows(self, raster: Raster) -> Iterator[list[Cell]]:
        """The cells of each line, from the top."""
        solved = self._solved
        pairs = memoryview(raster.dots).cast("H")
        columns = raster.wide // 2
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
        # A quadrant is two dots high; where these differ it is what is between.
        quarters = [
            mix(self._colours[column[top]], self._colours[column[top + 1]], 0.5)
            for top, column in product((0, 2), (left, right))
        ]
        # The first quarter is paper in each of the eight ways to make two groups of the four.
        bits, ink, ground = min(
            (self._split(quarters, 2 * bits) for bits in range(8)), key=lambda found: found[0]
        )[1:]
        return QUADRANTS[bits], style(ink, ground), paper

    def _split(self, quarters: list[Rgb], bits: int) -> tuple[int, int, Rgb, Rgb]:
        """How far off the quarters are when those with a bit get one colour, the others another."""
        drawn = [quarter for at, quarter in enumerate(quarters) if bits >> at & 1]
        bare = [quarter for at, quarter in enumerate(quarters) if not bits >> at & 1]
        ink, ground = self._mean(drawn or bare), self._mean(bare)
        off = sum(_apart(one, ink) for one in drawn) + sum(_apart(one, ground) for one in bare)
        return off, bits, ink, ground

    def _grid(self, left: list[int], right: list[int]) -> Cell:
        """Fine lines, that nobody may take for streets."""
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
