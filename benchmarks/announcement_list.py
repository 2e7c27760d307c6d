"""A key in the list of 2,000 announcements: the processor time until its frame is drawn.

`python -m benchmarks.announcement_list [ANNOUNCEMENTS]`. The list is real, in an app without a
terminal, as large as a panel and as large as a window. What a key costs that does nothing is
subtracted.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from textual.app import ComposeResult
from textual.screen import Screen

from benchmarks._terminal import machine
from server.features.announcements.schemas import AnnouncementPage, ReadAnnouncement
from tui.common.announcements.list import ROW_LINES, AnnouncementList
from tui.common.announcements.model import AnnouncementStore
from tui.common.base_app import BaseApp
from tui.common.panel_grid import MainScreen
from tui.common.themes import NIGHT

ANNOUNCEMENTS = 2_000
SIZES = ((78, 20), (98, 26), (158, 44))
"""Of the list where its panel fills a terminal of 80x24, 100x30 and 160x48."""
KEYS = 60
FRAME_SECONDS = 0.05
LIMIT_MS = 5.0
BODY = "The lift is out of order: please hand the orders over at the back door until tonight."


def page_of(count: int, now: datetime) -> AnnouncementPage:
    """Announcements, a minute apart, every other one read."""
    items = [
        ReadAnnouncement.model_validate(
            {
                "id": f"ann_{number:022d}",
                "title": f"Announcement number {number}",
                "body": BODY,
                "severity": "info",
                "audience": "everyone",
                "published_at": now - timedelta(minutes=number),
                "by": {"id": "acc_maya", "name": "Maya", "role": "employee"},
                "acknowledged": number % 2 == 0,
            }
        )
        for number in range(count)
    ]
    return AnnouncementPage(items=items, next=None, cursor="c")


class Window(BaseApp):
    """The list alone."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_theme(NIGHT)
        self.theme = NIGHT.name
        store = AnnouncementStore()
        store.put_first_page(page_of(count, datetime.now(UTC)), datetime.now(UTC))
        self.rows = AnnouncementList(store, lambda: datetime.now(UTC))

    def get_default_screen(self) -> Screen[object]:
        """The one that the apps have."""
        return MainScreen(id="_default")

    def compose(self) -> ComposeResult:
        """The list."""
        yield self.rows


async def cost(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of processor time, until after the next frame."""
    began = time.thread_time()
    await work()
    await asyncio.sleep(FRAME_SECONDS)
    return (time.thread_time() - began) * 1000


async def measure(count: int, size: tuple[int, int]) -> bool:
    """Print the figures; whether each key is within the limit."""
    app = Window(count)
    async with app.run_test(size=size) as pilot:
        rows = app.rows
        rows.focus()
        rows.update_lines()
        await pilot.pause()

        async def keys(key: str, times: int = KEYS) -> float:
            return median([await cost(lambda: pilot.press(key)) for _ in range(times)])

        in_view = size[1] // ROW_LINES - 2
        nothing = await keys("f12")
        took = {"down": await keys("down", in_view)}
        await keys("down", 3)
        took["down, scrolling"] = await keys("down")
        await keys("up", in_view + 3)
        took["up, scrolling"] = await keys("up")
        took["pgdn"] = await keys("pagedown")
        took["pgup"] = await keys("pageup")
        ends = [await keys(key, 1) for _ in range(KEYS // 6) for key in ("end", "home")]
        took["end or home"] = median(ends)
        unchanged = median([await cost(lambda: _update(rows)) for _ in range(KEYS)])
    took = {key: ms - nothing for key, ms in took.items()}
    slowest = max(took.values())
    print(
        f"{size[0]}x{size[1]}: "
        + ", ".join(f"{key} {ms:.1f}" for key, ms in took.items())
        + f" ms, when nothing has changed {unchanged:.1f} ms (of each {nothing:.1f} ms more are "
        f"Textual's for any key): {'within' if slowest < LIMIT_MS else 'OVER'} the {LIMIT_MS:g} ms "
        "allowed"
    )
    return slowest < LIMIT_MS


async def _update(rows: AnnouncementList) -> None:
    rows.update_lines()


def main() -> int:
    """Returns 1 where a key takes longer than allowed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ANNOUNCEMENTS
    print(f"{machine()}; {count:,} announcements")
    within = [asyncio.run(measure(count, size)) for size in SIZES]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
