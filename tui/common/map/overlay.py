"""A scene, drawn over a backdrop: the cells that differ from it."""

from rich.cells import cell_len
from rich.style import Style

from tui.common.format import fit
from tui.common.map import labels as pills
from tui.common.map.background import Backdrop
from tui.common.map.braille import BRAILLE, FineLines
from tui.common.map.labels import Room, Rooms
from tui.common.map.markers import Marker, Scene
from tui.common.map.palette import Inks, Rgb, mix, style
from tui.common.map.scale import scale_bar
from tui.common.map.view import View, flat

CLOSE = 4.0
"""Metres a dot up to which there is room for a broad trail."""

Drawn = dict[int, tuple[str, Style]]
"""By cell, row by row: text and style. Text of several cells is followed by empty ones."""


def draw(scene: Scene, view: View, backdrop: Backdrop, inks: Inks, square: bool) -> Drawn:
    """What lies over the ground; `square` where that is a plain grid."""
    drawn: Drawn = {}
    _lines(drawn, scene, view, backdrop, inks)
    rooms = Rooms(view.columns, view.rows)
    at = {marker: room for marker in scene.markers if (room := _room(marker, view)) is not None}
    rooms.taken += at.values()
    paper = inks["label"]
    _corner(drawn, scene.hud, rooms, style(inks["label-ink"], paper, True))
    _bar(drawn, scale_bar(view, square), rooms, style(mix(paper, inks["label-ink"], 0.75), paper))
    order = sorted(at, key=_weight)
    for marker in reversed(order):
        words = pills.label(marker, view.columns)
        found = (room for room in pills.around(at[marker], cell_len(words)) if rooms.take(room))
        place = next(found, None) if words else None
        if place is not None:
            ink = mix(paper, inks["label-ink"], 0.6 if marker.stale else 1.0)
            _put(drawn, view.columns, place, words, style(ink, paper, marker.chosen))
    _names(drawn, rooms, backdrop, inks)
    for marker in order:
        room, pill_style = at[marker], _pill_style(marker, inks)
        for column, char in enumerate(pills.pill(marker, inks.mono), room.column):
            if 0 <= column < view.columns:
                drawn[room.row * view.columns + column] = (char, pill_style)
    return drawn


def _lines(drawn: Drawn, scene: Scene, view: View, backdrop: Backdrop, inks: Inks) -> None:
    for spots, ink, dashed in (
        (scene.route, inks["route"], True),
        (scene.trail, inks["trail"], False),
    ):
        if len(spots) < 2:
            continue
        lines = FineLines(view.columns, view.rows)
        dots = [view.dot(flat(spot)) for spot in spots]
        lines.draw(dots, dashed=dashed, broad=not dashed and view.metres_a_dot < CLOSE)
        for cell, mask in lines.masks.items():
            row, column = divmod(cell, view.columns)
            ground: Rgb = backdrop.rows[row][column][2]
            drawn[cell] = (chr(BRAILLE | mask), style(ink, ground))


def _names(drawn: Drawn, rooms: Rooms, backdrop: Backdrop, inks: Inks) -> None:
    """Streets' names, as far as nothing is in their way."""
    columns = rooms.columns
    for room, name in backdrop.names:
        start = room.row * columns + room.column
        lines = any(cell in drawn for cell in range(start - 1, start + room.cells + 1))
        if not lines and rooms.take(room):
            papers = [cell[2] for cell in backdrop.rows[room.row][room.column :][: room.cells]]
            paper = papers[len(papers) // 2]
            _put(drawn, columns, room, name, style(mix(paper, inks["name"], 0.9), paper))


def _room(marker: Marker, view: View) -> Room | None:
    """The cells of its pill; None where it is out of view."""
    column, row = view.cell(marker.at)
    if not (0 <= column < view.columns and 0 <= row < view.rows):
        return None
    return Room(row, column - pills.PILL // 2, pills.PILL)


def _weight(marker: Marker) -> tuple[bool, bool]:
    return marker.chosen, marker.kind == "driver"


def _pill_style(marker: Marker, inks: Inks) -> Style:
    paper = inks[marker.kind]
    if marker.stale:
        return style(paper, mix(inks["land"], inks["stale"], 0.8), True)
    if inks.mono:
        return style(inks["land"], inks["label-ink"], True)
    return style(inks["pill-ink"], paper, True)


def _corner(drawn: Drawn, words: str, rooms: Rooms, ink: Style) -> None:
    text = f" {fit(words, rooms.columns - 2)} " if words and rooms.columns > 8 else ""
    if not text.strip() or rooms.rows < 3:
        return
    for room in pills.corners(rooms.columns, rooms.rows, text):
        if rooms.take(room):
            _put(drawn, rooms.columns, room, text, ink)
            return


def _bar(drawn: Drawn, words: str, rooms: Rooms, ink: Style) -> None:
    if not words or rooms.rows < 5:
        return
    cells = cell_len(words)
    for column in (0, rooms.columns - cells):
        room = Room(rooms.rows - 1, column, cells)
        if rooms.take(room):
            _put(drawn, rooms.columns, room, words, ink)
            return


def _put(drawn: Drawn, columns: int, room: Room, text: str, ink: Style) -> None:
    start = room.row * columns + room.column
    drawn[start] = (text, ink)
    for cell in range(1, room.cells):
        drawn[start + cell] = ("", ink)
