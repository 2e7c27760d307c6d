"""What the kitchen's panel does for those that act on its orders and terms."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from server.features.orders.schemas import Order
    from server.features.restaurants.schemas import RestaurantSummary
    from tui.common.client.api import Api
    from tui.common.client.session import Session
    from tui.common.dialogs.base import Dialog

AnswerT = TypeVar("AnswerT")


class Timer(Protocol):
    """What `call_in` gives."""

    def stop(self) -> None:
        """Call nothing."""


class Host(Protocol):
    """The panel."""

    busy: set[str]
    """Orders whose change is on its way to the server."""

    @property
    def api(self) -> "Api":
        """The calls that change orders and terms."""

    @property
    def session(self) -> "Session":
        """Whose account it is, and the server's clock."""

    @property
    def restaurant(self) -> "RestaurantSummary | None":
        """The restaurant's terms as they are now, once they have been read."""

    @property
    def preparation_minutes(self) -> int:
        """How long the restaurant usually needs."""

    def ask(self, dialog: "Dialog[AnswerT]", answered: Callable[[AnswerT], None]) -> None:
        """Open a dialog; `answered` is not called when it is closed without an answer."""

    def toast(self, message: str, *, error: bool = False) -> None:
        """Show a toast."""

    def run_change(self, change: Coroutine[object, object, None]) -> None:
        """Run this in the background."""

    def call_in(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call this in so many seconds."""

    def request_redraw(self) -> None:
        """Something that is shown has changed."""

    def apply_order(self, order: "Order") -> None:
        """Put an order that the server has sent onto the board."""

    def menu_changed(self) -> None:
        """Dishes have been marked as sold out."""

    def show_terms(self, restaurant: "RestaurantSummary") -> None:
        """The server has sent the restaurant's terms as they are now."""

    def advance_cursor(self, order: "Order") -> None:
        """`order` leaves its column by the employee's own step: the cursor takes the next one."""
