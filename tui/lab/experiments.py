"""The lab's experiments by their names: `patterns`, and one for each lesson."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.lab.bench import Experiment
from tui.lab.records import Plan

if TYPE_CHECKING:
    from tui.lab.bench import Bench


async def _race(bench: Bench, plan: Plan) -> None:
    await bench.run(plan)


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
    )
}
