"""Laws that the lab's figures obey, whatever the records are."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.lab.fields import slope
from tui.lab.histogram import BUCKET_GROWTH, EXACT_VALUES, Histogram
from tui.lab.records import LONG_POLL, SHORT_POLL, Appended, Arrival, Exchange, Plan
from tui.lab.statistics import Bursts, Figures, Statistics

seconds = st.floats(1e-6, 1000)
many = st.lists(seconds, min_size=1, max_size=60)


def histogram_of(values: list[float], *, exact: bool = True) -> Histogram:
    """Without `exact` it has nothing but its buckets, as after very many values."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    if not exact:
        histogram._exact = None
    return histogram


def nearest_rank(values: list[float], percent: float) -> float:
    return sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]


@given(many, st.floats(0, 100), st.booleans())
def test_a_percentile_is_exact_of_few_and_right_to_half_a_percent_of_many(
    values: list[float], percent: float, exact: bool
) -> None:
    histogram = histogram_of(values, exact=exact)
    found, right = histogram.percentile(percent), nearest_rank(values, percent)
    assert found is not None
    assert min(values) <= found <= max(values)
    if exact:
        assert found == right
    assert right / math.sqrt(BUCKET_GROWTH) * 0.9999 <= found
    assert found <= right * math.sqrt(BUCKET_GROWTH) * 1.0001


def test_a_histogram_is_bounded() -> None:
    chance = random.Random(1)
    values = [chance.lognormvariate(-3, 2) for _ in range(20 * EXACT_VALUES)]
    histogram = histogram_of(values)
    assert histogram._exact is None
    assert len(histogram.buckets()) < 2500
    assert sum(count for _, count in histogram.buckets()) == histogram.count == len(values)
    assert histogram.percentile(50) == pytest.approx(nearest_rank(values, 50), rel=0.006)
    shares = [share for _, share in histogram.ecdf()]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert Histogram().percentile(50) is None


@given(many, st.floats(0.01, 20), st.floats(0, 50))
def test_bursts_last_as_long_as_the_union_of_their_tails(
    times: list[float], gap: float, later: float
) -> None:
    times.sort()
    now = times[-1] + later
    bursts = Bursts(gap)
    for at in times:
        bursts.add(at)
    starts = [
        at for before, at in zip([-math.inf, *times], times, strict=False) if at - before > gap
    ]
    lasted = sum(min(after - at, gap) for at, after in zip(times, [*times[1:], now], strict=True))
    assert bursts.count == len(starts)
    assert bursts.lasted(now) == pytest.approx(lasted, abs=1e-6)


gaps = st.lists(st.tuples(st.floats(0.001, 2), st.floats(0.001, 5)), min_size=1, max_size=40)


def run_of(
    plan: Plan, sent: list[tuple[float, float]], *, told_late: bool = False
) -> tuple[Statistics, list[float]]:
    """Each event so long after the one before, and its latency; in order, at every reader."""
    statistics = Statistics(plan)
    statistics.begun(0)
    at, received, latencies = 0.0, 0.0, []
    events, arrivals = [], []
    for seq, (gap, latency) in enumerate(sent, 1):
        at += gap
        received = max(received, at + latency)
        latencies.append(received - at)
        events.append(Appended(seq, at, 100))
        arrivals += [
            Arrival(LONG_POLL, reader, seq, at, received, False) for reader in range(plan.readers)
        ]
    for event in [] if told_late else events:
        statistics.appended(event)
    for arrival in arrivals:
        statistics.arrived(arrival)
    for event in reversed(events) if told_late else []:
        statistics.appended(event)
    return statistics, latencies


@given(gaps, st.integers(1, 3), st.booleans())
def test_an_ideal_readers_staleness_is_its_latency(
    sent: list[tuple[float, float]], readers: int, told_late: bool
) -> None:
    plan = Plan(seconds=1000, readers=readers, patterns=(LONG_POLL,))
    statistics, latencies = run_of(plan, sent, told_late=told_late)
    (figures,) = statistics.figures(900)
    mean = sum(latencies) / len(latencies)
    assert figures.latency.mean == pytest.approx(mean)
    assert figures.staleness == pytest.approx(mean, abs=1e-6)
    # Little's law: how many are under way is how often they come times how long they take.
    assert figures.events_behind == pytest.approx(len(sent) / 900 * mean, abs=1e-6)
    assert figures.latency.count == figures.traffic.delivered == len(sent) * readers
    assert figures.traffic.payload == 100 * len(sent) * readers


@given(gaps, st.floats(0.05, 3), st.data())
def test_staleness_is_the_integral_of_what_is_lacking(
    sent: list[tuple[float, float]], pause: float, data: st.DataObject
) -> None:
    """Of a poll that sees only the newest event, and of one that has not seen all yet."""
    committed, at = [], 0.0
    for gap, _ in sent:
        at += gap
        committed.append(at)
    end = data.draw(st.floats(at, at + 5))
    statistics = Statistics(Plan(seconds=1000, patterns=(SHORT_POLL,)))
    statistics.begun(0)
    for seq, one in enumerate(committed, 1):
        statistics.appended(Appended(seq, one, 10))
    seen, changes = 0, [(one, 1) for one in committed]
    polls = [number * pause for number in range(1, int(end / pause) + 1)]
    for poll in polls:
        newest = sum(one <= poll for one in committed)
        if newest > seen:
            arrival = Arrival(SHORT_POLL, 0, newest, committed[newest - 1], poll, False)
            statistics.arrived(arrival)
            changes.append((poll, seen - newest))
            seen = newest
    integral, behind, before = 0.0, 0, 0.0
    for when, change in [*sorted(changes), (end, 0)]:
        integral += behind * (when - before)
        behind, before = behind + change, when
    (figures,) = statistics.figures(end)
    assert figures.staleness == pytest.approx(integral / len(sent), abs=1e-6)
    assert figures.events_behind == pytest.approx(integral / end, abs=1e-6)


def test_traffic_counts_while_the_source_goes_on() -> None:
    statistics = Statistics(Plan(seconds=60, patterns=(LONG_POLL,), radio_tail=9))

    def happen(at: float) -> None:
        statistics.connected(LONG_POLL, at)
        statistics.passed(LONG_POLL, at, up=True, data=bytes(300))
        for kind in ("request", "connection"):
            for state in ("started", "answered"):
                statistics.exchanged(Exchange(LONG_POLL, 0, 1, kind, state, at, 0, 0))  # type: ignore[arg-type]
        statistics.exchanged(Exchange(LONG_POLL, 0, 2, "request", "failed", at, 0, 0))
        statistics.passed(LONG_POLL, at + 0.01, up=False, data=bytes(700))

    happen(5)
    statistics.begun(10)
    assert statistics.figures(10)[0].a_minute(1) is None
    statistics.appended(Appended(1, 19.5, 100))
    happen(20)
    statistics.arrived(Arrival(LONG_POLL, 0, 1, 19.5, 20.02, True))
    happen(65)
    (figures,) = statistics.figures(70)
    happen(71)
    (after,) = statistics.figures(80)
    for each in (figures, after):
        assert (each.traffic.requests, each.traffic.connections, each.traffic.failures) == (2, 2, 2)
        assert each.traffic.reconnects == 2
        assert each.a_minute(each.traffic.requests) == 2
        assert (each.traffic.bytes_up, each.traffic.bytes_down) == (600, 1400)
        assert each.an_event(each.traffic.bytes_down) == 1400
        assert each.overhead == 20
        assert (each.replayed, each.wake_ups, each.radio_starts) == (1, 2, 2)
        assert each.radio_on == pytest.approx(9 + 0.01 + 5)
        assert each.staleness == pytest.approx(0.52)


def test_without_records_there_are_no_figures() -> None:
    found: list[Figures] = Statistics(Plan(readers=2)).figures(1)
    assert [each.pattern for each in found] == list(Plan().patterns)
    for each in found:
        nothing = (each.latency.mean, each.staleness, each.overhead, each.an_event(1))
        assert nothing == (None,) * 4
        assert (each.radio_on, each.radio_starts) == (None, None)


@pytest.mark.parametrize(
    ("heights", "found"),
    [
        ([0, 30, 60, 90, 120], (3, 0)),
        ([0, 30, 60, 5090, 120, 150, 180, 210], (3, 0)),  # one of them is wrong
        ([9, 0, 9, 0, 9], (None, None)),  # it does not grow
        ([90, 60, 30, 0], (None, None)),
        ([0, 30], (None, None)),
    ],
)
def test_a_slope_is_that_of_most_points_or_none(
    heights: list[float], found: tuple[float | None, float | None]
) -> None:
    assert slope([(10.0 * at, height) for at, height in enumerate(heights)]) == found
