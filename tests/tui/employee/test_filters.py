import re
from pathlib import Path

from kitchen_window import kitchen_window

from support.live_server import LiveServer
from support.news import announce
from support.rest import Rest
from support.room import open_chat
from support.screen import shown
from support.waiting import wait_until
from tui.employee.announcements.panel import EmployeeAnnouncementsPanel
from tui.employee.drivers.panel import DriversPanel
from tui.employee.kitchen.panel import KitchenPanel
from tui.employee.support.panel import SupportPanel


async def test_slash_filters_each_list_and_the_help_at_80x24(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with Rest(demo_server.url) as guest, Rest(demo_server.url) as rest:
        await open_chat(await guest.demo("customer"))
        employee = await rest.demo("employee")
        await announce(employee, title="Crème brûlée is back")
    kinds = (KitchenPanel, DriversPanel, SupportPanel, EmployeeAnnouncementsPanel)
    async with kitchen_window(demo_server.url, tmp_path, (80, 24), kinds) as window:
        app, pilot = window.app, window.pilot

        async def counts(text: str) -> tuple[int, int]:
            """Type it into the filter; how many rows are left, of how many."""
            await pilot.press("slash")
            await wait_until(lambda: type(app.focused).__name__ == "Input", what="the field")
            await pilot.press(*text)
            pattern = re.compile(rf"/ +{re.escape(text)} .*?(\d+) of (\d+)")
            found = await wait_until(lambda: pattern.search(shown(app)), what=f"counts of {text}")
            return int(found[1]), int(found[2])

        for number, text in ((2, "bicycle"), (3, "ana"), (4, "brulee creme")):
            panel = app.panels[number - 1]
            await pilot.press(str(number))
            await wait_until(lambda panel=panel: panel.has_class("-main"), what="the panel")
            await wait_until(lambda: "oading" not in shown(app), what="its rows")
            left, rows = await counts(text)
            assert 0 < left <= rows, (number, text)
            await pilot.press("escape")
            assert (await counts("zzzz"))[0] == 0
            await window.sees("Nothing matches “zzzz”")
            await pilot.press("enter")
            assert type(app.focused).__name__ != "Input"
            await pilot.press("escape")
            await wait_until(lambda: "zzzz" not in shown(app), what="all rows again")
        await pilot.press("1", "s")
        await window.sees("Menu of Curry Leaf", "Idli")
        await counts("vegan lentil")
        await window.sees("Masala dosa", "Dal tadka")
        await wait_until(lambda: "naan" not in shown(app), what="only those")
        await pilot.press("escape", "escape", "ctrl+p")
        await wait_until(lambda: type(app.focused).__name__ == "CommandInput", what="the palette")
        await pilot.press(*"idli")
        await window.sees("Dish Idli")
        await pilot.press("down", "enter")
        await window.sees("Four steamed rice cakes")
        y = next(at for at, line in enumerate(shown(app).split("\n")) if "space sold out" in line)
        await pilot.click(offset=(shown(app).split("\n")[y].index("space sold"), y))
        await window.sees("Idli: sold out.")
        await pilot.click(offset=(shown(app).split("\n")[y].index("/ filter"), y))
        await wait_until(lambda: type(app.focused).__name__ == "Input", what="the filter")
        await pilot.press("escape", "escape")
        await pilot.press("question_mark")
        left, keys = await counts("night")
        assert (left, keys > 20) == (1, True)
        await window.sees("day / night")
        await pilot.press("escape", "escape")
        await wait_until(lambda: len(app.screen_stack) == 1, what="the help closed")
