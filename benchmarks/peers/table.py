"""What is compared, what is asked of Tiffin in each row, and the table of it."""

from collections.abc import Iterable, Mapping, Sequence
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

    def includes(self, name: str) -> bool:
        """Whether that server does it."""
        return not self.others or name in (*self.others, OURS)


RUNS = {
    "stream": Run(fan_out, 1_000),
    "streams": Run(fan_out, 10_000, ("nchan", "Express")),
    "order": Run(kitchens, 1_000),
    "get": Run(read, 64, ("Express", "FastAPI", "plain aiohttp")),
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


def _medians(row: Row, found: Found) -> dict[str, float]:
    return {
        name: median(row.value(one) for one in measured)
        for (run, name), measured in found.items()
        if run == row.run and measured
    }


def _verdict(row: Row, values: Mapping[str, float]) -> str:
    base = values.get(row.peer) if row.peer else 1.0
    if base is None or OURS not in values:
        return "not known"
    return "yes" if values[OURS] <= row.most * base else "**no**"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:" for _ in heads[1:]]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def costs(found: Found, names: Sequence[str]) -> str:
    """The medians of each server as Markdown, and whether what is asked of Tiffin is met."""
    rows = []
    for row in ROWS:
        values = _medians(row, found)
        cells = [f"{values[name]:,.1f}" if name in values else "–" for name in names]
        asked = f"≤ {row.most:g} × {row.peer}" if row.peer else f"≤ {row.most:g} {row.unit}"
        rows.append([f"{row.text}, {row.unit}", *cells, asked, _verdict(row, values)])
    return _markdown(["", *names, "asked", "met"], rows)


def ratios(found: Found, names: Sequence[str]) -> str:
    """What Tiffin takes, divided by what each peer takes, as Markdown."""
    rows = []
    for row in ROWS:
        values = _medians(row, found)
        ours, peers = values.pop(OURS, 0.0), [name for name in names if name != OURS]
        cells = [f"{ours / values[name]:.2f}" if values.get(name) else "–" for name in peers]
        rows.append([row.text, *cells])
    return _markdown(["Tiffin ÷", *(name for name in names if name != OURS)], rows)
