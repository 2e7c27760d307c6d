"""Markers and words over the ground, and where there is room for them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len

from tui.common.format import fit
from tui.common.map.markers import Marker

LABEL_CELLS = 22
ARROWS = "▲▶▼◀"
GLYPHS = {"driver": "●", "restaurant": "◆", "home": "⌂"}
PILL = 3
"""Cells."""


class Room(NamedTuple):
    """Cells in one row: from `column` on, `cells` of them."""

    row: int
    column: int
    cells: int

    def meets(self, other: "Room") -> bool:
        """Whether a cell is in both."""
        return (
            self.row == other.row
            and self.column < other.column + other.cells
            and other.column < self.column + self.cells
        )


@dataclass
class Rooms:
    """What is taken in a window."""

    columns: int
    rows: int
    taken: list[Room] = field(default_factory=list)

    def free(self, room: Room) -> bool:
        """Whether it is in the window, and nothing in it."""
        inside = (
            0 <= room.row < self.rows
            and room.column >= 0
            and room.column + room.cells <= self.columns
        )
        return inside and not any(room.meets(other) for other in self.taken)

    def take(self, room: Room) -> bool:
        """Take it if it is free."""
        if not self.free(room):
            return False
        self.taken.append(room)
        return True


def glyph(marker: Marker) -> str:
    """One character: an arrow along the heading, `?` for one without news."""
    if marker.stale:
        return "?"
    if marker.kind == "driver" and marker.heading is not None:
        return ARROWS[round(marker.heading / 90) % 4]
    return GLYPHS[marker.kind]


def pill(marker: Marker, mono: bool) -> str:
    """The marker's three cells."""
    return f"[{glyph(marker)}]" if mono else f" {glyph(marker)} "


def label(marker: Marker, columns: int) -> str:
    """What is written beside a marker; empty where the window is too narrow for words."""
    words = fit(marker.label.strip(), min(LABEL_CELLS, columns // 3))
    return f" {words} " if words and columns >= 24 else ""


def around(at: Room, cells: int) -> Iterator[Room]:
    """Where the words of a marker may stand, the best first."""
    row, column = at.row, at.column
    middle = column + at.cells // 2 - cells // 2
    yield Room(row, column + at.cells, cells)
    yield Room(row, column - cells, cells)
    for other in (row - 1, row + 1):
        yield Room(other, middle, cells)
    for other in (row - 1, row + 1):
        yield Room(other, column, cells)
        yield Room(other, column + at.cells - cells, cells)


def corners(columns: int, rows: int, words: str) -> Iterator[Room]:
    """Where a line of words may stand at the window's edge, the best first."""
    cells = cell_len(words)
    for row in (0, max(0, rows - 1)):
        yield Room(row, columns - cells, cells)
        yield Room(row, 0, cells)
