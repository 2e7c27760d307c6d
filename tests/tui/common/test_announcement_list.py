"""The list of announcements: a key costs no more where there are many."""

from datetime import UTC, datetime, timedelta

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.scrollbar import ScrollBar

from server.features.announcements.schemas import AnnouncementPage, ReadAnnouncement
from support.screen import shown
from tui.common.announcements import format as announcement_text
from tui.common.announcements.list import AnnouncementList
from tui.common.announcements.model import AnnouncementStore
from tui.common.themes import NIGHT
from tui.common.widgets.scroll_bar import ThinScrollBar

MANY = 2000
ROWS_IN_VIEW = 8
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def announcement(number: int) -> ReadAnnouncement:
    """The one of that number, newest first."""
    return ReadAnnouncement.model_validate(
        {
            "id": f"ann_{number:022d}",
            "title": f"Number {number}",
            "body": "First line.\n\nLast line.",
            "severity": "info",
            "audience": "everyone",
            "published_at": START - timedelta(minutes=number),
            "by": {"id": "acc_maya", "name": "Maya", "role": "employee"},
            "acknowledged": True,
        }
    )


class Window(App[None]):
    """The list alone."""

    def __init__(self) -> None:
        super().__init__()
        self.store = AnnouncementStore()
        items = [announcement(number) for number in range(MANY)]
        page = AnnouncementPage(items=items, next=None, cursor="c")
        self.store.put_first_page(page, START)
        self.now = START

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return NIGHT.variables

    def compose(self) -> ComposeResult:
        yield AnnouncementList(self.store, lambda: self.now)


async def test_a_key_formats_no_more_than_what_comes_into_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    formatted: list[str] = []
    head_line = announcement_text.head_line

    def counted(one: ReadAnnouncement, *args: object, **more: object) -> object:
        formatted.append(one.title)
        return head_line(one, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(announcement_text, "head_line", counted)
    app = Window()
    async with app.run_test(size=(60, 3 * ROWS_IN_VIEW)) as pilot:
        rows = app.query_one(AnnouncementList)
        rows.focus()
        rows.update_lines()
        await pilot.pause()
        assert set(formatted) == {f"Number {number}" for number in range(ROWS_IN_VIEW)}
        formatted.clear()
        await pilot.press("down", "down")
        assert formatted == []
        await pilot.press("end")
        assert rows.at_cursor == app.store.at(MANY - 1)
        assert f"Number {MANY - 1}" in shown(app)
        assert len(set(formatted)) <= ROWS_IN_VIEW + 1
        await pilot.press("space")
        assert "Last line." in shown(app)
        formatted.clear()
        assert app.store.add(announcement(MANY), START)
        rows.update_lines()
        await pilot.pause()
        assert len(formatted) <= 1
        assert rows.at_cursor == app.store.at(MANY)


async def test_only_what_looks_different_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Window()
    async with app.run_test(size=(60, 3 * ROWS_IN_VIEW)) as pilot:
        rows = app.query_one(AnnouncementList)
        rows.focus()
        rows.update_lines()
        await pilot.pause()
        painted: list[int] = []
        refresh = rows.refresh

        def record(*regions: Region, **how: bool) -> object:
            for region in regions or (rows.size.region,):
                painted.extend(region.line_range)
            return refresh(*regions, **how)

        monkeypatch.setattr(rows, "refresh", record)
        rows.update_lines()
        await pilot.pause()
        assert painted == [], "nothing is another"
        await pilot.press("down")
        assert set(painted) == set(range(6)), "the two that the cursor was and is on"
        painted.clear()
        app.now += timedelta(seconds=61)
        rows.update_lines()
        await pilot.pause()
        assert "Number 0" in shown(app)
        assert "1m" in shown(app).split("\n")[0]


async def test_the_scroll_bar_is_textuals() -> None:
    app = Window()
    async with app.run_test(size=(60, 3 * ROWS_IN_VIEW)) as pilot:
        rows = app.query_one(AnnouncementList)
        rows.focus()
        rows.update_lines()
        for key in ("home", "pagedown", "end"):
            await pilot.press(key)
            await pilot.pause()
            bar = rows.vertical_scrollbar
            assert isinstance(bar, ThinScrollBar)
            drawn, stock = (
                [
                    [
                        (
                            one.text,
                            one.style and (one.style.color, one.style.bgcolor, one.style.meta),
                        )
                        for one in line
                    ]
                    for line in lines
                ]
                for lines in (
                    bar.render_lines(bar.size.region),
                    ScrollBar.render_lines(bar, bar.size.region),
                )
            )
            assert drawn == stock
