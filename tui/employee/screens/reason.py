"""Why an order is rejected or called off."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from server.features.orders.schemas import Order, OrderStatus
from server.text import shows
from tui.common.screens.modal import Modal
from tui.common.text import in_one_line, plain
from tui.common.widgets.too_small import TooSmall

REJECTIONS = (
    "We are too busy right now.",
    "A dish you ordered is sold out.",
    "We are closing for today.",
    "Your address is too far for us.",
)
CANCELLATIONS = (
    "Something went wrong in the kitchen.",
    "A dish you ordered is sold out.",
    "There is no driver for your order.",
    "We cannot reach you.",
)


class ReasonScreen(Modal[str]):
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

    def compose(self) -> ComposeResult:
        """Reasons to pick, and a line for one's own."""
        reasons = REJECTIONS if self._new else CANCELLATIONS
        with Vertical(classes="box") as box:
            verb = "Reject" if self._new else "Cancel"
            box.border_title = Content(f"{verb} #{self._order.number}")
            box.border_subtitle = "enter sends it · tab own words · esc closes"
            yield Static(
                f"{plain(self._order.customer.name)} will read why:", classes="hint", markup=False
            )
            list_of = OptionList(*(Option(Content(reason)) for reason in reasons), id="reasons")
            list_of.styles.height = "auto"
            yield list_of
            yield Input(placeholder="or in your own words", compact=True, max_length=500)
        yield TooSmall()

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        reasons = REJECTIONS if self._new else CANCELLATIONS
        self.dismiss(reasons[event.option_index])

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        if shows(event.value):
            self.dismiss(in_one_line(event.value).strip())
