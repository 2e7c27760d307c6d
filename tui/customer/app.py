"""The customer's window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.app import TiffinApp

if TYPE_CHECKING:
    from textual.command import Provider

    from tui.common.panel import Panel
    from tui.customer.orders.panel import OrdersPanel


def _menu_finder() -> "type[Provider]":
    from tui.customer.ordering.find import MenuFinder

    return MenuFinder


class CustomerApp(TiffinApp):
    """Orders, driver, chat, announcements, photo, and the wire that feeds them all."""

    ROLE = "customer"
    COMMANDS = TiffinApp.COMMANDS | {_menu_finder}
    CONTENT_CSS = Path(__file__).with_name("app.tcss")

    def on_order_actions_ask_support(self, event: "OrdersPanel.AskSupport") -> None:
        """Chats are the chat panel's, which knows the orders' and not the other way round."""
        from tui.customer.chat.panel import ChatPanel

        if (panel := self.find_panel(ChatPanel)) is not None:
            panel.ask_about(event.order)

    def panel_classes(self) -> Sequence[type["Panel"]]:
        """The panels, in the order of their numbers."""
        from tui.common.announcements.panel import AnnouncementsPanel
        from tui.common.wire.panel import WirePanel
        from tui.customer.chat.panel import ChatPanel
        from tui.customer.driver import DriverPanel
        from tui.customer.orders.panel import OrdersPanel
        from tui.customer.uploads import AvatarPanel

        return (
            OrdersPanel,
            DriverPanel,
            ChatPanel,
            AnnouncementsPanel,
            AvatarPanel,
            WirePanel,
        )
