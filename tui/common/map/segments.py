"""Many short lines, and which of them are near: a grid over them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt

Box = tuple[float, float, float, float]
"""West, south, east, north."""
Flat = tuple[float, float]
Segment = tuple[int, float, float, float, float]
"""Its owner, and from where to where."""

MANY_CELLS = 64


@dataclass(frozen=True)
class Segments:
    """Segments in the order of their owners."""

    all: tuple[Segment, ...] = ()
    _west: float = 0.0
    _south: float = 0.0
    _side: float = 1.0
    _cells: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    _long: tuple[int, ...] = ()
    """Those that would lie in very many cells: looked at each time."""

    @classmethod
    def of(
        cls, pairs: Iterable[tuple[int, tuple[float, float], tuple[float, float]]]
    ) -> "Segments":
        """From owner, start and end of each."""
        every = tuple((owner, *a, *b) for owner, a, b in pairs)
        if not every:
            return cls()
        west = min(min(one[1], one[3]) for one in every)
        south = min(min(one[2], one[4]) for one in every)
        wide = max(max(one[1], one[3]) for one in every) - west
        high = max(max(one[2], one[4]) for one in every) - south
        side = max(wide, high) / max(1.0, sqrt(len(every) / 2)) or 1.0
        cells: dict[tuple[int, int], list[int]] = {}
        long: list[int] = []
        for number, (_, ax, ay, bx, by) in enumerate(every):
            columns = range(int((min(ax, bx) - west) / side), int((max(ax, bx) - west) / side) + 1)
            rows = range(int((min(ay, by) - south) / side), int((max(ay, by) - south) / side) + 1)
            if len(columns) * len(rows) > MANY_CELLS:
                long.append(number)
                continue
            for column in columns:
                for row in rows:
                    cells.setdefault((column, row), []).append(number)
        return cls(every, west, south, side, cells, tuple(long))

    def near(self, box: Box) -> list[Segment]:
        """Those that may touch the box, each once, in their order."""
        west, south, east, north = box
        first, last = int((west - self._west) // self._side), int((east - self._west) // self._side)
        low, high = (
            int((south - self._south) // self._side),
            int((north - self._south) // self._side),
        )
        if (last - first + 1) * (high - low + 1) >= len(self._cells):
            wanted = {
                number
                for (column, row), numbers in self._cells.items()
                if first <= column <= last and low <= row <= high
                for number in numbers
            }
        else:
            wanted = {
                number
                for column in range(first, last + 1)
                for row in range(low, high + 1)
                for number in self._cells.get((column, row), ())
            }
        wanted.update(self._long)
        return [self.all[number] for number in sorted(wanted)]
