"""What an experiment of the lab is, and the bench on which it runs and notes what it finds."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

from tui.lab.dials import PRESETS, Dials
from tui.lab.network import Tap
from tui.lab.records import Appended, Arrival, Exchange, Plan, Sink
from tui.lab.results import Check, Finding, Report, RunResult, result_of, snake
from tui.lab.runner import LabRun
from tui.lab.servers import OwnProcesses, Servers, raise_file_limit, servers_for
from tui.lab.statistics import Statistics

if TYPE_CHECKING:
    from tui.lab.fields import Value
    from tui.lab.plot import Curve

PROGRESS_SECONDS = 0.5


class Watch(Sink, Tap, Protocol):
    """Takes all that a run records."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is done to the network of a run, and when."""

    at: float
    """Seconds after the source began."""
    dials: Dials
    words: str


class Trace:
    """A watch that keeps everything, for runs that are short."""

    def __init__(self) -> None:
        self.appends: list[Appended] = []
        self.arrivals: dict[str, list[Arrival]] = defaultdict(list)
        """By pattern; as the other two, in the order in which they came."""
        self.exchanges: dict[str, list[Exchange]] = defaultdict(list)
        self.packets: dict[str, list[tuple[float, bool, int]]] = defaultdict(list)
        """The time of each, whether it went up, and its bytes."""
        self.began = math.inf

    def appended(self, record: Appended) -> None:
        """See `Sink`."""
        self.appends.append(record)

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""
        self.arrivals[record.pattern].append(record)

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""
        self.exchanges[record.pattern].append(record)

    def begun(self, at: float) -> None:
        """See `Tap`."""
        self.began = at

    def connected(self, pattern: str, at: float) -> None:
        """See `Tap`."""

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        """See `Tap`."""
        self.packets[pattern].append((at, up, len(data)))

    def late(self, at: float, seconds: float) -> None:
        """See `Tap`."""


class _Tee:
    """A watch that passes all on to others."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def appended(self, record: Appended) -> None:
        for watch in self._watches:
            watch.appended(record)

    def arrived(self, record: Arrival) -> None:
        for watch in self._watches:
            watch.arrived(record)

    def exchanged(self, record: Exchange) -> None:
        for watch in self._watches:
            watch.exchanged(record)

    def begun(self, at: float) -> None:
        for watch in self._watches:
            watch.begun(at)

    def connected(self, pattern: str, at: float) -> None:
        for watch in self._watches:
            watch.connected(pattern, at)

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        for watch in self._watches:
            watch.passed(pattern, at, up=up, data=data)

    def late(self, at: float, seconds: float) -> None:
        for watch in self._watches:
            watch.late(at, seconds)


@dataclass(frozen=True, slots=True)
class Experiment:
    """Something that is measured, and what it is to answer."""

    name: str
    title: str
    question: str
    """What it shows, and why that matters, in a sentence or two."""
    plan: Plan
    """What it runs where nothing else is asked for; `measure` may vary it from run to run."""
    measure: Callable[[Bench, Plan], Awaitable[None]]
    """Does the runs on the bench, and tells it what they show."""
    fixed: frozenset[str] = frozenset()
    """What of the plan it sets itself, so that nothing else can be asked for."""
    own_servers: bool = False
    """Whether it always starts its servers itself, so that none can be named."""


PLAN = frozenset(field.name for field in fields(Plan))
"""All of a plan, of which an experiment may leave little to be asked for."""


class Bench:
    """Runs plans for an experiment, one after the other, and keeps what it finds.

    `async with Bench() as bench`, then `report`. Servers of our own start when they are first
    needed, and end with the block.
    """

    def __init__(
        self,
        server: str = "",
        redis: str = "",
        *,
        say: Callable[[str], object] = lambda words: None,
        watch: Callable[[Plan], Watch] | None = None,
    ) -> None:
        """`server` and `redis` are URLs of what is there already, "" for our own. `say` is told
        what is going on, about twice a second; `watch` makes what sees the records of each run,
        before it begins."""
        self.server, self.redis = server, redis
        self.say = say
        self._watch = watch
        self.run_under_way: LabRun | None = None
        self._runs: list[RunResult] = []
        self._findings: list[Finding] = []
        self._checks: list[Check] = []
        self._curves: list[Curve] = []
        self._stack = AsyncExitStack()
        self._shared: Servers | None = None
        """The server of all runs that ask for no other."""

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def report(self, experiment: Experiment, plan: Plan, command: str) -> Report:
        """All that the experiment shows with that plan. `command` repeats it.

        Raises ChildError, ClientError, OSError; ValueError where the system does not allow it.
        """
        plan = replace(plan, experiment=experiment.name)
        await experiment.measure(self, plan)
        return Report(
            experiment.name,
            command,
            tuple(self._runs),
            title=experiment.title,
            question=experiment.question,
            findings=tuple(self._findings),
            checks=tuple(self._checks),
            curves=tuple(self._curves),
        )

    async def run(
        self,
        plan: Plan,
        name: str = "",
        *,
        dials: Dials | None = None,
        turns: Sequence[Turn] = (),
        trace: Trace | None = None,
        alone: bool = False,
        servers: Servers | None = None,
    ) -> RunResult:
        """One run to its end; it is in the report by that name, which tells it from others of the
        same experiment.

        `dials` replace those of the plan's network, `turns` change them while it goes on, `trace`
        keeps its records. `alone`: on a server started for it; or on these `servers`.
        """
        raise_file_limit(plan)
        statistics = Statistics(plan)
        watches: list[Watch] = [statistics]
        if trace is not None:
            watches.append(trace)
        if self._watch is not None:
            watches.append(self._watch(plan))
        dials = dials or PRESETS[plan.network].dials
        async with AsyncExitStack() as stack:
            self.say(_words(plan, name, "starting"))
            servers = servers or await self._servers(plan, stack, alone=alone)
            tee = _Tee(watches)
            run = LabRun(plan, servers, tee, tee)
            run.network.turn(dials)
            self.run_under_way = run
            going = asyncio.create_task(run.go(), name="lab experiment's run")
            turning = asyncio.create_task(_turn(run, turns), name="lab experiment's turns")
            try:
                while not going.done():
                    self._tell(run, name)
                    await asyncio.wait({going}, timeout=PROGRESS_SECONDS)
            finally:
                self.run_under_way = None
                for task in (going, turning):
                    task.cancel()
                await asyncio.wait({going, turning})
            outcome = going.result()
        turned = tuple(f"{turn.at:.1f} s: {turn.words}" for turn in turns)
        result = result_of(outcome, statistics, name=name, dials=dials, turned=turned)
        self._runs.append(result)
        return result

    def own_processes(self, plan: Plan) -> OwnProcesses:
        """For an experiment with `own_servers`. Raises ValueError where the system lets it open too
        few files."""
        raise_file_limit(plan)
        return OwnProcesses()

    def find(self, name: str, value: Value, unit: str, words: str, *, of: str = "") -> None:
        """Write down a figure that answers the experiment's question; None: there is none.

        `name` is in snake case; `of` says of which pattern or run it is, where others have the
        same figure, and comes before it.
        """
        full = f"{snake(of)}_{name}" if of else name
        self._findings.append(Finding(full, value, unit, words, of))

    def check(self, kept: bool, words: str) -> None:
        """Write down whether the product kept a promise, which the words say."""
        self._checks.append(Check(words, kept))

    def draw(self, curve: Curve) -> None:
        """Add a distribution to the plot, beside those of the runs."""
        self._curves.append(curve)

    async def _servers(self, plan: Plan, stack: AsyncExitStack, *, alone: bool) -> Servers:
        own = alone or plan.isolated
        if self._shared is None or own:
            starting = servers_for(
                plan.patterns, isolated=plan.isolated, url=self.server, redis_url=self.redis
            )
            if own:
                return await stack.enter_async_context(starting)
            self._shared = await self._stack.enter_async_context(starting)
        source = self._shared.source
        return replace(self._shared, doors=dict.fromkeys(plan.patterns, source))

    def _tell(self, run: LabRun, name: str) -> None:
        plan, began = run.plan, run.network.began
        if began is None:
            self.say(_words(plan, name, "connecting"))
        else:
            passed = min(plan.seconds, time.monotonic() - began)
            self.say(_words(plan, name, f"{passed:.0f} of {plan.seconds:g} s"))


async def _turn(run: LabRun, turns: Sequence[Turn]) -> None:
    """Turn the network of a run as it is planned."""
    for turn in turns:
        await run.network.begun.wait()
        began = run.network.began
        assert began is not None
        await asyncio.sleep(began + turn.at - time.monotonic())
        run.network.turn(turn.dials)


def _words(plan: Plan, name: str, what: str) -> str:
    return f"{plan.experiment}{f', {name}' if name else ''}: {what}"
