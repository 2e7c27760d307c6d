"""Only cells that differ are written: a terminal shows the same as if all had been."""

import random
from typing import cast

import pyte
import pytest
from rich.console import Console
from rich.style import Style
from textual import events
from textual._compositor import ChopsUpdate
from textual.app import ComposeResult
from textual.geometry import Region, Size
from textual.screen import Screen
from textual.strip import Segment, Strip
from textual.widget import Widget
from textual.widgets import Static

from support.waiting import wait_until
from tui.common.panel_grid import MainScreen
from tui.common.terminal import TerminalApp
from tui.common.terminal_cells import TerminalCells, cells_of, pieces_of
from tui.common.widgets.scroll_bar import ThinBarView

WIDTH, HEIGHT = 40, 6
PARTS = ("a", "bc", " ", "漢字", "é", "█▄", "42", "→", "e\u0301")
STYLES = (Style(color="red"), Style(bold=True), Style(color="blue", bgcolor="white"))


def line_of(dice: random.Random) -> Strip:
    """A line as wide as the screen, of a few styles."""
    segments, room = [], WIDTH
    while room:
        text = dice.choice(PARTS)
        if (strip := Strip([Segment(text, dice.choice(STYLES))])).cell_length <= room:
            segments += list(strip)
            room -= strip.cell_length
    return Strip(segments, WIDTH)


def changed(dice: random.Random, strip: Strip) -> Strip:
    """The same line with some of it drawn anew."""
    at = dice.randrange(WIDTH)
    parts = list(strip.divide([at, WIDTH]))
    other = list(line_of(dice).divide([at, WIDTH]))
    return Strip.join([parts[0], other[1]] if dice.random() < 0.5 else [other[0], parts[1]])


def update_of(lines: list[Strip]) -> ChopsUpdate:
    """An update of all lines."""
    return ChopsUpdate(
        [{0: line} for line in lines],
        [(y, 0, WIDTH) for y in range(len(lines))],
        [[WIDTH] for _ in lines],
    )


def test_a_terminal_shows_what_it_would_if_all_were_written() -> None:
    dice, cells = random.Random(11), TerminalCells()
    console = Console(force_terminal=True, color_system="truecolor", width=WIDTH)
    screens = [pyte.Screen(WIDTH, HEIGHT) for _ in range(2)]
    some, every = (pyte.Stream(screen) for screen in screens)
    for stream in (some, every):
        stream.feed("\x1b[?7l")  # no wrapping, as in the apps
    lines = [line_of(dice) for _ in range(HEIGHT)]
    for _ in range(150):
        update = update_of(lines)
        every.feed(update.render_segments(console).replace("\n", ""))
        changes = cells.changes(pieces_of(update))
        some.feed(changes.render_segments(console) if changes is not None else "")
        assert screens[0].display == screens[1].display
        for y in range(HEIGHT):
            for x in range(WIDTH):
                assert screens[0].buffer[y][x] == screens[1].buffer[y][x], (x, y)
        assert cells.changes(pieces_of(update)) is None, "the terminal shows all of it"
        lines = [line if dice.random() < 0.5 else changed(dice, line) for line in lines]


def test_what_is_written_is_what_differs() -> None:
    cells = TerminalCells()
    before = Strip([Segment("12:30:01 heartbeat", Style(bold=True)), Segment(" " * 22)], WIDTH)
    after = Strip([Segment("12:30:02 heartbeat", Style(bold=True)), Segment(" " * 22)], WIDTH)
    cells.changes(pieces_of(update_of([before])))
    changes = cells.changes(pieces_of(update_of([after])))
    assert changes is not None
    assert [(x, y, strip.text) for x, y, strip in changes.pieces] == [(7, 0, "2")]
    cells.forget()
    again = cells.changes(pieces_of(update_of([after])))
    assert again is not None, "it may show something else by now"


def test_a_wide_character_is_two_cells() -> None:
    assert cells_of(Strip([Segment("a漢e\u0301")])) == [
        ("a", None), ("漢", None), None, ("e\u0301", None),
    ]  # fmt: skip


class Letters(Widget):
    """Rows of letters. Counts how often each is rendered."""

    def __init__(self, x: int, y: int, width: int, height: int) -> None:
        super().__init__()
        self.styles.position = "absolute"
        self.styles.offset = (x, y)
        self.styles.width, self.styles.height = width, height
        self.rows = [["."] * width for _ in range(height)]
        self.rendered: list[int] = []

    def write(self, area: Region, letter: str) -> None:
        """Fill an area, and have it drawn."""
        for y in area.line_range:
            self.rows[y][area.x : area.right] = letter * area.width
        self.refresh(area)

    def render_line(self, y: int) -> Strip:
        self.rendered.append(y)
        return Strip([Segment("".join(self.rows[y]))])


class Overlapping(TerminalApp):
    """Widgets one over the other, and one that is partly out of the screen."""

    def get_default_screen(self) -> Screen[object]:
        return cast("Screen[object]", MainScreen(id="_default"))

    def compose(self) -> ComposeResult:
        for box in ((0, 0, 30, 6), (20, 3, 30, 6), (25, 5, 4, 9), (50, 0, 20, 3)):
            yield Letters(*box)


async def test_no_line_is_rendered_that_has_not_changed_and_the_terminal_shows_all() -> None:
    dice, app = random.Random(5), Overlapping()
    screen = pyte.Screen(60, 12)
    terminal = pyte.Stream(screen)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        compositor, widgets = app.screen._compositor, list(app.query(Letters))
        for y, strip in enumerate(compositor.render_strips()):
            terminal.feed(f"\x1b[{y + 1}H{strip.render(app.console)}")
        for letter in "abcdefghij" * 10:
            changed = dice.sample(widgets, dice.randint(1, 3))
            for widget in widgets:
                widget.rendered.clear()
            written: dict[Widget, set[int]] = {widget: set() for widget in widgets}
            for widget in changed:
                width, height = widget.size
                x, y = dice.randrange(width), dice.randrange(height)
                area = Region(x, y, dice.randint(1, width - x), dice.randint(1, height - y))
                widget.write(area, letter)
                written[widget].update(area.line_range)
            compositor.update_widgets(set(changed))
            update = compositor.render_partial_update()
            if update is not None:
                terminal.feed(update.render_segments(app.console))
            for widget in widgets:
                assert set(widget.rendered) <= written[widget]
                assert len(widget.rendered) == len(set(widget.rendered))
            assert screen.display == [strip.text for strip in compositor.render_strips()]


async def test_a_wide_character_is_whole_once_nothing_hides_a_half_of_it() -> None:
    app, screen = Overlapping(), pyte.Screen(60, 12)
    terminal = pyte.Stream(screen)
    async with app.run_test(size=(60, 12)) as pilot:
        behind = app.query(Letters).first()
        behind.rows = [list("x" + "漢字" * 7 + " ")] * 6
        behind.refresh()
        await pilot.pause()
        compositor = app.screen._compositor
        # The second is beside a widget in front, which hides the half of a character.
        for hidden in (Region(4, 1, 5, 2), Region(16, 3, 4, 3)):
            for y, strip in enumerate(compositor.render_strips()):
                if hidden.y <= y < hidden.bottom:
                    left, _, right = strip.divide([hidden.x, hidden.right, 60])
                    strip = Strip.join([left, Strip([Segment(" " * hidden.width)]), right])
                terminal.feed(f"\x1b[{y + 1}H{strip.text}")
            behind.refresh(hidden)
            compositor.update_widgets({behind})
            update = compositor.render_partial_update()
            assert update is not None
            terminal.feed(update.render_segments(app.console))
            assert screen.display == [strip.text for strip in compositor.render_strips()]


class Lines(ThinBarView):
    """Twenty lines in a window of ten; each that is asked for has to be there."""

    DEFAULT_CSS = "Lines { height: 10; width: 20; }"

    def on_mount(self) -> None:
        self.virtual_size = Size(10, 20)
        self.told: list[Size] = []

    def on_resize(self, event: events.Resize) -> None:
        self.told.append(event.size)

    def render_line(self, y: int) -> Strip:
        assert y < self.size.height
        return Strip([Segment(str(y))])


class Shrinking(TerminalApp):
    """Lines, and a widget that is out of the screen."""

    def get_default_screen(self) -> Screen[object]:
        return cast("Screen[object]", MainScreen(id="_default"))

    def compose(self) -> ComposeResult:
        yield Lines()
        yield Static("below")
        yield Letters(0, 50, 5, 1)


@pytest.mark.parametrize(
    ("change", "height"), [("height: 5", 5), ("display: none", 0), ("overflow-y: hidden", 10)]
)
async def test_a_painting_before_a_layout(change: str, height: int) -> None:
    """A widget has its next size as soon as one asks for it, and is painted where it was: it is not
    asked for a line that is gone. Then it is told its size, and what moved is painted anew."""
    app = Shrinking()
    async with app.run_test(size=(60, 12)) as pilot:
        lines, outside = app.query_one(Lines), app.query_one(Letters)
        bar = lines.vertical_scrollbar
        await wait_until(lambda: bar.size.height == 10)
        await pilot.pause()
        compositor, changed = app.screen._compositor, {lines, bar, outside}
        lines.set_styles(f"{change};")
        lines._check_refresh()  # as it is idle: it wants a layout, which the screen has not done
        for widget in changed:
            widget.refresh()
        compositor.update_widgets(changed)  # one is not in view: sizes are found out anew
        compositor.render_partial_update()
        told = len(lines.told)
        painted: list[int] = []
        app.query_one(Static).render_lines = lambda crop: painted.append(1) or [Strip.blank(60)]
        await pilot.pause()
        await wait_until(lambda: app.query_one(Static).region.y == height)
        if height == 5:
            assert lines.told[told:] == [Size(20, 5)]
        assert bool(painted) == (height != 10)
