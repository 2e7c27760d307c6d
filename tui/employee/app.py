"""The employee's window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.app import TiffinApp

if TYPE_CHECKING:
    from tui.common.panel import Panel


class EmployeeApp(TiffinApp):
    """Kitchen, its drivers, photos of dishes, and the wire that feeds all of them."""

    ROLE = "employee"
    CONTENT_CSS = Path(__file__).with_name("app.tcss")

    def panel_classes(self) -> Sequence[type["Panel"]]:
        """The panels, in the order of their numbers."""
        from tui.common.panels.wire_panel import WirePanel
        from tui.employee.panels.drivers import DriversPanel
        from tui.employee.panels.kitchen import KitchenPanel
        from tui.employee.panels.photo import DishPhotoPanel

        return (KitchenPanel, DriversPanel, DishPhotoPanel, WirePanel)
