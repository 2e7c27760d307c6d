"""The kitchen's dialogs: minutes, reason, driver, and a whole order."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.schemas import Driver
from server.text import shows
from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.choice import ChoiceScreen
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.format import fit, hours_minutes, items_in_short
from tui.common.language import _
from tui.common.sanitize import in_one_line, plain
from tui.common.tracking.format import vehicle_name
from tui.common.widgets.row_list import RowList
from tui.common.widgets.status_line import StatusLine
from tui.employee.kitchen.format import format_order

PRESETS = (10, 15, 20, 30, 45, 60)
MOST = 480
STEP = 5


class AcceptScreen(Dialog[int]):
    """Answers the minutes until the order is ready, from now on; None when closed."""

    DEFAULT_CSS = """
    AcceptScreen {
        & > .box { width: 58; }
        & #what { height: auto; max-height: 2; color: $title; margin-bottom: 1; }
        & .row { height: 1; margin-bottom: 1; }
        & .row > Label { width: 10; color: $title; }
        & .row > Input { width: 8; }
        & #until { width: 1fr; padding-left: 2; color: $wire-ink; }
        & Button { margin-right: 1; }
    }
    """
    AUTO_FOCUS = "#minutes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", f"more({STEP})", show=False, priority=True),
        Binding("down", f"more(-{STEP})", show=False, priority=True),
    ]

    def __init__(self, order: Order, title: str, minutes: int) -> None:
        """`title` has a `{number}`; `minutes` is what the restaurant usually needs."""
        super().__init__()
        self._order, self._title, self._minutes = order, title, minutes

    def body(self) -> ComposeResult:
        """A number, and presets to pick."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._title.format(number=self._order.number))
            box.border_subtitle = _("enter confirms · ↑↓ 5 minutes · esc closes")
            what = f"{plain(self._order.customer.name)}: {items_in_short(self._order)}"
            yield Static(fit(what, 96), id="what", markup=False)
            with Horizontal(classes="row"):
                yield Label(_("Ready in"))
                yield Input(
                    str(self._minutes), id="minutes", compact=True, max_length=3, type="integer"
                )
                yield Static("", id="until", markup=False)
            with Horizontal(classes="row"):
                yield Label(_("or in"))
                for minutes in PRESETS:
                    button = Button(Content(str(minutes)), name=str(minutes), compact=True)
                    button.styles.min_width = 5
                    yield button

    def action_more(self, minutes: int) -> None:
        """Change the minutes by so many."""
        field = self.query_one("#minutes", Input)
        value = (self._typed() or 0) + minutes
        field.value = str(min(max(value, 1), MOST))
        field.focus()

    @on(Input.Changed)
    def _show_end(self) -> None:
        minutes = self._typed()
        if minutes is None:
            words = Content.assemble((_("minutes: 1 to {most}").format(most=MOST), "$warning"))
        else:
            end = self.services.session.server_now() + timedelta(minutes=minutes)
            usual = minutes == self._minutes
            text = _("minutes: at {time} · as usual") if usual else _("minutes: at {time}")
            words = Content(text.format(time=hours_minutes(end)))
        self.query_one("#until", Static).update(words)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        minutes = self._typed()
        if minutes is not None:
            self.dismiss(minutes)

    @on(Button.Pressed)
    def _picked(self, event: Button.Pressed) -> None:
        self.dismiss(int(event.button.name or self._minutes))

    def _typed(self) -> int | None:
        text = self.query_one("#minutes", Input).value.strip()
        return int(text) if text.isdecimal() and 1 <= int(text) <= MOST else None


SOLD_OUT = _("A dish you ordered is sold out.")
REJECTIONS = (
    _("We are too busy right now."),
    SOLD_OUT,
    _("We are closing for today."),
    _("Your address is too far away for us."),
)
CANCELLATIONS = (
    _("Something went wrong in the kitchen."),
    SOLD_OUT,
    _("There is no driver for your order."),
    _("We cannot reach you."),
)


class ReasonScreen(Dialog[str]):
    """Answers a reason that the customer will read; None when closed."""

    DEFAULT_CSS = """
    ReasonScreen {
        & > .box { width: 56; border: round $error; border-title-color: $error; }
        & .hint { height: auto; color: $title; margin-bottom: 1; }
        & OptionList { max-height: 8; margin-bottom: 1; }
    }
    """
    AUTO_FOCUS = "OptionList"

    def __init__(self, order: Order) -> None:
        super().__init__()
        self._order = order
        self._new = order.status is OrderStatus.PLACED

    def body(self) -> ComposeResult:
        """Reasons to pick, and a field for another one."""
        reasons = REJECTIONS if self._new else CANCELLATIONS
        with Vertical(classes="box") as box:
            title = _("Reject #{number}") if self._new else _("Cancel #{number}")
            box.border_title = Content(title.format(number=self._order.number))
            box.border_subtitle = _("enter sends it · tab own words · esc closes")
            hint = _("{name} will read why:").format(name=plain(self._order.customer.name))
            yield Static(hint, classes="hint", markup=False)
            options = OptionList(*(Option(Content(reason)) for reason in reasons), id="reasons")
            options.styles.height = "auto"
            yield options
            yield Input(placeholder=_("or in your own words"), compact=True, max_length=500)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        reasons = REJECTIONS if self._new else CANCELLATIONS
        self.dismiss(reasons[event.option_index])

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        if shows(event.value):
            self.dismiss(in_one_line(event.value).strip())


class SoldOutScreen(Dialog[list[str]]):
    """Answers the ids of an order's dishes that are sold out, in the order's order; None when
    closed. Of a single dish there is nothing to choose."""

    DEFAULT_CSS = """
    SoldOutScreen {
        & > .box { width: 60; }
        & .hint { height: auto; color: $title; margin-bottom: 1; }
        & TickList { max-height: 12; margin-bottom: 1; }
        & Horizontal { height: 1; align-horizontal: right; }
    }
    """
    AUTO_FOCUS = "TickList"

    def __init__(self, order: Order) -> None:
        super().__init__()
        self._order = order

    def body(self) -> ComposeResult:
        """The dishes, each with a box to tick, and a button."""
        with Vertical(classes="box") as box:
            title = _("Sold out: which of #{number}?").format(number=self._order.number)
            box.border_title = Content(title)
            box.border_subtitle = _("space ticks · enter sends it · esc closes")
            yield Static(
                _("They are marked as sold out on the menu, and {name} will read which.").format(
                    name=plain(self._order.customer.name)
                ),
                classes="hint",
                markup=False,
            )
            yield TickList({item.menu_item_id: item.name for item in self._order.items})
            yield StatusLine()
            with Horizontal():
                yield Button(_("Sold out"), id="send", variant="error", compact=True)

    @on(Button.Pressed)
    def action_send(self) -> None:
        """Answer what is ticked."""
        if ticked := self.query_one(TickList).ticked:
            self.dismiss(ticked)
        else:
            self.show_status(_("Tick what is sold out with space."))


class TickList(RowList):
    """Names with a box each. Space or a click ticks one; enter is the dialog's. A single one is
    ticked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", _("Tick")),
        Binding("enter", "screen.send", _("Send")),
    ]

    def __init__(self, names: dict[str, str]) -> None:
        """`names` by id."""
        super().__init__()
        self._names = names
        self._ticked = set(names) if len(names) == 1 else set[str]()
        self.styles.height = len(names)

    @property
    def ticked(self) -> list[str]:
        """The ids of those that are ticked, from top to bottom."""
        return [key for key in self._names if key in self._ticked]

    def on_mount(self) -> None:
        """Draw them."""
        self.redraw()

    def row_ids(self) -> Sequence[str]:
        """All of them."""
        return list(self._names)

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """A box and a name."""
        key = self.row_ids()[index]
        box = ("[x] ", "bold $error") if key in self._ticked else ("[ ] ", "$wire-ink")
        return [Content.assemble(box, fit(self._names[key], width - 4))]

    def clicked(self, x: int) -> bool:
        """A click ticks."""
        self.action_tick()
        return True

    def action_tick(self) -> None:
        """Tick the highlighted one, or no longer."""
        if self.highlighted_id is not None:
            self._ticked ^= {self.highlighted_id}
            self.redraw()


NAME_CELLS = 24
VEHICLE_CELLS = 10


class DriverScreen(ChoiceScreen[str]):
    """Answers a driver's id; the driver who carries least is first."""

    DEFAULT_CSS = "DriverScreen > .box { width: 66; }"

    def __init__(self, order: Order) -> None:
        title = _("Assign a driver to #{number}?").format(number=order.number)
        super().__init__(title, words=_("Checking who is free…"))
        self._order = order

    def on_mount(self) -> None:
        """Load the drivers."""
        super().on_mount()
        self.run_worker(self._load(), group="drivers", exit_on_error=True)

    async def _load(self) -> None:
        try:
            drivers = least_loaded_first(await self.services.api.drivers())
        except ClientError as error:
            again = _("{why} Close this with esc and try again.")
            self.offer((), again.format(why=plain(error.message)))
            return
        if not drivers:
            self.offer((), _("This restaurant has no drivers, so nobody can deliver it."))
            return
        leaving = self._order.status is OrderStatus.READY
        goes = _("Goes out now to {address}") if leaving else _("To {address}")
        now = self._order.driver.id if self._order.driver else None
        self.offer(
            [(format_driver(driver, driver.id == now), driver.id) for driver in drivers],
            fit(goes.format(address=plain(self._order.address.text)), 58),
        )


def least_loaded_first(drivers: Sequence[Driver]) -> list[Driver]:
    """Drivers by how many orders they carry, then by name."""
    return sorted(drivers, key=lambda driver: (len(driver.carrying), driver.name.casefold()))


def format_driver(driver: Driver, assigned: bool) -> Content:
    """Name, vehicle, and the orders carried; `assigned` marks who has the order now."""
    load = ", ".join(f"#{order.number}" for order in driver.carrying[:3])
    if len(driver.carrying) > 3:
        more = _("{orders} and {count} more")
        load = more.format(orders=load, count=len(driver.carrying) - 3)
    mark = " " + _("now") if assigned else ""
    name = fit(driver.name, NAME_CELLS - cell_len(mark))
    gap = " " * (NAME_CELLS - cell_len(name) - len(mark))
    carrying = _("carries {orders}").format(orders=load)
    carries = (carrying, "$wire-ink") if load else (_("free"), "$success")
    vehicle = fit(vehicle_name(driver.vehicle), VEHICLE_CELLS, pad=True)
    return Content.assemble(
        (name, "bold"), (mark, "$primary"), gap, " ", (vehicle, "$title"), " ", carries
    )


WIDTH = 64


class OrderDetailsScreen(Dialog[None]):
    """Stays current while it is open."""

    DEFAULT_CSS = """
    OrderDetailsScreen { & > .box { width: 70; } & Static { width: 1fr; height: auto; } }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "close", _("Close"), show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
    ]

    def __init__(self, order: Order, present: Callable[[], Order | None]) -> None:
        """`present` returns the order as it is now; None once it is off the board."""
        super().__init__()
        self._order = order
        self._present = present

    def body(self) -> ComposeResult:
        """The lines, and a scroll bar where there are many."""
        with VerticalScroll(classes="box") as box:
            box.border_title = Content(_("Order #{number}").format(number=self._order.number))
            box.border_subtitle = _("esc closes")
            yield Static("", id="order", markup=False)

    def on_resize(self) -> None:
        """Format for the new width."""
        self.call_after_refresh(self.redraw)

    def copyable(self) -> Sequence[Copyable]:
        """Of this order."""
        return order_parts(self._order)

    def action_scroll(self, lines: int) -> None:
        """Scroll by so many lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def redraw(self) -> None:
        """Draw the order and its clock."""
        self._order = self._present() or self._order
        static = self.query_one("#order", Static)
        width = static.content_size.width or WIDTH
        now = self.services.session.server_now()
        static.update(Content("\n").join(format_order(self._order, now, width)))
