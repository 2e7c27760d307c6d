"""Copying what is selected: at once, or after choosing from what there is of it."""

from functools import partial
from typing import TYPE_CHECKING

from textual.content import Content
from textual.dom import DOMNode

from server.text import clean
from tui.common.dialogs.choice import NUMBERED, ChoiceScreen
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
        choices = [
            (Content.assemble((f"{what}  ", "$title"), fit(text, SHOWN_CELLS)), (what, text))
            for what, text in parts[:NUMBERED]
        ]
        screen = ChoiceScreen(_("Copy"), choices, hint=_("enter copies · esc closes"))
        node.app.push_screen(screen, partial(_copy, node))
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
