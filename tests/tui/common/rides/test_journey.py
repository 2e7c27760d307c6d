"""A ride as it is seen: the trail, the way ahead, what is left, and what is in doubt."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features.drivers.schemas import DriverLocation, Point, Route
from tui.common.tracking import format as words
from tui.common.tracking.polyline import Course, metres_between
from tui.common.tracking.track import DETOUR, Journey

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
A, B, C = (Point(lat=lat, lng=lng) for lat, lng in ((47.0, 15.0), (47.0, 15.02), (47.01, 15.02)))
"""A corner: about 1.5 km east, then 1.1 km north."""


def seen(seq: int, lat: float, lng: float, **more: object) -> DriverLocation:
    fields: dict[str, object] = {"heading": None, "speed_mps": None, "pace_mps": 5.0} | more
    at = NOON + timedelta(seconds=seq)
    fields = {"at": at} | fields
    return DriverLocation.model_validate(
        {"driver_id": "d", "lat": lat, "lng": lng, "seq": seq} | fields
    )


def led() -> Journey:
    """At A, and the way by B to C is known."""
    journey = Journey(C)
    journey.take(seen(1, A.lat, A.lng))
    journey.lead(Route(metres=0, along_streets=True, points=[A, B, C]))
    return journey


def test_the_way_behind_follows_the_corners_of_the_way_ahead() -> None:
    journey = led()
    whole = journey.metres_left
    assert whole == pytest.approx(Course([A, B, C]).metres)
    journey.take(seen(2, 47.005, 15.02))
    assert list(journey.trail) == [A, B, Point(lat=47.005, lng=15.02)]
    assert journey.ahead[0].lat == pytest.approx(47.005, abs=1e-6)
    assert journey.ahead[-1] == C
    assert journey.metres_left == pytest.approx(metres_between(journey.trail[-1], C), rel=1e-3)
    assert not journey.wants_way


def test_who_leaves_the_way_gets_another_one() -> None:
    journey = led()
    journey.take(seen(2, 47.005, 15.0))
    assert journey.wants_way
    assert journey.ahead == ()
    straight = metres_between(Point(lat=47.005, lng=15.0), C)
    assert journey.metres_left == pytest.approx(straight * DETOUR)


def test_one_in_doubt_moves_nothing() -> None:
    journey = led()
    before = journey.newest, journey.trail, journey.metres_left
    journey.take(seen(2, 10.0, 10.0, suspect=True))
    assert (journey.newest, journey.trail, journey.metres_left) == before
    assert "doubtful" in words.figures(journey, NOON + timedelta(seconds=3))
    journey.take(seen(3, A.lat, A.lng + 0.0001))
    assert "doubtful" not in words.figures(journey, NOON + timedelta(seconds=3))


def test_another_target_wants_another_way() -> None:
    journey = led()
    journey.target = C
    assert not journey.wants_way
    journey.target = A
    assert journey.wants_way
    journey.target = None
    assert not journey.wants_way
    assert journey.metres_left is None
    assert words.lead(journey, NOON) == []


def test_a_straight_line_is_no_way_to_draw() -> None:
    journey = Journey(C)
    journey.take(seen(1, A.lat, A.lng))
    journey.lead(Route(metres=0, along_streets=False, points=[A, C]))
    assert journey.ahead == ()
    assert not journey.wants_way
    assert journey.metres_left == pytest.approx(metres_between(A, C) * DETOUR)


def test_time_runs_down_between_two_positions() -> None:
    journey = led()
    left = journey.metres_left
    assert left is not None
    at_once = journey.seconds_left(NOON + timedelta(seconds=1))
    assert at_once == pytest.approx(left / 5)
    later = journey.seconds_left(NOON + timedelta(seconds=11))
    assert at_once is not None
    assert later == pytest.approx(at_once - 10)
    assert journey.seconds_left(NOON + timedelta(hours=1)) == 0


def test_words_say_how_old_it_is() -> None:
    journey = led()
    journey.take(seen(2, A.lat, A.lng + 0.0001, speed_mps=5.0))
    assert (
        words.figures(journey, NOON + timedelta(seconds=4)) == "9 min · 2.6 km · 18 km/h · 2 s ago"
    )
    assert not journey.is_stale(NOON + timedelta(seconds=17))
    assert journey.is_stale(NOON + timedelta(seconds=17.1))
    assert "last seen 30 s ago" in words.figures(journey, NOON + timedelta(seconds=32))
    assert words.figures(Journey(C), NOON) == ""


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_along_the_way_what_is_behind_and_ahead_is_the_whole(shares: list[float]) -> None:
    journey = led()
    course = Course([A, B, C])
    for seq, share in enumerate(sorted(shares), 2):
        here = course.at(share * course.metres)
        journey.take(seen(seq, here.lat, here.lng))
    assert journey.newest is not None
    behind = Course(journey.trail).metres
    left = journey.metres_left
    assert left is not None
    assert behind + left == pytest.approx(course.metres, abs=3)
    assert Course(journey.ahead).metres == pytest.approx(left, abs=0.5)


@given(st.floats(46.99, 47.02), st.floats(14.99, 15.03))
def test_nothing_on_the_way_is_nearer_than_the_nearest(lat: float, lng: float) -> None:
    course, point = Course([A, B, C]), Point(lat=lat, lng=lng)
    along, off = course.nearest(point)
    assert 0 <= along <= course.metres
    assert metres_between(course.at(along).point, point) == pytest.approx(off, abs=2)
    for share in range(101):
        other = course.at(course.metres * share / 100).point
        assert metres_between(other, point) >= off - 2
