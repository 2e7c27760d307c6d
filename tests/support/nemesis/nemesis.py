"""Breaks one thing after the other under sixty clients, and compares what they got."""

import asyncio
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from support.nemesis.crowd import Crowd
from support.nemesis.faults import FAULTS, Fault
from support.nemesis.ledger import Ledger, Verdict
from support.nemesis.scene import Scene
from support.nemesis.stage import Stage

CAUGHT_UP_SECONDS = 120.0
LATE_SECONDS = 10.0
LONG_SECONDS = 300.0
QUICK_SECONDS = 6.0
"""A run that is not long leaves out faults that last longer."""
COLUMNS = "events deliveries lost repeated out_of_order foreign worst_delay,_s"
HEAD = (
    f"| | fault | {' | '.join(COLUMNS.split()).replace('_', ' ')} |\n"
    f"|---:|---|{len(COLUMNS.split()) * '---:|'}"
)


@dataclass
class Row:
    """What one fault, or two at once, have come to."""

    numbers: str
    name: str
    verdict: Verdict
    misplaced: list[str]
    """What is wrong with acknowledged writes."""
    seconds: float
    load: float = 0.0
    """The machine's load average at its end."""

    def __str__(self) -> str:
        v = self.verdict
        counts = (v.events, v.deliveries, v.lost, v.repeated, v.out_of_order, v.foreign)
        cells = " | ".join(f"{count:,}" for count in counts)
        return f"| {self.numbers} | {self.name} | {cells} | {v.worst:.1f} |"

    @property
    def wrong(self) -> int:
        """The sum that has to be zero."""
        return self.verdict.wrong + len(self.misplaced)


@dataclass
class Nemesis:
    """One run; `report` gets each line as it is known."""

    stage: Stage
    crowd: Crowd
    seed: int
    report: Callable[[str], None]
    only: Sequence[Sequence[int]] = ()
    """The numbers of the faults to try, at once or alone; none: all there is time for."""
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.stage.rows)
        self.scene = Scene(self.stage, self.crowd, self.ledger, random.Random(self.seed))

    async def run(self, seconds: float) -> None:
        """Go on for so long: each fault once in the seed's order, most of them in pairs; then
        those alone. Raises AssertionError where a client does not catch up."""
        until = time.monotonic() + seconds
        self.report(f"seed {self.seed}\n\n{HEAD}")
        self.crowd.come()
        await self._caught_up()
        self.crowd.write()
        await self._round([])
        for faults in self._order(seconds):
            if time.monotonic() + sum(one.seconds for one in faults) > until:
                break
            await self._round(faults)

    @property
    def summary(self) -> str:
        """The run in a sentence or two."""
        total, kinds = self.total, {n for row in self.rows for n in row.numbers.split("+")} - {"0"}
        load = sum(row.load for row in self.rows) / len(self.rows)
        pairs = sum("+" in row.numbers for row in self.rows)
        return (
            f"Seed {self.seed}, {total.seconds:.0f} s at a load average of {load:.1f}:"
            f" {len(kinds)} kinds of fault, {pairs} pairs;"
            f" {self.crowd.acknowledged.count:,} orders, messages and announcements acknowledged,"
            f" {len(total.misplaced)} of them missing or stored twice; {total.verdict.resets} times"
            f" a client was told to read its snapshot again, where the log was trimmed or"
            f" {total.verdict.undone} deliveries were undone by a failover."
        )

    @property
    def total(self) -> Row:
        """All rows in one."""
        sums = Verdict()
        for row in self.rows:
            for what in ("events", "deliveries", "lost", "repeated", "out_of_order", "foreign"):
                setattr(sums, what, getattr(sums, what) + getattr(row.verdict, what))
            sums.worst = max(sums.worst, row.verdict.worst)
            sums.resets += row.verdict.resets
            sums.undone += row.verdict.undone
        misplaced = [text for row in self.rows for text in row.misplaced]
        return Row("", "all", sums, misplaced, sum(row.seconds for row in self.rows))

    def _order(self, seconds: float) -> Sequence[Sequence[Fault]]:
        chance, known = self.scene.chance, [one for one in FAULTS if one.possible_on(self.stage)]
        if self.only:
            named = [[FAULTS[number - 1] for number in numbers] for numbers in self.only]
            return [faults for faults in named if {*faults} <= {*known}]
        most = QUICK_SECONDS if seconds < LONG_SECONDS else math.inf
        some = [one for one in known if one.seconds <= most]
        pairs = [pair for pair in combinations(some, 2) if pair[0].goes_with(pair[1])]
        fresh, left = list[Sequence[Fault]](), {*some}
        for pair in chance.sample(pairs, len(pairs)):  # each once, as many as possible at a time
            if left.issuperset(pair):
                left.difference_update(pair)
                fresh.append(pair)
        fresh += [[one] for one in some if one in left]
        alone = [[one] for one in some if one not in left]
        return [*chance.sample(fresh, len(fresh)), *chance.sample(alone, len(alone))]

    async def _round(self, faults: Sequence[Fault]) -> None:
        begun = time.monotonic()
        if faults:
            limit = 180 + sum(one.seconds for one in faults)
            async with asyncio.timeout(limit):
                await asyncio.gather(*(one.act(self.scene) for one in faults))
            await self.stage.heal()
        else:
            await asyncio.sleep(2)
        may_undo = any(one.may_undo for one in faults)
        await self._caught_up()
        acknowledged = self.crowd.acknowledged.copy()
        taken = self.crowd.take()
        await self.ledger.refresh()
        verdict = self.ledger.check(
            taken, may_reset=any(one.may_reset for one in faults), may_undo=may_undo
        )
        if may_undo:
            self.crowd.acknowledged.forget_undone(self.ledger)
            acknowledged.forget_undone(self.ledger)
        row = Row(
            "+".join(str(one.number) for one in faults) or "0",
            ", and ".join(one.name for one in faults) or "nothing broken",
            verdict,
            acknowledged.missing(self.ledger),
            time.monotonic() - begun,
            os.getloadavg()[0],
        )
        self.rows.append(row)
        self.report(str(row))
        if verdict.worst > LATE_SECONDS:
            self.report(f"  the latest was to {verdict.latest}")
        for text in [*row.misplaced[:20], *map(str, verdict.blamed.items())]:
            self.report(f"  {text}")

    async def _caught_up(self) -> None:
        """Every client has all that was there when the fault was over."""
        await self.ledger.refresh()
        then, late = self.ledger.copy(), list[str]()
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        while late := self._late(then):
            self._failed()
            if time.monotonic() > deadline:
                break  # the check counts them
            await asyncio.sleep(0.2)
            await self.ledger.refresh()
        for text in late:
            self.report(f"  after {CAUGHT_UP_SECONDS:g} s {text}")
        assert not late, late

    def _late(self, then: Ledger) -> list[str]:
        found = (self.ledger.behind(reader, then) for reader in self.crowd.readers)
        return [text for text in found if text]

    def _failed(self) -> bool:
        """Raises the error of a client that failed."""
        return self.crowd.failed.done() and self.crowd.failed.result() is None

    def save(self, folder: Path) -> None:
        """Write the histories of the clients in question there, or of all if none is."""
        folder.mkdir(parents=True, exist_ok=True)
        blamed = set().union(*(row.verdict.blamed for row in self.rows)) if self.rows else set()
        for reader in self.crowd.readers:
            if not blamed or reader.name in blamed:
                path = folder / f"{reader.name.replace(' ', '-')}.txt"
                path.write_text("\n".join(reader.history.notes) + "\n")
