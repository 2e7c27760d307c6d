"""Text of others that looks like markup, wherever the apps show it: read as it was written."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from server.features.accounts.administration import add_employee
from server.features.restaurants.schemas import NewRestaurant
from server.features.restaurants.service import add_driver, add_restaurant
from support.live_server import LiveServer
from support.news import announce
from support.rest import Rest
from support.screen import sees, shown, steering, told
from support.town import PASSWORD, database_in
from support.waiting import wait_until
from tui.common.app import TiffinApp
from tui.common.client.token_store import TokenStore
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.sanitize import plain
from tui.common.uploads.dialogs import PickScreen
from tui.customer.app import CustomerApp
from tui.employee.app import EmployeeApp

pytestmark = pytest.mark.usefixtures("few_frames")

NASTY = r"[/x] [red] [@click=a] \["
SENT = "\u200f" + NASTY.replace("red", "r\u200de\u200bd") + "\u3164\u2060"
"""How it is sent: with what takes no room and what makes rows of unsure length."""
SIZE = (180, 50)


@pytest.fixture
async def town(live_server: LiveServer) -> AsyncIterator[Rest]:
    """A town where everything is called that: an employee of it, by REST."""
    async with database_in(live_server.settings.data_dir) as database:
        place = NewRestaurant(name=SENT, cuisine=SENT, address=SENT, lat=48.86, lng=2.36)
        place_id = await add_restaurant(database, place)
        await add_employee(database, "mo@example.com", PASSWORD, SENT, place_id)
        driver_id = await add_driver(database, place_id, SENT, "bike", None)
    async with Rest(live_server.url) as rest:
        employee = await rest.log_in("mo@example.com", PASSWORD)
        dish = {"name": SENT, "description": SENT, "price_cents": 900}
        dish_id = (await employee.post(f"/restaurants/{place_id}/menu", dish)).must(201).json["id"]
        customer = await employee.another().register("ana@example.com", PASSWORD, SENT)
        order = {
            "restaurant_id": place_id,
            "items": [{"menu_item_id": dish_id, "quantity": 1, "note": SENT}],
            "address": {"text": SENT, "lat": 48.85, "lng": 2.35},
            "note": SENT,
        }
        ways: dict[str, list[dict[str, Any]]] = {
            "cancelled": [{"status": "cancelled", "reason": SENT}],
            "on its way": [
                *({"status": status} for status in ("accepted", "preparing", "ready")),
                {"status": "out_for_delivery", "driver_id": driver_id},
            ],
            "accepted": [{"status": "accepted"}],
            "placed": [],
        }
        for steps in ways.values():
            order_id = (await customer.post("/orders", order)).must(201).json["id"]
            for step in steps:
                (await employee.post(f"/orders/{order_id}/status", step)).must(200)
        (await customer.post("/chats", {"subject": SENT, "order_id": order_id})).must(201)
        await announce(employee, title=SENT, body=SENT)
        await announce(employee, title=f"{SENT}!", body=SENT, severity="critical")
        yield employee


class Window:
    """An app at work, and what is seen in it."""

    def __init__(self, app: TiffinApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def box(self) -> str:
        """What is seen of the dialog in front; a field holds its text as it will be sent."""
        return plain(self._part(self.app.screen.query_one(".box").region), newlines=True)

    def _part(self, region: Region) -> str:
        whole = shown(self.app)
        assert not steering(whole)
        lines = whole.split("\n")[region.y : region.bottom]
        return "\n".join(line[region.x : region.right] for line in lines)

    async def come_in(self, email: str) -> None:
        """Log in."""
        await wait_until(lambda: len(self.app.screen_stack) > 1 and self.app.focused)
        self.app.screen.query_one("#email", Input).value = email
        self.app.screen.query_one("#password", Input).value = PASSWORD
        self.app.screen.query_one("#log-in").press()  # type: ignore[attr-defined]
        await wait_until(lambda: len(self.app.panels) and len(self.app.screen_stack) == 1)

    async def panels(self, *numbers: int) -> None:
        """See it in each of those panels, in front of the others."""
        for number in numbers:
            await self.pilot.press("escape", str(number))
            panel = self.app.panels[number - 1]
            await wait_until(
                lambda panel=panel: (
                    self.app.grid.main is panel and NASTY in self._part(panel.region)
                ),
                what=f"{NASTY} in panel {number}",
            )

    async def dialog(self, *keys: str, panel: int) -> None:
        """See it in the dialog that those keys open, and close that."""
        await self.pilot.press("escape", str(panel))
        await self.pilot.press(*keys)
        await wait_until(lambda: self.app.screen.query(".box"), what=f"the dialog of {keys}")
        await wait_until(lambda: NASTY in self.box, what=f"{NASTY} in the dialog of {keys}")
        await self.alone()

    async def palette(self) -> None:
        """See every command as it is called, and find one by its letters."""
        expected = {
            (one.title, f"\n{plain(one.help)}")
            for one in self.app.get_system_commands(self.app.screen)
        }
        assert any(NASTY in help_text for _, help_text in expected)
        await self.pilot.press("ctrl+p")
        listed = self.app.screen.query_one(OptionList)

        def prompts() -> set[str]:
            return {option.prompt.plain for option in listed.options}  # type: ignore[union-attr]

        def all_listed() -> bool:
            """Each with its key, if it has one, between name and help."""
            return all(
                any(one.startswith(name) and one.endswith(help_text) for one in prompts())
                for name, help_text in expected
            )

        await wait_until(all_listed, what="all commands")
        await self.pilot.press(*"ann")
        await wait_until(lambda: 0 < len(prompts()) < len(expected), what="those of announcements")
        await self.pilot.press("escape")
        await wait_until(lambda: len(self.app.screen_stack) == 1)

    async def commands(self, *telling: str) -> None:
        """Do those that quote it, and those `telling`, in whose dialogs it is seen."""
        titles = {
            one.title
            for one in self.app.get_system_commands(self.app.screen)
            if NASTY in one.help or one.title in telling
        }
        for title in sorted(titles):
            for command in list(self.app.get_system_commands(self.app.screen)):
                if command.title == title:
                    self.app.call_later(command.callback)
                    await self.pilot.pause()
                    if title in telling:
                        await wait_until(
                            lambda: self.app.screen.query(".box") and NASTY in self.box,
                            what=f"{NASTY} in the dialog of {title}",
                        )
                    await self.alone()
        assert set(telling) <= titles

    async def alone(self) -> None:
        """Close all dialogs."""
        while len(self.app.screen_stack) > 1:
            await self.pilot.press("escape")

    async def shared(self) -> None:
        """See it in what both apps have in common: toasts, questions, the edges of a panel."""
        self.app.notify(SENT, title=f"{SENT} toast", markup=True)
        await told(self.app, f"{NASTY} toast {NASTY}")
        await sees(self.app, f"{NASTY} toast")

        def headline_is_seen() -> bool:
            # Each time anew: the panels write their own every few seconds.
            self.app.set_headline(f"{SENT} headline")
            return f"{NASTY} headline" in shown(self.app)

        await wait_until(headline_is_seen, what="the headline")
        question = ConfirmScreen(SENT, f"{SENT}?", yes="Yes", no=f"{SENT}n")
        await self.app.push_screen(question)
        await sees(self.app, f"─ {NASTY} ─", f"{NASTY}?", f"{NASTY}n")
        await self.alone()
        await self.app.push_screen(PickScreen(SENT))
        await sees(self.app, f"─ {NASTY} ─", "esc closes")
        assert not steering(shown(self.app))
        await self.alone()

    def keeps_parsed_styles(self) -> None:
        """With one more than it keeps, each further dialog would have all of them parsed anew."""
        sheet = self.app.stylesheet
        assert 64 < len(sheet.source) < sheet._parse_cache.maxsize


async def test_a_customer_reads_it_as_it_was_written(town: Rest, tmp_path: Path) -> None:
    app = CustomerApp(town.base_url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        window = Window(app, pilot)
        await window.come_in("ana@example.com")
        await told(app, f"{NASTY}!")
        await window.panels(1, 2, 3, 4)
        await window.palette()
        await window.commands(
            "Account", "Ask support", "Cancel the order", "New order", "Order details", "Your chats"
        )
        await window.shared()
        window.keeps_parsed_styles()


async def test_an_employee_reads_it_as_it_was_written(town: Rest, tmp_path: Path) -> None:
    app = EmployeeApp(town.base_url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        window = Window(app, pilot)
        await window.come_in("mo@example.com")
        await window.panels(1, 2, 3, 4)
        await window.palette()
        for key in ("space", "enter", "R", "s"):
            await window.dialog(key, panel=1)
        await window.dialog("a", panel=2)
        await window.commands("Account", "Assign an order to the driver", "Menu and sold out")
        await window.shared()
        window.keeps_parsed_styles()
