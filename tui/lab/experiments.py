"""The lab's experiments by their names: `patterns`, and one for each lesson."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.lab.bench import Experiment, Trace, Turn
from tui.lab.dials import PRESETS
from tui.lab.records import (
    LONG_POLL,
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
    from tui.lab.results import RunResult
    from tui.lab.statistics import Figures

HOUR_SECONDS = 3600
MOST_THREADS = 4
"""So many more may start for other work while readers connect, however many those are."""
FALLBACK_SECONDS = 3.0
"""The app waits two, and then asks: with what a busy machine adds."""


def _figures(result: RunResult) -> dict[str, Figures]:
    return {each.pattern: each for each in result.figures}


def _snake(pattern: str) -> str:
    return pattern.replace("-", "_")


async def _race(bench: Bench, plan: Plan) -> None:
    await bench.run(plan)


async def _idle(bench: Bench, plan: Plan) -> None:
    """One event, in the middle of the run."""
    result = await bench.run(replace(plan, shape="steady", rate=1 / (0.51 * plan.seconds)))
    hours = plan.seconds / HOUR_SECONDS
    for pattern, figures in _figures(result).items():
        name, traffic = _snake(pattern), figures.traffic
        at_a_rate = f"with {result.outcome.events} event in {plan.seconds:g} s"
        bench.find(
            f"{name}_requests_per_hour",
            traffic.requests / hours / plan.readers,
            "requests/h",
            f"Requests of one {pattern} reader in an hour, {at_a_rate}.",
        )
        bench.find(
            f"{name}_bytes_per_hour",
            (traffic.bytes_up + traffic.bytes_down) / hours / plan.readers,
            "B/h",
            f"Bytes both ways of one {pattern} reader in an hour, {at_a_rate}.",
        )
        bench.find(
            f"{name}_radio_share",
            None if figures.radio_on is None else figures.radio_on / figures.seconds,
            "of the time",
            f"For how much of the time a phone's radio would be on for {pattern}.",
        )


async def _held(bench: Bench, plan: Plan) -> None:
    """Readers that wait, each kind on a server process of its own, and nothing happens."""
    for pattern in plan.patterns:
        quiet = replace(plan, patterns=(pattern,), shape="steady", rate=0.5 / plan.seconds)
        result = await bench.run(quiet, pattern, alone=True)
        cost, name = result.outcome.costs[pattern], _snake(pattern)
        readers = f"{plan.readers} {pattern} readers"
        row = result.row(pattern)
        bench.find(
            f"{name}_memory_per_reader",
            row["memory_bytes_per_reader"],
            "B",
            f"By how much the server's memory grew for each of {readers}.",
        )
        threads = cost.threads_connected - cost.threads_before
        bench.find(
            f"{name}_threads_for_readers",
            threads,
            "threads",
            f"By how many threads the server had more with {readers} than without.",
        )
        bench.find(
            f"{name}_threads",
            cost.threads_connected,
            "threads",
            f"Threads of the server with {readers}.",
        )
        bench.find(
            f"{name}_cpu_while_quiet",
            cost.held_cpu,
            "of a core",
            f"CPU of the server while {readers} waited and nothing happened.",
        )
        bench.check(
            threads <= MOST_THREADS,
            f"The server's threads do not grow with its readers: {threads} more for {readers}.",
        )
        bench.find(f"{name}_held", cost.held, "readers", f"Of {readers}, those that it held.")


async def _missed(bench: Bench, plan: Plan) -> None:
    """The same rate twice: at random, and in step with the polls."""
    for shape in ("poisson", "steady"):
        result = await bench.run(replace(plan, shape=shape, poll_pace="rate"), shape)
        polled = _figures(result)[SHORT_POLL]
        verdicts, events = result.outcome.verdicts, result.outcome.events * plan.readers
        bench.find(
            f"{shape}_unseen_share",
            verdicts[SHORT_POLL].lost / events if events else None,
            "of events",
            f"States that were overwritten before a poll saw them; the source was {shape}.",
        )
        polls = polled.traffic.requests / plan.readers
        a_poll = result.outcome.events / polls if polls else math.inf
        seen = -math.expm1(-a_poll) if shape == "poisson" else min(1.0, a_poll)
        bench.find(
            f"{shape}_unseen_expected",
            1 - seen / a_poll,
            "of events",
            f"The share that follows from {a_poll:.2g} events between two polls.",
        )
        latency = polled.latency
        quarter, rest = latency.percentile(25), latency.percentile(75)
        bench.find(
            f"{shape}_spread",
            None if quarter is None or rest is None else (rest - quarter) * 1000,
            "ms",
            "Between the ages of news that a quarter and three quarters of polls found: small "
            "where a steady source and steady polls keep step.",
        )
        bench.find(
            f"{shape}_stream_unseen",
            verdicts[SSE].lost,
            "events",
            "Events that a stream of the same source has not brought.",
        )


async def _buffering(bench: Bench, plan: Plan) -> None:
    dials = replace(
        PRESETS[plan.network].dials, buffer=PRESETS["proxy"].dials.buffer, websocket="refuse"
    )
    trace = Trace()
    result = await bench.run(plan, dials=dials, trace=trace)
    began = result.outcome.began
    for pattern in plan.patterns:
        arrivals = trace.arrivals[pattern]
        first = trace.appends[0].committed if trace.appends else began
        bench.find(
            f"{_snake(pattern)}_first_news",
            arrivals[0].received - first if arrivals else None,
            "s",
            f"From the first event to the first news over {pattern}.",
        )
        seconds = _figures(result)[pattern].latency.percentile(50)
        bench.find(
            f"{_snake(pattern)}_p50",
            None if seconds is None else seconds * 1000,
            "ms",
            f"The age of half of the news over {pattern} was no greater.",
        )
    exchanges = trace.exchanges[SSE_FALLBACK]
    asked = next((one.at for one in exchanges if one.kind == "connection"), math.nan)
    polled = next((one.at for one in exchanges if one.kind == "request"), math.nan)
    fell_back = None if math.isnan(polled - asked) else polled - asked
    bench.find(
        "fell_back_after",
        fell_back,
        "s",
        "From asking for the stream to the first poll in its place.",
    )
    bench.check(
        fell_back is not None and fell_back <= FALLBACK_SECONDS,
        f"A stream that is held back is replaced by polls within {FALLBACK_SECONDS:g} s.",
    )


async def _tunnel(bench: Bench, plan: Plan) -> None:
    """A cut of five seconds, or a third of the run where that is shorter."""
    dials = PRESETS[plan.network].dials
    cut_at = 0.2 * plan.seconds
    back_at = cut_at + min(5.0, plan.seconds / 3)
    trace = Trace()
    result = await bench.run(
        plan,
        dials=dials,
        turns=(
            Turn(cut_at, replace(dials, cut=True), "into the tunnel, cut"),
            Turn(back_at, dials, "out of it"),
        ),
        trace=trace,
    )
    bench.find("cut_for", back_at - cut_at, "s", "How long all lines were cut.")
    sizes = {one.seq: one.payload for one in trace.appends}
    line_back = trace.began + back_at
    missed_meanwhile = sum(
        trace.began + cut_at <= one.committed < line_back for one in trace.appends
    )
    bench.find("events_meanwhile", missed_meanwhile, "events", "What happened in the tunnel.")
    for pattern in plan.patterns:
        name, arrivals = _snake(pattern), trace.arrivals[pattern]
        after = [one for one in arrivals if one.received >= line_back]
        replayed = [one for one in after if one.replayed]
        bench.find(
            f"{name}_back_after",
            after[0].received - line_back if after else None,
            "s",
            f"From the end of the cut to the first news over {pattern}.",
        )
        bench.find(
            f"{name}_missed",
            result.outcome.verdicts[pattern].lost,
            "events",
            f"Events that {pattern} never got.",
        )
        if pattern == SHORT_POLL:
            continue
        bench.find(f"{name}_replayed", len(replayed), "events", f"Of {pattern}, once it was back.")
        if not replayed:
            continue
        first, last = replayed[0].received, replayed[-1].received
        bench.find(
            f"{name}_replayed_in",
            (last - first) * 1000,
            "ms",
            f"From the first to the last of those events over {pattern}.",
        )
        bench.find(
            f"{name}_replayed_payload",
            sum(sizes.get(one.seq, 0) for one in replayed),
            "B",
            "Their data.",
        )
        bench.find(
            f"{name}_recovery_bytes",
            sum(size for at, _, size in trace.packets[pattern] if line_back <= at <= last),
            "B",
            f"All bytes both ways over {pattern} from the end of the cut to the last of them.",
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
            Plan(seconds=12, rate=2, patterns=(LONG_POLL, SSE, SSE_FALLBACK)),
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
                seconds=15,
                rate=4,
                patterns=(SHORT_POLL, LONG_POLL, SSE, SSE_NO_CURSOR, WEBSOCKET, SOCKETIO),
            ),
            _tunnel,
        ),
    )
}
