"""Copying what is selected: at once, or after choosing from what there is of it."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.dom import DOMNode
from textual.widgets import OptionList

from server.text import clean
from tui.common.dialogs.base import Dialog
from tui.common.format import fit
from tui.common.language import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.features.orders.schemas import Order

Copyable = tuple[str, str]
"""What it is, such as `order number`, and its text."""
SHOWN_CELLS = 60


def copy_one(node: DOMNode, parts: "Sequence[Copyable]") -> None:
    """Copy what the mouse has marked, else the only part, else the one that is chosen."""
    if marked := node.screen.get_selected_text():
        parts = [(_("marked text"), marked)]
    parts = [(what, clean(text)) for what, text in parts if text.strip()]
    if len(parts) > 1:
        node.app.push_screen(CopyScreen(parts), partial(_copy, node))
    elif parts:
        _copy(node, parts[0])
    else:
        node.app.notify(_("There is nothing to copy here."), title=_("Copy"), timeout=2)


def order_parts(order: "Order", phone: str = _("phone")) -> list[Copyable]:
    """What of an order can be copied; `phone` names the customer's."""
    parts = [(_("order number"), f"{order.number:04d}"), (_("address"), order.address.text)]
    if order.customer.phone:
        parts.append((phone, order.customer.phone))
    return parts


def _copy(node: DOMNode, part: Copyable | None) -> None:
    if part is None:
        return
    what, text = part
    node.app.copy_to_clipboard(text)
    words = fit(text.strip().partition("\n")[0], SHOWN_CELLS)
    node.app.notify(f"{what}: {words}", title=_("Copied"), timeout=3)


class CopyScreen(Dialog[Copyable]):
    """Answers the part that was chosen, by its number, by Enter or by a click."""

    DEFAULT_CSS = """
    CopyScreen {
        & > .box { width: 60; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(number), f"choose({number})", show=False) for number in range(1, 10)
    ]

    def __init__(self, parts: "Sequence[Copyable]") -> None:
        super().__init__()
        self._parts = parts[:9]

    def body(self) -> ComposeResult:
        """A line for each."""
        with Vertical(classes="box") as box:
            box.border_title = _("Copy")
            box.border_subtitle = _("enter copies · esc closes")
            yield OptionList(
                *(
                    Content.assemble(
                        (f"{number} ", "$primary"), (f"{what}  ", "$title"), fit(text, SHOWN_CELLS)
                    )
                    for number, (what, text) in enumerate(self._parts, start=1)
                )
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        self.dismiss(self._parts[event.option_index])

    def action_choose(self, number: int) -> None:
        """A number."""
        if number <= len(self._parts):
            self.dismiss(self._parts[number - 1])
