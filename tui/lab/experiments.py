"""The lab's experiments by their names: `patterns`, and one for each lesson."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.lab.bench import Experiment, Trace, Turn
from tui.lab.comparisons.one_thread import ONE_THREAD
from tui.lab.comparisons.redis_connections import REDIS
from tui.lab.comparisons.slow_reader import SLOW_READER
from tui.lab.comparisons.two_servers import TWO_SERVERS
from tui.lab.dials import PRESETS
from tui.lab.fields import slope
from tui.lab.readers import HOLD_SECONDS
from tui.lab.records import (
    LONG_POLL,
    NO_PROMISE,
    SHORT_POLL,
    SOCKETIO,
    SSE,
    SSE_FALLBACK,
    SSE_NO_CURSOR,
    WEBSOCKET,
    Plan,
)

if TYPE_CHECKING:
    from tui.lab.bench import Bench
    from tui.lab.records import Arrival
    from tui.lab.results import RunResult
    from tui.lab.statistics import Figures

HOUR_SECONDS = 3600
MOST_THREADS = 4
"""So many more may start for other work while readers connect, however many those are."""
FALLBACK_SECONDS = 3.0
"""The app waits two, and then asks: with what a busy machine adds."""


def _figures(result: RunResult) -> dict[str, Figures]:
    return {each.pattern: each for each in result.figures}


async def _race(bench: Bench, plan: Plan) -> None:
    await bench.run(plan)


async def _idle(bench: Bench, plan: Plan) -> None:
    """One event, in the middle of the run."""
    one_event = replace(plan, shape="steady", rate=1 / (0.51 * plan.seconds))
    trace = Trace()
    result = await bench.run(one_event, trace=trace)
    hours = plan.seconds / HOUR_SECONDS
    what = f"{result.outcome.events} event in {plan.seconds:g} s"
    for figures in result.figures:
        pattern, traffic = figures.pattern, figures.traffic
        bench.find(
            "requests_per_hour",
            traffic.requests / hours / plan.readers,
            "requests/h",
            f"Requests of a reader in an hour of {what}.",
            of=pattern,
        )
        bench.find(
            "bytes_per_hour",
            (traffic.bytes_up + traffic.bytes_down) / hours / plan.readers,
            "B/h",
            f"Its bytes both ways in an hour of {what}.",
            of=pattern,
        )
        bench.find(
            "connections_per_hour",
            traffic.connections / hours / plan.readers,
            "connections/h",
            "TCP connections that it makes for them: none where an open one is used again.",
            of=pattern,
        )
        bench.find(
            "wake_ups_per_hour",
            figures.wake_ups / hours,
            "wake-ups/h",
            "Bursts of packets, each of which wakes a device that sleeps.",
            of=pattern,
        )
        packets = [at - trace.began for at, _, _ in trace.packets[pattern] if at >= trace.began]
        bench.find(
            "radio_share",
            on_share(packets, figures.radio_tail, plan.seconds) if plan.readers == 1 else None,
            "of the time",
            "A phone's radio would be on for so much of the time if this went on, by a tail of "
            f"{figures.radio_tail:g} s.",
            of=pattern,
        )

    bench.find("hold", HOLD_SECONDS, "s", "For how long at most the server holds a long poll.")
    tail = result.figures[0].radio_tail
    bench.find("radio_tail", tail, "s", "For how long that radio stays on after a packet.")


def on_share(packets: list[float], tail: float, seconds: float) -> float:
    """For how much of the time a radio is on that stays so for a tail after each packet, if the
    packets of these seconds come again and again."""
    times = [at for at in packets if at <= seconds]
    following = [*times[1:], *(at + seconds for at in times[:1])]
    gaps = (later - at for at, later in zip(times, following, strict=True))
    return sum(min(tail, gap) for gap in gaps) / seconds


async def _held(bench: Bench, plan: Plan) -> None:
    """Readers that wait, each kind on a server process of its own, and nothing happens."""
    for pattern in plan.patterns:
        quiet = replace(plan, patterns=(pattern,), shape="steady", rate=0.5 / plan.seconds)
        result = await bench.run(quiet, pattern, alone=True)
        cost = result.outcome.costs[pattern]
        bench.find("held", cost.held, "readers", "Readers that the server held.", of=pattern)
        memory, spread = slope(cost.memory)
        bench.find(
            "memory_per_reader",
            memory,
            "B",
            "What each reader adds to its memory, by those of the second half.",
            of=pattern,
        )
        bench.find(
            "memory_spread",
            spread,
            "B",
            "Half of the estimates of that figure are no further apart than this.",
            of=pattern,
        )
        more = cost.threads_connected - cost.threads_before
        bench.find(
            "threads",
            cost.threads_connected,
            "threads",
            "Threads of the server with all of them.",
            of=pattern,
        )
        bench.find(
            "threads_for_readers", more, "threads", "More threads than without them.", of=pattern
        )
        bench.find(
            "cpu_while_quiet",
            cost.held_cpu if cost.held_cpu > 0 else None,
            "of a core",
            "CPU of the server while all of them waited and nothing happened.",
            of=pattern,
        )
        bench.check(
            more <= MOST_THREADS,
            f"The server's threads do not grow with its readers: {more} more for {cost.held} of "
            f"{pattern}.",
        )


async def _missed(bench: Bench, plan: Plan) -> None:
    """The same rate twice: at random, and in step with the polls."""
    for shape in ("poisson", "steady"):
        result = await bench.run(replace(plan, shape=shape, poll_pace="rate"), shape)
        polled = _figures(result)[SHORT_POLL]
        verdicts, events = result.outcome.verdicts, result.outcome.events
        bench.find(
            "unseen_share",
            verdicts[SHORT_POLL].lost / events / plan.readers if events else None,
            "of events",
            "States that were overwritten before a poll saw them.",
            of=shape,
        )
        polls = polled.traffic.requests / plan.readers
        a_poll = events / polls if polls else math.inf
        bench.find("events_per_poll", a_poll, "events", "Of the source, for each poll.", of=shape)
        seen = -math.expm1(-a_poll) if shape == "poisson" else min(1.0, a_poll)
        bench.find(
            "unseen_expected",
            1 - seen / a_poll if a_poll else None,
            "of events",
            "The share that follows from the number of events between two polls.",
            of=shape,
        )
        latency = polled.latency
        quarter, rest = latency.percentile(25), latency.percentile(75)
        bench.find(
            "spread",
            None if quarter is None or rest is None else (rest - quarter) * 1000,
            "ms",
            "The middle half of the news that polls found was of ages so far apart: hardly, where "
            "a steady source and steady polls keep step.",
            of=shape,
        )
        bench.find(
            "stream_unseen",
            verdicts[SSE].lost,
            "events",
            "What a stream of the same source has not brought.",
            of=shape,
        )


async def _buffering(bench: Bench, plan: Plan) -> None:
    dials = replace(
        PRESETS[plan.network].dials, buffer=PRESETS["proxy"].dials.buffer, websocket="refuse"
    )
    trace = Trace()
    result = await bench.run(plan, dials=dials, trace=trace)
    exchanges = trace.exchanges[SSE_FALLBACK]
    asked = next((one.at for one in exchanges if one.kind == "connection"), math.nan)
    polled = next((one.at for one in exchanges if one.kind == "request"), math.nan)
    fell_back = None if math.isnan(polled - asked) else polled - asked
    bench.find(
        "fell_back_after",
        fell_back,
        "s",
        "From asking for the stream of the apps to the first poll in its place.",
    )
    bench.check(
        fell_back is not None and fell_back <= FALLBACK_SECONDS,
        f"A stream that is held back is replaced by polls within {FALLBACK_SECONDS:g} s.",
    )
    happened = trace.appends[0].committed if trace.appends else math.nan
    for pattern, figures in _figures(result).items():
        arrivals = trace.arrivals[pattern]
        bench.find(
            "first_news",
            arrivals[0].received - happened if arrivals else None,
            "s",
            "From the first event to the first news.",
            of=pattern,
        )
        middle = figures.latency.percentile(50)
        bench.find(
            "p50",
            None if middle is None else middle * 1000,
            "ms",
            "Half of the news that came was no older.",
            of=pattern,
        )


async def _tunnel(bench: Bench, plan: Plan) -> None:
    """A cut of five seconds, or shorter in a short run: after it clients wait for up to twice as
    long and a second before they try again, and then there are still to be events."""
    dials = PRESETS[plan.network].dials
    cut_at = 0.1 * plan.seconds
    back_at = cut_at + min(5.0, max(0.3, (0.9 * plan.seconds - 1.5) / 3))
    turns = (
        Turn(cut_at, replace(dials, cut=True), "into the tunnel, cut"),
        Turn(back_at, dials, "out of it"),
    )
    trace = Trace()
    result = await bench.run(plan, dials=dials, turns=turns, trace=trace)
    out_at = trace.began + back_at
    meanwhile = [one for one in trace.appends if trace.began + cut_at <= one.committed < out_at]
    bench.find("cut_for", back_at - cut_at, "s", "How long all lines were cut.")
    bench.find("events_meanwhile", len(meanwhile), "events", "What happened in the tunnel.")
    for pattern in plan.patterns:
        after = [one for one in trace.arrivals[pattern] if one.received >= out_at]
        bench.find(
            "back_after",
            after[0].received - out_at if after else None,
            "s",
            "From the end of the cut to the first news; mostly the client's wait for its next "
            "attempt, which is random and grows with the cut.",
            of=pattern,
        )
        lost = result.outcome.verdicts[pattern].lost
        bench.find("missed", lost, "events", "Events that it never got.", of=pattern)
        if pattern not in NO_PROMISE:
            _find_replay(bench, trace, pattern, [one for one in after if one.replayed], out_at)


def _find_replay(
    bench: Bench, trace: Trace, pattern: str, replayed: list[Arrival], out_at: float
) -> None:
    first, last = (replayed[0].received, replayed[-1].received) if replayed else (0.0, 0.0)
    bench.find("replayed", len(replayed), "events", "Events that it got afterwards.", of=pattern)
    bench.find(
        "replayed_in",
        (last - first) * 1000 if replayed else None,
        "ms",
        "From the first of those to the last.",
        of=pattern,
    )
    sizes = {one.seq: one.payload for one in trace.appends}
    bench.find(
        "replayed_payload",
        sum(sizes.get(one.seq, 0) for one in replayed),
        "B",
        "Their data.",
        of=pattern,
    )
    bench.find(
        "recovery_bytes",
        sum(size for at, _, size in trace.packets[pattern] if out_at <= at <= last),
        "B",
        "All bytes both ways from the end of the cut to the last of them.",
        of=pattern,
    )


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "patterns",
            "",
            "The same events over every pattern at the same time.",
            Plan(),
            _race,
        ),
        Experiment(
            "idle",
            "What polling costs when nothing happens",
            "One event in some twenty seconds, read over every pattern: what do the answers cost "
            "that bring nothing? A phone pays for each with its battery, a server with requests.",
            Plan(seconds=24),
            _idle,
            frozenset({"rate", "shape"}),
        ),
        Experiment(
            "held",
            "Why a held poll is not a thread",
            "Hundreds of readers wait for an event that does not come. What does each of them cost "
            "the server in memory, threads and CPU? Held by an event loop, a connection is a "
            "little memory and no thread.",
            Plan(seconds=5, readers=300, patterns=(LONG_POLL, SSE, WEBSOCKET)),
            _held,
            frozenset({"rate", "shape"}),
            own_servers=True,
        ),
        Experiment(
            "missed",
            "The missed state between two polls",
            "Events come faster than polls. A poll sees a state, the newest: how many states does "
            "nobody see? And why does a steady source make a steady poll look better or worse than "
            "it is?",
            Plan(seconds=10, rate=3, patterns=(SHORT_POLL, SSE)),
            _missed,
            frozenset({"shape", "patterns", "poll_pace"}),
        ),
        Experiment(
            "buffering",
            "A stream behind a buffering proxy, and the fallback",
            "A proxy passes an answer on once it has 4 kB of it. A stream never ends, so its "
            "events wait in the proxy; an answer to a poll ends at once. How late is the news, and "
            "how soon does the stream of the apps notice, and poll instead?",
            Plan(
                seconds=12,
                rate=2,
                patterns=(SHORT_POLL, LONG_POLL, SSE, SSE_FALLBACK, WEBSOCKET, SOCKETIO),
            ),
            _buffering,
            frozenset({"patterns"}),
        ),
        Experiment(
            "tunnel",
            "A train in a tunnel, with a cursor and without",
            "All lines are cut for five seconds. Who comes back says which event it had last, its "
            "cursor, and gets what it missed; who does not, goes on with what comes next. What is "
            "lost, how soon is the news back, and what does it cost to catch up?",
            Plan(
                seconds=19,
                rate=4,
                patterns=(SHORT_POLL, LONG_POLL, SSE, SSE_NO_CURSOR, WEBSOCKET, SOCKETIO),
            ),
            _tunnel,
        ),
        SLOW_READER,
        REDIS,
        TWO_SERVERS,
        ONE_THREAD,
    )
}
