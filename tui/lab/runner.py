"""One run of the lab: a source, readers of each pattern, and the network between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from server.features.accounts.schemas import Role
from server.features.lab.schemas import EVENT, Costs, LabEvent, NewRun, Run, RunState, Shape
from tui.common.client.errors import ClientError
from tui.common.client.meter import Pattern, Wire
from tui.common.client.request import parse
from tui.common.client.retry import retry, retry_now, short_message
from tui.common.client.session import Session
from tui.common.client.sse import EventStream
from tui.lab.clock import REFRESH_SECONDS, ServerClock
from tui.lab.dials import PRESETS, Dials
from tui.lab.ledger import Ledger
from tui.lab.network import Network, Tap
from tui.lab.readers import Recorder, read_run
from tui.lab.records import SHORT_POLL, Appended, Cost, Outcome, Plan, Sink

if TYPE_CHECKING:
    from tui.lab.servers import Servers

ASK_SECONDS = 0.05
ATTEMPTS = 5
OPENING = 32
"""Readers that connect at a time: more would wait for each other, and time out."""
CONNECT_SECONDS = 5.0
"""How long a reader that is not answered keeps others from connecting."""
IDLE_SECONDS = 4.0
"""How long an isolated server is watched without readers."""
QUIET_SECONDS = 0.5
QUIET = 0.03
"""Of a core. A server of our own that uses less for so long has done what follows its start."""
START_SECONDS = 10.0
"""How long that is waited for."""
ASKED = 4
"""Times that a server is asked for its costs to learn what that takes."""
BATCHES = 12
"""Parts in which readers connect where memory is measured, from the sixth on: the first ones take
what was free before, some 3 kB each of 250."""
LEAST = 3
"""Readers in one: less cannot be measured."""
SETTLE_SECONDS = 3.0
"""After the source's end, for what is on its way; and four round trips."""
LIFTED_SECONDS = 30.0
"""After the network is lifted, for the next event to arrive at some reader that lacks some."""


class LabRun:
    """A run, which may be watched and turned while it goes on: a sink gets its records, a tap sees
    its traffic, and `network` has the dials."""

    def __init__(self, plan: Plan, servers: Servers, sink: Sink, tap: Tap | None = None) -> None:
        self.plan = plan
        self.ledger = Ledger(sink)
        self.network = Network(PRESETS[plan.network].dials, plan.seed, tap)
        self._servers = servers
        self._control = Session(servers.source, Wire())
        self._clock = ServerClock(self._ask_time)
        self._path = ""

    async def go(self) -> Outcome:
        """The whole run, to its end. Raises ClientError where the source's server fails."""
        try:
            await self._control.demo(Role.CUSTOMER)
            async with self.network:
                ways = await self._open_ways()
                run = await self._start()
                try:
                    async with asyncio.TaskGroup() as group:
                        return await self._measure(run, ways, group)
                except* ClientError as errors:
                    raise errors.exceptions[0] from None
                finally:
                    with suppress(ClientError):
                        await self._control.request("DELETE", self._path)
        finally:
            await self._control.close()

    async def step(self) -> None:
        """Have the source append one event now. Raises ClientError, also unless it has begun."""
        await self._control.request("POST", f"{self._path}/events")

    async def _measure(
        self, run: Run, ways: Mapping[str, str], group: asyncio.TaskGroup
    ) -> Outcome:
        plan = self.plan
        await self._clock.refresh()
        costs = _Costs(self._control, self._servers, plan, self._path)
        await costs.watch_idle()
        tasks = [
            group.create_task(self._watch_source(run)),
            group.create_task(self._refresh_clock()),
        ]
        tasks += await self._connect_all(
            lambda recorder: self._read(recorder, ways[recorder.pattern], run), group, costs
        )
        await costs.record_connected()
        begun = parse(Run, await self._control.request("POST", f"{self._path}/begin")).begun
        assert begun is not None
        begins_at = self._clock.to_local(begun.monotonic)
        self.network.begin()
        cpu, began_wall = time.process_time(), time.time()
        await asyncio.sleep(begins_at + plan.seconds - time.monotonic())
        busy = (time.process_time() - cpu) / plan.seconds
        events = await self._events_at_end()
        await self._settle(events)
        found = await costs.at_end()
        for task in tasks:
            task.cancel()
        return Outcome(
            plan=plan,
            run_id=run.id,
            began=begins_at,
            began_wall=began_wall,
            events=events,
            clock_error=self._clock.error,
            busy=busy,
            verdicts={
                pattern: self.ledger.verdict(pattern, events, plan.readers)
                for pattern in plan.patterns
            },
            costs=found,
        )

    async def _open_ways(self) -> dict[str, str]:
        """The address of each pattern's port in the network."""
        ways = {}
        for pattern in self.plan.patterns:
            door = urlsplit(self._servers.doors[pattern])
            port = door.port or (443 if door.scheme == "https" else 80)
            link = await self.network.listen(pattern, door.hostname or "", port)
            ways[pattern] = f"{door.scheme}://127.0.0.1:{link.port}{door.path.rstrip('/')}"
        return ways

    async def _start(self) -> Run:
        plan = self.plan
        source = NewRun(
            rate=plan.rate,
            shape=Shape(plan.shape),
            size=plan.size,
            seconds=plan.seconds,
            seed=plan.seed,
            held=True,
        )
        starting = asyncio.create_task(
            self._control.request("POST", "/lab/runs", json=source), name="lab run's start"
        )
        try:
            run = parse(Run, await asyncio.shield(starting))
        except asyncio.CancelledError:
            # It may have begun: the server would refuse the next one.
            with suppress(ClientError):
                run = parse(Run, await starting)
                await self._control.request("DELETE", f"/lab/runs/{run.id}")
            raise
        self._path = f"/lab/runs/{run.id}"
        return run

    async def _connect_all(
        self,
        read: Callable[[Recorder], Coroutine[Any, Any, None]],
        group: asyncio.TaskGroup,
        costs: _Costs | None = None,
    ) -> list[asyncio.Task[None]]:
        """Start the readers, a few at a time; returns once they are connected, or the network does
        not let them."""
        opening, readers, waiting = asyncio.Semaphore(OPENING), [], []

        async def begun(recorder: Recorder) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS + 8 * self._one_way):
                    await recorder.has_begun.wait()
            opening.release()

        # Short polls last: they keep everything busy from their first one on.
        for pattern in sorted(self.plan.patterns, key=lambda pattern: pattern == SHORT_POLL):
            for number in range(self.plan.readers):
                await opening.acquire()
                recorder = self._recorder(pattern, number)
                readers.append(group.create_task(read(recorder)))
                waiting.append(group.create_task(begun(recorder)))
                if costs is not None and number + 1 in costs.batches:
                    await asyncio.gather(*waiting)
                    await costs.record_batch(pattern, number + 1)
        await asyncio.gather(*waiting)
        return readers

    def _recorder(self, pattern: str, number: int) -> Recorder:
        return Recorder(self.ledger, pattern, number, self._clock.to_local)

    @property
    def _awaited(self) -> Iterable[str]:
        """The patterns whose readers are to have all events in the end."""
        return self.plan.patterns

    async def _read(self, recorder: Recorder, way: str, run: Run) -> None:
        session = self._control.with_own_connections(way)
        try:
            await read_run(recorder, session, run.id, run.cursor, self.plan)
        except ClientError as error:
            self.ledger.failed(recorder.pattern, short_message(error))
        finally:
            recorder.has_begun.set()
            await session.close()

    async def _watch_source(self, run: Run) -> None:
        """Report each event that the source appends, as its server's own stream shows it."""
        meter = Wire().meter("source", Pattern.SSE)
        stream = EventStream(self._control, f"{self._path}/stream", meter, run.cursor, coalesce=0)
        async with stream:
            async for sent in stream:
                if sent.type == EVENT:
                    event = LabEvent.model_validate_json(sent.data)
                    committed = self._clock.to_local(event.monotonic)
                    self.ledger.appended(Appended(event.seq, committed, len(sent.data)))

    async def _events_at_end(self) -> int:
        """How many events the source has appended, once it has ended."""
        while True:
            run = await self._ask()
            if run.state is not RunState.RUNNING:
                return run.seq
            await asyncio.sleep(ASK_SECONDS)

    async def _settle(self, events: int) -> None:
        """Wait for what is on its way; then lift the network for readers that lack events."""
        if not await self._is_complete(events, SETTLE_SECONDS + 8 * self._one_way):
            self.ledger.lifted = True
            self.network.turn(Dials())
            self.network.cut()  # one may be half open
            retry_now()
            await self._is_complete(events, LIFTED_SECONDS)

    async def _is_complete(self, events: int, seconds: float) -> bool:
        """Whether every reader gets all events; False once none has come for so many seconds."""
        seen, since = self.ledger.arrivals, time.monotonic()
        while not self.ledger.is_complete(events, self._awaited, self.plan.readers):
            if seen != self.ledger.arrivals:
                seen, since = self.ledger.arrivals, time.monotonic()
            elif time.monotonic() - since > seconds:
                return False
            await asyncio.sleep(ASK_SECONDS)
        return True

    @property
    def _one_way(self) -> float:
        return self.network.dials.delay + self.network.dials.jitter

    async def _refresh_clock(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with suppress(ClientError):
                await self._clock.refresh()

    async def _ask_time(self) -> float:
        return (await self._ask()).clock.monotonic

    async def _ask(self) -> Run:
        return parse(
            Run,
            await retry(lambda: self._control.request("GET", self._path), attempts=ATTEMPTS),
        )


class _Costs:
    """What the server processes use that serve one pattern each; nothing of any other."""

    def __init__(self, control: Session, servers: Servers, plan: Plan, path: str) -> None:
        doors = servers.doors if plan.isolated or len(plan.patterns) == 1 else {}
        self._processes = {
            name: _Process(partial(control.with_own_connections, url), f"{path}/costs")
            for name, url in doors.items()
        }
        self._started = bool(servers.children)
        self._watches_idle = plan.isolated
        self._watchers = 0 if plan.isolated else 1
        """The lab's own streams there, which see what the source appends."""
        batch = plan.readers // BATCHES if doors else 0
        marks = range(BATCHES // 2 * batch, plan.readers + 1, batch) if batch >= LEAST else ()
        self.batches = frozenset(marks)
        """Numbers of readers of a pattern with which its memory is looked up."""

    async def watch_idle(self) -> None:
        """Watch isolated processes for a while without readers."""
        await asyncio.gather(
            *(
                process.begin(started=self._started, watch=self._watches_idle)
                for process in self._processes.values()
            )
        )

    async def record_batch(self, pattern: str, readers: int) -> None:
        """So many readers of that pattern are connected."""
        bytes_now = (await self._processes[pattern].ask()).costs.resident_bytes
        if bytes_now is not None:
            self._processes[pattern].memory.append((readers, bytes_now))

    async def record_connected(self) -> None:
        """The readers are connected, and nothing was sent yet."""
        for process in self._processes.values():
            process.connected = await process.ask()

    async def at_end(self) -> dict[str, Cost]:
        """What was used since `record_connected`."""
        found = {}
        for name, process in self._processes.items():
            cpu, seconds = await process.used_since(process.connected)
            before, connected = process.before.costs, process.connected.costs
            found[name] = Cost(
                cpu_seconds=cpu,
                idle_cpu=process.idle,
                seconds=seconds,
                memory=tuple(process.memory),
                threads_before=before.threads,
                threads_connected=connected.threads,
                held=connected.held - before.held - self._watchers,
            )
        return found


@dataclass(frozen=True, slots=True)
class _Told:
    """What a process has used, and when it said so by `time.monotonic`."""

    at: float
    costs: Costs


class _Process:
    """A server process that serves one pattern."""

    before: _Told
    """Without readers."""
    connected: _Told
    """With all of them, before anything was sent."""

    def __init__(self, session: Callable[[], Session], path: str) -> None:
        self._new_session, self._path = session, path
        self._asking = 0.0
        """Seconds of its CPU that an answer to `ask` takes."""
        self.idle = 0.0
        """Seconds of CPU a second without readers; 0 where nobody looked."""
        self.memory: list[tuple[int, int]] = []
        """See `Cost`."""

    async def begin(self, *, started: bool, watch: bool) -> None:
        """Learn what asking takes, and where it is to `watch`, what it uses without readers; if it
        was `started` just now, once it has done what follows that."""
        await self.ask()  # what the first one loads is not what one takes
        deadline = time.monotonic() + START_SECONDS
        while started and await self._rate(QUIET_SECONDS) > QUIET and time.monotonic() < deadline:
            pass
        used = [(await self.ask()).costs.cpu_seconds for _ in range(ASKED)]
        self._asking = median(later - earlier for earlier, later in pairwise(used))
        if watch:
            self.idle = await self._rate(IDLE_SECONDS)
        self.before = await self.ask()

    async def ask(self) -> _Told:
        """What it has used so far. Raises ClientError."""
        session = self._new_session()
        try:
            costs = parse(Costs, await session.request("GET", self._path))
        finally:
            await session.close()
        return _Told(time.monotonic(), costs)

    async def used_since(self, then: _Told) -> tuple[float, float]:
        """Seconds of CPU, without what asking takes, and how long that was."""
        now = await self.ask()
        cpu = now.costs.cpu_seconds - then.costs.cpu_seconds - self._asking
        return cpu, now.at - then.at

    async def _rate(self, seconds: float) -> float:
        then = await self.ask()
        await asyncio.sleep(seconds)
        cpu, passed = await self.used_since(then)
        return cpu / passed
