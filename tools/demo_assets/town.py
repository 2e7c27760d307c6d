"""Draws the demo's town, an invented place, always the same, as server/demo/map.geojson.

`python -m tools.demo_assets.town` writes the file. The river, the main streets and the parks are
set here; the blocks between them are cut by rules (`town_plan`).
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from math import atan2, cos, degrees, dist, hypot, pi, radians
from pathlib import Path
from random import Random

from server.geo.sphere import METRES_PER_DEGREE
from tools.demo_assets.town_plan import (
    Face,
    Piece,
    Plan,
    Point,
    from_segment,
    length,
    offset,
    smooth,
    subdivide,
)

OUT = Path(__file__).resolve().parents[2] / "server" / "demo" / "map.geojson"
CENTRE = (47.0700, 15.4400)
SEED = 8
EDGE = 1750.0
"""Metres from the centre to each side of the map."""
REACH = 1330.0
"""Metres from the centre at which streets end in the fields."""

RIVER = [
    (-1900, 1010), (-1450, 830), (-1100, 740), (-780, 715), (-480, 612), (-250, 420), (-40, 262),
    (160, 195), (400, 150), (680, 30), (980, -50), (1300, 0), (1600, 120), (1900, 130),
]  # fmt: skip
CANAL = [
    (-395, 560), (-350, 400), (-320, 256), (-330, 60), (-420, -200), (-560, -440), (-670, -760),
    (-740, -1150), (-800, -1900),
]  # fmt: skip
RIVER_METRES, CANAL_METRES = 84.0, 20.0

MAIN = {
    "Station Road": [
        (-1900, -860), (-1300, -820), (-900, -790), (-523, -705), (-15, -552), (350, -570),
        (720, -650), (1250, -780), (1900, -860),
    ],
    "Great Ring": [
        (-880, -840), (-930, -700), (-1030, -380), (-1060, 0), (-1040, 420), (-1000, 700),
        (-890, 900), (-480, 1020), (0, 975), (420, 890), (690, 640), (750, 300), (770, 0),
        (835, -300), (770, -560), (725, -700),
    ],
    "South Ring": [
        (-875, -740), (-850, -830), (-640, -1000), (-250, -1060), (150, -1040), (500, -890),
        (735, -655), (740, -600),
    ],
    "High Street": [
        (40, 1900), (60, 1350), (20, 975), (70, 620), (100, 320), (112, 130), (105, 0), (60, -280),
        (-15, -552), (-50, -1050), (-130, -1900),
    ],
    "Linden Avenue": [
        (-1900, 60), (-1450, 90), (-1060, -10), (-720, 95), (-320, -20), (75, -200), (545, -215),
        (835, -300), (1250, -390), (1900, -420),
    ],
    "Abbey Road": [
        (-760, 1900), (-640, 1350), (-480, 1020), (-440, 800), (-300, 660), (-60, 640), (70, 620),
        (400, 660), (690, 640), (1080, 800), (1350, 1050), (1900, 1300),
    ],
    "Chapel Street": [
        (-130, 660), (-140, 560), (-205, 385), (-205, 200), (-150, 60), (-120, -90), (-110, -200),
    ],
}  # fmt: skip
SIDE = {
    "Bridge Square": [(190, 160), (183, 40), (150, 30), (90, 28)],
    "Mill Lane": [(430, 180), (410, 300), (394, 456), (420, 600), (425, 700)],
    "Park Row": [(-800, 150), (-795, 40), (-750, -122), (-745, -330), (-790, -560), (-770, -800)],
    "Chestnut Walk": [(590, -10), (575, -120), (552, -400), (560, -640)],
    "Orchard Hill": [
        (760, 130), (850, 150), (920, 215), (880, 285), (915, 330), (1010, 345), (1030, 430),
        (930, 480), (930, 570), (1040, 610), (1070, 700), (1010, 790),
    ],
    "Ferry Street": [(-760, 660), (-700, 480), (-640, 240), (-560, 40)],
    "Brewer Street": [(-1060, 250), (-860, 330), (-660, 330), (-480, 300), (-325, 275)],
    "Weir Street": [(1130, -130), (1110, 0), (1180, 190), (1130, 330), (1025, 400)],
    "Abbot's Walk": [(-480, 1010), (-420, 900), (-60, 840), (60, 850)],
}  # fmt: skip
PARKS = {
    "Canal Park": ((-600, -150), 140_000), "Abbey Gardens": ((-230, 760), 60_000),
    "Orchard Wood": ((1130, 500), 420_000), "Station Green": ((160, -700), 45_000),
    "Ring Meadow": ((-900, -180), 60_000), "Willow Park": ((640, -440), 50_000),
    "Ferry Field": ((-880, 560), 60_000),
}  # fmt: skip


STREET_NAMES = """
Acorn Street,Alder Lane,Almond Street,Anchor Street,Apple Row,Arch Lane,Ash Grove,Baker Street,
Barley Street,Basket Lane,Bay Street,Beech Avenue,Bell Lane,Birch Street,Blossom Street,
Boatman's Row,Bramble Lane,Broom Street,Burnet Lane,Butcher's Row,Candle Street,Carter's Lane,
Castle View,Cedar Street,Cherry Street,Church Lane,Clay Street,Clover Lane,Cobbler's Row,
College Street,Cooper Street,Copper Lane,Corn Street,Cottage Lane,Cross Street,Crown Street,
Cutler Street,Dairy Lane,Damson Street,Dove Street,Dyer's Lane,East Street,Elder Street,Elm Row,
Falcon Street,Farrier Street,Fennel Lane,Fern Street,Fiddler's Lane,Field Street,Fig Lane,
Fir Street,Fisher Street,Flax Street,Forge Lane,Foundry Street,Fountain Street,Fox Lane,
Garden Street,Garnet Street,Gate Street,Ginger Lane,Glover Street,Grange Road,Green Lane,
Guild Street,Hare Street,Harvest Lane,Hawthorn Street,Hay Lane,Hazel Street,Heather Street,
Heron Street,Hill Street,Holly Lane,Honey Lane,Hop Street,Iris Street,Ivy Lane,Jasmine Street,
Juniper Street,Kestrel Lane,King's Lane,Kiln Street,Lantern Street,Larch Road,Lark Street,
Laurel Street,Lavender Lane,Lemon Street,Library Street,Lilac Street,Lime Street,Linen Lane,
Locksmith Lane,Loom Street,Magpie Lane,Maple Street,Market Street,Mason Street,Meadow Lane,
Mercer Street,Mint Street,Moss Lane,Mulberry Street,Museum Street,Myrtle Street,Needle Lane,
New Street,North Street,Nutmeg Lane,Oak Street,Olive Street,Orchid Lane,Osier Lane,Otter Street,
Oven Lane,Owl Street,Paper Street,Peach Street,Pear Lane,Pepper Street,Pilgrim Street,Pine Street,
Plum Street,Poplar Road,Poppy Lane,Potter Street,Primrose Lane,Quarry Road,Quince Street,
Raven Street,Reed Lane,Robin Lane,Rope Walk,Rosemary Lane,Rowan Street,Rye Street,Saddler Street,
Saffron Street,Sage Lane,Salt Street,School Lane,Shepherd Street,Silver Street,Smith Street,
Sorrel Lane,South Street,Spinner Street,Spruce Street,Star Street,Stone Lane,Swan Street,
Tanner Street,Tailor's Row,Thistle Lane,Thyme Street,Tower Street,Turner Street,Vale Road,
Vine Street,Walnut Street,Weaver Street,Well Lane,West Street,Wheat Street,Willow Street,
Wool Street,Wren Lane,Yarrow Street,Yew Lane
"""
"""For the streets that have none above, the longest first."""


def draw() -> dict[str, object]:
    """The town as GeoJSON."""
    river, canal = smooth(RIVER), smooth(CANAL)
    plan = Plan([Face([(-EDGE, -EDGE), (EDGE, -EDGE), (EDGE, EDGE), (-EDGE, EDGE)])])
    quay, bank = RIVER_METRES / 2 + 16, CANAL_METRES / 2 + 12
    plan.cut(offset(river, quay), "Harbour Street", "main")
    plan.cut(offset(river, -quay), "Riverside", "side")
    _flood(plan, river)
    plan.cut(offset(canal, bank), "Canal Side", "side")
    plan.cut(offset(canal, -bank), "Towpath", "side")
    _flood(plan, canal[4:])
    for name, line in MAIN.items():
        plan.cut(smooth(line), name, "main")
    for name, line in SIDE.items():
        plan.cut(smooth(line), name, "side")
    parks = _build(plan)
    _meet(plan)
    pieces = _named(_joined(plan.pieces))
    features = [
        _feature("Polygon", [_ring(offset(river, 42.0), offset(river, -42.0))], kind="water",
                 name="Tiffin"),
        _feature("LineString", canal, kind="water", width_m=CANAL_METRES, name="Mill Canal"),
    ]  # fmt: skip
    features += [
        _feature("Polygon", [[*face.ring, face.ring[0]]], kind="park", name=name)
        for name, face in parks
    ]
    for piece in pieces:
        more: dict[str, object] = {"bridge": True} if piece.bridge else {}
        properties = {"kind": "street", "name": piece.name, "class": piece.kind, **more}
        features.append(
            _feature("LineString", _thinned(piece.points, plan.junctions), **properties)
        )
    return {"type": "FeatureCollection", "name": "The town of Tiffin", "features": features}


def _flood(plan: Plan, line: list[Point]) -> None:
    for face in plan.faces:
        if sum(face.contains(point) for point in line) > len(line) * 0.6:
            face.water = True


def _build(plan: Plan) -> list[tuple[str, Face]]:
    """Cut every block that is too large; returns the parks."""
    random = Random(SEED)
    parks: list[tuple[str, Face]] = []
    todo = sorted(plan.faces, key=lambda face: -face.area())
    plan.faces = []
    while todo:
        face = todo.pop(0)
        park = _park_in(face)
        if park is not None:
            parks.append((park, face))
        elif face.water or face.area() < _block(face):
            plan.faces.append(face)
        else:
            halves = subdivide(plan, face, random, REACH)
            todo += halves or ()
    return parks


def _park_in(face: Face) -> str | None:
    for name, (seed, largest) in PARKS.items():
        if face.area() <= largest and face.contains((float(seed[0]), float(seed[1]))):
            return name
    return None


def _block(face: Face) -> float:
    """The square metres above which a block is cut in two; blocks are larger further out."""
    out = hypot(*(sum(axis) / len(face.ring) for axis in zip(*face.ring, strict=True)))
    return 42_000 if out < 650 else 62_000 if out < 1000 else 150_000 if out < 1250 else 480_000


def _meet(plan: Plan) -> None:
    """Give every street a vertex where another one ends on it."""
    for piece in plan.pieces:
        for junction in plan.junctions:
            if junction in piece.points:
                continue
            for at, (a, b) in enumerate(pairwise(piece.points)):
                if from_segment(junction, a, b)[0] < 0.3:
                    piece.points.insert(at + 1, junction)
                    break


def _joined(pieces: list[Piece]) -> list[list[Piece]]:
    """The pieces by street: those with the same name, else those that continue straight on."""
    streets = [[piece] for piece in pieces]
    again = True
    while again:
        again = False
        for one in streets:
            other = next((o for o in streets if o is not one and _append(one, o)), None)
            if other is not None:
                streets.remove(other)
                again = True
                break
    return streets


def _append(street: list[Piece], other: list[Piece]) -> bool:
    """Add the other street where it continues this one; returns whether it does."""
    for line in (street, _turned(street)):
        for following in (other, _turned(other)):
            a, b = line[-1], following[0]
            together = a.name == b.name and a.kind == b.kind and a.points[-1] == b.points[0]
            if together and (a.name or _bend(a.points, b.points) < 24):
                street[:] = [*line, *following]
                return True
    return False


def _turned(street: list[Piece]) -> list[Piece]:
    return [
        Piece(piece.points[::-1], piece.name, piece.kind, piece.bridge) for piece in street[::-1]
    ]


def _bend(line: list[Point], following: list[Point]) -> float:
    """The turn between the two lines, in degrees."""
    (a, b), (c, d) = line[-2:], following[:2]
    turn = atan2(d[1] - c[1], d[0] - c[0]) - atan2(b[1] - a[1], b[0] - a[0])
    return abs(degrees((turn + pi) % (2 * pi) - pi))


def _named(streets: list[list[Piece]]) -> list[Piece]:
    """One line for each part of a street on land or on a bridge, all with names."""
    names = iter(name.strip() for name in STREET_NAMES.replace("\n", " ").split(","))
    lines: list[Piece] = []
    for street in sorted(streets, key=lambda one: -sum(length(piece.points) for piece in one)):
        name = street[0].name or next(names)
        for piece in street:
            last = lines[-1] if lines and piece is not street[0] else None
            if last and last.bridge == piece.bridge and last.points[-1] == piece.points[0]:
                last.points += piece.points[1:]
            else:
                lines.append(Piece(list(piece.points), name, piece.kind, piece.bridge))
    return lines


def _thinned(line: list[Point], keep: list[Point], metres: float = 0.7) -> list[Point]:
    """The line without the vertices that change it by less than `metres`."""
    if len(line) < 3:
        return line
    inner = range(1, len(line) - 1)
    at = next((index for index in inner if line[index] in keep), None)
    if at is None:
        away, at = max((from_segment(line[index], line[0], line[-1])[0], index) for index in inner)
        if away < metres and dist(line[0], line[-1]) > metres:
            return [line[0], line[-1]]
    return _thinned(line[: at + 1], keep, metres)[:-1] + _thinned(line[at:], keep, metres)


def _ring(left: list[Point], right: list[Point]) -> list[Point]:
    return [*left, *reversed(right), left[0]]


def _feature(shape: str, coordinates: Sequence[object], **properties: object) -> dict[str, object]:
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": shape, "coordinates": _degrees(coordinates)},
    }


def _degrees(value: object) -> object:
    """Points as [longitude, latitude], to a tenth of a metre."""
    if isinstance(value, list):
        return [_degrees(one) for one in value]
    assert isinstance(value, tuple)
    x, y = value
    lat = CENTRE[0] + y / METRES_PER_DEGREE
    lng = CENTRE[1] + x / METRES_PER_DEGREE / cos(radians(CENTRE[0]))
    return [round(lng, 6), round(lat, 6)]


def main() -> None:
    """Write the file, one feature a line."""
    town = draw()
    features = town.pop("features")
    assert isinstance(features, list)
    head = json.dumps(town, ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in features)
    OUT.write_text(f'{head}, "features": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{OUT}: {len(features)} features")


if __name__ == "__main__":
    main()
