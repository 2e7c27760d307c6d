"""One driver in the roster: two lines of text, a third for what is special, and their ink."""

from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len

from tui.common.text import fit, plain
from tui.employee.panels import driver_lines
from tui.employee.panels.driver_roster import Duty
from tui.employee.panels.ink import Inks, Line, Part
from tui.employee.tour import Tour

ROW_LINES = 2
"""Of a driver about whom there is nothing special."""
INDENT = 4
"""Cells before the lines below the first: bar, gap, glyph, gap."""
GAUGE_CELLS = 10
LEAST_NAME_CELLS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A driver and what this window has to do with them."""

    duty: Duty
    tour: Tour | None = None
    trouble: str = ""
    """Why the server does not tell where they are."""

    @property
    def height(self) -> int:
        """Lines."""
        return ROW_LINES + (self.tour is not None) + bool(self.trouble)


def paint(
    row: Row, width: int, now: datetime, inks: Inks, *, selected: bool, focused: bool
) -> list[Line]:
    """The row's lines, all `width` cells wide."""
    duty = row.duty
    ground = "surface"
    if selected:
        ground = "block-cursor-background" if focused else "panel"
    bar: Part = ("▌", "primary") if selected else (" ", "")
    room = width - INDENT - 1
    glyph, ink = driver_lines.LOOKS[duty.standing(now)]
    about = driver_lines.about(duty, now)
    name = fit(duty.driver.name, max(LEAST_NAME_CELLS, room - cell_len(about) - 1))
    about = fit(about, room - cell_len(name) - 1)
    title = "bold block-cursor-foreground" if selected and focused else "bold"
    about_ink = ink if not duty.items else f"bold {ink}"
    seen, seen_ink = driver_lines.seen(duty, now)
    seen = fit(seen, room)
    has = [one for one in (driver_lines.load(duty), plain(duty.driver.vehicle)) if one]
    left = fit(" · ".join(has), room - cell_len(seen) - 1)
    lead: list[Part] = [bar, (" " * (INDENT - 1), "")]
    lines = [
        [bar, (" ", ""), (f"{glyph} ", ink), (name, title), *_right(room, name, about, about_ink)],
        [*lead, (left, "wire-ink"), *_right(room, left, seen, seen_ink)],
    ]
    if row.tour is not None:
        lines.append([*lead, *_ride(row.tour, room)])
    if row.trouble:
        lines.append([*lead, (fit(f"✕ {row.trouble}", room), "bold error")])
    return [inks.line(parts, width, ground) for parts in lines]


def _right(room: int, left: str, words: str, ink: str) -> list[Part]:
    return [(" " * max(1, room - cell_len(left) - cell_len(words)), ""), (words, ink)]


def _ride(tour: Tour, room: int) -> list[Part]:
    """What a simulated ride is about, and a gauge of the way to its goal."""
    words, trouble = driver_lines.ride(tour)
    if trouble or tour.stopping:
        return [(fit(words, room), "bold warning" if trouble else "secondary")]
    share = f"{tour.progress * 100:3.0f}%"
    done = round(tour.progress * GAUGE_CELLS)
    spare = room - GAUGE_CELLS - len(share) - 2
    if cell_len(words) > spare:
        words = fit(words, room - len(share) - 1)
        return [(words, "secondary"), *_right(room, words, share, "secondary")]
    gap = " " * (spare + 1 - cell_len(words))
    return [
        (words, "secondary"), (gap, ""), ("━" * done, "secondary"),
        ("╌" * (GAUGE_CELLS - done), "wire-sep"), (f" {share}", "secondary"),
    ]  # fmt: skip
