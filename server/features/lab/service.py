"""The lab's runs: one at a time on a database, each a source that appends to a log topic."""

import asyncio
import gc
import logging
import os
import re
import secrets
import threading
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import Problem, conflict, invalid, not_found
from server.core.lifecycle import Component
from server.core.logging import log_failure
from server.core.memory import trim
from server.features.lab.schemas import (
    EVENT,
    Clock,
    Costs,
    LabEvent,
    Latest,
    NewRun,
    Run,
    RunState,
)
from server.features.lab.source import due_times, event_data
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.state_topic import STATE
from server.settings import Settings

logger = logging.getLogger(__name__)

RUN = f"{STATE}lab"
"""The state topic that holds the newest run."""
AT_ONCE = 100
"""Events that one transaction appends at most: other writes wait for it."""
RETRY_SECONDS = 0.5
HELD_SECONDS = 300.0
"""How long a held run waits to be begun."""
LATE_SECONDS = 10.0
"""How long after its time a run that nobody ended is taken for failed."""


def topic_of(run_id: str) -> str:
    """The log topic of a run's events."""
    return f"lab:{run_id}"


class LabService(Component):
    """Starts and stops runs; its process appends the events of those that it started."""

    def __init__(self, database: Database, hub: Hub, settings: Settings) -> None:
        self._database, self._hub = database, hub
        self._log, self._states = hub.log, hub.states
        self._settings = settings
        self._known = ""
        """The run that was read last: whether a run exists does not change."""
        self._own: dict[asyncio.Task[None], str] = {}
        """What appends in this process, and to which run: one that was stopped notices it when its
        next event is due."""

    async def close(self) -> None:
        """Stop the run of this process."""
        own = dict(self._own)
        for task in own:
            task.cancel()
        if own:
            await asyncio.wait(own)
        for run_id in own.values():
            with suppress(Problem):
                await self._end(run_id, RunState.STOPPED)

    async def start(self, source: NewRun) -> Run:
        """Begin a run. Raises Problem 409 while there is one, 422 beyond this server's limits."""
        self._check(source)
        run_id = secrets.token_hex(6)

        async def fn(tx: Transaction) -> Run:
            known = await self._newest(tx)
            if known is not None and known.state.active:
                raise conflict(
                    f"The run {known.id} is under way, and a server has one at a time. Wait for its"
                    " end, or stop it with DELETE.",
                    run=known.id,
                )
            run = Run(
                id=run_id,
                source=source,
                state=RunState.WAITING if source.held else RunState.RUNNING,
                started_at=now(),
                begun=None if source.held else _clock(),
                cursor=await self._log.cursor(tx, topic_of(run_id)),
                seq=0,
                clock=_clock(),
            )
            await self._put(tx, run)
            return run

        run = await self._database.write(fn)
        self._known = run_id
        task = asyncio.create_task(self._append_all(run), name="lab run")
        self._own[task] = run_id
        task.add_done_callback(self._own.pop)
        return run

    async def begin(self, run_id: str) -> Run:
        """Begin a run that waits, whichever process appends to it. Raises Problem 404, 409."""

        async def fn(tx: Transaction) -> Run:
            known = await self._known_in(tx, run_id)
            if known.state is not RunState.WAITING:
                raise conflict(f"The run is {known.state}, and does not wait to be begun.")
            changes = {"state": RunState.RUNNING, "started_at": now(), "begun": _clock()}
            begun = known.model_copy(update=changes)
            await self._put(tx, begun)
            return begun

        return await self._database.write(fn)

    async def step(self, run_id: str) -> LabEvent:
        """Append one event now, beside those of the schedule. Raises Problem 404, 409."""

        async def fn(tx: Transaction) -> Event:
            known = await self._known_in(tx, run_id)
            if known.state is not RunState.RUNNING:
                raise conflict(f"The run is {known.state}: it takes events while it is running.")
            return await self._append_one(tx, known)

        return LabEvent.model_validate_json((await self._database.write(fn)).data)

    async def _known_in(self, tx: Transaction, run_id: str) -> Run:
        known = await self._newest(tx)
        if known is None or known.id != run_id:
            raise not_found("run")
        return known

    async def run(self, run_id: str) -> Run:
        """The run as it stands. Raises Problem 404: only the newest is known."""
        run, newest = await self._read(run_id)
        return run.model_copy(update={"seq": newest.seq if newest else 0, "clock": _clock()})

    async def stop(self, run_id: str) -> None:
        """End the run, whichever process appends to it. Raises Problem 404."""
        await self._read(run_id)
        await self._end(run_id, RunState.STOPPED)

    async def admit(self, run_id: str) -> str:
        """The topic of a run to read. Raises Problem 404."""
        if run_id != self._known:
            await self._read(run_id)
        return topic_of(run_id)

    async def latest(self, run_id: str) -> Latest:
        """The state of a run. Raises Problem 404."""
        run, newest = await self._read(run_id)
        return Latest(
            state=run.state,
            newest=LabEvent.model_validate_json(newest.data) if newest else None,
        )

    async def costs(self, run_id: str, held: int) -> Costs:
        """What this process has used; `held` are its streams. Raises Problem 404."""
        await self.admit(run_id)
        return Costs(
            process=os.getpid(),
            cpu_seconds=time.process_time(),
            resident_bytes=_resident_bytes(),
            threads=_threads(),
            held=held,
        )

    def _check(self, source: NewRun) -> None:
        limits = (
            ("seconds", source.seconds, self._settings.lab_seconds, "seconds"),
            ("rate", source.rate, self._settings.lab_events_per_second, "events a second"),
            ("size", source.size / 1024, self._settings.lab_event_kb, "KiB an event"),
        )
        for name, wanted, most, unit in limits:
            if most and wanted > most:
                raise invalid(
                    ["body", name], f"{name}: a run of this server has {most:g} {unit} at most."
                )

    async def _append_all(self, run: Run) -> None:
        """Append each event as it becomes due."""
        times = due_times(run.source)
        due = next(times, None)
        try:
            if run.source.held and not await self._wait_begun(run):
                return
            begins_at = time.monotonic()
            while due is not None:
                await asyncio.sleep(begins_at + due - time.monotonic())
                passed, count = time.monotonic() - begins_at, 0
                while due is not None and (not count or due <= passed) and count < AT_ONCE:
                    count, due = count + 1, next(times, None)
                if not await self._append(run, count):
                    return
            await asyncio.sleep(begins_at + run.source.seconds - time.monotonic())
            await self._end(run.id, RunState.ENDED)
        except Exception as error:
            log_failure(logger, error, "the run %s of the lab failed", run.id)

    async def _wait_begun(self, run: Run) -> bool:
        """Wait until somebody begins it; False where it was stopped, or nobody did in time."""
        while True:
            async with self._hub.watch(RUN, "") as changed:
                event = await self._states.read(RUN)
                known = None if event is None else _current(event.data)
                if known is None or known.id != run.id or known.state is not RunState.WAITING:
                    return known is not None and known.id == run.id and known.state.active
                await asyncio.wait({changed}, timeout=HELD_SECONDS)

    async def _append(self, run: Run, count: int) -> bool:
        """Append that many events, unless the run was stopped; tried again while the database
        cannot be written to. False: it has ended."""

        async def fn(tx: Transaction) -> bool:
            known = await self._newest(tx)
            if known is None or known.id != run.id or known.state is not RunState.RUNNING:
                return False
            for _ in range(count):
                await self._append_one(tx, run)
            return True

        while True:
            try:
                return await self._database.write(fn)
            except Problem as problem:
                logger.warning("the lab's run waits: %s", problem.detail)
                await asyncio.sleep(RETRY_SECONDS)

    async def _append_one(self, tx: Transaction, run: Run) -> Event:
        data = partial(event_data, size=run.source.size)
        return await self._log.append(tx, topic_of(run.id), EVENT, data)

    async def _end(self, run_id: str, state: RunState) -> None:
        async def fn(tx: Transaction) -> None:
            known = await self._newest(tx)
            if known is not None and known.id == run_id and known.state.active:
                await self._put(tx, known.model_copy(update={"state": state}))

        await self._database.write(fn)

    async def _read(self, run_id: str) -> tuple[Run, Event | None]:
        """The run, and its newest event. Raises Problem 404."""
        state = await self._states.read(RUN)
        run = None if state is None else _current(state.data)
        if run is None or run.id != run_id:
            raise not_found("run")
        self._known = run_id
        return run, await self._log.newest_event(topic_of(run_id))

    async def _newest(self, tx: Transaction) -> Run | None:
        event = await self._states.newest(tx, RUN)
        return None if event is None else _current(event.data)

    async def _put(self, tx: Transaction, run: Run) -> None:
        await self._states.put(tx, RUN, "lab.run", run.model_dump_json())


def _current(data: str) -> Run:
    """The run of that state; one that nobody ended in time has failed."""
    run = Run.model_validate_json(data)
    lasts = HELD_SECONDS if run.state is RunState.WAITING else run.source.seconds + LATE_SECONDS
    if run.state.active and now() > run.started_at + timedelta(seconds=lasts):
        return run.model_copy(update={"state": RunState.FAILED})
    return run


def _clock() -> Clock:
    return Clock(monotonic=time.monotonic(), wall=time.time())


def _resident_bytes() -> int | None:
    """Memory of this process that is not swapped out, files apart, once what is free was given
    back; None where the system does not say. Linux has it also in places that are quicker to read,
    but wrong by some hundred kB."""
    gc.collect(1)  # what connecting has left behind
    trim()
    try:
        told = Path("/proc/self/smaps_rollup").read_text()
    except OSError:
        return None
    kib = re.search(r"^Anonymous: +(\d+) kB$", told, re.M)
    return None if kib is None else int(kib[1]) * 1024


def _threads() -> int:
    """Of this process; where the system does not say, those that Python knows."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()
