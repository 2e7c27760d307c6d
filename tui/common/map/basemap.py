"""What lies under the overlay: a town's streets, waters and parks, read from GeoJSON."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any

from tui.common.client.errors import ClientError
from tui.common.client.retry import retry
from tui.common.map.geometry import LatLng, Mercator, to_lat_lng, to_mercator
from tui.common.sanitize import plain

if TYPE_CHECKING:
    from tui.common.client.api import Api

Box = tuple[float, float, float, float]
"""West, south, east, north."""
Segment = tuple[int, float, float, float, float]
"""Its owner, and from where to where."""

MAX_CELLS = 64
"""A segment that lies in more cells of the grid is checked in every search."""


@dataclass(frozen=True)
class Segments:
    """Line segments in the order of their owners, and a grid that finds those in a box."""

    all: tuple[Segment, ...] = ()
    _west: float = 0.0
    _south: float = 0.0
    _side: float = 1.0
    _cells: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    _long: tuple[int, ...] = ()
    """Those that lie in more than `MAX_CELLS` cells."""

    @classmethod
    def of(
        cls, pairs: Iterable[tuple[int, tuple[float, float], tuple[float, float]]]
    ) -> "Segments":
        """From owner, start and end of each segment."""
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
        for number, (_kind, ax, ay, bx, by) in enumerate(every):
            columns = range(int((min(ax, bx) - west) / side), int((max(ax, bx) - west) / side) + 1)
            rows = range(int((min(ay, by) - south) / side), int((max(ay, by) - south) / side) + 1)
            if len(columns) * len(rows) > MAX_CELLS:
                long.append(number)
                continue
            for column in columns:
                for row in rows:
                    cells.setdefault((column, row), []).append(number)
        return cls(every, west, south, side, cells, tuple(long))

    def near(self, box: Box) -> list[Segment]:
        """The segments that may touch the box, each once, in their order."""
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


class Kind(IntEnum):
    """What a dot of the basemap shows. Streets are in the order in which they are drawn."""

    LAND = 0
    PARK = 1
    WATER = 2
    BRIDGE = 3
    PATH = 4
    SIDE = 5
    MAIN = 6
    GRID = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A street, or a water given as a line."""

    points: tuple[Mercator, ...]
    kind: Kind
    metres: float
    """Its width."""
    name: str = ""
    box: Box = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Area:
    """A water or a park: outlines and holes, filled by the even-odd rule."""

    rings: tuple[tuple[Mercator, ...], ...]
    kind: Kind
    name: str = ""
    box: Box = (0.0, 0.0, 0.0, 0.0)


WIDTHS = {Kind.MAIN: 15.0, Kind.SIDE: 8.0, Kind.PATH: 3.0}
CLASSES = {"main": Kind.MAIN, "side": Kind.SIDE, "path": Kind.PATH}
OSM_MAIN = frozenset({"motorway", "trunk", "primary", "secondary", "tertiary"})
OSM_PATHS = frozenset(
    {"footway", "path", "cycleway", "steps", "pedestrian", "track", "bridleway", "corridor"}
)
OSM_PARKS = frozenset({("leisure", "park"), ("landuse", "grass"), ("landuse", "forest")})
OSM_WATERS = {"river": 30.0, "canal": 14.0, "stream": 4.0}
USUAL_WATER = 8.0


@dataclass(frozen=True)
class Basemap:
    """A town's lines and areas in the Mercator plane."""

    streets: tuple[Line, ...] = ()
    waters: tuple[Line, ...] = ()
    areas: tuple[Area, ...] = ()
    segments: Segments = field(default_factory=Segments)
    """Of the streets; a segment's owner is the index of its street in `streets`."""

    @classmethod
    def parse(cls, geojson: Mapping[str, Any]) -> "Basemap":
        """Read a FeatureCollection. Unknown or invalid features are left out.

        Raises ValueError, with a message for the user, if it is not a FeatureCollection.
        """
        if not isinstance(geojson, Mapping) or geojson.get("type") != "FeatureCollection":
            raise ValueError("the map is no GeoJSON FeatureCollection")
        features = geojson.get("features")
        if not isinstance(features, list):
            raise ValueError("the map's `features` must be a list")
        lines: list[Line] = []
        areas: list[Area] = []
        for feature in features:
            for drawn in _read(feature):
                if isinstance(drawn, Line):
                    lines.append(drawn)
                else:
                    areas.append(drawn)
        # Water is drawn over parks, so that a pond in a park shows.
        areas.sort(key=lambda area: area.kind)
        streets = sorted((line for line in lines if line.kind != Kind.WATER), key=_order)
        pairs = ((at, a, b) for at, line in enumerate(streets) for a, b in pairwise(line.points))
        return cls(
            tuple(streets),
            tuple(line for line in lines if line.kind == Kind.WATER),
            tuple(areas),
            Segments.of(pairs),
        )

    def middle(self) -> tuple[LatLng, ...]:
        """South-west and north-east corner of the middle half of the streets, or else of waters and
        parks: shown while the overlay is empty. Empty for an empty map."""
        drawn: tuple[Line | Area, ...] = self.streets or (*self.waters, *self.areas)
        boxes = [one.box for one in drawn]
        if not boxes:
            return ()
        west, south = min(box[0] for box in boxes), min(box[1] for box in boxes)
        east, north = max(box[2] for box in boxes), max(box[3] for box in boxes)
        right, up = (east - west) / 4, (north - south) / 4
        return to_lat_lng((west + right, south + up)), to_lat_lng((east - right, north - up))


def _order(line: Line) -> int:
    return line.kind


def _read(feature: object) -> Iterator[Line | Area]:
    """The lines and areas of a feature; none if it is unknown or invalid."""
    if not isinstance(feature, Mapping):
        return
    tags, geometry = feature.get("properties"), feature.get("geometry")
    if not isinstance(tags, Mapping) or not isinstance(geometry, Mapping):
        return
    shape, coordinates = geometry.get("type"), geometry.get("coordinates")
    if not isinstance(coordinates, list):
        return
    kind = _kind(tags)
    name = tags.get("name")
    name = plain(name) if isinstance(name, str) else ""
    if kind is None:
        return
    if shape in ("LineString", "MultiLineString") and kind is not Kind.PARK:
        for line in [coordinates] if shape == "LineString" else coordinates:
            points = _points(line)
            if len(points) > 1:
                yield Line(points, kind, _width(kind, tags), name, _box(points))
    elif shape in ("Polygon", "MultiPolygon") and kind in (Kind.PARK, Kind.WATER):
        for rings in [coordinates] if shape == "Polygon" else coordinates:
            if isinstance(rings, list):
                outlines = tuple(ring for one in rings if len(ring := _points(one)) > 2)
                if outlines:
                    box = _box([point for ring in outlines for point in ring])
                    yield Area(outlines, kind, name, box)


def _kind(tags: Mapping[str, Any]) -> Kind | None:
    kind = tags.get("kind")
    highway = tags.get("highway")
    if kind == "street" or (kind is None and isinstance(highway, str) and highway != "no"):
        if tags.get("bridge") not in (None, False, "", "no"):
            return Kind.BRIDGE
        if kind == "street":
            return CLASSES.get(str(tags.get("class")), Kind.SIDE)
        named = str(highway).removesuffix("_link")
        if named in OSM_MAIN:
            return Kind.MAIN
        return Kind.PATH if named in OSM_PATHS else Kind.SIDE
    if kind == "water" or (
        kind is None and (tags.get("natural") == "water" or tags.get("waterway"))
    ):
        return Kind.WATER
    if kind == "park" or (kind is None and any(tags.get(tag) == value for tag, value in OSM_PARKS)):
        return Kind.PARK
    return None


def _width(kind: Kind, tags: Mapping[str, Any]) -> float:
    """Metres."""
    if kind is Kind.WATER:
        given = tags.get("width_m")
        if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < 20_000:
            return float(given)
        return OSM_WATERS.get(str(tags.get("waterway")), USUAL_WATER)
    if kind is Kind.BRIDGE:
        main = tags.get("class") == "main" or str(tags.get("highway")) in OSM_MAIN
        return WIDTHS[Kind.MAIN if main else Kind.SIDE]
    return WIDTHS[kind]


def _points(line: object) -> tuple[Mercator, ...]:
    """The valid positions of a line."""
    if not isinstance(line, list):
        return ()
    found: list[Mercator] = []
    for position in line:
        if isinstance(position, list) and len(position) > 1:
            lng, lat = position[0], position[1]
            if _number(lng) and _number(lat) and abs(lng) <= 180 and abs(lat) <= 90:
                found.append(to_mercator(LatLng(float(lat), float(lng))))
    return tuple(found)


def _number(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _box(points: Sequence[Mercator] | Iterable[Mercator]) -> Box:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


async def load_basemap(api: "Api", show: Callable[[Basemap], None]) -> None:
    """Load the server's map and pass it to `show`; if there is none, or none that can be read,
    `show` is not called."""
    try:
        town = await retry(api.town_map)
    except ClientError:
        return
    if town is None:
        return
    try:
        basemap = await asyncio.to_thread(Basemap.parse, town)
    except ValueError:
        return
    show(basemap)
