"""Who brings an order."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.schemas import Driver
from tui.common.client.errors import ClientTrouble
from tui.common.screens.modal import Modal
from tui.common.text import fit, plain
from tui.common.widgets.too_small import TooSmall

NAME_CELLS = 24
VEHICLE_CELLS = 10


class DriverScreen(Modal[str]):
    """Answers a driver's id; the one who carries least stands first and is chosen by enter."""

    DEFAULT_CSS = """
    DriverScreen {
        & > .box { width: 64; }
        & #words { height: auto; color: $title; margin-bottom: 1; }
        & OptionList { max-height: 12; }
    }
    """
    AUTO_FOCUS = "OptionList"

    def __init__(self, order: Order, verb: str) -> None:
        super().__init__()
        self._order, self._verb = order, verb
        self._drivers: list[Driver] = []

    def compose(self) -> ComposeResult:
        """A line of words and the roster."""
        with Vertical(classes="box") as box:
            box.border_title = Content(f"{self._verb} #{self._order.number}?")
            box.border_subtitle = "enter chooses · esc closes"
            yield Static("Looking who is free …", id="words", markup=False)
            roster = OptionList(id="drivers")
            roster.styles.height = "auto"
            yield roster
        yield TooSmall()

    def on_mount(self) -> None:
        """Ask for the roster."""
        self.run_worker(self._load(), group="drivers", exit_on_error=True)

    async def _load(self) -> None:
        words = self.query_one("#words", Static)
        try:
            drivers = await self.tiffin.api.drivers()
        except ClientTrouble as trouble:
            words.update(f"{plain(trouble.words)} Close this with esc and try again.")
            return
        self._drivers = by_load(drivers)
        if not self._drivers:
            words.update("This restaurant has no drivers, so nobody can bring it.")
            return
        leaving = self._order.status is OrderStatus.READY
        where = plain(self._order.address.text)
        words.update(fit(f"{'Goes out now to' if leaving else 'To'} {where}", 58))
        now = self._order.driver.id if self._order.driver else None
        roster = self.query_one(OptionList)
        roster.add_options([Option(driver_line(one, one.id == now)) for one in self._drivers])
        roster.highlighted = 0
        roster.focus()

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._drivers[event.option_index].id)


def by_load(drivers: Sequence[Driver]) -> list[Driver]:
    """Who carries least first; among equals by name."""
    return sorted(drivers, key=lambda driver: (len(driver.carrying), driver.name.casefold()))


def driver_line(driver: Driver, present: bool) -> Content:
    """Name, vehicle, and what is in their hands; `present` marks who has the order now."""
    load = ", ".join(f"#{order.number}" for order in driver.carrying[:3])
    if len(driver.carrying) > 3:
        load += f" and {len(driver.carrying) - 3} more"
    name = fit(driver.name, NAME_CELLS - (4 if present else 0))
    mark = " now" if present else ""
    gap = " " * (NAME_CELLS - cell_len(name) - len(mark))
    carries = (f"carries {load}", "$wire-ink") if load else ("free", "$success")
    vehicle = fit(driver.vehicle, VEHICLE_CELLS, pad=True)
    return Content.assemble(
        (name, "bold"), (mark, "$primary"), gap, " ", (vehicle, "$title"), " ", carries
    )
