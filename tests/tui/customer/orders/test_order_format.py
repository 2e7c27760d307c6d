from datetime import timedelta

import pytest
from order_samples import NOON, WAY, a_step, an_order

from server.features.orders.schemas import CANCELLABLE, OrderStatus
from tui.common import language
from tui.common.format import STATUS_LOOKS, age, money, money_locale
from tui.customer.orders import format as orders_format
from tui.customer.orders.format import (
    actor_name,
    arrival,
    in_minutes,
    is_late,
    status_before_end,
    status_message,
    why_not_cancellable,
)
from tui.customer.orders.model import OrderStore


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (59, "now"), (240, "4m"), (7200, "2h"), (86_400 * 12, "12d"), (10**9, "32y")],
)
def test_age_is_short(seconds: int, words: str) -> None:
    assert age(NOON, NOON + timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(600, "10 min"), (301, "6 min"), (5, "1 min"), (-30, "1 min"), (-250, "4 min late")],
)
def test_minutes_are_rounded_up(seconds: int, words: str) -> None:
    assert in_minutes(NOON + timedelta(seconds=seconds), NOON) == words


@pytest.mark.parametrize(
    ("environment", "cents", "currency", "shown", "spoken"),
    [
        ({"LC_ALL": "C.UTF-8", "LANG": "de_DE.UTF-8"}, 5, "EUR", "€0.05", "0.05 euros"),
        ({"LC_MONETARY": "de_AT.UTF-8@euro"}, 2480, "EUR", "€ 24,80", "24,80 Euro"),
        ({"LANG": "fr_FR.UTF-8"}, 123_456, "EUR", "1 234,56 €", "1 234,56 euros"),
        ({"LANG": "en_US"}, 2480, "JPY", "¥2,480", "2,480 Japanese yen"),
        ({"LANG": "ja_JP.UTF-8"}, 2480, "JPY", "¥2,480", "2,480円"),
        ({"LANG": "en_US"}, 2480, "KWD", "KWD 2.480", "2.480 Kuwaiti dinars"),
        # its minor unit is not used in shops, but it was charged
        ({"LANG": "en_US"}, 2480, "RSD", "RSD 24.80", "24.80 Serbian dinars"),
        ({"LANG": "ar_EG.UTF-8"}, 2480, "EUR", "24.80 €", "24.80 يورو"),
        ({"LANG": "no such place"}, 2480, "ABC", "ABC 24.80", "24.80 ABC"),
    ],
)
def test_money_is_written_as_the_locale_does(
    environment: dict[str, str],
    cents: int,
    currency: str,
    shown: str,
    spoken: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LC_ALL", "LC_MONETARY", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    money_locale.cache_clear()
    money.cache_clear()
    try:
        assert money(cents, currency) == shown
        assert money(cents, currency, spoken=True) == spoken
    finally:
        money_locale.cache_clear()
        money.cache_clear()


def test_money_is_in_the_language_in_use_where_no_locale_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LC_ALL", "LC_MONETARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setattr(language, "_language", "ar")
    money_locale.cache_clear()
    try:
        assert money.__wrapped__(200, "EUR", spoken=True) == "2.00 يورو"
    finally:
        money_locale.cache_clear()


def test_arrival_says_when_or_how_the_order_ended() -> None:
    eta = NOON + timedelta(minutes=5)
    cooking = an_order(1, "preparing", eta=eta)
    local = f"{eta.astimezone():%H:%M}"
    assert arrival(cooking, NOON) == f"arrives {local}"
    assert arrival(cooking, eta + timedelta(minutes=2)) == f"was due {local}"
    assert is_late(cooking, eta + timedelta(minutes=2))
    assert not is_late(an_order(1, "delivered", eta=eta), eta + timedelta(days=1))
    assert arrival(an_order(1), NOON) == "waiting for the kitchen"
    assert arrival(an_order(1, "delivered"), NOON).startswith("delivered ")


def test_every_status_has_a_glyph_a_name_and_a_message() -> None:
    assert set(STATUS_LOOKS) == set(OrderStatus)
    glyphs = [glyph for glyph, _, _ in STATUS_LOOKS.values()]
    assert len(set(glyphs)) == len(glyphs)
    for status in OrderStatus:
        assert status_message(an_order(1, status), NOON)


def test_a_cancellation_gives_its_reason() -> None:
    order = an_order(1, "cancelled", timeline=[a_step("placed"), a_step("cancelled", "No gas")])
    assert status_message(order, NOON) == "Your order was cancelled: No gas"
    assert status_before_end(order) == "placed"


def test_control_characters_are_removed_and_markup_is_text() -> None:
    evil = {"id": "r", "name": "\x1b[31mRed\u202e [b]x[/b]", "lat": 0, "lng": 0}
    order = an_order(1, "accepted", restaurant=evil)
    words = status_message(order, NOON) + orders_format.headline(order, NOON).plain
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert "[b]x[/b]" in words


def test_the_customers_own_step_is_by_you() -> None:
    order = an_order(1, "accepted")
    assert [actor_name(step, order) for step in order.timeline] == ["you", "Maya"]


@pytest.mark.parametrize("status", [*WAY, "cancelled"])
def test_an_order_that_cannot_be_cancelled_is_explained(status: str) -> None:
    order = an_order(1, status)
    assert (order.status in CANCELLABLE) is (status in ("placed", "accepted"))
    assert why_not_cancellable(order).endswith(".")


def test_the_headline_is_of_the_order_furthest_along() -> None:
    riding = an_order(1, "out_for_delivery", eta=NOON + timedelta(minutes=6))
    cooking = an_order(2, "preparing")
    assert orders_format.most_urgent([cooking, riding]) is riding
    headline = orders_format.headline(riding, NOON)
    assert headline.plain == "#0001 Thai Basil on its way, 6 min"
    assert orders_format.headline(None, NOON).plain == ""


def test_an_empty_table_explains_itself() -> None:
    store = OrderStore()
    assert "Loading" in orders_format.empty_message(store, "").plain
    assert "No answer." in orders_format.empty_message(store, "No answer.").plain
    store.loaded = True
    assert orders_format.empty_message(store, "").plain == "No orders yet. Press n to order."
