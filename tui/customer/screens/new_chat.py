"""Asks what a new chat is about."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from server.features.chat.schemas import NewChat
from server.features.orders.schemas import Order
from server.text import shows
from tui.common.client.errors import ClientTrouble
from tui.common.screens.modal import Modal
from tui.common.text import fit, in_one_line
from tui.common.trouble import words_of
from tui.common.widgets.too_small import TooSmall

ORDERS = 20
SUBJECT_MOST = 80


class NewChatScreen(Modal[NewChat]):
    """Answers with the subject, and the order if it is about one."""

    DEFAULT_CSS = """
    NewChatScreen {
        & > .box { width: 64; }
        & Label { color: $title; margin-top: 1; }
        & Label.first { margin-top: 0; }
        & OptionList { max-height: 7; }
        & #words { color: $warning; height: auto; display: none; }
        & #words.-shown { display: block; }
    }
    """
    AUTO_FOCUS = "Input"

    def __init__(self, order_id: str | None, begun: NewChat | None = None) -> None:
        """`order_id` is the order it is probably about; `begun` what was asked, and not sent."""
        super().__init__()
        self._order_id = begun.order_id if begun is not None else order_id
        self._subject = begun.subject if begun is not None else ""
        self._orders: list[Order] = []

    def compose(self) -> ComposeResult:
        """A subject, and the orders."""
        with Vertical(classes="box") as box:
            box.border_title = "Ask support"
            box.border_subtitle = "enter opens the chat · ↓ chooses the order · esc closes"
            yield Label("What is it about?", classes="first")
            yield Input(
                self._subject,
                placeholder="in a few words",
                compact=True,
                max_length=SUBJECT_MOST,
            )
            yield Label("Which order?")
            orders = OptionList(Option("None of them"), id="orders")
            orders.styles.height = "auto"
            yield orders
            yield Static("", id="words", markup=False)
        yield TooSmall()

    def on_mount(self) -> None:
        """The orders come when they come."""
        self.query_one(OptionList).highlighted = 0
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        try:
            self._orders = (await self.tiffin.api.orders(limit=ORDERS)).items
        except ClientTrouble as trouble:
            self._say(f"Your orders cannot be read just now: {words_of(trouble)}")
            return
        found = self.query_one(OptionList)
        found.add_options([Option(_in_short(order)) for order in self._orders])
        for at, order in enumerate(self._orders, start=1):
            if order.id == self._order_id:
                found.highlighted = at

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _done(self) -> None:
        found = self.query_one(OptionList)
        at = found.highlighted or 0
        order = self._orders[at - 1] if 0 < at <= len(self._orders) else None
        subject = in_one_line(self.query_one(Input).value).strip()
        if not shows(subject) and order is not None:
            subject = fit(f"Order #{order.number:04d}, {order.restaurant.name}", SUBJECT_MOST)
        if not shows(subject):
            self._say("Say in a few words what it is about, or choose an order.")
            self.query_one(Input).focus()
            return
        self.dismiss(NewChat(subject=subject, order_id=None if order is None else order.id))

    def _say(self, words: str) -> None:
        line = self.query_one("#words", Static)
        line.update(words)
        line.add_class("-shown")


def _in_short(order: Order) -> Content:
    status = order.status.value.replace("_", " ")
    return Content.assemble(
        (f"#{order.number:04d} ", "bold"),
        fit(order.restaurant.name, 28),
        (f"  {status}", "$wire-ink"),
    )
