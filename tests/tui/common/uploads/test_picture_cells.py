"""How pictures become cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import BLUE, CLEAR, GREEN, RED, halves, plain, saved
from PIL import Image

from tui.common.uploads.bitmap import decode
from tui.common.uploads.cells import Cells, Paper, draw, fitted_size

PAPER: Paper = ((10, 10, 10), (50, 50, 50))
PLAIN: Paper = ((10, 10, 10), (10, 10, 10))
sides = st.integers(1, 30_000)
cells = st.integers(1, 400)


def grounds(drawn: Cells) -> list[list[tuple[int, ...]]]:
    return [
        [tuple(style.bgcolor.triplet) for _, style in row]  # type: ignore[union-attr, arg-type]
        for row in drawn.rows
    ]


@given(sides, sides, cells, cells)
def test_it_fits_whole_and_fills_one_side(wide: int, high: int, columns: int, rows: int) -> None:
    across, down = fitted_size(wide, high, columns, rows)
    assert 1 <= across <= columns
    assert 1 <= down <= rows
    assert across == columns or down == rows


@given(st.integers(20, 2000), st.integers(20, 2000))
def test_its_shape_stays(wide: int, high: int) -> None:
    across, down = fitted_size(wide, high, 400, 400)
    assert abs(across / (2 * down) - wide / high) <= 0.6 * (wide / high) * (1 / across + 1 / down)


@pytest.mark.parametrize("box", [(0, 5), (5, 0), (-1, 5)])
def test_without_room_there_is_no_picture(box: tuple[int, int]) -> None:
    assert fitted_size(10, 10, *box) == (0, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (200, 1), (159, 47), (300, 100)])
def test_every_size_has_as_many_cells_as_asked_for(size: tuple[int, int]) -> None:
    drawn = draw(halves(RED, BLUE), *size, PAPER)
    assert (drawn.columns, len(drawn.rows)) == size
    assert {len(row) for row in drawn.rows} == {size[0]}


def test_a_colour_stays_that_colour() -> None:
    drawn = draw(plain(RED), 6, 4, PAPER)
    assert {one for row in grounds(drawn) for one in row} == {RED}


def test_an_edge_between_two_columns_of_dots_is_sharp() -> None:
    drawn = draw(halves((0, 0, 0), (255, 255, 255)), 3, 2, PAPER)  # six dots across
    char, style = drawn.rows[0][1]
    assert char == "▐"
    assert style.color is not None
    assert style.bgcolor is not None
    assert tuple(style.color.triplet or ()) > (200, 200, 200)
    assert tuple(style.bgcolor.triplet or ()) < (60, 60, 60)


def test_the_ground_is_seen_through_what_is_transparent() -> None:
    clear = plain(CLEAR)
    chequered = grounds(draw(clear, 8, 4, PAPER))
    assert chequered[0] == [PAPER[0]] * 2 + [PAPER[1]] * 2 + [PAPER[0]] * 2 + [PAPER[1]] * 2
    assert chequered[1] == [PAPER[1]] * 2 + [PAPER[0]] * 2 + [PAPER[1]] * 2 + [PAPER[0]] * 2
    assert {one for row in grounds(draw(clear, 8, 4, PLAIN)) for one in row} == {PLAIN[0]}
    half = grounds(draw(plain((*GREEN, 128)), 4, 2, PLAIN))[0][0]
    assert all(min(a, b) < c < max(a, b) for a, b, c in zip(GREEN, PLAIN[0], half, strict=True))


def test_what_is_hidden_under_transparency_does_not_shine_through_at_edges() -> None:
    picture = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 20, 40))
    for row in draw(decode(saved(picture)), 7, 7, PLAIN).rows:
        for _, style in row:
            assert style.color is not None
            assert max(style.color.triplet or (0,)) <= 20
