"""The list of drivers: how a row is drawn, the list itself, and its size beside the map.

Hand-drawn: with an `OptionList`, new ages of twelve drivers took 7 ms instead of 2.
"""

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

from tui.common.format import fit, wrapped
from tui.common.language import _
from tui.common.styles import Line, Part, ThemeStyles
from tui.common.tracking.format import vehicle_name
from tui.common.tracking.planner import TripPlanner
from tui.common.widgets.filter import Filterable, matcher
from tui.employee.drivers import format as drivers_format
from tui.employee.drivers.model import DriverState

ROW_LINES = 2
"""Of a driver without a simulated trip or an error."""
INDENT = 4
"""Cells before the lines below the first: bar, gap, glyph, gap."""
GAUGE_CELLS = 10
LEAST_NAME_CELLS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A driver, with the simulated trip and the error that belong to their row."""

    state: DriverState
    planner: TripPlanner | None = None
    error: str = ""
    """Why the server refuses the driver's locations."""

    @property
    def height(self) -> int:
        """Lines."""
        return ROW_LINES + (self.planner is not None) + bool(self.error)


def draw_row(
    row: Row, width: int, now: datetime, styles: ThemeStyles, *, selected: bool, focused: bool
) -> list[Line]:
    """The row's lines, all `width` cells wide."""
    state = row.state
    background = "surface"
    if selected:
        background = "block-cursor-background" if focused else "panel"
    bar: Part = ("▌", "primary") if selected else (" ", "")
    room = width - INDENT - 1
    glyph, ink = drivers_format.ACTIVITY_LOOKS[state.activity(now)]
    activity = drivers_format.activity_text(state, now)
    name = fit(state.driver.name, max(LEAST_NAME_CELLS, room - cell_len(activity) - 1))
    activity = fit(activity, room - cell_len(name) - 1)
    title = "bold block-cursor-foreground" if selected and focused else "bold"
    activity_ink = ink if not state.orders else f"bold {ink}"
    age, age_ink = drivers_format.location_age(state, now)
    age = fit(age, room)
    parts = (drivers_format.order_numbers(state), vehicle_name(state.driver.vehicle))
    left = fit(" · ".join(filter(None, parts)), room - cell_len(age) - 1)
    lead: list[Part] = [bar, (" " * (INDENT - 1), "")]
    lines = [
        [
            bar,
            (" ", ""),
            (f"{glyph} ", ink),
            (name, title),
            *_right(room, name, activity, activity_ink),
        ],
        [*lead, (left, "wire-ink"), *_right(room, left, age, age_ink)],
    ]
    if row.planner is not None:
        lines.append([*lead, *_trip_line(row.planner, room)])
    if row.error:
        lines.append([*lead, (fit(f"✕ {row.error}", room), "bold error")])
    return [styles.line(parts, width, background) for parts in lines]


def _right(room: int, left: str, right: str, ink: str) -> list[Part]:
    return [(" " * max(1, room - cell_len(left) - cell_len(right)), ""), (right, ink)]


def _trip_line(planner: TripPlanner, room: int) -> list[Part]:
    """What a simulated trip is doing, and a gauge of the way to its next stop."""
    status, failing = drivers_format.trip_status(planner)
    if failing or planner.stopping:
        return [(fit(status, room), "bold warning" if failing else "secondary")]
    share = f"{planner.progress * 100:3.0f}%"
    done = round(planner.progress * GAUGE_CELLS)
    spare = room - GAUGE_CELLS - len(share) - 2
    if cell_len(status) > spare:
        status = fit(status, room - len(share) - 1)
        return [(status, "secondary"), *_right(room, status, share, "secondary")]
    gap = " " * (spare + 1 - cell_len(status))
    return [
        (status, "secondary"), (gap, ""), ("━" * done, "secondary"),
        ("╌" * (GAUGE_CELLS - done), "wire-sep"), (f" {share}", "secondary"),
    ]  # fmt: skip


def _searched(state: DriverState, now: datetime) -> str:
    """The text of a driver that a filter searches."""
    activity = drivers_format.activity_text(state, now)
    numbers = drivers_format.order_numbers(state)
    return f"{state.driver.name} {vehicle_name(state.driver.vehicle)} {activity} {numbers}"


class DriverListView(Filterable, can_focus=True):
    """A few lines for each driver. The cursor stays on its driver when others come or go."""

    DEFAULT_CSS = "DriverListView { width: 1fr; height: 1fr; background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-5)", show=False),
        Binding("pagedown", "move(5)", show=False),
        Binding("home", "move(-10000)", show=False),
        Binding("end", "move(10000)", show=False),
    ]

    class Moved(Message):
        """The user has moved the cursor."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(id="drivers")
        self.message = ""
        """What an empty list says."""
        self.driver_id: str | None = None
        """The driver under the cursor."""
        self.selected_by_user = False
        """Whether the user has moved the cursor."""
        self._clock = clock
        self._all: Sequence[Row] = ()
        self._rows: Sequence[Row] = ()
        """Those that the filter leaves."""
        self._top = 0
        self._theme_styles: ThemeStyles | None = None
        self._lines: list[Line] = []
        self._width = 0
        self._row_lines: list[tuple[range, str]] = []

    @property
    def lines_wanted(self) -> int:
        """How many lines all rows take."""
        return sum(row.height for row in self._rows)

    def show(self, rows: Sequence[Row]) -> None:
        """Replace the rows. The cursor stays on its driver, or goes to the first."""
        self._all = self._rows = rows
        if self.filter_text:
            matches, now = matcher(self.filter_text), self._clock()
            self._rows = [row for row in rows if matches(_searched(row.state, now))]
            self.filter_field.show_count()
        if self._cursor is None:
            self.driver_id = self._rows[0].state.id if self._rows else None
        self.repaint()

    def redraw(self) -> None:
        """Show what the filter leaves."""
        self.selected_by_user = True
        self.show(self._all)
        self.post_message(self.Moved())

    def filter_counts(self) -> tuple[int, int, str]:
        """How many drivers are shown, of how many."""
        return len(self._rows), len(self._all), ""

    def repaint(self) -> None:
        """Draw what has changed with the next frame."""
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
        if y >= len(self._lines):  # of the size before
            return Strip.blank(self._width)
        return Strip(self._lines[y], self._width)

    def notify_style_update(self) -> None:
        """Drop the styles of the theme before."""
        super().notify_style_update()
        self._theme_styles = None
        self._lines = []

    def on_focus(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def on_blur(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def action_move(self, down: int) -> None:
        """Move the cursor by so many drivers."""
        at = self._cursor
        if at is not None:
            self._select(self._rows[min(max(at + down, 0), len(self._rows) - 1)].state.id)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        for lines, driver_id in self._row_lines:
            if event.y in lines:
                self._select(driver_id)
                return

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move the cursor down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move the cursor up."""
        event.stop()
        self.action_move(-1)

    @property
    def _cursor(self) -> int | None:
        ids = (row.state.id for row in self._rows)
        return next((at for at, one in enumerate(ids) if one == self.driver_id), None)

    def _select(self, driver_id: str) -> None:
        self.driver_id, self.selected_by_user = driver_id, True
        self.repaint()
        self.post_message(self.Moved())

    def _paint(self) -> None:
        """Draw whole rows, from the first one that leaves the cursor's row in view."""
        styles = self._theme_styles = self._theme_styles or ThemeStyles(self.app.theme_variables)
        width, height = self.size
        now = self._clock()
        self._width, self._row_lines = width, []
        lines = self._empty(styles) if not self._rows else []
        self._top = self._first(height)
        for row in self._rows[self._top :]:
            if len(lines) >= height:
                break
            selected = row.state.id == self.driver_id
            drawn = draw_row(row, width, now, styles, selected=selected, focused=self.has_focus)
            self._row_lines.append((range(len(lines), len(lines) + len(drawn)), row.state.id))
            lines += drawn
        del lines[height:]
        lines += [styles.line([], width)] * (height - len(lines))
        hidden = self._hidden(height)
        if (hidden or self._top) and height > 2:
            above = f"▴ {self._top} " if self._top else ""
            below = _("▾ {hidden} more").format(hidden=hidden) if hidden else ""
            lines[-1] = styles.line([(f"  {above}{below}", "wire-ink")], width)
        self._lines = lines

    def _empty(self, styles: ThemeStyles) -> list[Line]:
        width = self.size.width
        message = self.nothing_matches.plain if self.filter_text else self.message
        return [
            styles.line([(f" {line}", "wire-ink")], width) for line in wrapped(message, width - 2)
        ]

    def _first(self, height: int) -> int:
        """The first row to draw; the last line is kept for the number of those that do not fit."""
        if self.lines_wanted <= height:
            return 0
        at = self._cursor or 0
        top = min(self._top, at)
        heights = [row.height for row in self._rows]
        while top < at and sum(heights[top : at + 1]) > height - 1:
            top += 1
        while top and sum(heights[top - 1 :]) <= height - 1:
            top -= 1
        return top

    def _hidden(self, height: int) -> int:
        """How many rows below the first one drawn do not fit."""
        ends = list(accumulate(row.height for row in self._rows[self._top :]))
        room = height if self._top == 0 and ends and ends[-1] <= height else height - 1
        return sum(end > room for end in ends)


BESIDE_FROM_COLUMNS = 64
"""A map beside the list needs so much, and is worth it where a low panel has many drivers."""
WIDE_COLUMNS = 100
"""From this width on the map is beside the list, however high the panel is."""
LOW_ROWS = 28
BELOW_FROM_ROWS = 12
"""A lower panel has room for one of the two alone."""
LIST_SHARE = 0.42
"""Of the height, where the map is below."""
MIN_LIST_LINES = 5


@dataclass(frozen=True, slots=True)
class MapPosition:
    """The map `below` the list, `beside` it, or (neither) in its place."""

    below: bool = False
    beside: bool = False
    list_lines: int = 0
    """Height of the list where the map is below; else it has the whole height."""


def map_position(width: int, height: int, drivers: int, lines: int) -> MapPosition:
    """For a panel of so many cells inside, and a list that takes so many `lines` in all."""
    most = int(height * LIST_SHARE)
    crowded = height < LOW_ROWS and ROW_LINES * drivers >= most
    if width >= (BESIDE_FROM_COLUMNS if crowded else WIDE_COLUMNS):
        return MapPosition(beside=True)
    if height < BELOW_FROM_ROWS:
        return MapPosition()
    return MapPosition(below=True, list_lines=min(max(MIN_LIST_LINES, most), lines + 1))
