"""The map: a GeoJSON file, served as it is, and the streets in it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from server.geo.sphere import LatLng
from server.geo.street_network import StreetNetwork

MAX_BYTES = 64 * 1024 * 1024
"""Every client reads the whole file."""
OSM_KINDS = (
    ("highway", None, "street"),
    ("waterway", None, "water"),
    ("natural", "water", "water"),
    ("leisure", "park", "park"),
    ("landuse", "grass", "park"),
    ("landuse", "forest", "park"),
)
"""OpenStreetMap's tags, with any value or with this one, and the kind that they stand for here."""
GEOMETRY_DEPTHS = {
    "Point": 0,
    "LineString": 1,
    "MultiPoint": 1,
    "Polygon": 2,
    "MultiLineString": 2,
    "MultiPolygon": 3,
}
"""How deeply lists are nested around the positions of a geometry."""


@dataclass(frozen=True)
class TownMap:
    """The file's bytes, an entity tag that changes with them, and its streets."""

    content: bytes
    etag: str
    streets: StreetNetwork

    @classmethod
    def read(cls, path: Path) -> "TownMap":
        """Raises ValueError, which says why, where the file cannot be read or is not a map."""
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"{path} is larger than {MAX_BYTES >> 20} MiB; cut out one town")
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror})") from None
        try:
            document = json.loads(content, parse_constant=_refuse_constant)
            streets = StreetNetwork(list(streets_in(document)))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise ValueError(f"{path} is not JSON; a map is a GeoJSON file") from None
        except ValueError as error:
            raise ValueError(f"{path} is not a map: {error}") from None
        return cls(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"', streets)


def streets_in(document: object) -> Iterator[list[LatLng]]:
    """The lines of every street in a GeoJSON FeatureCollection.

    Raises ValueError, which says what is wrong.
    """
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise ValueError("it must be a GeoJSON FeatureCollection")
    features = document.get("features")
    if not isinstance(features, list):
        raise ValueError("`features` must be a list")
    for number, feature in enumerate(features):
        try:
            yield from _streets_of(feature)
        except ValueError as error:
            raise ValueError(f"feature {number}: {error}") from None


def kind_of(properties: Mapping[str, Any]) -> str | None:
    """A feature's own `kind`, or the one that its OpenStreetMap tags stand for."""
    kind = properties.get("kind")
    if kind is not None:
        return kind if isinstance(kind, str) else None
    for tag, wanted, osm_kind in OSM_KINDS:
        value = properties.get(tag)
        if isinstance(value, str) and value not in ("", "no") and wanted in (None, value):
            return osm_kind
    return None


def _streets_of(feature: object) -> Iterator[list[LatLng]]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ValueError('it must have the type "Feature"')
    properties, geometry = feature.get("properties") or {}, feature.get("geometry")
    if not isinstance(properties, dict):
        raise ValueError("`properties` must be an object")
    kind = kind_of(properties)
    if kind not in ("street", "water", "park", "place") or geometry is None:
        return
    if not isinstance(geometry, dict):
        raise ValueError("`geometry` must be an object")
    shape = geometry.get("type")
    if shape not in GEOMETRY_DEPTHS:
        return
    coordinates = _positions(geometry.get("coordinates"), GEOMETRY_DEPTHS[shape])
    if kind == "street":
        lines = {"LineString": [coordinates], "MultiLineString": coordinates}.get(shape, [])
        yield from (line for line in lines if len(line) > 1)


def _positions(coordinates: Any, depth: int) -> Any:
    """The coordinates with a LatLng for every position."""
    if not isinstance(coordinates, list):
        raise ValueError("`coordinates` must be lists of [longitude, latitude]")
    if depth:
        return [_positions(inner, depth - 1) for inner in coordinates]
    numbers = coordinates[:2]
    if len(numbers) < 2 or any(type(one) not in (int, float) for one in numbers):
        raise ValueError("a position must be [longitude, latitude]")
    lng, lat = numbers
    if not (abs(lng) <= 180 and abs(lat) <= 90):
        raise ValueError(
            f"[{lng}, {lat}] is not a position in WGS 84 degrees, longitude before latitude"
        )
    return (float(lat), float(lng))


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
