"""A basket: dishes of one restaurant, and the key that makes sending it twice safe."""

import uuid
from dataclasses import dataclass
from hashlib import blake2b

from server.features.orders.schemas import Order, OrderedItem, PlaceOrder, Quote
from server.features.restaurants.schemas import MenuItem, Restaurant, RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.format import fee_name, minor_digits, money
from tui.common.language import _, listed
from tui.common.sanitize import in_one_line, plain

MAX_QUANTITY = 99
MAX_LINES = 50
MAX_TIP = 999
"""Whole units of the currency: more is a slip of the finger."""
NEIGHBOURHOOD_DEGREES = 0.008
"""About 900 m of latitude: how far from its restaurant an address without coordinates is put."""


@dataclass
class Line:
    """A dish and how many of it; `item` is as the menu last showed it."""

    item: MenuItem
    quantity: int
    note: str = ""

    @property
    def cents(self) -> int:
        """What the line costs."""
        return self.quantity * self.item.price_cents


class Basket:
    """What is about to be ordered, without screen or network.

    `key` is the idempotency key. It stays the same until the order is placed or refused, so that a
    lost reply never leads to a second order. `unconfirmed` is what was sent under it without an
    answer: one of these may have become the order.
    """

    def __init__(self, restaurant: RestaurantSummary) -> None:
        self.restaurant = restaurant
        self.lines: dict[str, Line] = {}
        self.note = ""
        self.address: str | None = None
        """The address as typed; None until something is typed."""
        self.place: Address | None = None
        """The address that was chosen, on the map say; None is the profile's."""
        self.quote: Quote | None = None
        """What the server said last of its fees; they depend on restaurant and address."""
        self.tip_percent = 0
        self.tip_typed = 0
        """A tip that was typed, in whole units of the currency; instead of the per cent."""
        self.key = str(uuid.uuid4())
        self.unconfirmed: list[PlaceOrder] = []

    @classmethod
    def from_order(cls, order: Order, restaurant: Restaurant) -> "tuple[Basket, list[str]]":
        """The dishes of an earlier order at today's prices, and what has changed, in sentences."""
        basket = cls(restaurant)
        menu = {item.id: item for item in restaurant.menu}
        missing: list[str] = []
        changes: list[str] = []
        for ordered in order.items:
            item = menu.get(ordered.menu_item_id)
            if item is None or not item.available:
                missing.append(plain(ordered.name))
                continue
            then = item.model_copy(
                update={"name": ordered.name, "price_cents": ordered.price_cents}
            )
            changes += _changes(then, item, restaurant.currency)
            line = basket.lines.setdefault(item.id, Line(item, 0))
            line.quantity = min(MAX_QUANTITY, line.quantity + ordered.quantity)
            line.note = line.note or ordered.note or ""
        if missing:
            changes.insert(0, _("Not available now: {dishes}.").format(dishes=listed(missing)))
        return basket, changes

    @property
    def count(self) -> int:
        """How many dishes in all."""
        return sum(line.quantity for line in self.lines.values())

    @property
    def total_cents(self) -> int:
        """What they cost, in minor units."""
        return sum(line.cents for line in self.lines.values())

    @property
    def tip_cents(self) -> int:
        """The tip as typed, or the per cent to the next ten of minor units."""
        if self.tip_typed:
            unit: int = 10 ** minor_digits(self.restaurant.currency)
            return self.tip_typed * unit
        return (self.total_cents * self.tip_percent + 500) // 1000 * 10

    @property
    def beside_dishes(self) -> list[tuple[str, int]]:
        """The fees as last quoted, and the tip: a name, and how much in minor units."""
        parts = [(fee_name(fee.kind), fee.cents) for fee in self.quote.fees] if self.quote else []
        return [*parts, (_("Tip"), self.tip_cents)] if self.tip_cents else parts

    @property
    def due_cents(self) -> int:
        """What is paid at the door: dishes, fees, tip."""
        return self.total_cents + sum(cents for _name, cents in self.beside_dishes)

    def type_tip(self, digit: int | None) -> None:
        """Add a digit to the tip in whole units, or with None take its last one away."""
        typed = self.tip_typed // 10 if digit is None else self.tip_typed * 10 + digit
        if typed <= MAX_TIP:
            self.tip_typed, self.tip_percent = typed, 0

    def quantity(self, item_id: str) -> int:
        """How many of that dish."""
        line = self.lines.get(item_id)
        return line.quantity if line else 0

    def set_quantity(self, item: MenuItem, quantity: int) -> None:
        """Set the quantity of a dish, 0 to 99; 0 removes it, with its note."""
        quantity = max(0, min(MAX_QUANTITY, quantity))
        if not quantity:
            self.lines.pop(item.id, None)
        elif item.id in self.lines:
            self.lines[item.id].quantity = quantity
        elif len(self.lines) < MAX_LINES:
            self.lines[item.id] = Line(item, quantity)

    def set_note(self, item: MenuItem, note: str) -> None:
        """Set the note of a dish; adds one of it if there was none."""
        if item.id not in self.lines and note:
            self.set_quantity(item, 1)
        if item.id in self.lines:
            self.lines[item.id].note = note

    def update_menu(self, restaurant: Restaurant) -> list[str]:
        """Take the dishes from the current menu; what has changed, in sentences."""
        self.restaurant = restaurant
        menu = {item.id: item for item in restaurant.menu}
        changes: list[str] = []
        for line in self.lines.values():
            now, name = menu.get(line.item.id), plain(line.item.name)
            if now is None or not now.available:
                if line.item.available:
                    gone = _("{dish} is not on the menu any more.")
                    changes.append(
                        (gone if now is None else _("{dish} is sold out.")).format(dish=name)
                    )
                # Keep what was seen, to compare with when it comes back.
                now = line.item.model_copy(update={"available": False})
            else:
                changes += _changes(line.item, now, restaurant.currency)
            line.item = now
        return changes

    def drop_sold_out(self) -> None:
        """Remove what is sold out."""
        for line in self.sold_out:
            del self.lines[line.item.id]

    def on_refused(self, content: PlaceOrder) -> None:
        """The server has refused this content: use a new key from now on.

        While other content is unconfirmed the key stays, as that may still arrive.
        """
        self.unconfirmed.remove(content)
        if not self.unconfirmed:
            self.key = str(uuid.uuid4())

    @property
    def sold_out(self) -> list[Line]:
        """The lines that are sold out."""
        return [line for line in self.lines.values() if not line.item.available]

    def content(self, address: Address) -> PlaceOrder:
        """What to send, with dishes and total as they were shown, so that nothing else is charged.

        Raises pydantic's ValidationError where a text is not acceptable.
        """
        return PlaceOrder(
            restaurant_id=self.restaurant.id,
            items=[
                OrderedItem(
                    menu_item_id=line.item.id,
                    quantity=line.quantity,
                    note=line.note or None,
                    expected_version=line.item.version,
                )
                for line in self.lines.values()
            ],
            address=address,
            note=self.note or None,
            tip_cents=self.tip_cents or None,
            expected_total_cents=self.due_cents,
        )


def _changes(before: MenuItem, now: MenuItem, currency: str) -> list[str]:
    """What has changed of a dish, in sentences. The description counts: it may name an allergen."""
    name, called = plain(before.name), plain(now.name)
    changes = (
        [_("{old} is called {new} now.").format(old=name, new=called)] if name != called else []
    )
    if before.price_cents != now.price_cents:
        price, old = (money(one.price_cents, currency) for one in (now, before))
        changes.append(
            _("{dish}: {price} now, not {old}.").format(dish=called, price=price, old=old)
        )
    if before.description != now.description:
        words = plain(now.description)
        changes.append(
            _("{dish} has a new description: {words}").format(dish=called, words=words)
            if words
            else _("{dish} no longer has a description.").format(dish=called)
        )
    return changes


def address_for(text: str, known: Address | None, restaurant: RestaurantSummary) -> Address:
    """An address with coordinates, without a geocoder.

    The profile's coordinates are used for any text. Without them, a point near the restaurant is
    used, always the same for the same text.
    """
    if known is not None:
        return Address(text=text, lat=known.lat, lng=known.lng)
    digest = blake2b(text.strip().casefold().encode(), digest_size=2).digest()
    north, east = (byte / 255 * 2 - 1 for byte in digest)
    return Address(
        text=text,
        lat=max(-90.0, min(90.0, restaurant.lat + north * NEIGHBOURHOOD_DEGREES)),
        lng=max(-180.0, min(180.0, restaurant.lng + east * NEIGHBOURHOOD_DEGREES)),
    )


def map_note(text: str, known: Address | None) -> str:
    """A note on where the map shows the address, if the text alone does not tell."""
    if known is None:
        return _("Position: near the restaurant; f4 sets yours on the map.")
    if text.strip() != known.text.strip():
        return _("Position: still {address}; f4 sets another on the map.").format(
            address=in_one_line(known.text)
        )
    return ""
