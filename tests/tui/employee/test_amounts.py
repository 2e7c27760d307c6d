"""Amounts that are typed and saved, of currencies with other digits than two."""

import csv
from datetime import datetime

import pytest

from server.features.kitchen.schemas import KitchenSummary
from tui.common.format import bare_money
from tui.employee.history.figures import csv_of
from tui.employee.menu import cents_of


@pytest.mark.parametrize(
    ("text", "currency", "cents"),
    [
        ("12", "EUR", 1200),
        (" 12,5 € ", "EUR", 1250),
        ("CHF 12.50", "CHF", 1250),
        ("١٢٫٥٠", "EUR", 1250),
        ("1250", "JPY", 1250),
        ("1.25", "KWD", 1250),
        ("12.50", "JPY", None),
        ("12.505", "EUR", None),
        ("-5", "EUR", None),
        ("", "EUR", None),
    ],
)
def test_a_price_is_typed_in_the_restaurants_currency(
    text: str, currency: str, cents: int | None
) -> None:
    assert cents_of(text, currency) == cents
    if cents is not None:
        assert cents_of(bare_money(cents, currency), currency) == cents


@pytest.mark.parametrize(
    ("currency", "taken"), [("EUR", "24.80"), ("RSD", "24.80"), ("JPY", "2480"), ("KWD", "2.480")]
)
def test_saved_figures_are_in_the_currencys_units(currency: str, taken: str) -> None:
    at = datetime.fromisoformat("2026-03-01T00:00:00Z")
    summary = KitchenSummary.model_validate(
        {
            "from": at,
            "to": at,
            "time_zone": "UTC",
            "currency": currency,
            "orders": 1,
            "cancelled": 0,
            "revenue_cents": 2480,
            "finished": 0,
            "late": 0,
            "preparation_minutes": None,
            "busiest_hour": None,
            "hours": [],
            "dishes": [],
        }
    )
    rows = list(csv.reader(csv_of(summary).splitlines()))
    assert rows[1][3:] == [taken, currency]
