"""The last page of a new order: basket, address, note, and the button that places it."""

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Input, Label, Static

from server.features.restaurants.schemas import Restaurant
from tui.common.client.errors import ApiError
from tui.common.client.retry import is_permanent
from tui.common.format import field_of, money
from tui.common.language import _, listed
from tui.common.map.basemap import Basemap, load_basemap
from tui.common.map.streets import Streets, StreetSuggester
from tui.common.sanitize import in_one_line, plain
from tui.common.services import services_of
from tui.customer.ordering.address import AddressScreen
from tui.customer.ordering.basket import address_for, map_note
from tui.customer.ordering.format import below_minimum, not_now, out_of_reach
from tui.customer.ordering.menu import BasketList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.features.orders.schemas import Order, PlaceOrder
    from server.features.shared.schemas import Address
    from tui.common.client.api import Api
    from tui.customer.ordering.basket import Basket


class TipButton(Button):
    """Pressing it chooses another per cent; digits type an amount."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(n), f"digit({n})", _("Amount"), show=n == 0, key_display="0-9")
            for n in range(10)
        ),
        Binding("backspace,delete", "digit(None)", show=False),
    ]

    class Typed(Message):
        """A digit of an amount, or None to take the last one back."""

        def __init__(self, digit: int | None) -> None:
            super().__init__()
            self.digit = digit

    def __init__(self) -> None:
        super().__init__("", id="tip", compact=True)
        self.active_effect_duration = 0  # it takes no key meanwhile

    def action_digit(self, digit: int | None) -> None:
        """A digit, or backspace."""
        self.post_message(self.Typed(digit))


class Checkout(Vertical):
    """Shows a basket, and has fields for address and note."""

    SCOPED_CSS: ClassVar[bool] = False  # else rules by breakpoint would not hold
    DEFAULT_CSS = """
    Checkout {
        & > BasketList { height: 1fr; min-height: 1; }
        & > #total { height: auto; text-align: right; padding: 0 1; margin-top: 1; }
        & > .row { height: 1; margin-top: 1; }
        & > .row > Label { width: 10; color: $title; }
        & > .row > Input { width: 1fr; }
        & > .row > #others { margin-left: 1; }
        & > #place-on-map { height: 1; padding-left: 11; color: $wire-ink; text-overflow: ellipsis;
            text-wrap: nowrap; }
        & > .button { height: 1; margin-top: 1; padding-left: 10; }
    }
    .-short Checkout > .row, .-short Checkout > #total { margin-top: 0; }
    .-short Checkout > #place-on-map { display: none; }
    .-short Checkout > #place-on-map.-told { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f4", "address", _("Address"))]

    class Send(Message):
        """The button was pressed."""

    class Edited(Message):
        """A field has changed."""

    def __init__(self, recent: "Sequence[Address]") -> None:
        """`recent` are addresses of earlier orders."""
        super().__init__(id="checkout")
        self._recent = recent
        self.basket: Basket | None = None
        self._suggester = StreetSuggester()
        self._known: Address | None = None
        self._shown: Address | None = None

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield BasketList()
        with Horizontal(classes="row"):
            yield Label(_("Address"))
            yield Input(id="address", compact=True, max_length=200, suggester=self._suggester)
            others = Button(_("f4 others"), id="others", compact=True)
            others.can_focus = False  # by the keyboard it is f4
            yield others
        yield Static("", id="place-on-map", markup=False)
        with Horizontal(classes="row"):
            yield Label(_("Note"))
            yield Input(
                id="order-note",
                compact=True,
                max_length=500,
                placeholder=_("for the kitchen or the driver (optional)"),
            )
        with Horizontal(classes="row"):
            yield Label(_("Tip"))
            yield TipButton()
        yield Static("", id="total", markup=False)  # below the fields, which stay where they are
        with Horizontal(classes="button"):
            yield Button(_("Place the order"), id="send", variant="primary", compact=True)

    def show(self, basket: "Basket") -> None:
        """Show this basket."""
        fresh, account = basket is not self.basket, services_of(self).session.account
        known = account.address if account else None
        self._known = basket.place or known
        fresh = fresh or self._known != self._shown
        self.basket, self._shown = basket, self._known
        if fresh:
            known_text = self._known.text if self._known else ""
            text = known_text if basket.address is None else basket.address
            self.query_one("#address", Input).value = in_one_line(text)
            self.query_one("#order-note", Input).value = in_one_line(basket.note)
        self.query_one(BasketList).show(basket)
        self._show_total()
        self._show_map_note()

    def enter(self) -> None:
        """Focus the address if it is missing, else the button."""
        if not self.query_one("#address", Input).value.strip():
            self.query_one("#address", Input).focus()
        else:
            self.query_one("#send", Button).focus()

    def redraw(self) -> None:
        """The basket has changed."""
        self.query_one(BasketList).redraw()
        self._show_total()

    def content(self) -> "PlaceOrder":
        """What to send. Raises ValueError (pydantic's is one) where a text is not acceptable."""
        assert self.basket is not None
        text = self.query_one("#address", Input).value.strip()
        return self.basket.content(address_for(text, self._known, self.basket.restaurant))

    def point_at(self, field: str | None) -> None:
        """Focus the field that an error is about."""
        where = {"address": "#address", "text": "#address", "note": "#order-note"}.get(field or "")
        if where:
            self.query_one(where, Input).focus()

    @property
    def problem(self) -> tuple[str, str | None]:
        """Why the order cannot be sent, and the field it is about; "" if it can."""
        assert self.basket is not None
        if not self.basket.lines:
            return _("The basket is empty. Esc goes back to the menu."), None
        if self.basket.sold_out:
            names = listed(plain(line.item.name) for line in self.basket.sold_out)
            words = _("Sold out: {dishes}. Remove it with 0, or esc for another dish.")
            return words.format(dishes=names), None
        if words := not_now(self.basket.restaurant):
            kept = _("{closed} Your basket is kept; choose another restaurant, or order then.")
            return kept.format(closed=words), None
        if words := below_minimum(self.basket):
            return words, None
        words = out_of_reach(self.basket.restaurant, self._known)
        if words:
            other = _("{far} Choose one nearer to you, or another address, f4.")
            return other.format(far=words), None
        if not self.query_one("#address", Input).value.strip():
            return _("Enter a delivery address."), "address"
        return "", None

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.basket is None:
            return
        before = self.basket.address, self.basket.note
        if event.input.id == "address":
            known = in_one_line(self._known.text) if self._known else ""
            self.basket.address = None if event.value == known else event.value
            self._show_map_note()
        else:
            self.basket.note = event.value
        if (self.basket.address, self.basket.note) != before:
            self.post_message(self.Edited())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()

    @on(Button.Pressed, "#tip")
    def _tip(self, event: Button.Pressed) -> None:
        event.stop()
        if self.basket is not None:
            at = TIPS.index(self.basket.tip_percent)
            self.basket.tip_percent = TIPS[(at + 1) % len(TIPS)]
            self.basket.tip_typed = 0
            self._show_total()

    @on(TipButton.Typed)
    def _tip_typed(self, event: TipButton.Typed) -> None:
        """A digit makes the tip an amount, in whole units of the currency."""
        if self.basket is not None:
            self.basket.type_tip(event.digit)
            self._show_total()

    @on(Button.Pressed, "#others")
    def _others(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_address()

    def on_mount(self) -> None:
        """Load the town's map, to suggest its streets."""

        def show(basemap: Basemap) -> None:
            self._suggester.streets = Streets.of(basemap)

        api = services_of(self).api
        self.run_worker(load_basemap(api, show), group="map", exit_on_error=False)

    def action_address(self) -> None:
        """Choose where to deliver."""
        basket = self.basket
        if basket is None:
            return

        def chosen(address: "Address | None") -> None:
            if address is not None:
                basket.place, basket.address = address, None
            self.show(basket)  # also because the home may have been changed
            self.post_message(BasketList.Changed())

        chosen_now = [basket.place] if basket.place else []
        recent = [*chosen_now, *self._recent]
        screen = AddressScreen(basket.restaurant, self._known, recent)
        self.app.push_screen(screen, chosen)

    @on(Button.Pressed, "#send")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Send())

    def _show_total(self) -> None:
        assert self.basket is not None
        basket, currency = self.basket, self.basket.restaurant.currency
        parts = basket.beside_dishes
        if parts:
            parts.insert(0, (_("Dishes"), basket.total_cents))
        total = money(basket.due_cents, currency)
        width = len(total)
        paid = _("Paid at the door.  Total  ")
        if basket.quote:
            paid = _("Paid at the door, in about {minutes} min.  Total  ").format(
                minutes=basket.quote.eta_minutes
            )
        lines = [
            Content.assemble((f"{name}  ", "$wire-ink"), f"{money(cents, currency):>{width}}")
            for name, cents in parts
        ]
        lines.append(Content.assemble((paid, "$wire-ink"), (total, "bold")))
        self.query_one("#total", Static).update(Content("\n").join(lines))
        percent = _("none, press or type an amount")
        if basket.tip_percent:
            percent = _("{percent} %, press for another").format(percent=basket.tip_percent)
        elif basket.tip_typed:
            percent = money(basket.tip_cents, currency)
        tip, send = self.query_one("#tip", Button), self.query_one("#send", Button)
        tip.label = Content(percent)
        send.label = Content(_("Place the order · {total}").format(total=total))
        for button in (tip, send):
            button.refresh(layout=True)  # else it keeps the width of the label before

    def _show_map_note(self) -> None:
        text = self.query_one("#address", Input).value
        words = map_note(text, self._known) if text.strip() else ""
        line = self.query_one("#place-on-map", Static)
        line.update(Content(words))
        line.set_class(bool(words), "-told")


TIPS = (0, 5, 10, 15)
"""Per cent of the dishes."""
SAFE_TO_RETRY = _("Your basket is kept. Sending it again will not order twice.")


async def place_order(api: "Api", basket: "Basket", content: "PlaceOrder") -> "tuple[Order, bool]":
    """Send `content` under the basket's key; the order, and whether it has this content.

    If the server says that the key was used with other content, something sent earlier did arrive:
    it is sent again, and is the order. After a permanent refusal the basket gets a new key. Raises
    as `Api.place_order`.
    """
    earlier = [sent for sent in basket.unconfirmed if sent != content]
    if content not in basket.unconfirmed:
        basket.unconfirmed.append(content)
    attempts = [content, *reversed(earlier)]
    while True:
        attempt = attempts.pop(0)
        try:
            return await api.place_order(attempt, basket.key), attempt is content
        except ApiError as refusal:
            used = refusal.status == 422 and field_of(refusal) == "Idempotency-Key"
            if used and attempts:
                continue
            if is_permanent(refusal) and not used:
                basket.on_refused(attempt)
            raise


def menu_in_refusal(refusal: Exception) -> Restaurant | None:
    """The current menu, if the refusal carries it."""
    if not isinstance(refusal, ApiError):
        return None
    try:
        return Restaurant.model_validate((refusal.problem.model_extra or {}).get("restaurant"))
    except ValueError:
        return None
