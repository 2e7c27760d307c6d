"""The view: the divider, resizing, themes, terminals without colours."""

import pytest
from picture_files import (
    BLUE,
    CLEAR,
    GREEN,
    RED,
    ViewApp,
    colour_at,
    drawn,
    plain,
    text_of,
    viewing,
)
from textual.content import Content

from support.waiting import wait_until
from tui.common.themes import DAY

SIZE = (40, 20)
"""Of the window: a picture of 60 by 40 takes all of its columns, and 13 rows."""


async def test_the_divider_shows_one_left_and_the_other_right() -> None:
    async with viewing(plain(RED), plain(BLUE), SIZE) as (view, pilot):
        assert view.picture_region.size == (40, 13)
        middle = view.picture_region.y + 6
        assert colour_at(view, 19, middle) == RED
        assert colour_at(view, 21, middle) == BLUE
        assert text_of(view)[middle][20] == "◆"
        assert text_of(view)[middle + 1][20] == "│"
        await pilot.press("left")
        assert colour_at(view, 19, middle) == BLUE
        await pilot.press("right", "right", "right")
        assert colour_at(view, 22, middle) == RED


@pytest.mark.parametrize(("key", "colour"), [("home", BLUE), ("end", RED)])
async def test_at_its_ends_one_is_seen_whole(key: str, colour: tuple[int, int, int]) -> None:
    async with viewing(plain(RED), plain(BLUE), SIZE) as (view, pilot):
        await pilot.press(key)
        rows = range(view.picture_region.y, view.picture_region.bottom)
        assert {colour_at(view, x, y) for x in range(40) for y in rows} == {colour}
        assert not {"◆", "│"} & set("".join(text_of(view)))
        await pilot.press(*["right" if key == "home" else "left"] * 24)
        assert {colour_at(view, 3, y) for y in rows} == {BLUE if colour == RED else RED}


async def test_the_mouse_drags_it() -> None:
    async with viewing(plain(RED), plain(BLUE), SIZE) as (view, pilot):
        middle = view.picture_region.y + 6
        await pilot.mouse_down(view, offset=(30, middle))
        assert colour_at(view, 29, middle) == RED
        await pilot.hover(view, offset=(10, middle))
        await pilot.mouse_up(view, offset=(10, middle))
        assert colour_at(view, 11, middle) == BLUE
        await pilot.hover(view, offset=(35, middle))
        assert colour_at(view, 11, middle) == BLUE, "it was let go"


async def test_moving_it_paints_and_does_not_draw() -> None:
    async with viewing(plain(RED), plain(BLUE), SIZE) as (view, pilot):
        drawings = view.drawings
        await pilot.press(*["left"] * 5)
        assert view.drawings == drawings


async def test_one_alone_has_no_divider() -> None:
    async with viewing(plain(RED), None, SIZE) as (view, pilot):
        await pilot.press("left")
        assert not {"◆", "│"} & set("".join(text_of(view)))
        view.show(plain(RED), plain((*GREEN, 255)))
        await drawn(view)
        assert "◆" in "".join(text_of(view))
        view.show(None, None, Content("nothing here"))
        assert any("nothing here" in line for line in text_of(view))


@pytest.mark.parametrize(
    ("colour", "shape"), [(RED, (1, 1)), (BLUE, (900, 3)), ((*GREEN, 90), (3, 900))]
)
async def test_any_size_of_window_and_any_picture(
    colour: tuple[int, ...], shape: tuple[int, int]
) -> None:
    picture = plain(colour, shape)
    async with viewing(picture, picture, (1, 1)) as (view, pilot):
        for size in ((1, 1), (2, 1), (1, 40), (200, 60)):
            await pilot.resize_terminal(*size)
            await wait_until(lambda size=size: view.size == size)
            await drawn(view)
            await pilot.press("left", "home", "end", "right")
            assert [len(line) for line in text_of(view)] == [size[0]] * size[1]


async def test_resizing_keeps_the_divider_and_never_shows_nothing() -> None:
    async with viewing(plain(RED), plain(BLUE), SIZE) as (view, pilot):
        await pilot.press("end", "left", "left", "left", "left")
        split = view.split
        for size in ((80, 30), (20, 10), (61, 17), (30, 20)):
            await pilot.resize_terminal(*size)
            await wait_until(lambda size=size: view.size == size)
            middle = size[1] // 2
            assert colour_at(view, size[0] // 2, middle) == RED
            await drawn(view)
            assert view.picture_region.width <= size[0]
            assert colour_at(view, size[0] // 2, middle) == RED
        assert view.split == split


async def test_of_many_sizes_in_a_row_not_each_is_drawn() -> None:
    async with viewing(plain(RED), plain(BLUE), SIZE) as (view, pilot):
        before = view.drawings
        for columns in range(41, 121):
            view.styles.width = columns % 40 + 1
            view.refresh(layout=True)
        await pilot.pause()
        await drawn(view)
        assert view.drawings - before < 10


async def test_another_theme_is_another_ground() -> None:
    async with viewing(None, plain(CLEAR), SIZE) as (view, pilot):
        middle = view.picture_region.y + 6
        dark = colour_at(view, 5, middle)
        view.app.theme = DAY.name
        await pilot.pause()
        await drawn(view)
        light = colour_at(view, 5, middle)
        assert dark is not None
        assert light is not None
        assert min(light) > max(dark)


async def test_without_colours_there_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = ViewApp()
    async with app.run_test(size=SIZE) as pilot:
        app.view.show(plain(RED), plain(BLUE), Content("s saves it"))
        await wait_until(lambda: any("s saves it" in line for line in text_of(app.view)))
        app.view.focus()
        await pilot.press("left")
        assert not app.view.compares
