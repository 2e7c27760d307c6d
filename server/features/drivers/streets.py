"""A town's streets as a graph, and the shortest way along them."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise, product
from math import cos, dist, inf, radians, sin

from server.features.drivers.grid import SAME_METRES, Grid, Near, Nodes, Place
from server.features.shared.geo import EARTH_METRES, metres


@dataclass(frozen=True, slots=True)
class Along:
    """A way along the streets, from its first place to its last."""

    metres: float
    places: tuple[Place, ...]


class Streets:
    """Streets that meet where they share a node; every one can be taken both ways."""

    def __init__(self, lines: Sequence[Sequence[Place]]) -> None:
        nodes = Nodes([place for line in lines for place in line])
        ways = [[nodes.number(place) for place in line] for line in lines]
        self._places = nodes.places
        self._next: list[dict[int, float]] = [{} for _ in self._places]
        self._stretches: list[tuple[int, int]] = []
        for way in ways:
            for a, b in pairwise(way):
                if a != b and b not in self._next[a]:
                    self._next[a][b] = self._next[b][a] = self._metres(a, b)
                    self._stretches.append((a, b))
        self._grid = Grid([(self._places[a], self._places[b]) for a, b in self._stretches])
        self._vectors = [_vector(place) for place in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def way(self, start: Place, end: Place) -> Along | None:
        """The shortest way from the place on a street that is nearest to `start` to the one
        nearest to `end`, and from and to these themselves.

        None where no street is near one of them, where none leads from the one to the other, or
        where both are further from the streets than from each other.
        """
        here, there = self._grid.nearest(start), self._grid.nearest(end)
        if not here or not there:
            return None
        off = here[0].metres + there[0].metres
        if off > SAME_METRES and metres(*start, *end) <= off:
            return None
        found = self._shortest(here, there, _vector(end))
        if found is None:
            return None
        places = [start, *found.places, end]
        distinct = [a for a, b in pairwise(places) if a != b]
        return Along(found.metres, (*distinct, end) if distinct else (start, end))

    def _shortest(
        self, here: list[Near], there: list[Near], target: tuple[float, float, float]
    ) -> Along | None:
        """A*, from any of the places here to any of those there, and on to the target."""
        best, last = inf, -1
        between: tuple[Place, ...] = ()
        for a, b in product(here, there):
            direct = a.metres + metres(*a.place, *b.place) + b.metres
            if a.stretch == b.stretch and direct < best:
                best, between = direct, (a.place, b.place)
        starts, goals = self._ends(here), self._ends(there)
        costs = {node: cost for node, (cost, _) in starts.items()}
        came: dict[int, int] = {}
        heap: list[tuple[float, float, int]] = []
        for node, cost in costs.items():
            heappush(heap, (cost + self._least(node, target), cost, node))
        while heap and heap[0][0] < best:
            _, cost, node = heappop(heap)
            if cost > costs[node]:
                continue
            if node in goals and cost + goals[node][0] < best:
                best, last = cost + goals[node][0], node
            for other, length in self._next[node].items():
                further = cost + length
                if further < costs.get(other, inf):
                    costs[other], came[other] = further, node
                    heappush(heap, (further + self._least(other, target), further, other))
        if best == inf:
            return None
        if last < 0:
            return Along(best, between)
        nodes = [last]
        while nodes[-1] in came:
            nodes.append(came[nodes[-1]])
        places = [self._places[node] for node in reversed(nodes)]
        return Along(best, (starts[nodes[-1]][1].place, *places, goals[last][1].place))

    def _ends(self, nears: list[Near]) -> dict[int, tuple[float, Near]]:
        """The nodes at the ends of these stretches, how far they are, and by which of them."""
        found: dict[int, tuple[float, Near]] = {}
        for near in nears:
            for node in self._stretches[near.stretch]:
                cost = near.metres + metres(*near.place, *self._places[node])
                if node not in found or cost < found[node][0]:
                    found[node] = (cost, near)
        return found

    def _least(self, node: int, target: tuple[float, float, float]) -> float:
        """The chord: never longer than any way over the ground, and cheap."""
        return dist(self._vectors[node], target)

    def _metres(self, a: int, b: int) -> float:
        return metres(*self._places[a], *self._places[b])


def _vector(place: Place) -> tuple[float, float, float]:
    lat, lng = radians(place[0]), radians(place[1])
    around = EARTH_METRES * cos(lat)
    return around * cos(lng), around * sin(lng), EARTH_METRES * sin(lat)
