"""A driver as seen: the trail, the route ahead, what is left, suspect locations."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features.drivers.schemas import DriverLocation, Point, Route
from tui.common.tracking import format as tracking_format
from tui.common.tracking.track import DETOUR, DriverTrack, Polyline, metres_between

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


def led() -> DriverTrack:
    """At A, and the way by B to C is known."""
    track = DriverTrack(C)
    track.add(seen(1, A.lat, A.lng))
    track.set_route(Route(metres=0, along_streets=True, points=[A, B, C]))
    return track


def test_the_trail_follows_the_corners_of_the_route() -> None:
    track = led()
    whole = track.metres_left
    assert whole == pytest.approx(Polyline([A, B, C]).metres)
    track.add(seen(2, 47.005, 15.02))
    assert list(track.trail) == [A, B, Point(lat=47.005, lng=15.02)]
    assert track.ahead[0].lat == pytest.approx(47.005, abs=1e-6)
    assert track.ahead[-1] == C
    assert track.metres_left == pytest.approx(metres_between(track.trail[-1], C), rel=1e-3)
    assert not track.needs_route


def test_a_driver_off_the_route_needs_another() -> None:
    track = led()
    track.add(seen(2, 47.005, 15.0))
    assert track.needs_route
    assert track.ahead == ()
    straight = metres_between(Point(lat=47.005, lng=15.0), C)
    assert track.metres_left == pytest.approx(straight * DETOUR)


def test_a_suspect_location_changes_nothing() -> None:
    track = led()
    before = track.newest, track.trail, track.metres_left
    track.add(seen(2, 10.0, 10.0, suspect=True))
    assert (track.newest, track.trail, track.metres_left) == before
    assert "doubtful" in tracking_format.trip_line(track, NOON + timedelta(seconds=3))
    track.add(seen(3, A.lat, A.lng + 0.0001))
    assert "doubtful" not in tracking_format.trip_line(track, NOON + timedelta(seconds=3))


def test_another_target_needs_another_route() -> None:
    track = led()
    track.target = C
    assert not track.needs_route
    track.target = A
    assert track.needs_route
    track.target = None
    assert not track.needs_route
    assert track.metres_left is None
    assert tracking_format.eta_parts(track, NOON) == []


def test_a_straight_route_is_not_drawn() -> None:
    track = DriverTrack(C)
    track.add(seen(1, A.lat, A.lng))
    track.set_route(Route(metres=0, along_streets=False, points=[A, C]))
    assert track.ahead == ()
    assert not track.needs_route
    assert track.metres_left == pytest.approx(metres_between(A, C) * DETOUR)


def test_the_time_left_runs_down_between_two_locations() -> None:
    track = led()
    left = track.metres_left
    assert left is not None
    at_once = track.seconds_left(NOON + timedelta(seconds=1))
    assert at_once == pytest.approx(left / 5)
    later = track.seconds_left(NOON + timedelta(seconds=11))
    assert at_once is not None
    assert later == pytest.approx(at_once - 10)
    assert track.seconds_left(NOON + timedelta(hours=1)) == 0


def test_the_text_says_how_old_the_location_is() -> None:
    track = led()
    track.add(seen(2, A.lat, A.lng + 0.0001, speed_mps=5.0))
    assert (
        tracking_format.trip_line(track, NOON + timedelta(seconds=4))
        == "9 min · 2.6 km · 18 km/h · 2 s ago"
    )
    assert not track.is_stale(NOON + timedelta(seconds=17))
    assert track.is_stale(NOON + timedelta(seconds=17.1))
    assert "last seen 30 s ago" in tracking_format.trip_line(track, NOON + timedelta(seconds=32))
    assert tracking_format.trip_line(DriverTrack(C), NOON) == ""


@pytest.mark.parametrize(
    ("gap", "interval", "stale_after"),
    [(2, None, 15), (45, None, 67.5), (3_600, None, 90), (None, None, 90), (2, 45, 67.5)],
)
def test_a_location_is_stale_once_the_next_is_overdue(
    gap: float | None, interval: float | None, stale_after: float
) -> None:
    track = DriverTrack()
    track.interval = interval
    if gap is not None:
        track.add(seen(1, A.lat, A.lng, at=NOON - timedelta(seconds=gap)))
    track.add(seen(2, B.lat, B.lng, at=NOON))
    assert not track.is_stale(NOON + timedelta(seconds=stale_after))
    assert track.is_stale(NOON + timedelta(seconds=stale_after + 0.1))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_trail_and_rest_of_the_route_are_the_whole(shares: list[float]) -> None:
    track = led()
    polyline = Polyline([A, B, C])
    for seq, share in enumerate(sorted(shares), 2):
        here = polyline.at(share * polyline.metres)
        track.add(seen(seq, here.lat, here.lng))
    assert track.newest is not None
    behind = Polyline(track.trail).metres
    left = track.metres_left
    assert left is not None
    assert behind + left == pytest.approx(polyline.metres, abs=3)
    assert Polyline(track.ahead).metres == pytest.approx(left, abs=0.5)


@given(st.floats(46.99, 47.02), st.floats(14.99, 15.03))
def test_no_position_on_the_line_is_nearer_than_the_nearest(lat: float, lng: float) -> None:
    polyline, point = Polyline([A, B, C]), Point(lat=lat, lng=lng)
    along, off = polyline.nearest(point)
    assert 0 <= along <= polyline.metres
    assert metres_between(polyline.at(along).point, point) == pytest.approx(off, abs=2)
    for share in range(101):
        other = polyline.at(polyline.metres * share / 100).point
        assert metres_between(other, point) >= off - 2
