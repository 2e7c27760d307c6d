"""When a restaurant is open, and its terms over REST."""

from datetime import UTC, datetime, timedelta

import pytest

from server.core.clock import now, to_text
from server.features.restaurants.hours import hours_of, opens_at
from support.cast import Cast

NIGHTS = '{"sat": [["22:00", "04:00"]], "mon": [["11:00", "24:00"]]}'
SPRING = '{"sat": [["18:00", "02:30"]]}'
AUTUMN = '{"sat": [["18:00", "02:30"]], "sun": [["11:00", "22:00"]]}'


@pytest.mark.parametrize(
    ("hours", "at", "opens"),
    [
        ("{}", "2026-06-01T03:00", "2026-06-01T03:00"),
        (NIGHTS, "2026-06-06T19:59", "2026-06-06T20:00"),  # Saturday, 21:59 in Vienna
        (NIGHTS, "2026-06-07T01:59", "2026-06-07T01:59"),  # Sunday, 03:59
        (NIGHTS, "2026-06-07T02:00", "2026-06-08T09:00"),  # Sunday, 04:00
        (NIGHTS, "2026-06-08T21:59", "2026-06-08T21:59"),  # Monday, 23:59
        (NIGHTS, "2026-06-08T22:00", "2026-06-13T20:00"),  # Tuesday, 00:00
        # The clocks go from 02:00 to 03:00: what would end at 02:30 ends half an hour after 02:00.
        (SPRING, "2026-03-29T01:29", "2026-03-29T01:29"),
        (SPRING, "2026-03-29T01:30", "2026-04-04T16:00"),
        # What is from 02:10 to 03:05 on other nights would end before it begins.
        ('{"sun": [["02:10", "03:05"]]}', "2026-03-29T00:50", "2026-04-05T00:10"),
        # They go from 03:00 back to 02:00: it ends at the first 02:30 and not again at the second.
        (AUTUMN, "2026-10-25T00:29", "2026-10-25T00:29"),
        (AUTUMN, "2026-10-25T00:30", "2026-10-25T10:00"),
        (AUTUMN, "2026-10-25T01:15", "2026-10-25T10:00"),
    ],
)
def test_hours_are_those_of_the_restaurants_clock(hours: str, at: str, opens: str) -> None:
    moment, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, opens))
    assert opens_at(hours_of(hours), "Europe/Vienna", None, moment) == expected


def test_a_pause_ends_into_the_hours() -> None:
    noon = datetime(2026, 6, 8, 10, tzinfo=UTC)  # Monday, 12:00 in Vienna
    hours = hours_of(NIGHTS)
    later = noon + timedelta(hours=1)
    assert opens_at(hours, "Europe/Vienna", later, noon) == later
    assert opens_at(hours, "Europe/Vienna", noon - timedelta(hours=1), noon) == noon
    tuesday = noon + timedelta(days=1)
    assert opens_at(hours, "Europe/Vienna", tuesday, noon) == datetime(2026, 6, 13, 20, tzinfo=UTC)


async def test_employees_change_their_restaurants_terms(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}"
    before = (await cast.customer.get(path)).must(200).json
    defaults = {
        "currency": "EUR",
        "opening_hours": {},
        "time_zone": "UTC",
        "minimum_cents": 0,
        "delivery_fee": {"base_cents": 0, "per_km_cents": 0},
        "paused_until": None,
        "extra_minutes": 0,
        "open_now": True,
        "rating": {"average": None, "count": 0},
    }
    assert before | defaults == before
    until = to_text(now() + timedelta(hours=1))
    terms = {
        "cuisine": "Indian",
        "currency": "CHF",
        "opening_hours": {"mon": [["11:00", "24:00"]], "sat": [["22:00", "04:00"]]},
        "time_zone": "Europe/Zurich",
        "minimum_cents": 1500,
        "delivery_fee": {"base_cents": 190, "per_km_cents": 60},
        "delivery_radius_m": 3000,
        "extra_minutes": 15,
    }
    changed = (await cast.employee.patch(path, terms)).must(200).json
    assert changed | terms == changed
    paused = (await cast.employee.patch(path, {"paused_until": until, "opening_hours": {}})).json
    assert (paused["paused_until"], paused["open_now"], paused["opens_at"]) == (until, False, until)
    assert paused["minimum_cents"] == 1500
    (listed,) = [
        one
        for one in (await cast.customer.get("/restaurants")).must(200).json["items"]
        if one["id"] == cast.place.id
    ]
    assert paused == listed | {"menu": changed["menu"]}
    past = {"paused_until": "2026-01-31T12:00:00Z"}
    for over in ({"paused_until": None}, past):
        again = (await cast.employee.patch(path, over)).must(200).json
        assert (again["paused_until"], again["open_now"]) == (None, True)


@pytest.mark.parametrize(
    "change",
    [
        {"opening_hours": {"monday": []}},
        {"opening_hours": {"mon": [["9:00", "12:00"]]}},
        {"opening_hours": {"mon": [["09:00"]]}},
        {"opening_hours": {"mon": [["12:00", "12:00"]]}},
        {"opening_hours": {"mon": [["24:00", "12:00"]]}},
        {"opening_hours": None},
        {"time_zone": "Europe"},
        {"time_zone": "../../etc/passwd"},
        {"currency": "euro"},
        {"minimum_cents": -1},
        {"delivery_fee": {"base_cents": 1.5}},
        {"extra_minutes": None},
        {"paused_until": 1},
    ],
)
async def test_invalid_terms_are_refused(cast: Cast, change: dict[str, object]) -> None:
    (await cast.employee.patch(f"/restaurants/{cast.place.id}", change)).must(422)


async def test_dishes_have_a_category_and_tags(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}/menu"
    given = {"category": "Curries", "tags": ["vegan", "contains:tree-nuts", "vegan"]}
    added = (await cast.employee.post(path, {"name": "Dal", "price_cents": 1} | given)).must(201)
    dish = added.json
    assert dish | {"category": "Curries", "tags": ["vegan", "contains:tree-nuts"]} == dish
    change = {"tags": ["vegan", "spicy"], "category": ""}
    changed = (await cast.employee.patch(f"{path}/{dish['id']}", change)).must(200).json
    assert changed == dish | change | {"version": 2}, "who has an allergy is asked again"
    for tag in ("contains:", "contains:a b", "tasty"):
        (await cast.employee.patch(f"{path}/{dish['id']}", {"tags": [tag]})).must(422)
