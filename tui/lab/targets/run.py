"""A run at somebody else's server: readers of its endpoints, and the lab's network before them."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import urlsplit

from tui.common.client.address import names_a_user
from tui.common.client.errors import ClientError, Unreachable
from tui.common.client.retry import short_message
from tui.lab import runner
from tui.lab.dials import PRESETS
from tui.lab.readers import Recorder
from tui.lab.records import SHORT_POLL, Appended, Heard, Outcome, Plan, Target, Verdict
from tui.lab.results import Report, result_of
from tui.lab.runner import LabRun
from tui.lab.servers import Servers, raise_file_limit
from tui.lab.statistics import Statistics
from tui.lab.targets.description import (
    MOST_PUBLISHED,
    SEQ,
    Description,
    Publish,
    look_up,
)
from tui.lab.targets.readers import Body, TargetRecorder, TargetSession, read_target

MOST_READERS = 100
LEAST_POLL_SECONDS = 0.1
PROGRESS_SECONDS = 0.5
HALF_A_SECOND = 0.5
"""By as much `Date` may be wrong, which is in whole seconds."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OTHERS, NUMBERS, TIMES = "others", "numbers", "times"
ODD = {
    OTHERS: "that were not the lab's own, so only their bytes are counted",
    NUMBERS: "without a number at `{0.seq}` that counts them, so nobody knows what was missed",
    TIMES: "without a time at `{0.time}`, so they have no latency",
}
"""What may be wrong with events, and what is said of it."""


class TargetRun(LabRun):
    """A run at a target: what it hears goes to statistics and, where it is numbered, is counted."""

    def __init__(self, plan: Plan, described: Description, statistics: Statistics) -> None:
        assert plan.target is not None
        doors = dict.fromkeys(plan.patterns, plan.target.url)
        super().__init__(plan, Servers(plan.target.url, doors), statistics, statistics)
        self._statistics = statistics
        self._described = described
        self._endpoints = described.endpoints
        self._numbered = plan.target.numbered
        self._address = urlsplit(plan.target.url)
        self._recorders: list[TargetRecorder] = []
        self._first = time.time_ns() // 1_000_000
        """The lab's own numbers are above this, so that those of another run are no part of it."""
        self._sent: dict[int, float] = {}
        """When each event that the lab has published left."""
        self._events = 0
        """How many those are."""
        self._ahead, self._clock_error = 0.0, 0.0
        self._is_dated = True
        """Whether the target's clock is known."""
        self._arrived: Counter[str] = Counter()
        """By pattern, the events that readers have got."""
        self._gave_up: Counter[str] = Counter()
        """By pattern, the readers that the target has refused for good."""
        self._odd: Counter[tuple[str, str]] = Counter()
        """By pattern and by what is wrong with them, the events that could not be used."""

    async def go(self) -> Outcome:
        """The whole run. Raises ClientError where an event could not be published; ValueError
        where the server's name is not known."""
        try:
            async with self.network:
                try:
                    ways = await self._open_ways()
                except socket.gaierror as error:
                    raise ValueError(
                        f"There is no server {self._address.hostname}: check --target."
                    ) from error
                try:
                    async with asyncio.TaskGroup() as group:
                        return await self._listen(ways, group)
                except* ClientError as errors:
                    raise errors.exceptions[0] from None
        finally:
            await self._control.close()

    async def _listen(self, ways: dict[str, str], group: asyncio.TaskGroup) -> Outcome:
        plan = self.plan
        await self._read_clock()
        tasks = await self._connect_all(
            lambda recorder: self._read_endpoint(recorder, ways[recorder.pattern]), group
        )
        self.network.begin()
        began = self.network.began
        assert began is not None
        cpu, began_wall = time.process_time(), time.time()
        if self._described.publish is not None:
            await self._publish(self._described.publish, began)
        await asyncio.sleep(began + plan.seconds - time.monotonic())
        busy = (time.process_time() - cpu) / plan.seconds
        if self._numbered:
            await self._settle(self._events)
        for task in tasks:
            task.cancel()
        return Outcome(
            plan=plan,
            run_id="",
            began=began,
            began_wall=began_wall,
            events=self._events,
            clock_error=self._clock_error,
            busy=busy,
            verdicts={pattern: self._verdict(pattern) for pattern in plan.patterns},
            costs={},
            notes=tuple(self._notes()),
        )

    def _recorder(self, pattern: str, number: int) -> Recorder:
        recorder = TargetRecorder(self.ledger, pattern, number, self._hear)
        self._recorders.append(recorder)
        return recorder

    @property
    def _awaited(self) -> Iterable[str]:
        return [one for one in self._numbered if self._gave_up[one] < self.plan.readers]

    async def _read_endpoint(self, recorder: Recorder, way: str) -> None:
        assert isinstance(recorder, TargetRecorder)
        endpoint = self._endpoints[recorder.pattern]
        # The server is asked by its own name, also as its certificate is checked.
        headers = endpoint.headers | {"Host": self._address.netloc}
        tls_name = self._address.hostname if self._address.scheme == "https" else None
        session = TargetSession(way, headers, tls_name)
        try:
            await read_target(recorder, session, endpoint, self.plan)
        except ClientError as error:
            self.ledger.failed(recorder.pattern, short_message(error))
            self._gave_up[recorder.pattern] += 1
        finally:
            recorder.has_begun.set()
            await session.close()

    async def _publish(self, publish: Publish, began: float) -> None:
        """Publish at random times, to the run's end. Raises ClientError for the first event that is
        not accepted: nobody could say whether it is one."""
        session = TargetSession(self._servers.source, publish.headers)
        random, least = Random(self.plan.seed), 1 / MOST_PUBLISHED  # noqa: S311 not a secret
        # Poisson, with a pause after each event, so that none are too close.
        spare, due = 1 / publish.rate - least, began
        try:
            while True:
                due += least + (random.expovariate(1 / spare) if spare > 1e-9 else 0.0)
                if due >= began + self.plan.seconds:
                    return
                await asyncio.sleep(due - time.monotonic())
                due = max(due, time.monotonic())  # what has come late is not made up for
                self._events += 1
                await self._publish_one(session, publish, self._events)
        except ClientError as error:
            raise Unreachable(
                f"{publish.method} {publish.path} was to publish an event, and failed: "
                f"{short_message(error)}. Check --target and the description.",
                short_message(error),
            ) from error
        finally:
            await session.close()

    async def _publish_one(self, session: TargetSession, publish: Publish, number: int) -> None:
        seq = self._first + number

        def sent() -> None:
            if seq not in self._sent:
                self._sent[seq] = time.monotonic()
                self.ledger.appended(Appended(number, self._sent[seq], 0))

        body = Body(publish.body.replace(SEQ, str(seq)).encode(), publish.content_type)
        await session.request(publish.method, publish.path, form=body, on_sent=sent)

    def _hear(self, recorder: TargetRecorder, value: Any, payload: int) -> None:
        """An event has arrived, at whichever reader."""
        received, pattern = time.monotonic(), recorder.pattern
        endpoint, began = self._endpoints[pattern], self.network.began
        if began is None:
            return
        self._arrived[pattern] += 1
        seq = look_up(value, endpoint.seq) if endpoint.seq else None
        if endpoint.seq and (not isinstance(seq, int) or isinstance(seq, bool)):
            seq = None
            self._odd[pattern, NUMBERS] += 1
        sent = None
        if pattern in self._numbered:
            if seq not in self._sent:
                self._odd[pattern, OTHERS] += seq is not None
                return
            sent, seq = self._sent[seq], seq - self._first
        elif endpoint.time is not None and self._is_dated:
            sent = self._time_of(look_up(value, endpoint.time), endpoint.unit)
            self._odd[pattern, TIMES] += sent is None
            if sent is not None and sent < began - self._clock_error:
                return  # it was before the run
        if seq is not None:
            from_there = pattern not in self._numbered
            if not self.ledger.count(pattern, recorder.reader, seq, from_there=from_there):
                self._odd[pattern, NUMBERS] += 1
        if not self.ledger.lifted:
            back = pattern != SHORT_POLL and sent is not None and sent < recorder.back_at
            self._statistics.heard(
                Heard(pattern, recorder.reader, received, payload, seq, sent, back)
            )

    def _time_of(self, value: Any, unit: str) -> float | None:
        """By this process's `time.monotonic`; None for what is no time."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        seconds = value / 1000 if unit == "ms" else float(value)
        if not math.isfinite(seconds):
            return None
        return time.monotonic() - (time.time() - (seconds - self._ahead))

    async def _read_clock(self) -> None:
        """See how far the target's clock may differ, where times are read that it has set."""
        names = set(self.plan.patterns) - self._numbered
        if self._address.hostname in LOOPBACK or not any(
            self._endpoints[name].time for name in names
        ):
            return
        session = TargetSession(self._servers.source, {})
        try:
            said, way = await session.date()
        except ClientError:
            said, way = None, 0.0
        finally:
            await session.close()
        self._is_dated = said is not None
        if said is not None:
            self._clock_error = HALF_A_SECOND + way
            ahead = said.timestamp() + HALF_A_SECOND - (time.time() - way)
            self._ahead = ahead if abs(ahead) > self._clock_error else 0.0

    async def _settle(self, events: int) -> None:
        if self.plan.network == "none":  # nothing would be lifted
            await self._is_complete(events, runner.SETTLE_SECONDS)
        else:
            await super()._settle(events)

    def _verdict(self, pattern: str) -> Verdict:
        if not self._arrived[pattern]:
            failures = {one.failure for one in self._recorders if one.pattern == pattern}
            for failure in sorted(failures - {""}):
                self.ledger.failed(pattern, failure)
        events = self._events if pattern in self._numbered else None
        verdict = self.ledger.verdict(pattern, events, self.plan.readers)
        has_numbers = bool(self._endpoints[pattern].seq) and not self._odd[pattern, NUMBERS]
        return replace(verdict, counted=has_numbers)

    def _notes(self) -> list[str]:
        notes = []
        for pattern in filter(self._arrived.get, self.plan.patterns):
            endpoint = self._endpoints[pattern]
            if endpoint.seq is None:
                notes.append(f"{pattern}: events have no number, so nobody knows what was missed.")
            elif not self._numbered and not self._odd[pattern, NUMBERS]:
                notes.append(
                    f"{pattern}: the lab only listened. What was missed before a reader's first "
                    "event and after its last is not known."
                )
            if pattern not in self._numbered and endpoint.time is None:
                notes.append(f"{pattern}: events have no time, so their latency is not known.")
            for what, words in ODD.items():
                if count := self._odd[pattern, what]:
                    notes.append(f"{pattern}: events {words.format(endpoint)}: {count}.")
        if not self._is_dated:
            notes.append(
                f"{self._servers.source} does not tell its clock, so latencies are not known."
            )
        if self._address.scheme == "https":
            notes.append("Bytes are those of TLS, its handshakes included.")
        return notes


def plan_for(url: str, described: Description, given: Mapping[str, Any]) -> Plan:
    """What is run at the target; `given` are values of a plan. Raises ValueError in words."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname or address.port == 0:
        raise ValueError(f"{url} is no address: name the target as http://host:port.")
    if names_a_user(url):
        raise ValueError(
            "--target would show its user and password: put them into a header of the description."
        )
    if address.query or address.fragment:
        raise ValueError(f"{url}: paths and queries of the endpoints belong to the description.")
    described_too = set(described.endpoints)
    if unknown := sorted(set(given.get("patterns", ())) - described_too):
        raise ValueError(f"{', '.join(unknown)}: the description has no such table.")
    patterns = tuple(given.get("patterns", described.endpoints))
    rate = described.publish.rate if described.publish else None
    target = Target(url.rstrip("/"), rate, described.numbered & set(patterns))
    plan = replace(
        Plan("target", size=0),
        **{**given, "patterns": patterns, "rate": rate or 0.0},
        target=target,
    )
    if plan.readers > MOST_READERS:
        raise ValueError(f"--readers: at most {MOST_READERS} of each pattern at a target.")
    if plan.poll_seconds < LEAST_POLL_SECONDS:
        raise ValueError(f"--poll-seconds: at least {LEAST_POLL_SECONDS:g} at a target.")
    if address.scheme == "https" and PRESETS[plan.network].dials.rewrites:
        raise ValueError(
            f"The network {plan.network} has a proxy that changes HTTP, and nothing in between can "
            "read https. Take another --network, or a target with http."
        )
    return plan


async def measure(
    described: Description, plan: Plan, command: str, say: Callable[[str], object]
) -> Report:
    """One run at the plan's target, to its end. Raises ClientError, OSError, ValueError."""
    assert plan.target is not None
    raise_file_limit(plan)
    statistics = Statistics(plan)
    run = TargetRun(plan, described, statistics)
    going = asyncio.create_task(run.go(), name="lab run at a target")
    try:
        while not going.done():
            began = run.network.began
            passed = 0.0 if began is None else min(plan.seconds, time.monotonic() - began)
            say(f"target: {passed:.0f} of {plan.seconds:g} s")
            await asyncio.wait({going}, timeout=PROGRESS_SECONDS)
    finally:
        going.cancel()
        await asyncio.wait({going})
    return Report(
        plan.experiment,
        command,
        (result_of(going.result(), statistics),),
        title=f"Latency from {plan.target.url} to reader",
    )
