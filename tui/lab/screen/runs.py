"""The runs behind the screen: their servers, the one under way, its dials, and the last one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tui.common.client.errors import ClientError
from tui.common.processes import ChildError
from tui.lab.bench import Bench, Experiment
from tui.lab.dials import PRESETS, Dials, next_change
from tui.lab.export import write
from tui.lab.records import PATTERNS, Outcome, Plan
from tui.lab.results import Report, result_of
from tui.lab.runner import LabRun
from tui.lab.screen.figures import Result
from tui.lab.screen.watch import Watch
from tui.lab.servers import Servers, raise_file_limit, servers_for

CUT_SECONDS = 10.0
CHECK_SECONDS = 0.25
"""Between two looks whether the server still runs."""
SETTLE_SECONDS = 0.3
"""After the last change of the plan, until a run begins with it: keys come several at a time."""
PLAN = Plan(seconds=60.0)
State = Literal[
    "starting", "ready", "connecting", "running", "settling", "ended", "stopped", "failed"
]


@dataclass(frozen=True, slots=True)
class LastRun:
    """The figures of a run that is over, to compare the next one with."""

    number: int
    plan: Plan
    network: str
    results: dict[str, Result]


class Runs:
    """Runs one plan after another against the same servers, each until it ends or is replaced."""

    def __init__(self, server: str = "", plan: Plan = PLAN, *, begins: bool = True) -> None:
        """`server` is a demo's server, instead of one of our own. `begins`: with a run that nobody
        has asked for yet."""
        self.server = server
        self.plan = plan
        self.servers: Servers | None = None
        """Those of now or before; None until the first have started."""
        self.watch = Watch(plan)
        self.state: State = "starting"
        self.error = ""
        """Why there is no run, and what to do."""
        self.outcome: Outcome | None = None
        self.report: Report | None = None
        """Of the experiment that was measured last, until the next run."""
        self.last: LastRun | None = None
        self.number = 0
        """Of the run, from 1."""
        self.turned: list[str] = []
        """What was done to the network during the run, as it is told in exported results."""
        self.held = False
        """Whether the network is cut until it is restored."""
        self.cut_until = 0.0
        self.on_change: Callable[[], object] = lambda: None
        """Called when a run begins or ends, or something was turned."""
        self.network = plan.network
        """The preset in between now, or that it was turned by hand."""
        self._dials = PRESETS[plan.network].dials
        self._run: LabRun | None = None
        self.doing = ""
        """What an experiment that is measured does now."""
        self._wanted = asyncio.Event()
        if begins:
            self._wanted.set()
        self._going: asyncio.Task[Any] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._restore: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Start the server and do the runs, until this is cancelled."""
        while True:
            try:
                async with servers_for(PATTERNS, isolated=False, url=self.server) as servers:
                    self.servers = servers
                    await self._serve(servers)
            except (ChildError, OSError) as error:
                self._wanted.clear()
                self._fail(str(error))
            await self._wanted.wait()

    async def _serve(self, servers: Servers) -> None:
        """One run after another; returns once a server has ended."""
        while True:
            await self._until_wanted(servers)
            if self._is_over(servers):
                return
            await asyncio.sleep(SETTLE_SECONDS)
            async with self._one_at_a_time:
                if self._wanted.is_set():  # it may have been stopped meanwhile
                    self._wanted.clear()
                    await self._go(servers)

    async def _until_wanted(self, servers: Servers) -> None:
        if self.state == "starting" and not self.is_going:
            self._set("ready")
        while not self._wanted.is_set() and not servers.ended():
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._wanted.wait()

    def _is_over(self, servers: Servers) -> bool:
        """Whether a server has ended; says so."""
        if ended := servers.ended():
            self._wanted.clear()
            self._fail(ended)
        return bool(ended)

    async def _go(self, servers: Servers) -> None:
        """One run, to its end."""
        self._run = LabRun(self.plan, servers, watch := self._see(self.plan), watch)
        going = self._going = asyncio.create_task(self._run.go(), name="lab screen's run")
        try:
            while not going.done():
                await asyncio.wait({going}, timeout=CHECK_SECONDS)
                if servers.ended():
                    self._cancel()
                    await asyncio.wait({going})
                elif not going.done():
                    self._advance()
            self._finish(going, servers)
        finally:
            self._cancel()
            self._going = self._run = None
            await asyncio.wait({going})

    def _see(self, plan: Plan) -> Watch:
        """A run begins, and this is what is seen of it."""
        self._keep_last()
        self.number += 1
        self.watch, self.outcome, self.report = Watch(plan), None, None
        self.error, self.turned = "", []
        self.network, self._dials = plan.network, PRESETS[plan.network].dials
        self._end_cut()
        self._set("connecting")
        return self.watch

    async def measure(
        self, measured: Experiment, plan: Plan, say: Callable[[str], object]
    ) -> Report | None:
        """Do an experiment in place of the run under way, on the server that was named or on
        servers of its own; its runs are seen like any other. None where it was stopped. Raises
        what `Bench.report` does."""
        self.stop()
        server = "" if measured.own_servers else self.server

        def does(words: str) -> None:
            self.doing = words
            say(words)

        async with self._one_at_a_time, Bench(server, say=does, watch=self._see) as used:
            command = f"tiffin-lab run --experiment {measured.name}"
            report = used.report(measured, plan, command)
            going = asyncio.create_task(report, name="lab screen's experiment")
            self._going, self.report, self.outcome = going, None, None
            self._set("starting")
            try:
                while not going.done():
                    await asyncio.wait({going}, timeout=CHECK_SECONDS)
                    if (run := used.run_under_way) is not None and run is not self._run:
                        self._take_over(run)
                    self._advance()
            finally:
                self._cancel()
                self._going = self._run = None
                await asyncio.wait({going})
                self.doing = ""
                self._set("stopped")
            if going.cancelled():
                return None
            self.report = found = going.result()
            self.outcome = found.runs[-1].outcome if found.runs else None
            self._set("ended")
            return found

    def _take_over(self, run: LabRun) -> None:
        """An experiment's run has begun, with dials of its own."""
        self._run, self._dials = run, run.network.dials
        if self._dials != PRESETS[run.plan.network].dials:
            self.network = f"of {run.plan.experiment}"

    def _advance(self) -> None:
        began = self.watch.began
        if began is None or self._run is None:
            return
        over = time.monotonic() > began + self.watch.statistics.plan.seconds
        state: State = "settling" if over else "running"
        if self.state != state:
            self._set(state)

    def _finish(self, going: asyncio.Task[Outcome], servers: Servers) -> None:
        if self._is_over(servers):
            return
        if going.cancelled():
            self._set("stopped")
        elif isinstance(error := going.exception(), ClientError | OSError):
            words = error.message if isinstance(error, ClientError) else str(error)
            self._fail(f"The run could not go on: {words}")
        else:
            self.outcome = going.result()
            self._set("ended")

    def _keep_last(self) -> None:
        """The run before becomes the one to compare with, if it has measured anything."""
        if self.watch.began is not None and self.watch.statistics.source.newest:
            results = self.watch.results()
            self.last = LastRun(self.number, self.watch.statistics.plan, self.network, results)

    def _fail(self, words: str) -> None:
        again = "Press s to try again." if self.server else "Press s to start another."
        self.error = f"{words.rstrip()}\n{again}"
        self._set("failed")

    def _set(self, state: State) -> None:
        self.state = state
        self.on_change()

    # -- the plan

    @property
    def is_going(self) -> bool:
        """Whether a run is under way, or about to be."""
        return self._going is not None or self._wanted.is_set()

    @property
    def dials(self) -> Dials:
        """Of the network, but for a cut by hand."""
        return self._dials

    @property
    def patterns(self) -> tuple[str, ...]:
        """Those of the run that is seen."""
        return self.watch.statistics.plan.patterns

    async def step(self) -> None:
        """Have the source append one event now. Raises ClientError; ValueError where no run goes
        on."""
        if self._run is None or self.state != "running":
            raise ValueError("The source takes an event while a run goes on: s starts one.")
        await self._run.step()
        self._note("one event by hand")

    def start(self) -> None:
        """Begin the plan anew, in place of the run under way."""
        self._wanted.set()
        self._cancel()
        self.on_change()

    def stop(self) -> None:
        """End the run; the server stays."""
        self._wanted.clear()
        self._cancel()

    def _cancel(self) -> None:
        """End the run under way. Once: it then tells the server, which has one run at a time."""
        if self._going is not None and not self._going.cancelling():
            self._going.cancel()

    def change(self, plan: Plan) -> None:
        """Go on with another plan: a run has one from its beginning to its end. Raises ValueError
        where the system does not allow it."""
        raise_file_limit(plan)
        self.plan = plan
        self.start()

    # -- the network, which may be turned while a run goes on

    def turn(self, network: str) -> None:
        """Put another network in between, for this run and those after it."""
        self.plan = replace(self.plan, network=network)
        self.turn_dials(PRESETS[network].dials, f"network “{network}”")
        self.network = network

    def watch_network(self) -> None:
        """Record whether the network is cut now, by hand or by its schedule."""
        if self._run is not None:
            self.watch.timeline.cut(time.monotonic(), is_cut=self._run.network.is_cut)

    def turn_dials(self, dials: Dials, words: str) -> None:
        """Turn the dials; `words` say what was turned."""
        self._dials, self.network = dials, "by hand"
        self._note(words)
        self._apply()

    def cut(self, seconds: float = CUT_SECONDS) -> None:
        """Cut all lines, and let them back after so many seconds."""
        self._end_cut()
        self.cut_until = time.monotonic() + seconds
        self._restore = asyncio.get_running_loop().call_later(seconds, self.restore)
        self._note(f"cut for {seconds:g} s")
        self._apply()

    def hold_cut(self) -> None:
        """Cut all lines until they are restored, or restore them."""
        if self.is_cut:
            self.restore()
            return
        self.held = True
        self._note("cut until restored")
        self._apply()

    def restore(self) -> None:
        """Let the lines back."""
        self._end_cut()
        self._note("restored")
        self._apply()

    def cut_one(self, pattern: str) -> None:
        """Cut one pattern's connections once; they may come back."""
        if self._run is not None and pattern in self._run.network.links:
            self._run.network.links[pattern].cut()
            self._note(f"{pattern} cut once")

    @property
    def is_cut(self) -> bool:
        """Whether the lines are cut by hand."""
        return self.held or bool(self.cut_until)

    @property
    def network_words(self) -> str:
        """What is in between, and what that does now."""
        name = f"network {self.network}"
        does = self._network_does()
        if does.startswith("CUT") and self.network == "none":
            return f"network {does}"
        return f"{name} · {does}" if does else name

    def _network_does(self) -> str:
        now = time.monotonic()
        if self.held:
            return "CUT, X restores"
        if self.is_cut:
            return f"CUT, {max(0.0, self.cut_until - now):.0f} s left"
        if self._run is None:
            return ""
        network = self._run.network
        dials, began = network.dials, network.began
        if dials.cut:
            return "CUT" if self._dials.cut else "CUT by the experiment"
        if network.is_cut and began is not None:
            left = next_change(now - began, dials.cut_every, dials.cut_for) - (now - began)
            return f"CUT, {left:.0f} s left"
        return "everything WAITS" if network.is_stalled else ""

    def _end_cut(self) -> None:
        self.held, self.cut_until = False, 0.0
        if self._restore is not None:
            self._restore.cancel()
            self._restore = None

    def _apply(self) -> None:
        if self._run is not None:
            self._run.network.turn(replace(self._dials, cut=self._dials.cut or self.is_cut))
        self.on_change()

    def _note(self, words: str) -> None:
        if self._run is not None and (began := self.watch.began) is not None:
            self.turned.append(f"{time.monotonic() - began:.1f} s: {words}")

    # -- results

    async def export(self) -> Path:
        """Write the results of the run that has ended into a folder of their own, here. Raises
        OSError; ValueError where none has ended."""
        outcome, statistics, report = self.outcome, self.watch.statistics, self.report
        if report is None:
            if outcome is None:
                raise ValueError("There are results once a run has ended.")
            result = result_of(outcome, statistics, turned=tuple(self.turned))
            report = Report(outcome.plan.experiment, command_of(outcome.plan), (result,))
        folder = Path.cwd() / "lab-results" / time.strftime("%Y-%m-%d-%H%M%S")
        await asyncio.to_thread(write, report, folder)
        return folder


def command_of(plan: Plan) -> str:
    """The command that repeats a run without a screen."""
    return (
        f"tiffin-lab run --experiment {plan.experiment} --network {plan.network}"
        f" --seconds {plan.seconds:g} --readers {plan.readers} --seed {plan.seed}"
        f" --rate {plan.rate:g} --shape {plan.shape} --size {plan.size}"
        f" --poll-seconds {plan.poll_seconds:g} --poll-pace {plan.poll_pace}"
    )
