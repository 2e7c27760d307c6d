"""Only cells that differ are written: a terminal shows the same as if all had been."""

import random

import pyte
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate
from textual.strip import Segment, Strip

from tui.common.terminal_cells import TerminalCells, cells_of

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
        changes = cells.changes(update)
        some.feed(changes.render_segments(console) if changes is not None else "")
        assert screens[0].display == screens[1].display
        for y in range(HEIGHT):
            for x in range(WIDTH):
                assert screens[0].buffer[y][x] == screens[1].buffer[y][x], (x, y)
        assert cells.changes(update) is None, "the terminal shows all of it"
        lines = [line if dice.random() < 0.5 else changed(dice, line) for line in lines]


def test_what_is_written_is_what_differs() -> None:
    cells = TerminalCells()
    before = Strip([Segment("12:30:01 heartbeat", Style(bold=True)), Segment(" " * 22)], WIDTH)
    after = Strip([Segment("12:30:02 heartbeat", Style(bold=True)), Segment(" " * 22)], WIDTH)
    cells.changes(update_of([before]))
    changes = cells.changes(update_of([after]))
    assert changes is not None
    assert [(x, y, strip.text) for x, y, strip in changes.pieces] == [(7, 0, "2")]
    cells.forget()
    assert cells.changes(update_of([after])) is not None, "it may show something else by now"


def test_a_wide_character_is_two_cells() -> None:
    assert cells_of(Strip([Segment("a漢e\u0301")])) == [
        ("a", None), ("漢", None), None, ("e\u0301", None),
    ]  # fmt: skip
