"""The customer's window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.app import TiffinApp

if TYPE_CHECKING:
    from tui.common.panel import Panel


class CustomerApp(TiffinApp):
    """Orders, driver, support, announcements, one's photo, and the wire that feeds them all."""

    ROLE = "customer"
    CONTENT_CSS = Path(__file__).with_name("app.tcss")

    def panel_classes(self) -> Sequence[type["Panel"]]:
        """The panels, in the order of their numbers."""
        from tui.common.panels.announcements import AnnouncementsPanel
        from tui.common.panels.wire_panel import WirePanel
        from tui.customer.panels.chat import ChatPanel
        from tui.customer.panels.driver import DriverPanel
        from tui.customer.panels.orders import OrdersPanel
        from tui.customer.panels.photo import AvatarPanel

        return (
            OrdersPanel,
            DriverPanel,
            ChatPanel,
            AnnouncementsPanel,
            AvatarPanel,
            WirePanel,
        )
