"""The basket beside the menu, where there is room."""

from textual.content import Content
from textual.widget import Widget

from tui.customer.panels.wording import euros
from tui.customer.screens.basket import Basket
from tui.customer.screens.menu_list import basket_line


class BasketPane(Widget):
    """Lines and total, to look at."""

    basket: Basket | None = None

    def show(self, basket: Basket) -> None:
        """Show this basket as it is now."""
        self.basket = basket
        self.refresh()

    def render(self) -> Content:
        """A heading, the lines that fit, the total."""
        basket, width = self.basket, self.content_size.width
        heading = Content.assemble((" Your basket", "bold"))
        if basket is None or not basket.lines:
            return Content("\n").join(
                [heading, Content(""), Content.assemble((" Nothing yet: enter adds.", "$wire-ink"))]
            )
        room = max(1, self.content_size.height - 5)
        count = len(basket.lines)
        shown = count if count <= room else room - 1
        lines = [basket_line(basket, at, width) for at in range(shown)]
        if shown < count:
            lines.append(Content.assemble((f"    and {count - shown} more", "$wire-ink")))
        total = euros(basket.total_cents)
        rule = Content.assemble((" " + "─" * max(0, width - 2), "$edge"))
        last = Content.assemble(
            ("     Total", "bold"), " " * max(1, width - 11 - len(total)), (total, "bold")
        )
        return Content("\n").join([heading, Content(""), *lines, rule, last])
