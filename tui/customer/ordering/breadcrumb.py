"""The line above the pages of a new order."""

from textual.content import Content
from textual.widgets import Static

from tui.common.format import fit
from tui.common.language import _

PAGES = {"restaurants": _("Restaurant"), "dishes": _("Dishes"), "checkout": _("Checkout")}
NAME_CELLS = 40


class Breadcrumb(Static):
    """One line: the pages in order, the open one in the accent colour, and the restaurant."""

    DEFAULT_CSS = "Breadcrumb { height: 1; }"

    def show(self, page: str, restaurant: str) -> None:
        """`page` is the open one; `restaurant` is the name of the chosen one, or ""."""
        names = [
            Content.assemble((f"{at} {name}", "bold $primary" if key == page else "$wire-ink"))
            for at, (key, name) in enumerate(PAGES.items(), 1)
        ]
        self.update(
            Content.assemble(
                Content(" › ").join(names), ("    " + fit(restaurant, NAME_CELLS), "bold")
            )
        )
