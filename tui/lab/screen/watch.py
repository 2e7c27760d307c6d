"""What the screen sees of a run: figures, strips and ladders."""

from __future__ import annotations

import time

from tui.lab.records import Appended, Arrival, Exchange, Plan
from tui.lab.screen.figures import Result
from tui.lab.screen.ladder import Ladder, is_heartbeat
from tui.lab.screen.timeline import Timeline
from tui.lab.statistics import Statistics


class Watch:
    """A sink and a tap of one run: passes all on to figures, strips and ladders."""

    def __init__(self, plan: Plan) -> None:
        self.statistics = Statistics(plan)
        self.timeline = Timeline(plan.patterns)
        self.ladder = Ladder(plan.patterns)
        self.began: float | None = None
        """When the source began, by `time.monotonic`."""

    @property
    def revision(self) -> int:
        """Another one whenever something was recorded."""
        return self.timeline.revision + self.ladder.revision

    def appended(self, record: Appended) -> None:
        """See `Sink`."""
        self.statistics.appended(record)
        self.timeline.appended(record)
        self.ladder.appended(record)

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""
        self.statistics.arrived(record)
        self.timeline.arrived(record)
        self.ladder.arrived(record)

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""
        self.statistics.exchanged(record)
        self.timeline.exchanged(record)
        self.ladder.exchanged(record)

    def begun(self, at: float) -> None:
        """See `Tap`."""
        self.began = at
        self.statistics.begun(at)

    def connected(self, pattern: str, at: float) -> None:
        """See `Tap`."""
        self.statistics.connected(pattern, at)
        self.ladder.connected(pattern, at)

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        """See `Tap`."""
        self.statistics.passed(pattern, at, up=up, data=data)
        self.ladder.passed(pattern, at, up=up, data=data)
        if not up and is_heartbeat(data):
            self.timeline.heartbeat(pattern, at)

    def late(self, at: float, seconds: float) -> None:
        """See `Tap`."""
        self.statistics.late(at, seconds)

    def results(self, at: float | None = None) -> dict[str, Result]:
        """Of each pattern, up to `at` by `time.monotonic`, or up to now."""
        newest = self.statistics.source.newest
        return {
            one.pattern: Result(one, self.timeline.seen[one.pattern], newest)
            for one in self.statistics.figures(time.monotonic() if at is None else at)
        }

    def mark(self) -> None:
        """Set a mark everywhere."""
        self.timeline.mark(time.monotonic())
        self.ladder.mark(time.monotonic())
