"""Where roster and map stand in the panel of the drivers."""

from dataclasses import dataclass

from tui.employee.drivers.view import ROW_LINES

RIGHT_FROM_COLUMNS = 64
"""A map beside the roster needs so much, and is worth it where a low panel has many drivers."""
WIDE_COLUMNS = 100
"""From here on the map is better beside the roster, however high the panel is."""
LOW_ROWS = 28
BELOW_FROM_ROWS = 14
"""Below that there is room for one of the two alone."""
ROSTER_SHARE = 0.42
"""Of the height, where the map is below."""
LEAST_ROSTER_LINES = 5


@dataclass(frozen=True, slots=True)
class Layout:
    """The map `below` the roster, to the `right` of it, or (neither) in its place."""

    below: bool = False
    right: bool = False
    roster_lines: int = 0
    """Of the roster, where the map is below; else it has the whole height."""


def layout_for(width: int, height: int, drivers: int, lines: int) -> Layout:
    """For a panel's inside of so many cells, and a roster that takes so many `lines` in all."""
    most = int(height * ROSTER_SHARE)
    crowded = height < LOW_ROWS and ROW_LINES * drivers >= most
    if width >= (RIGHT_FROM_COLUMNS if crowded else WIDE_COLUMNS):
        return Layout(right=True)
    if height < BELOW_FROM_ROWS:
        return Layout()
    return Layout(below=True, roster_lines=min(max(LEAST_ROSTER_LINES, most), lines + 1))
