from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App, ComposeResult
from textual.content import Content
from textual.events import MouseDown, MouseUp, Paste
from textual.geometry import Region

from support.screen import shown
from support.waiting import wait_until
from tui.common.themes import NIGHT
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList


class Names(RowList):
    """Names, of which those in `gone` cannot be selected."""

    def __init__(self) -> None:
        super().__init__()
        self.names = [f"row {number}" for number in range(30)]
        self.versions: dict[str, int] = {}
        self.gone: set[str] = set()
        self.drawn: list[str] = []
        self.searched: list[int] = []
        self.repainted: list[int] = []
        self.message = Content("Nothing here.")

    def row_ids(self) -> Sequence[str]:
        return self.names

    def filter_key(self, index: int) -> str:
        self.searched.append(index)
        return self.names[index]

    def selectable(self, index: int) -> bool:
        return self.names[index] not in self.gone

    def row_key(self, index: int) -> object:
        return self.names[index], self.versions.get(self.names[index])

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        name = self.names[index]
        self.drawn.append(name)
        return [Content(f"{name}{self.versions.get(name, ''):>{width - len(name)}}")]

    def refresh(self, *regions: Region, **options: Any) -> "Names":
        self.repainted += [region.y for region in regions] or [-1]
        super().refresh(*regions, **options)
        return self


class Window(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.selected: list[str | None] = []

    def compose(self) -> ComposeResult:
        yield Names()
        yield FilterField()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return NIGHT.variables

    def on_option_list_option_selected(self, event: RowList.OptionSelected) -> None:
        self.selected.append(event.option_id)


@asynccontextmanager
async def names_shown() -> Any:
    app = Window()
    async with app.run_test(size=(40, 13)) as pilot:
        rows = app.query_one(Names)
        rows.redraw()
        rows.focus()
        await pilot.pause()
        yield rows, pilot


def lines(rows: Names) -> list[str]:
    return [rows.render_line(y).text.rstrip() for y in range(rows.size.height)]


async def test_the_highlight_stays_on_its_row_when_rows_come_and_go() -> None:
    async with names_shown() as (rows, pilot):
        await pilot.press("down", "down")
        assert rows.highlighted_id == "row 2"
        rows.names = ["new", *rows.names]
        rows.redraw()
        assert (rows.highlighted_id, rows.highlighted) == ("row 2", 3)
        rows.names = [name for name in rows.names if name != "row 2"]
        rows.redraw()
        assert rows.highlighted_id == "row 3", "the one that took its place"
        rows.names = []
        rows.redraw()
        assert rows.highlighted is None
        assert any("Nothing here." in line for line in lines(rows))


async def test_the_list_does_not_scroll_when_a_row_comes_in_above() -> None:
    async with names_shown() as (rows, pilot):
        await pilot.press("end", *["up"] * 4)
        await pilot.pause()
        offset = rows.scroll_offset.y
        assert offset
        rows.names = ["new", *rows.names]
        rows.redraw()
        await pilot.pause()
        assert rows.scroll_offset.y == offset
        assert rows.highlighted_id == "row 25"


async def test_rows_added_at_the_end_leave_highlight_and_scroll_alone() -> None:
    async with names_shown() as (rows, pilot):
        await pilot.press("end")
        await pilot.pause()
        before = rows.scroll_offset.y, rows.highlighted
        rows.names = [*rows.names, "older"]
        rows.redraw()
        await pilot.pause()
        assert (rows.scroll_offset.y, rows.highlighted) == before
        assert rows.rows_to_end == 1


async def test_only_a_row_that_has_changed_is_repainted_and_drawn() -> None:
    async with names_shown() as (rows, pilot):
        rows.drawn.clear()
        rows.repainted.clear()
        rows.versions["row 4"] = 7
        rows.versions["row 29"] = 7  # out of view
        rows.redraw()
        await pilot.pause()
        assert rows.repainted == [4]
        assert rows.drawn == ["row 4"]
        rows.redraw()
        assert rows.repainted == [4]
        await pilot.press("end")
        await pilot.pause()
        assert lines(rows)[-1].startswith("row 29 ")
        assert lines(rows)[-1].endswith(" 7")


async def test_keys_pass_over_rows_that_cannot_be_selected() -> None:
    async with names_shown() as (rows, pilot):
        rows.gone = {"row 0", "row 1", "row 3"}
        rows.redraw()
        assert rows.highlighted_id == "row 2"
        await pilot.press("down")
        assert rows.highlighted_id == "row 4"
        await pilot.press("up", "up")
        assert rows.highlighted_id == "row 2"


async def test_arrow_keys_at_an_end_are_left_to_the_screen() -> None:
    async with names_shown() as (rows, pilot):
        passed: list[str] = []
        rows.app.bind("down", "bell")
        rows.app.bell = lambda: passed.append("down")
        await pilot.press("end", "down")
        assert rows.highlighted_id == "row 29", "it does not wrap around"
        assert passed == ["down"]


async def test_rows_are_drawn_for_the_new_width_after_a_resize() -> None:
    async with names_shown() as (rows, pilot):
        rows.versions["row 0"] = 7
        rows.redraw()
        await pilot.resize_terminal(24, 13)
        await pilot.pause()
        assert len(rows.render_line(0).text.rstrip()) == rows.scrollable_content_region.width


async def test_a_click_on_the_highlighted_row_is_enter_unless_it_brings_the_focus() -> None:
    async with names_shown() as (rows, pilot):
        await pilot.press("down", "enter")
        await pilot.click(Names, offset=(3, 5))
        assert rows.highlighted_id == "row 5"
        assert rows.app.selected == ["row 1"]
        await pilot.click(Names, offset=(3, 5))
        assert rows.app.selected == ["row 1", "row 5"]
        y = rows.content_region.y + 5
        for kind, x in ((MouseDown, 3), (MouseUp, 9)):  # as from a terminal: a click comes of both
            at = rows.content_region.x + x
            rows.app.post_message(kind(None, at, y, 0, 0, 1, False, False, False, at, y))
        await pilot.pause()
        assert rows.app.selected == ["row 1", "row 5"], "a drag is no click"
        rows.blur()
        await pilot.pause()
        await pilot.click(Names, offset=(3, 5))
        assert rows.has_focus
        assert rows.app.selected == ["row 1", "row 5"]


async def test_a_filter_shows_the_rows_that_match_until_it_is_cleared() -> None:
    async with names_shown() as (rows, pilot):
        await pilot.press(*["down"] * 12)
        style = next(iter(rows.render_line(10))).style
        await pilot.press("slash", *"1")
        assert next(iter(rows.render_line(1))).style == style, "where it moves, cells stay"
        assert [option.id for option in rows.options][:3] == ["row 1", "row 10", "row 11"]
        assert rows.highlighted_id == "row 12"
        await pilot.press(*"9")
        assert [option.id for option in rows.options] == ["row 19"]
        assert (rows.highlighted, rows.highlighted_index) == (0, 19)
        assert lines(rows)[0] == "row 19"
        await pilot.press("enter")
        assert rows.has_focus
        rows.versions["row 19"] = 7
        rows.redraw()
        await pilot.pause()
        assert lines(rows)[0].endswith(" 7"), "a filtered row stays current"
        await pilot.press("enter", "escape")
        assert rows.app.selected == ["row 19"]
        assert rows.option_count == 30
        assert rows.highlighted_id == "row 19"
        assert not rows.app.query_one(FilterField).display


async def test_what_a_filter_searches_is_ready_before_its_first_key_and_follows_the_data() -> None:
    async with names_shown() as (rows, pilot):
        rows.names = [f"row {number}" for number in range(2000)]
        rows.redraw()
        await pilot.press("slash")
        await wait_until(lambda: 1999 in rows.searched, what="all rows read")
        await pilot.press(*"199", "backspace")
        assert rows.option_count == len([name for name in rows.names if "19" in name])
        assert rows.searched.count(1999) == 1, "a key reads no row again"
        rows.names[0] = "1900"
        rows.redraw()
        assert rows.options[0].id == "1900"


async def test_a_filter_without_matches_says_how_to_clear_it() -> None:
    async with names_shown() as (rows, pilot):
        await pilot.press("slash", *"[b]x")
        assert any("Nothing matches “[b]x”." in line for line in lines(rows))
        await pilot.press("escape")
        assert rows.option_count == 30
        assert rows.has_focus


async def test_a_filter_finds_all_words_whatever_their_case_accents_and_script() -> None:
    async with names_shown() as (rows, pilot):
        field = rows.app.query_one(FilterField)
        rows.names = ["Crème brûlée", "creme fraiche", "مُطْعَم", "青咖喱", "Łódź Straße"]
        rows.redraw()
        for words, found in (
            ("BRULEE creme", ["Crème brûlée"]),
            ("crème", ["Crème brûlée", "creme fraiche"]),
            ("مطعم", ["مُطْعَم"]),
            ("咖喱", ["青咖喱"]),
            ("lodz STRASSE", ["Łódź Straße"]),
        ):
            field.open(rows)
            await pilot.pause()
            rows.app.focused.post_message(Paste(words))
            await wait_until(lambda found=found: [one.id for one in rows.options] == found)
            await wait_until(lambda found=found: f"{len(found)} of 5" in shown(rows.app))
            await pilot.press("enter")
            assert rows.has_focus
            await pilot.press("escape")
        await pilot.press("slash", "c", "r")
        rows.names = ["new crumble", "new apple", *rows.names]
        rows.redraw()
        await wait_until(lambda: "3 of 7" in shown(rows.app), what="the count follows the news")
