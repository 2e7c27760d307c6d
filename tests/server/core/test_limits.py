import pytest

from server.core import limits
from server.core.errors import Problem, too_many, unavailable
from server.core.limits import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    return clock


def test_refuses_one_too_many_and_says_when_there_is_room_again(clock: Clock) -> None:
    limit = RateLimit(30, "changes")
    for _ in range(30):
        limit.take("a")
    with pytest.raises(Problem, match="at most 30 a minute") as refused:
        limit.take("a")
    assert refused.value.status == 429
    limit.take("b")
    wait = int(refused.value.headers["Retry-After"])
    clock.now += wait
    limit.take("a")
    with pytest.raises(Problem):
        limit.take("a")


def take_all(limit: RateLimit) -> None:
    while True:
        limit.take("a")


def test_coming_back_when_told_is_always_in_time(clock: Clock) -> None:
    limit = RateLimit(41, "changes")  # 1.46 s a change
    for _ in range(41):
        limit.take("a")
    for _ in range(20):
        with pytest.raises(Problem) as refused:
            take_all(limit)
        clock.now += int(refused.value.headers["Retry-After"])
        limit.take("a")


def test_the_bucket_is_full_again_after_a_minute_and_not_fuller(clock: Clock) -> None:
    limit = RateLimit(10, "changes")
    for _ in range(10):
        limit.take("a")
    clock.now += 3600
    for _ in range(10):
        limit.take("a")
    with pytest.raises(Problem):
        limit.take("a")


def test_a_refusal_costs_nothing(clock: Clock) -> None:
    limit = RateLimit(1, "log-ins")
    limit.take("a")
    for _ in range(59):
        clock.now += 1
        with pytest.raises(Problem):
            limit.take("a")
    clock.now += 1.001
    limit.take("a")


def test_zero_is_no_limit() -> None:
    limit = RateLimit(0, "changes")
    for _ in range(10_000):
        limit.take("a")


def test_keeps_a_bounded_number_of_keys(clock: Clock) -> None:
    limit = RateLimit(1, "changes")
    for number in range(limits.KEYS + 100):
        limit.take(str(number))
    assert len(limit._buckets) == limits.KEYS


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.4, "1"), (1.2, "2"), (5.0, "5")])
def test_retry_after_is_whole_seconds_and_never_too_few(seconds: float, header: str) -> None:
    assert too_many("x", seconds).headers["Retry-After"] == header
    assert unavailable("x", seconds).headers["Retry-After"] == header
