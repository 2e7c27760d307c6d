import asyncio

import pytest

from server.core import limits
from server.core.errors import Problem, too_many, unavailable
from server.core.limits import GrowingDelay, InFlight, RateLimit, Tally, Turns
from support.waiting import PATIENCE


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


def test_one_too_many_is_refused_with_when_to_retry(clock: Clock) -> None:
    limit = RateLimit(30, "changes")
    for _ in range(30):
        limit.consume("a")
    with pytest.raises(Problem, match="at most 30 a minute") as refused:
        limit.consume("a")
    assert refused.value.status == 429
    limit.consume("b")
    wait = int(refused.value.headers["Retry-After"])
    clock.now += wait
    limit.consume("a")
    with pytest.raises(Problem):
        limit.consume("a")


def take_all(limit: RateLimit) -> None:
    while True:
        limit.consume("a")


def test_a_request_after_retry_after_is_accepted(clock: Clock) -> None:
    limit = RateLimit(41, "changes")  # 1.46 s a change
    for _ in range(41):
        limit.consume("a")
    for _ in range(20):
        with pytest.raises(Problem) as refused:
            take_all(limit)
        clock.now += int(refused.value.headers["Retry-After"])
        limit.consume("a")


def test_the_bucket_is_full_again_after_a_minute_and_not_fuller(clock: Clock) -> None:
    limit = RateLimit(10, "changes")
    for _ in range(10):
        limit.consume("a")
    clock.now += 3600
    for _ in range(10):
        limit.consume("a")
    with pytest.raises(Problem):
        limit.consume("a")


def test_a_refusal_costs_nothing(clock: Clock) -> None:
    limit = RateLimit(1, "log-ins")
    limit.consume("a")
    for _ in range(59):
        clock.now += 1
        with pytest.raises(Problem):
            limit.consume("a")
    clock.now += 1.001
    limit.consume("a")


def test_zero_is_no_limit() -> None:
    limit = RateLimit(0, "changes")
    for _ in range(10_000):
        limit.consume("a")


def test_keeps_a_bounded_number_of_keys(clock: Clock) -> None:
    limit = RateLimit(1, "changes")
    for number in range(limits.KEYS + 100):
        limit.consume(str(number))
    assert len(limit._full) == limits.KEYS


def test_a_flood_of_keys_frees_no_limited_key(clock: Clock) -> None:
    limit, delay = RateLimit(5, "changes"), GrowingDelay(5, 300)
    for _ in range(5):
        limit.consume("a")
        delay.begin_attempt("a")
    for number in range(limits.KEYS * 2):
        limit.consume(str(number))
        delay.begin_attempt(str(number))
    with pytest.raises(Problem):
        limit.consume("a")
    assert delay.seconds_left("a")
    assert len(delay._failures) == len(limit._full) == limits.KEYS


def test_an_expensive_request_costs_more_but_never_more_than_the_limit(clock: Clock) -> None:
    limit = RateLimit(60, "requests")
    limit.consume("a", 50)
    with pytest.raises(Problem) as refused:
        limit.consume("a", 20)
    assert int(refused.value.headers["Retry-After"]) == 10
    limit.consume("a", 10)
    clock.now += 60
    limit.consume("a", 1000)
    with pytest.raises(Problem):
        limit.consume("a")


def test_a_limit_by_the_hour_says_so(clock: Clock) -> None:
    limit = RateLimit(2, "registrations", 3600)
    limit.consume("a")
    limit.consume("a")
    with pytest.raises(Problem, match="at most 2 an hour") as refused:
        limit.consume("a")
    assert int(refused.value.headers["Retry-After"]) == 1800


def test_a_share_of_the_limit_may_come_at_once(clock: Clock) -> None:
    limit = RateLimit(40, "requests", share=0.25)
    for _ in range(10):
        limit.consume("a")
    for _ in range(20):
        with pytest.raises(Problem, match="at most 40 a minute") as refused:
            limit.consume("a")
        clock.now += int(refused.value.headers["Retry-After"])
        limit.consume("a")
    RateLimit(1, "requests", share=0.25).consume("a")


def test_delays_grow_with_each_failure_and_end_with_a_success(clock: Clock) -> None:
    delay = GrowingDelay(3, 10)
    waits = []
    for _ in range(9):
        waits.append(delay.seconds_left("a"))
        clock.now += waits[-1]
        delay.begin_attempt("a")
    assert waits == [0, 0, 0, 1, 2, 4, 8, 10, 10]
    assert not delay.seconds_left("b")
    delay.reset("a")
    assert not delay.seconds_left("a")


def test_failures_count_for_a_day(clock: Clock) -> None:
    delay = GrowingDelay(1, 300)
    for _ in range(100):
        delay.begin_attempt("a")
    clock.now += 200
    assert delay.seconds_left("a") == 100
    clock.now += limits.FORGOTTEN_SECONDS
    delay.begin_attempt("a")
    assert delay.seconds_left("a") == 1


def test_an_undone_attempt_does_not_count(clock: Clock) -> None:
    delay = GrowingDelay(2, 300)
    delay.begin_attempt("a")
    delay.begin_attempt("a")
    delay.undo_attempt("a")
    assert not delay.seconds_left("a")
    delay.undo_attempt("b")
    assert not delay._failures.get("b")


def test_zero_free_failures_cause_no_delay(clock: Clock) -> None:
    delay = GrowingDelay(0, 300)
    for _ in range(1000):
        delay.begin_attempt("a")
    assert not delay.seconds_left("a")


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.4, "1"), (1.2, "2"), (5.0, "5")])
def test_retry_after_is_whole_seconds_and_never_too_few(seconds: float, header: str) -> None:
    assert too_many("x", seconds).headers["Retry-After"] == header
    assert unavailable("x", seconds).headers["Retry-After"] == header


async def test_a_key_has_a_few_turns_at_a_time_and_further_requests_wait() -> None:
    turns = Turns(2)
    done = await turns.acquire("a")
    kept = await turns.acquire("a")
    assert done is not None
    assert kept is not None
    waiting = [asyncio.create_task(turns.acquire("a")) for _ in range(3)]
    await asyncio.sleep(0)  # each comes to wait
    await turns.acquire("b")
    assert not any(one.done() for one in waiting)
    waiting[0].cancel()
    done()
    done()
    async with asyncio.timeout(PATIENCE):
        passed_on = await waiting[1]
    assert not waiting[2].done()
    kept()
    waiting[2].cancel()  # just as it gets its turn, which goes back
    await asyncio.wait(waiting, timeout=PATIENCE)
    assert waiting[2].cancelled()
    assert passed_on is not None
    passed_on()
    async with asyncio.timeout(PATIENCE):
        await turns.acquire("a")
        await turns.acquire("a")


async def test_zero_turns_are_no_limit() -> None:
    turns = Turns(0)
    async with asyncio.timeout(PATIENCE):
        for _ in range(100):
            await turns.acquire("a")


def test_requests_in_flight_are_limited_by_key() -> None:
    requests = InFlight(2)
    leave = requests.enter("a")
    assert leave is not None
    requests.enter("a")
    with pytest.raises(Problem) as refused:
        requests.enter("a")
    assert refused.value.status == 429
    requests.enter("b")
    leave()
    leave()
    requests.enter("a")
    with pytest.raises(Problem):
        requests.enter("a")


@pytest.mark.parametrize(("processes", "share"), [(2, 1.0), (4, 1.0), (4, 0.25), (16, 0.25)])
def test_processes_that_tell_each_other_exceed_a_limit_once_and_by_what_may_come_at_once(
    clock: Clock, processes: int, share: float
) -> None:
    """Somebody asks every process as often as it lets them, for ten minutes."""
    most = 60
    limits = [RateLimit(most, "requests", share=share) for _ in range(processes)]
    tallies = [Tally(lambda: None) for _ in limits]
    for limit, tally in zip(limits, tallies, strict=True):
        limit.tally = tally
    begun, admitted, times = clock.now, 0, list[float]()
    while clock.now < begun + 600:
        for limit in limits:
            try:
                while True:
                    limit.consume("a")
                    admitted += 1
                    times.append(clock.now)
            except Problem:
                pass
        clock.now += 0.2
        for teller, tally in zip(limits, tallies, strict=True):
            for key, count in tally.take().items():
                for limit in limits:
                    if limit is not teller:
                        limit.count_elsewhere(key, count)
    at_once = int(most * share)
    assert most * 10 <= admitted <= most * 10 + processes * at_once
    for start in times:
        within = sum(start <= at < start + 60 for at in times[times.index(start) :][:2000])
        assert within <= most + processes * at_once
