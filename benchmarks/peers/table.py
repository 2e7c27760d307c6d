"""What is compared, what is asked of Tiffin in each row, and the table of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.works import (
    Measured,
    Work,
    fan_out,
    full_rooms,
    kitchens,
    polls_apart,
    polls_together,
    quiet_rooms,
    read,
)

OURS = "Tiffin"


@dataclass(frozen=True)
class Run:
    """A work with that many connections; `others` are the peers that it is done with, all of them
    where there are none."""

    work: Work
    number: int
    others: Sequence[str] = ()


RUNS = {
    "stream": Run(fan_out, 1_000),
    "streams": Run(fan_out, 10_000, ("nchan", "Express")),
    "order": Run(kitchens, 1_000),
    "get": Run(read, 64),
    "chat": Run(full_rooms, 100),
    "chats": Run(quiet_rooms, 1_000),
    "poll": Run(polls_together, 1_000),
    "polls": Run(polls_apart, 1_000),
}


@dataclass(frozen=True)
class Row:
    """What a run says, in microseconds or kilobytes: Tiffin's may be at most `most` of these, or,
    where there is a peer, that many times the peer's."""

    text: str
    run: str
    unit: str
    most: float
    peer: str = ""

    def value(self, measured: Measured) -> float:
        """Of a run."""
        return measured.microseconds if self.unit == "µs" else measured.kilobytes


ROWS = (
    Row("an event to 1,000 streams, a delivery", "stream", "µs", 1.3, "nchan"),
    Row("an event to 10,000 streams, a delivery", "streams", "µs", 1, "nchan"),
    Row("memory of an idle stream", "stream", "kB", 4),
    Row("an order placed, to its kitchen's one stream", "order", "µs", 1, "FastAPI"),
    Row("`GET` one order", "get", "µs", 1, "FastAPI"),
    Row("a chat message to its room, 50 rooms as fast as they can", "chat", "µs", 5, "Express"),
    Row("a chat message, 1,000 sockets, 300 a second", "chats", "µs", 1.5, "Express"),
    Row("memory of a chat socket", "chats", "kB", 15),
    Row("1,000 polls held on one order, a wake", "poll", "µs", 0.5, "Express"),
    Row("an order stepped, its one poll woken", "polls", "µs", 1, "FastAPI"),
    Row("memory of a held poll", "poll", "kB", 1.5, "plain aiohttp"),
)

Found = Mapping[tuple[str, str], Sequence[Measured]]
"""What was measured, by run and server."""


def _line(row: Row, found: Found, names: Sequence[str]) -> str:
    values = {
        name: median(row.value(one) for one in found[row.run, name])
        for name in names
        if found.get((row.run, name))
    }
    cells = [f"{values[name]:,.1f}" if name in values else "–" for name in names]
    base, ours = values.get(row.peer), values.get(OURS)
    asked = f"≤ {row.most:g} × {row.peer}" if row.peer else f"≤ {row.most:g} {row.unit}"
    ratio = f"{ours / base:.2f}" if base and ours else "–"
    if ours is None or (row.peer and base is None):
        met = "not known"
    else:
        met = "yes" if ours <= row.most * (base or 1) else "**no**"
    return f"| {row.text}, {row.unit} | {' | '.join(cells)} | {ratio} | {asked} | {met} |"


def table(found: Found, names: Sequence[str]) -> str:
    """The medians as Markdown, a column for each server."""
    head = f"| | {' | '.join(names)} | ratio | asked | met |"
    rule = f"|---|{'---:|' * (len(names) + 1)}---|---|"
    return "\n".join([head, rule, *(_line(row, found, names) for row in ROWS)])
