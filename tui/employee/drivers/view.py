"""One driver in the roster: two lines of text, a third for what is special, and their ink."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.common.format import fit
from tui.common.sanitize import plain
from tui.common.styles import Inks, Line, Part
from tui.employee.drivers import format as drivers_format
from tui.employee.drivers.model import DriverState
from tui.employee.drivers.trips import TripPlanner
from tui.employee.kitchen.format import wrap

ROW_LINES = 2
"""Of a driver about whom there is nothing special."""
INDENT = 4
"""Cells before the lines below the first: bar, gap, glyph, gap."""
GAUGE_CELLS = 10
LEAST_NAME_CELLS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A driver and what this window has to do with them."""

    state: DriverState
    planner: TripPlanner | None = None
    error: str = ""
    """Why the server does not tell where they are."""

    @property
    def height(self) -> int:
        """Lines."""
        return ROW_LINES + (self.planner is not None) + bool(self.error)


def paint(
    row: Row, width: int, now: datetime, inks: Inks, *, selected: bool, focused: bool
) -> list[Line]:
    """The row's lines, all `width` cells wide."""
    state = row.state
    ground = "surface"
    if selected:
        ground = "block-cursor-background" if focused else "panel"
    bar: Part = ("▌", "primary") if selected else (" ", "")
    room = width - INDENT - 1
    glyph, ink = drivers_format.LOOKS[state.standing(now)]
    about = drivers_format.about(state, now)
    name = fit(state.driver.name, max(LEAST_NAME_CELLS, room - cell_len(about) - 1))
    about = fit(about, room - cell_len(name) - 1)
    title = "bold block-cursor-foreground" if selected and focused else "bold"
    about_ink = ink if not state.items else f"bold {ink}"
    seen, seen_ink = drivers_format.seen(state, now)
    seen = fit(seen, room)
    has = [one for one in (drivers_format.load(state), plain(state.driver.vehicle)) if one]
    left = fit(" · ".join(has), room - cell_len(seen) - 1)
    lead: list[Part] = [bar, (" " * (INDENT - 1), "")]
    lines = [
        [bar, (" ", ""), (f"{glyph} ", ink), (name, title), *_right(room, name, about, about_ink)],
        [*lead, (left, "wire-ink"), *_right(room, left, seen, seen_ink)],
    ]
    if row.planner is not None:
        lines.append([*lead, *_trip(row.planner, room)])
    if row.error:
        lines.append([*lead, (fit(f"✕ {row.error}", room), "bold error")])
    return [inks.line(parts, width, ground) for parts in lines]


def _right(room: int, left: str, words: str, ink: str) -> list[Part]:
    return [(" " * max(1, room - cell_len(left) - cell_len(words)), ""), (words, ink)]


def _trip(planner: TripPlanner, room: int) -> list[Part]:
    """What a simulated ride is about, and a gauge of the way to its goal."""
    words, error = drivers_format.trip(planner)
    if error or planner.stopping:
        return [(fit(words, room), "bold warning" if error else "secondary")]
    share = f"{planner.progress * 100:3.0f}%"
    done = round(planner.progress * GAUGE_CELLS)
    spare = room - GAUGE_CELLS - len(share) - 2
    if cell_len(words) > spare:
        words = fit(words, room - len(share) - 1)
        return [(words, "secondary"), *_right(room, words, share, "secondary")]
    gap = " " * (spare + 1 - cell_len(words))
    return [
        (words, "secondary"), (gap, ""), ("━" * done, "secondary"),
        ("╌" * (GAUGE_CELLS - done), "wire-sep"), (f" {share}", "secondary"),
    ]  # fmt: skip


class DriverListView(Widget, can_focus=True):
    """A few lines a driver, one driver under the cursor: by id, so that it stays on the driver
    when others come or go."""

    DEFAULT_CSS = "RosterView { width: 1fr; height: 1fr; background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-5)", show=False),
        Binding("pagedown", "move(5)", show=False),
        Binding("home", "move(-10000)", show=False),
        Binding("end", "move(10000)", show=False),
    ]

    class Moved(Message):
        """A person has moved the cursor."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(id="roster")
        self.words = ""
        """What to say where there is no driver."""
        self.driver_id: str | None = None
        """Who is under the cursor."""
        self._clock = clock
        self._rows: Sequence[Row] = ()
        self._top = 0
        self._inks: Inks | None = None
        self._lines: list[Line] = []
        self._width = 0
        self._places: list[tuple[range, str]] = []

    @property
    def lines_wanted(self) -> int:
        """How many lines the whole roster takes."""
        return sum(row.height for row in self._rows)

    def show(self, rows: Sequence[Row]) -> None:
        """These are the rows from now on. The cursor stays on its driver, else on the first."""
        self._rows = rows
        if self._at is None:
            self.driver_id = rows[0].state.id if rows else None
        self.repaint()

    def repaint(self) -> None:
        """Show what has changed with the next frame."""
        if not self.size:
            return
        old, width = self._lines, self._width
        self._paint()
        if len(old) != len(self._lines) or width != self._width:
            self.refresh()
            return
        changed = [y for y, line in enumerate(self._lines) if line != old[y]]
        if changed:
            self.refresh(Region(0, changed[0], width, changed[-1] - changed[0] + 1))

    def render_line(self, y: int) -> Strip:
        """One line."""
        if (self._width, len(self._lines)) != self.size:
            self._paint()
        return Strip(self._lines[y], self._width)

    def notify_style_update(self) -> None:
        """Another theme, other inks."""
        super().notify_style_update()
        self._inks = None
        self._lines = []

    def on_focus(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def on_blur(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def action_move(self, down: int) -> None:
        """Move the cursor by so many drivers."""
        at = self._at
        if at is not None:
            self._go(self._rows[min(max(at + down, 0), len(self._rows) - 1)].state.id)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        for place, driver_id in self._places:
            if event.y in place:
                self._go(driver_id)
                return

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes down the roster."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes up the roster."""
        event.stop()
        self.action_move(-1)

    @property
    def _at(self) -> int | None:
        ids = (row.state.id for row in self._rows)
        return next((at for at, one in enumerate(ids) if one == self.driver_id), None)

    def _go(self, driver_id: str) -> None:
        self.driver_id = driver_id
        self.repaint()
        self.post_message(self.Moved())

    def _paint(self) -> None:
        """Draw what is in view: whole rows from the first one on that leaves the cursor's in it."""
        inks = self._inks = self._inks or Inks(self.app.theme_variables)
        width, height = self.size
        now = self._clock()
        self._width, self._places = width, []
        lines = self._empty(inks) if not self._rows else []
        self._top = self._first(height)
        for row in self._rows[self._top :]:
            if len(lines) >= height:
                break
            selected = row.state.id == self.driver_id
            drawn = paint(row, width, now, inks, selected=selected, focused=self.has_focus)
            self._places.append((range(len(lines), len(lines) + len(drawn)), row.state.id))
            lines += drawn
        del lines[height:]
        lines += [inks.line([], width)] * (height - len(lines))
        hidden = self._hidden(height)
        if (hidden or self._top) and height > 2:
            above = f"▴ {self._top} " if self._top else ""
            below = f"▾ {hidden} more" if hidden else ""
            lines[-1] = inks.line([(f"  {above}{below}", "wire-ink")], width)
        self._lines = lines

    def _empty(self, inks: Inks) -> list[Line]:
        width = self.size.width
        return [
            inks.line([(f" {line}", "wire-ink")], width) for line in wrap(self.words, width - 2)
        ]

    def _first(self, height: int) -> int:
        """The row to begin with; the last line is kept for what does not fit."""
        if self.lines_wanted <= height:
            return 0
        at = self._at or 0
        top = min(self._top, at)
        heights = [row.height for row in self._rows]
        while top < at and sum(heights[top : at + 1]) > height - 1:
            top += 1
        while top and sum(heights[top - 1 :]) <= height - 1:
            top -= 1
        return top

    def _hidden(self, height: int) -> int:
        """How many rows from the first one on are not wholly in view."""
        ends = list(accumulate(row.height for row in self._rows[self._top :]))
        room = height if self._top == 0 and ends and ends[-1] <= height else height - 1
        return sum(end > room for end in ends)
