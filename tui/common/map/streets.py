"""Streets by name and by place: the nearest to a point, and names that complete what is typed."""

import re
from dataclasses import dataclass, field
from math import cosh, hypot

from textual.suggester import Suggester

from server.text import fold
from tui.common.map.basemap import Basemap
from tui.common.map.geometry import EARTH_METRES, LatLng, Mercator, to_lat_lng, to_mercator

NEAR_METRES, FAR_METRES = 150.0, 40_000.0
"""How far around a point streets are looked for, at first and at last."""
NUMBER = re.compile(r"^\s*\d+\s?[a-zA-Z]?\s+")
"""A house number before a street's name."""


@dataclass(frozen=True)
class Streets:
    """The streets of a town's map that have a name."""

    basemap: Basemap
    names: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, basemap: Basemap) -> "Streets":
        """Of this map."""
        return cls(basemap, sorted({street.name for street in basemap.streets if street.name}))

    def nearest(self, at: LatLng, name: str = "") -> tuple[LatLng, str] | None:
        """The nearest point on a street, or on that one, and the street's name. None where no named
        street is within `FAR_METRES`."""
        here, metres = to_mercator(at), NEAR_METRES
        while metres <= FAR_METRES:
            reach = metres * cosh(here[1]) / EARTH_METRES
            box = (here[0] - reach, here[1] - reach, here[0] + reach, here[1] + reach)
            found = [
                (hypot(point[0] - here[0], point[1] - here[1]), point, street)
                for owner, ax, ay, bx, by in self.basemap.segments.near(box)
                if (street := self.basemap.streets[owner].name) and name in ("", street)
                for point in [_nearest_on((ax, ay), (bx, by), here)]
            ]
            best = min(found, default=None)
            if best is not None and best[0] <= reach:
                return to_lat_lng(best[1]), best[2]
            metres *= 4
        return None

    def named_in(self, text: str) -> str:
        """The longest name of a street in the text, whatever its case and accents; or ""."""
        folded = fold(text)
        found = (name for name in self.names if re.search(rf"\b{re.escape(fold(name))}\b", folded))
        return max(found, key=len, default="")

    def complete(self, typed: str) -> str | None:
        """What is typed, completed by the first street that begins like that, if there is one."""
        number = NUMBER.match(typed)
        lead = number[0] if number else ""
        begun = fold(typed[len(lead) :])
        if not begun.strip():
            return None
        name = next((name for name in self.names if fold(name).startswith(begun)), None)
        return None if name is None else lead + name


def _nearest_on(a: Mercator, b: Mercator, point: Mercator) -> Mercator:
    right, up = b[0] - a[0], b[1] - a[1]
    length = right * right + up * up
    share = ((point[0] - a[0]) * right + (point[1] - a[1]) * up) / length if length else 0.0
    share = max(0.0, min(1.0, share))
    return a[0] + share * right, a[1] + share * up


class StreetSuggester(Suggester):
    """Suggests streets of the town in a field for an address; → accepts one."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.streets: Streets | None = None
        """None until the map is read, or where there is none."""

    async def get_suggestion(self, value: str) -> str | None:
        """The street that begins like what is typed."""
        return None if self.streets is None else self.streets.complete(value)
