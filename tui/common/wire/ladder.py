"""A ladder: what went over a wire, and when, between two lanes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from tui.common.format import fit
from tui.common.language import _

if TYPE_CHECKING:
    from tui.common.client.meter import Frame
    from tui.common.styles import Part

TIME_CELLS = 9
LEAST_LANE_CELLS = 28
MOST_LANE_CELLS = 72
SOURCE_CELLS = 30

Way = Literal["up", "down", "news", "commit", "lost", "mark"]


class Step(Protocol):
    """One step on the ladder, at `at` seconds; `size` is in bytes."""

    @property
    def at(self) -> float: ...

    @property
    def way(self) -> Way: ...

    @property
    def words(self) -> str: ...

    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Crossing:
    """A frame as a step."""

    frame: "Frame"

    @property
    def at(self) -> float:
        """Seconds since 1970."""
        return self.frame.at

    @property
    def way(self) -> Way:
        """Up is to the server."""
        return "up" if self.frame.direction == "out" else "down"

    @property
    def words(self) -> str:
        """What it is, and of news how old it was."""
        age = self.frame.age_ms
        return (
            self.frame.words
            if age is None
            else _("{words}, {age:,.0f} ms old").format(words=self.frame.words, age=age)
        )

    @property
    def size(self) -> int:
        """Bytes."""
        return self.frame.size


def rows_of(
    steps: Iterable[Step], began: float, width: int, ink: str, source: int = SOURCE_CELLS
) -> "Iterator[tuple[Part, ...]]":
    """The ladder as lines: time, reader, server, and `source` cells for what is behind that.
    `began` is second 0."""
    lane = max(LEAST_LANE_CELLS, min(MOST_LANE_CELLS, width - TIME_CELLS - source))
    for step in steps:
        yield _row(step, began, lane, max(0, width - TIME_CELLS - lane - 4), ink)


def _row(step: Step, began: float, lane: int, room: int, ink: str) -> "tuple[Part, ...]":
    stamp = (f"{step.at - began:{TIME_CELLS - 1}.3f} ", "wire-ink")
    left, right = ("│", "edge"), ("│ ", "edge")
    size = f" {step.size:,} B" if step.size else ""
    words = fit(step.words, lane - len(size) - 6)
    rest = lane - len(words) - len(size) - 4
    if step.way == "up":
        arrow = (f" {words}{size} {'─' * rest}▶ ", ink)
    elif step.way == "down":
        arrow = (f" ◀{'─' * rest} {words}{size} ", ink)
    elif step.way == "commit":
        return stamp, left, (" " * lane, ""), ("├─", "edge"), (fit(step.words, room), "wire-ink")
    elif step.way == "news":
        arrow = (f" ◆ {fit(step.words, lane - 4)}".ljust(lane), f"bold {ink}")
    elif step.way == "lost":
        arrow = (f" ✕ {fit(step.words, lane - 4)}".ljust(lane), "bold error")
    else:
        arrow = (f"┈ {step.words} ".ljust(lane, "┈"), "accent")
    return stamp, left, arrow, right
