"""The employee's window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.app import TiffinApp
from tui.common.format import ROLES

if TYPE_CHECKING:
    from server.features.accounts.schemas import Account
    from tui.common.panel import Panel


class EmployeeApp(TiffinApp):
    """Kitchen, drivers, support, announcements, photos, and the wire that feeds them all.

    An account of support has no restaurant's panels. An employee who does not share in support has
    no chats, and reads announcements without making any.
    """

    ROLE = "employee"
    CONTENT_CSS = Path(__file__).with_name("app.tcss")

    _restaurant = ""

    async def show_panels(self) -> None:
        """Name the restaurant in the bar as well."""
        await super().show_panels()
        self.run_worker(self._name_restaurant(), group="restaurant", exit_on_error=False)

    async def clear_panels(self) -> None:
        """The next account may be another restaurant's."""
        self._restaurant = ""
        await super().clear_panels()

    def show_account(self, account: "Account") -> None:
        """The account's name and where it works."""
        super().show_account(account)
        if self._restaurant:
            self.bar.role = f"{ROLES[account.role]} · {self._restaurant}"
            self.bar.update()

    async def _name_restaurant(self) -> None:
        from tui.common.sanitize import plain

        account = self.session.account
        if account is not None and account.restaurant_id is not None:
            self._restaurant = plain((await self.api.restaurant(account.restaurant_id)).name)
            self.show_account(account)

    async def send_held(self) -> bool:
        """Send the steps that wait, and wait for the answers, for some seconds. False where one
        failed, which is said."""
        return all([await panel.send_held() for panel in self.panels])

    async def action_quit(self) -> None:
        """Send what waits, then close; stay where it could not be sent, so that this is read."""
        if await self.send_held():
            await super().action_quit()

    def log_out(self) -> None:
        """Send what waits, then end the session."""

        async def send_and_leave() -> None:
            await self.send_held()
            super(EmployeeApp, self).log_out()

        self.run_worker(send_and_leave(), group="held-steps", exit_on_error=True)

    async def on_unmount(self) -> None:
        """Ended by a signal, say: send what waits, before the session is closed."""
        await self.send_held()

    def panel_classes(self) -> Sequence[type["Panel"]]:
        """The panels, in the order of their numbers."""
        from server.features.accounts.schemas import Role
        from tui.common.announcements.panel import AnnouncementsPanel
        from tui.common.wire.panel import WirePanel
        from tui.employee.announcements.panel import EmployeeAnnouncementsPanel
        from tui.employee.drivers.panel import DriversPanel
        from tui.employee.kitchen.panel import KitchenPanel
        from tui.employee.support.panel import SupportPanel
        from tui.employee.uploads import DishPhotoPanel

        account = self.session.account
        if account is not None and account.role is Role.SUPPORT:
            return SupportPanel, EmployeeAnnouncementsPanel, WirePanel
        support: tuple[type[Panel], ...] = (SupportPanel, EmployeeAnnouncementsPanel)
        if account is not None and account.support is False:
            support = (AnnouncementsPanel,)
        return KitchenPanel, DriversPanel, *support, DishPhotoPanel, WirePanel
