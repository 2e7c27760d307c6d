"""Which page of an order one is on, and of which restaurant."""

from textual.content import Content
from textual.widgets import Static

from tui.common.format import fit

PAGES = {"restaurants": "Restaurant", "dishes": "Dishes", "checkout": "Send"}
NAME_CELLS = 40


class Crumbs(Static):
    """One line: the pages in order, the one open in the accent."""

    DEFAULT_CSS = "Crumbs { height: 1; }"

    def show(self, page: str, restaurant: str) -> None:
        """`page` is open; `restaurant` is the name of the one chosen, if there is one."""
        names = [
            Content.assemble((f"{at} {name}", "bold $primary" if key == page else "$wire-ink"))
            for at, (key, name) in enumerate(PAGES.items(), 1)
        ]
        self.update(
            Content.assemble(
                Content(" › ").join(names), ("    " + fit(restaurant, NAME_CELLS), "bold")
            )
        )
