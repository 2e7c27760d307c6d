"""What a driver's fixes say: which are in doubt, how fast the driver is, where they head."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features.drivers.track import GPS_ERROR_METRES, MAX_SPEED, Fix, Track, usual_speed
from server.geo.sphere import METRES_PER_DEGREE, bearing, distance

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def fix(north: float, second: float, east: float = 0.0) -> Fix:
    """That many metres north and east of 0, 0, that many seconds after noon."""
    return Fix(
        lat=north / METRES_PER_DEGREE,
        lng=east / METRES_PER_DEGREE,
        at=NOON + timedelta(seconds=second),
    )


def track_of(*fixes: Fix, vehicle: str = "bicycle") -> Track:
    track = Track.start(fixes[0], vehicle)
    for one in fixes[1:]:
        track = track.after(one, vehicle)
    return track


def steady(speed: float, seconds: int, *, start: float = 0, every: int = 2) -> list[Fix]:
    return [fix(speed * second, start + second) for second in range(0, seconds + 1, every)]


@pytest.mark.parametrize(
    ("north", "seconds", "suspect"),
    [
        (GPS_ERROR_METRES - 1, 0, False),  # within the error of GPS
        (GPS_ERROR_METRES + 1, 0, True),
        (MAX_SPEED * 10 - 5, 10, False),  # a train
        (MAX_SPEED * 10 + 5, 10, True),
        (5_000_000, 2, True),
    ],
)
def test_a_fix_is_suspect_if_it_is_both_far_away_and_too_fast(
    north: float, seconds: float, suspect: bool
) -> None:
    assert track_of(fix(0, 0), fix(north, seconds)).suspect is suspect


def test_a_bad_fix_does_not_count_and_does_not_exclude_good_ones() -> None:
    good = steady(6, 60)
    spoiled = [*good[:15], fix(3_000_000, 29), *good[15:]]
    assert track_of(*spoiled[:16]).suspect
    assert track_of(*spoiled[:16]).recent_speed == track_of(*good[:15]).recent_speed
    assert track_of(*spoiled) == track_of(*good)


def test_two_fixes_that_agree_are_good() -> None:
    """A bad first fix must not exclude the good ones after it."""
    track = track_of(fix(3_000_000, 0), fix(0, 2))
    assert track.suspect
    track = track.after(fix(12, 4), "bicycle")
    assert not track.suspect
    assert track.good == fix(12, 4)
    assert track.speed == pytest.approx(6, abs=0.1), (
        "measured from the fix that agrees, not from the bad one"
    )
    assert track.heading == pytest.approx(0)


def test_bad_fixes_that_disagree_are_all_suspect() -> None:
    track = track_of(fix(0, 0))
    for number in range(1, 10):
        track = track.after(fix(1_000_000 * number, 2 * number), "bicycle")
        assert track.suspect
    assert not track.after(fix(100, 20), "bicycle").suspect


def test_a_good_fix_refutes_an_earlier_doubt() -> None:
    track = track_of(fix(0, 0), fix(3_000_000, 2), fix(12, 4), fix(3_000_001, 6))
    assert track.suspect


@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 100_000), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_any_fixes_give_valid_figures(
    steps: list[tuple[float, float, int, bool]],
) -> None:
    at, track, now = NOON, None, 0
    for lat, lng, milliseconds, stays in steps:
        now += milliseconds
        at = NOON + timedelta(milliseconds=now)
        if stays and track is not None:
            lat, lng = track.last.lat, track.last.lng
        one = Fix(lat=lat, lng=lng, at=at)
        track = track.after(one, "car") if track else Track.start(one, "car")
        assert 0 <= track.recent_speed <= MAX_SPEED + 1e-6
        assert track.heading is None or 0 <= track.heading < 360
        assert track.speed is None or 0 <= track.speed <= MAX_SPEED
        assert track.last == one
        assert Track.model_validate_json(track.model_dump_json()) == track


@pytest.mark.parametrize(
    ("vehicle", "speed"),
    [("bicycle", 5), ("Cargo bike ", 4.5), ("scooter", 8), ("car", 9), ("unicycle", 5)],
)
def test_a_driver_who_has_not_moved_has_the_vehicles_usual_speed(
    vehicle: str, speed: float
) -> None:
    standing = track_of(*(fix(0, 2 * number) for number in range(300)), vehicle=vehicle)
    assert standing.recent_speed == pytest.approx(speed)
    assert usual_speed(vehicle) == speed


def test_the_recent_speed_soon_is_the_speed_driven() -> None:
    for speed in (2.0, 6.0, 20.0, 40.0):
        assert track_of(*steady(speed, 20)).recent_speed == pytest.approx(speed, rel=0.3)
        assert track_of(*steady(speed, 90)).recent_speed == pytest.approx(speed, rel=0.06)


def test_the_recent_speed_does_not_depend_on_the_interval() -> None:
    often, seldom = (track_of(*steady(7, 180, every=every)).recent_speed for every in (1, 45))
    assert often == pytest.approx(seldom, rel=0.01)


def test_a_stop_counts_like_a_red_light_until_it_is_a_break() -> None:
    riding = steady(6, 120)
    here = riding[-1]

    def waiting(seconds: int) -> Track:
        stood = [
            Fix(lat=here.lat, lng=here.lng, at=here.at + timedelta(seconds=second))
            for second in range(2, seconds + 1, 2)
        ]
        return track_of(*riding, *stood)

    assert waiting(20).recent_speed < 5
    assert waiting(200).recent_speed == waiting(20).recent_speed > 3
    assert waiting(600).recent_speed == usual_speed("bicycle"), "a break starts over"


def test_a_fix_after_a_long_silence_gives_no_speed() -> None:
    track = track_of(*steady(6, 60), fix(1_000, 2_000))
    assert track.speed is None
    assert track.recent_speed == usual_speed("bicycle")


def test_fixes_held_back_and_sent_at_once_give_no_speed() -> None:
    held = [fix(12 * number, 60 + number / 1000) for number in range(31, 60)]
    track = track_of(*steady(6, 60), *held)
    assert not track.suspect
    assert track.speed is None
    assert track.recent_speed == pytest.approx(6, rel=0.1)


def test_the_heading_is_that_of_the_last_move() -> None:
    assert track_of(fix(0, 0)).heading is None
    for north, east, heading in ((20, 0, 0), (0, 20, 90), (-20, 0, 180), (0, -20, 270)):
        track = track_of(fix(0, 0), fix(north, 4, east))
        assert track.heading == pytest.approx(heading, abs=0.1)
        assert track.after(fix(north + 1, 6, east), "bicycle").heading == track.heading


@given(st.floats(-85, 85), st.floats(-179, 179), st.floats(0, 359.9))
def test_bearing_and_distance_lead_to_the_point(lat: float, lng: float, heading: float) -> None:
    from math import cos, radians, sin

    north, east = 100 * cos(radians(heading)), 100 * sin(radians(heading))
    start = (lat, lng)
    end = (
        lat + north / METRES_PER_DEGREE,
        lng + east / METRES_PER_DEGREE / cos(radians(lat)),
    )
    off = (bearing(start, end) - heading + 180) % 360 - 180
    assert abs(off) < 0.1
    assert distance(start, end) == pytest.approx(100, rel=1e-3)
