"""What the customer is told of a restaurant and its dishes before the order."""

from server.features.drivers.schemas import Point
from server.features.restaurants.schemas import RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.format import human_distance, money
from tui.common.sanitize import plain
from tui.common.tracking.track import metres_between
from tui.customer.ordering.basket import Basket


def tags_in_words(tags: list[str]) -> str:
    """A dish's tags: `vegetarian, spicy, contains peanuts`."""
    return ", ".join(plain(tag).replace(":", " ").replace("-", " ") for tag in tags)


def not_now(restaurant: RestaurantSummary) -> str:
    """That the restaurant takes no orders now, and until when; "" if it does."""
    if restaurant.open_now:
        return ""
    word = "Takes no orders" if restaurant.paused_until else "Closed"
    return (
        f"{word} until {restaurant.opens_there:%a %H:%M}." if restaurant.opens_there else f"{word}."
    )


def below_minimum(basket: Basket) -> str:
    """What is missing to the restaurant's minimum; "" where nothing is."""
    place = basket.restaurant
    missing = place.minimum_cents - basket.total_cents
    if missing <= 0:
        return ""
    least, more = money(place.minimum_cents, place.currency), money(missing, place.currency)
    return f"{plain(place.name)} delivers from {least}: {more} are missing. Esc adds dishes."


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
    return f"It delivers within {radius}, and you are {human_distance(away)} away."
