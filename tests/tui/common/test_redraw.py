import pytest

from tui.common.format import age_lasts, human_age, news_age, news_age_lasts
from tui.common.redraw import BUSY_SHARE, MAX_SKIPPED, STEP, Throttle

FRAME = 0.05


class Clocks:
    """A wall clock that a test moves on, and a processor clock that follows at `load`."""

    def __init__(self) -> None:
        self.wall = 100.0
        self.cpu = 7.0

    def step(self, throttle: Throttle, load: float) -> bool:
        self.wall += FRAME
        self.cpu += FRAME * load
        return throttle.due()


def throttled() -> tuple[Clocks, Throttle]:
    clocks = Clocks()
    return clocks, Throttle(lambda: clocks.wall, lambda: clocks.cpu)


def test_with_time_to_spare_every_frame_is_painted() -> None:
    clocks, throttle = throttled()
    assert all(clocks.step(throttle, 0.1) for _ in range(200))
    assert not throttle.busy


def test_a_short_rush_holds_nothing_up() -> None:
    clocks, throttle = throttled()
    assert all(clocks.step(throttle, 0.9 if 50 <= at < 60 else 0.05) for at in range(100))


def test_the_busier_it_is_the_more_frames_are_skipped_but_never_all() -> None:
    for steps, of in ((0.5, 2), (1.5, 3), (15, MAX_SKIPPED + 1)):
        clocks, throttle = throttled()
        for _ in range(60):
            clocks.step(throttle, BUSY_SHARE + steps * STEP)
        assert throttle.busy
        assert sum(clocks.step(throttle, BUSY_SHARE + steps * STEP) for _ in range(of * 20)) == 20


def test_it_calms_down_when_the_rush_is_over() -> None:
    clocks, throttle = throttled()
    for _ in range(60):
        clocks.step(throttle, 0.9)
    for _ in range(20):
        clocks.step(throttle, 0.05)
    assert not throttle.busy
    assert all(clocks.step(throttle, 0.05) for _ in range(50))


def test_clocks_that_stand_still_do_no_harm() -> None:
    throttle = Throttle(lambda: 5.0, lambda: 1.0)
    assert throttle.due()
    assert throttle.due()


def test_after_a_rest_it_is_not_busy_any_more() -> None:
    """No frame is needed while nothing changes: the time between two may be long."""
    clocks, throttle = throttled()
    for _ in range(60):
        clocks.step(throttle, 0.9)
    assert throttle.busy
    clocks.wall += 60
    assert throttle.due()
    assert not throttle.busy


@pytest.mark.parametrize("seconds", [100, 119.5, 3000, 5399, 7000, 100_000, 4e6, 5e7])
def test_an_age_is_drawn_again_when_it_reads_differently(seconds: float) -> None:
    lasts = age_lasts(seconds)
    assert lasts >= 1
    assert human_age(seconds + lasts * 0.99) == human_age(seconds)
    assert human_age(seconds + lasts * 1.01 + 1) != human_age(seconds)


@pytest.mark.parametrize(
    ("seconds", "words", "lasts"),
    [(0, "now", 10), (9.5, "now", 0.5), (12, "<30s", 18), (45, "<1m", 15), (60, "1m", 30)],
)
def test_the_age_of_news_changes_three_times_in_the_first_minute(
    seconds: float, words: str, lasts: float
) -> None:
    assert (news_age(seconds), news_age_lasts(seconds)) == (words, lasts)
