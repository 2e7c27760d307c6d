"""What a driver's fixes tell: which are doubtful, how fast they go, where they head."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features.drivers.track import FASTEST, JUMP_METRES, Fix, Track, usual_pace
from server.features.shared.geo import METRES_A_DEGREE, bearing, metres

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def fix(north: float, second: float, east: float = 0.0) -> Fix:
    """So many metres north and east of the equator's beginning, so many seconds after noon."""
    return Fix(
        lat=north / METRES_A_DEGREE,
        lng=east / METRES_A_DEGREE,
        at=NOON + timedelta(seconds=second),
    )


def ridden(*fixes: Fix, vehicle: str = "bicycle") -> Track:
    track = Track.begun(fixes[0], vehicle)
    for one in fixes[1:]:
        track = track.after(one, vehicle)
    return track


def steady(speed: float, seconds: int, *, start: float = 0, every: int = 2) -> list[Fix]:
    return [fix(speed * second, start + second) for second in range(0, seconds + 1, every)]


@pytest.mark.parametrize(
    ("north", "seconds", "suspect"),
    [
        (JUMP_METRES - 1, 0, False),  # satellites err
        (JUMP_METRES + 1, 0, True),
        (FASTEST * 10 - 5, 10, False),  # a train
        (FASTEST * 10 + 5, 10, True),
        (5_000_000, 2, True),
    ],
)
def test_a_jump_is_what_is_both_far_and_too_fast(
    north: float, seconds: float, suspect: bool
) -> None:
    assert ridden(fix(0, 0), fix(north, seconds)).suspect is suspect


def test_a_bad_fix_neither_locks_the_good_ones_out_nor_counts() -> None:
    good = steady(6, 60)
    spoiled = [*good[:15], fix(3_000_000, 29), *good[15:]]
    assert ridden(*spoiled[:16]).suspect
    assert ridden(*spoiled[:16]).pace == ridden(*good[:15]).pace
    assert ridden(*spoiled) == ridden(*good)


def test_two_fixes_that_agree_win() -> None:
    """The first fix of all was the bad one: it must not shut the right ones out."""
    track = ridden(fix(3_000_000, 0), fix(0, 2))
    assert track.suspect
    track = track.after(fix(12, 4), "bicycle")
    assert not track.suspect
    assert track.good == fix(12, 4)
    assert track.speed == pytest.approx(6, abs=0.1), (
        "from the fix that agrees, not from the bad one"
    )
    assert track.heading == pytest.approx(0)


def test_bad_fixes_that_do_not_agree_are_all_suspect() -> None:
    track = ridden(fix(0, 0))
    for number in range(1, 10):
        track = track.after(fix(1_000_000 * number, 2 * number), "bicycle")
        assert track.suspect
    assert not track.after(fix(100, 20), "bicycle").suspect


def test_a_good_fix_refutes_the_doubt_before_it() -> None:
    track = ridden(fix(0, 0), fix(3_000_000, 2), fix(12, 4), fix(3_000_001, 6))
    assert track.suspect


@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 100_000), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_comes_the_figures_stay_figures(
    steps: list[tuple[float, float, int, bool]],
) -> None:
    at, track, now = NOON, None, 0
    for lat, lng, milliseconds, stays in steps:
        now += milliseconds
        at = NOON + timedelta(milliseconds=now)
        if stays and track is not None:
            lat, lng = track.last.lat, track.last.lng
        one = Fix(lat=lat, lng=lng, at=at)
        track = track.after(one, "car") if track else Track.begun(one, "car")
        assert 0 <= track.pace <= FASTEST + 1e-6
        assert track.heading is None or 0 <= track.heading < 360
        assert track.speed is None or 0 <= track.speed <= FASTEST
        assert track.last == one
        assert Track.model_validate_json(track.model_dump_json()) == track


@pytest.mark.parametrize(
    ("vehicle", "pace"),
    [("bicycle", 5), ("Cargo bike ", 4.5), ("scooter", 8), ("car", 9), ("unicycle", 5)],
)
def test_before_it_moves_the_pace_is_what_is_usual(vehicle: str, pace: float) -> None:
    standing = ridden(*(fix(0, 2 * number) for number in range(300)), vehicle=vehicle)
    assert standing.pace == pytest.approx(pace)
    assert usual_pace(vehicle) == pace


def test_the_pace_is_soon_the_speed_driven() -> None:
    for speed in (2.0, 6.0, 20.0, 40.0):
        assert ridden(*steady(speed, 20)).pace == pytest.approx(speed, rel=0.3)
        assert ridden(*steady(speed, 90)).pace == pytest.approx(speed, rel=0.06)


def test_the_interval_does_not_matter_to_it() -> None:
    often, seldom = (ridden(*steady(7, 180, every=every)).pace for every in (1, 45))
    assert often == pytest.approx(seldom, rel=0.01)


def test_a_red_light_slows_it_and_no_more() -> None:
    riding = steady(6, 120)
    here = riding[-1]

    def waiting(seconds: int) -> Track:
        stood = [
            Fix(lat=here.lat, lng=here.lng, at=here.at + timedelta(seconds=second))
            for second in range(2, seconds + 1, 2)
        ]
        return ridden(*riding, *stood)

    assert waiting(20).pace < 5
    assert waiting(200).pace == waiting(20).pace > 3
    assert waiting(600).pace == usual_pace("bicycle"), "after a break it begins anew"


def test_news_after_a_long_silence_tell_no_speed() -> None:
    track = ridden(*steady(6, 60), fix(1_000, 2_000))
    assert track.speed is None
    assert track.pace == usual_pace("bicycle")


def test_many_held_back_and_sent_at_once_tell_no_speed() -> None:
    held = [fix(12 * number, 60 + number / 1000) for number in range(31, 60)]
    track = ridden(*steady(6, 60), *held)
    assert not track.suspect
    assert track.speed is None
    assert track.pace == pytest.approx(6, rel=0.1)


def test_the_heading_is_where_it_went_and_stays_at_a_stand() -> None:
    assert ridden(fix(0, 0)).heading is None
    for north, east, heading in ((20, 0, 0), (0, 20, 90), (-20, 0, 180), (0, -20, 270)):
        track = ridden(fix(0, 0), fix(north, 4, east))
        assert track.heading == pytest.approx(heading, abs=0.1)
        assert track.after(fix(north + 1, 6, east), "bicycle").heading == track.heading


@given(st.floats(-85, 85), st.floats(-179, 179), st.floats(0, 359.9))
def test_setting_out_in_that_direction_leads_there(lat: float, lng: float, heading: float) -> None:
    from math import cos, radians, sin

    north, east = 100 * cos(radians(heading)), 100 * sin(radians(heading))
    to_lat = lat + north / METRES_A_DEGREE
    to_lng = lng + east / METRES_A_DEGREE / cos(radians(lat))
    off = (bearing(lat, lng, to_lat, to_lng) - heading + 180) % 360 - 180
    assert abs(off) < 0.1
    assert metres(lat, lng, to_lat, to_lng) == pytest.approx(100, rel=1e-3)
