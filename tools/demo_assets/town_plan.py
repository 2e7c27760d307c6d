"""The geometry of an invented town: land that streets cut into ever smaller blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import atan2, cos, dist, hypot, inf, pi, sin
from random import Random

Point = tuple[float, float]
"""Metres east and north of the town's centre."""

SAME = 0.05
"""A point this many metres from a line is on it."""


@dataclass
class Piece:
    """A part of a street between two points where streets may meet."""

    points: list[Point]
    name: str = ""
    kind: str = "side"
    bridge: bool = False


@dataclass
class Face:
    """A piece of land or water between streets or the edges of the map."""

    ring: list[Point]
    water: bool = False

    def area(self) -> float:
        """Square metres."""
        return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in edges(self.ring))) / 2

    def contains(self, point: Point) -> bool:
        """Whether the point is inside."""
        x, y = point
        inside = False
        for (ax, ay), (bx, by) in edges(self.ring):
            if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
                inside = not inside
        return inside

    def touches(self, point: Point) -> bool:
        """Whether the point is on the border."""
        return any(from_segment(point, a, b)[0] < SAME for a, b in edges(self.ring))

    def split(self, line: Sequence[Point]) -> tuple["Face", "Face"]:
        """The parts on both sides of a line from border to border."""
        ring = with_vertex(with_vertex(self.ring, line[0]), line[-1])
        start, end = ring.index(line[0]), ring.index(line[-1])
        around = ring[start:] + ring[:start]
        end = (end - start) % len(ring)
        left = [*around[: end + 1], *reversed(line[1:-1])]
        right = [*around[end:], *line[:-1]]
        return Face(left, self.water), Face(right, self.water)


@dataclass
class Plan:
    """The faces so far, the streets between them, and the junctions of the streets."""

    faces: list[Face]
    pieces: list[Piece] = field(default_factory=list)
    junctions: list[Point] = field(default_factory=list)

    def cut(self, line: Sequence[Point], name: str, kind: str, snap: float = 14.0) -> None:
        """Add a street through every face that it crosses; over water it is a bridge.

        Ends inside a face are cut off.
        """
        todo, done = [(face, -1.0) for face in self.faces], []
        while todo:
            face, since = todo.pop()
            through, end = next(self._crossings(face, line, snap, since), ([], 0.0))
            if not through:
                done.append(face)
                continue
            todo += [(half, end) for half in face.split(through)]
            self.add(Piece(through, name, kind, face.water))
        self.faces = done

    def add(self, piece: Piece) -> None:
        """Add a street; other streets may join at its ends."""
        self.pieces.append(piece)
        for end in (piece.points[0], piece.points[-1]):
            if end not in self.junctions:
                self.junctions.append(end)

    def snapped(self, point: Point, face: Face, within: float) -> Point:
        """The nearest junction on the face's border, or the point itself."""
        near = sorted((dist(point, other), other) for other in self.junctions)
        for metres, other in near:
            if metres > within:
                break
            if face.touches(other):
                return other
        return point

    def on_street(self, point: Point) -> bool:
        """Whether the point is on a street of the plan."""
        return any(
            from_segment(point, a, b)[0] < SAME
            for piece in self.pieces
            for a, b in pairwise(piece.points)
        )

    def _crossings(
        self, face: Face, line: Sequence[Point], snap: float, since: float
    ) -> Iterator[tuple[list[Point], float]]:
        """The parts of a line that cross a face, and how far along the line each ends."""
        hits: list[tuple[float, Point]] = []
        for index, (a, b) in enumerate(pairwise(line)):
            for c, d in edges(face.ring):
                found = crossing(a, b, c, d)
                if found is not None and index + found > since:
                    hits.append((index + found, between(a, b, found)))
        hits.sort()
        for (start, first), (end, last) in pairwise(hits):
            inner = [line[at] for at in range(len(line)) if start < at < end]
            here = self.snapped(first, face, snap)
            there = self.snapped(last, face, snap)
            inner = [one for one in inner if dist(one, here) > snap / 2 < dist(one, there)]
            through = [here, *inner, there]
            if length(through) > 2 * snap and face.contains(halfway(through)) and here != there:
                yield through, end


def subdivide(plan: Plan, face: Face, random: Random, reach: float) -> tuple[Face, Face] | None:
    """Cut a face in two by a street across its longer side; None where no street fits."""
    for turned in (0.0, pi / 2, 0.3, -0.3, 0.7):
        chord = _chord(plan, face, random, turned)
        if chord is None:
            continue
        ends = [plan.on_street(end) for end in (chord[0], chord[-1])]
        if not any(ends):
            continue
        drawn = chord if ends[0] else chord[::-1]
        if not all(ends):
            drawn = _shortened(drawn, reach)
        if length(drawn) > 60:
            plan.add(Piece(drawn))
            return face.split(chord)
    return None


def _chord(plan: Plan, face: Face, random: Random, turned: float) -> list[Point] | None:
    """A slightly bent line from border to border, near the middle of the longer side."""
    axis, low, high, middle = _box(face.ring)
    angle = axis + pi / 2 + turned + random.uniform(-0.09, 0.09)
    at = low + (high - low) * random.uniform(0.43, 0.57)
    foot = (cos(axis) * at - sin(axis) * middle, sin(axis) * at + cos(axis) * middle)
    far = 4000.0
    a = (foot[0] - cos(angle) * far, foot[1] - sin(angle) * far)
    b = (foot[0] + cos(angle) * far, foot[1] + sin(angle) * far)
    found = sorted(t for c, d in edges(face.ring) if (t := crossing(a, b, c, d)) is not None)
    best: tuple[Point, Point] | None = None
    for t, u in pairwise(found):
        ends = between(a, b, t), between(a, b, u)
        longest = dist(*best) if best else 0.0
        if dist(*ends) > longest and face.contains(halfway(ends)):
            best = ends
    if best is None:
        return None
    start, end = (plan.snapped(one, face, 38.0) for one in best)
    bend = random.uniform(-0.05, 0.05)
    mid = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    mid = (mid[0] - bend * (end[1] - start[1]), mid[1] + bend * (end[0] - start[0]))
    line = smooth([start, mid, end], 40.0)
    clear = dist(start, end) > 50 and all(
        face.contains(one) and _away(one, face) > 9.0 for one in line[1:-1]
    )
    return line if clear else None


def _shortened(line: list[Point], reach: float) -> list[Point]:
    """The part of a street within `reach` metres of the centre: it ends in the fields."""
    kept = [line[0]]
    for point in line[1:-1]:
        if hypot(*point) > reach:
            break
        kept.append(point)
    return kept


def _away(point: Point, face: Face) -> float:
    return min(from_segment(point, a, b)[0] for a, b in edges(face.ring))


def _box(ring: list[Point]) -> tuple[float, float, float, float]:
    """The smallest rectangle around: angle and extent of the long axis, middle of the other."""
    best = (inf, 0.0, 0.0, 0.0, 0.0)
    for a, b in edges(ring):
        angle = atan2(b[1] - a[1], b[0] - a[0])
        along = [x * cos(angle) + y * sin(angle) for x, y in ring]
        across = [y * cos(angle) - x * sin(angle) for x, y in ring]
        wide, deep = max(along) - min(along), max(across) - min(across)
        if wide >= deep and wide * deep < best[0]:
            middle = (max(across) + min(across)) / 2
            best = (wide * deep, angle, min(along), max(along), middle)
    return best[1:]


def smooth(points: Sequence[Point], step: float = 22.0) -> list[Point]:
    """A Catmull-Rom curve through the points, with a vertex about every `step` metres."""
    around = [points[0], *points, points[-1]]
    curve: list[Point] = [points[0]]
    for p, a, b, n in zip(around, around[1:], around[2:], around[3:], strict=False):
        parts = max(1, round(dist(a, b) / step))
        for part in range(1, parts + 1):
            t = part / parts
            curve.append((_spline(p[0], a[0], b[0], n[0], t), _spline(p[1], a[1], b[1], n[1], t)))
    return curve


def _spline(p: float, a: float, b: float, n: float, t: float) -> float:
    return a + t * ((b - p) + t * ((2 * p - 5 * a + 4 * b - n) + t * (3 * (a - b) + n - p))) / 2


def offset(line: Sequence[Point], metres: float) -> list[Point]:
    """The line moved to its left."""
    moved: list[Point] = []
    for index, (x, y) in enumerate(line):
        a, b = line[max(0, index - 1)], line[min(len(line) - 1, index + 1)]
        long = dist(a, b)
        moved.append((x - metres * (b[1] - a[1]) / long, y + metres * (b[0] - a[0]) / long))
    return moved


def edges(ring: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """The sides of a polygon, the closing one included."""
    return zip(ring, [*ring[1:], ring[0]], strict=True)


def length(line: Sequence[Point]) -> float:
    """Metres."""
    return sum(dist(a, b) for a, b in pairwise(line))


def between(a: Point, b: Point, t: float) -> Point:
    """The point at the fraction `t` of the way from `a` to `b`."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)


def halfway(line: Sequence[Point]) -> Point:
    """The point in the middle of a line's length."""
    left = length(line) / 2
    for a, b in pairwise(line):
        part = dist(a, b)
        if left <= part:
            return between(a, b, left / part if part else 0.0)
        left -= part
    return line[-1]


def crossing(a: Point, b: Point, c: Point, d: Point) -> float | None:
    """The fraction of a-b at which it crosses c-d; None where it does not."""
    rx, ry, sx, sy = b[0] - a[0], b[1] - a[1], d[0] - c[0], d[1] - c[1]
    cross = rx * sy - ry * sx
    if not cross:
        return None
    t = ((c[0] - a[0]) * sy - (c[1] - a[1]) * sx) / cross
    u = ((c[0] - a[0]) * ry - (c[1] - a[1]) * rx) / cross
    return t if 0 <= t < 1 and 0 <= u < 1 else None


def from_segment(point: Point, a: Point, b: Point) -> tuple[float, Point]:
    """How far a point is from a segment, and the nearest point on it."""
    rx, ry = b[0] - a[0], b[1] - a[1]
    square = rx * rx + ry * ry
    t = ((point[0] - a[0]) * rx + (point[1] - a[1]) * ry) / square if square else 0.0
    nearest = between(a, b, min(1.0, max(0.0, t)))
    return dist(point, nearest), nearest


def with_vertex(ring: list[Point], point: Point) -> list[Point]:
    """The polygon with the point, which is on its border, among its vertices."""
    if point in ring:
        return ring
    sides = list(edges(ring))
    at = min(range(len(sides)), key=lambda index: from_segment(point, *sides[index])[0])
    return [*ring[: at + 1], point, *ring[at + 1 :]]
