"""A town's streets as a graph, and the shortest path along them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import accumulate, pairwise, product
from math import cos, dist, inf, radians, sin

from server.geo.segment_index import MERGE_METRES, NodeIndex, SegmentIndex, Snap
from server.geo.sphere import EARTH_METRES, LatLng, distance, nearest_on_segment

OFF_PATH_METRES = 40.0
"""Whoever is further from a path than this has left it."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Path:
    """A path over the map, from its first point to its last."""

    metres: float
    points: tuple[LatLng, ...]
    along_streets: bool = True
    """False for the straight line."""

    def remaining_from(self, position: LatLng) -> float | None:
        """Metres from there to the end; None for a position off the path."""
        best: tuple[float, float] | None = None
        for (a, b), after in zip(pairwise(self.points), self._remaining[1:], strict=True):
            nearest, off = nearest_on_segment(position, a, b)
            if off <= OFF_PATH_METRES and (best is None or off < best[0]):
                best = off, distance(nearest, b) + after
        return None if best is None else sum(best)

    @cached_property
    def _remaining(self) -> list[float]:
        """Metres from each point to the end."""
        lengths = (distance(a, b) for a, b in pairwise(reversed(self.points)))
        return list(accumulate(lengths, initial=0.0))[::-1]


class StreetNetwork:
    """Streets that meet where they share a node; every one can be taken in both directions."""

    def __init__(self, lines: Sequence[Sequence[LatLng]]) -> None:
        index = NodeIndex([point for line in lines for point in line])
        streets = [[index.number(point) for point in line] for line in lines]
        self._nodes = index.nodes
        self._neighbours: list[dict[int, float]] = [{} for _ in self._nodes]
        """Of each node, with the metres to each."""
        self._segments: list[tuple[int, int]] = []
        for street in streets:
            for a, b in pairwise(street):
                if a != b and b not in self._neighbours[a]:
                    length = distance(self._nodes[a], self._nodes[b])
                    self._neighbours[a][b] = self._neighbours[b][a] = length
                    self._segments.append((a, b))
        self._index = SegmentIndex([(self._nodes[a], self._nodes[b]) for a, b in self._segments])
        self._vectors = [_vector(node) for node in self._nodes]

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self._nodes)

    def shortest_path(self, start: LatLng, end: LatLng) -> Path | None:
        """The shortest path from the street nearest to `start` to the one nearest to `end`, with
        `start` and `end` as its ends.

        None where no street is near one of them, where no street connects them, or where both are
        further from the streets than from each other.
        """
        starts, ends = self._index.snap(start), self._index.snap(end)
        if not starts or not ends:
            return None
        off_street = starts[0].metres + ends[0].metres
        if off_street > MERGE_METRES and distance(start, end) <= off_street:
            return None
        found = self._search(starts, ends, _vector(end))
        if found is None:
            return None
        points = [start, *found.points, end]
        distinct = [a for a, b in pairwise(points) if a != b]
        return Path(found.metres, (*distinct, end) if distinct else (start, end))

    def _search(self, starts: list[Snap], ends: list[Snap], target: Vector) -> Path | None:
        """A* from any of the starts to any of the ends."""
        best, last = inf, -1
        on_one_segment: tuple[LatLng, ...] = ()
        for a, b in product(starts, ends):
            direct = a.metres + distance(a.point, b.point) + b.metres
            if a.segment == b.segment and direct < best:
                best, on_one_segment = direct, (a.point, b.point)
        sources, goals = self._reachable(starts), self._reachable(ends)
        costs = {node: cost for node, (cost, _) in sources.items()}
        previous: dict[int, int] = {}
        heap: list[tuple[float, float, int]] = []
        for node, cost in costs.items():
            heappush(heap, (cost + self._lower_bound(node, target), cost, node))
        while heap and heap[0][0] < best:
            _, cost, node = heappop(heap)
            if cost > costs[node]:
                continue
            if node in goals and cost + goals[node][0] < best:
                best, last = cost + goals[node][0], node
            for neighbour, length in self._neighbours[node].items():
                total = cost + length
                if total < costs.get(neighbour, inf):
                    costs[neighbour], previous[neighbour] = total, node
                    bound = total + self._lower_bound(neighbour, target)
                    heappush(heap, (bound, total, neighbour))
        if best == inf:
            return None
        if last < 0:
            return Path(best, on_one_segment)
        nodes = [last]
        while nodes[-1] in previous:
            nodes.append(previous[nodes[-1]])
        points = [self._nodes[node] for node in reversed(nodes)]
        return Path(best, (sources[nodes[-1]][1].point, *points, goals[last][1].point))

    def _reachable(self, snaps: list[Snap]) -> dict[int, tuple[float, Snap]]:
        """The nodes at the ends of the snaps' segments, each with its distance and the snap that
        it is nearest to."""
        found: dict[int, tuple[float, Snap]] = {}
        for snap in snaps:
            for node in self._segments[snap.segment]:
                cost = snap.metres + distance(snap.point, self._nodes[node])
                if node not in found or cost < found[node][0]:
                    found[node] = (cost, snap)
        return found

    def _lower_bound(self, node: int, target: Vector) -> float:
        """The chord through the earth: cheap, and never longer than a path over the ground."""
        return dist(self._vectors[node], target)


def _vector(point: LatLng) -> Vector:
    lat, lng = radians(point[0]), radians(point[1])
    parallel = EARTH_METRES * cos(lat)
    return parallel * cos(lng), parallel * sin(lng), EARTH_METRES * sin(lat)
