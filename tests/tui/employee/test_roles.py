"""The employee's app of support, and of an employee who does not share the support desk."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.cast import Cast, cast_of, log_in_support
from support.live_server import LiveServer, running_server, settings_for
from support.news import announce
from support.rest import Rest
from support.room import open_chat
from support.screen import Window
from support.waiting import wait_until
from tui.common.announcements.panel import AnnouncementsPanel
from tui.common.panel import Panel
from tui.common.wire.panel import WirePanel
from tui.employee.announcements.panel import EmployeeAnnouncementsPanel
from tui.employee.app import EmployeeApp
from tui.employee.drivers.panel import DriversPanel
from tui.employee.kitchen.panel import KitchenPanel
from tui.employee.support.panel import SupportPanel
from tui.employee.uploads import DishPhotoPanel

pytestmark = pytest.mark.usefixtures("few_frames")


@pytest.fixture
async def apart(data_dir: Path) -> AsyncIterator[LiveServer]:
    """A server where employees do not share the support desk."""
    async with running_server(settings_for(data_dir, shared_support=False)) as server:
        yield server


@pytest.fixture
async def cast(apart: LiveServer) -> AsyncIterator[Cast]:
    """Everybody who may call it."""
    async with cast_of(apart) as found:
        yield found


@asynccontextmanager
async def window_of(
    who: Rest, folder: Path, kinds: Sequence[type[Panel]] = ()
) -> AsyncIterator[Window]:
    """The app of that account, with the panels of `kinds` if there are any."""
    app = EmployeeApp(who.base_url, tokens=await who.keep_in(folder / "tokens.json"))
    if kinds:
        app.panel_classes = lambda: kinds  # type: ignore[method-assign]
    async with app.run_test(size=(160, 48), notifications=True) as pilot:
        await wait_until(lambda: app.panels and app.focused, what="the panels")
        yield Window(app, pilot)


async def test_support_gets_the_desk_and_nothing_of_a_kitchen(
    apart: LiveServer, cast: Cast, tmp_path: Path
) -> None:
    chat = await open_chat(cast.customer)
    support = await log_in_support(apart, cast.nobody)
    await announce(support, title="Rain at noon")
    async with window_of(support, tmp_path) as window:
        app, pilot = window.app, window.pilot
        kinds = [type(panel) for panel in app.panels]
        assert kinds == [SupportPanel, EmployeeAnnouncementsPanel, WirePanel]
        await window.sees("tiffin  support", "Rain at noon", "Ana")
        await pilot.press("enter")

        async def taken() -> bool:
            return "employee" in (await cast.customer.get(f"/chats/{chat}")).json

        await wait_until(taken, what="the chat is claimed")
        assert (await cast.customer.get(f"/chats/{chat}")).json["employee"]["role"] == "support"


async def test_an_employee_without_the_desk_has_the_rest_and_is_told_why(
    apart: LiveServer, cast: Cast, tmp_path: Path
) -> None:
    support = await log_in_support(apart, cast.nobody)
    await announce(support, title="Rain at noon")
    async with window_of(cast.employee, tmp_path) as window:
        kinds = [type(panel) for panel in window.app.panels]
        assert kinds == [KitchenPanel, DriversPanel, AnnouncementsPanel, DishPhotoPanel, WirePanel]
        await window.sees("Rain at noon")
    # As where the setting was changed while the app was open.
    employee = await cast.nobody.another().log_in(cast.place.employees[0], cast.employee.password)
    async with window_of(employee, tmp_path, (SupportPanel, EmployeeAnnouncementsPanel)) as window:
        await window.sees("support staff only.", "Only support sees what is announced")
        await window.pilot.press("enter", "w", "2", "n")
        assert window.app.return_code is None
