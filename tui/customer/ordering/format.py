"""What the customer is told of a restaurant and its dishes before the order."""

from server.features.drivers.schemas import Point
from server.features.restaurants.schemas import RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.format import day_name, hours_minutes, human_distance, money, weekday
from tui.common.language import _, listed
from tui.common.sanitize import plain
from tui.common.tracking.track import metres_between
from tui.customer.ordering.basket import Basket

TAGS = {"vegetarian": _("vegetarian"), "vegan": _("vegan"), "spicy": _("spicy")}
ALLERGENS = {
    "celery": _("celery"),
    "crustaceans": _("crustaceans"),
    "eggs": _("eggs"),
    "fish": _("fish"),
    "gluten": _("gluten"),
    "milk": _("milk"),
    "mustard": _("mustard"),
    "nuts": _("nuts"),
    "peanuts": _("peanuts"),
    "sesame": _("sesame"),
    "soya": _("soya"),
}


def tags_in_words(tags: list[str]) -> str:
    """A dish's tags: `vegetarian, spicy, contains peanuts`."""
    return listed(map(tag_in_words, tags))


def tag_in_words(tag: str) -> str:
    """A dish's tag; an allergen that has no translation keeps its name."""
    kind, _colon, allergen = plain(tag).partition(":")
    if not allergen:
        return TAGS.get(kind, kind)
    return _("contains {allergen}").format(
        allergen=ALLERGENS.get(allergen, allergen.replace("-", " "))
    )


def not_now(restaurant: RestaurantSummary) -> str:
    """That the restaurant takes no orders now, and until when; "" if it does."""
    if restaurant.open_now:
        return ""
    opens = ""
    if restaurant.opens_at is not None:
        there = restaurant.there(restaurant.opens_at)
        day = weekday(there) if restaurant.opens_soon else day_name(there)
        opens = f"{day} {hours_minutes(there, there.tzinfo)}"
    if restaurant.paused_until:
        paused = _("Takes no orders until {time}.") if opens else _("Takes no orders.")
        return paused.format(time=opens)
    return (_("Closed until {time}.") if opens else _("Closed.")).format(time=opens)


def below_minimum(basket: Basket) -> str:
    """What is missing to the restaurant's minimum; "" where nothing is."""
    place = basket.restaurant
    missing = place.minimum_cents - basket.total_cents
    if missing <= 0:
        return ""
    least, more = money(place.minimum_cents, place.currency), money(missing, place.currency)
    return _("{restaurant} delivers from {least}: {more} are missing. Esc adds dishes.").format(
        restaurant=plain(place.name), least=least, more=more
    )


def metres_to(restaurant: RestaurantSummary, address: Address) -> float:
    """As the crow flies."""
    here = Point(lat=restaurant.lat, lng=restaurant.lng)
    return metres_between(here, Point(lat=address.lat, lng=address.lng))


def out_of_reach(restaurant: RestaurantSummary, known: Address | None) -> str:
    """That the restaurant does not deliver to that address; "" if it does."""
    if known is None or not restaurant.delivery_radius_m:
        return ""
    away = metres_to(restaurant, known)
    if away <= restaurant.delivery_radius_m:
        return ""
    radius = human_distance(restaurant.delivery_radius_m)
    return _("It delivers within {radius}, and you are {distance} away.").format(
        radius=radius, distance=human_distance(away)
    )
