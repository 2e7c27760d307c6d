"""What is shown on the ground: markers, the way behind, the way ahead, a line of words."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

MarkerKind = Literal["driver", "restaurant", "home"]


class Spot(NamedTuple):
    """A place in WGS 84 degrees, both finite."""

    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Marker:
    """One pill on the map."""

    kind: MarkerKind
    label: str
    """May be empty; anything a person could type, made harmless where it is drawn."""
    at: Spot
    heading: float | None = None
    """Degrees clockwise from north; for a driver only."""
    stale: bool = False
    """There is no news of it: drawn hollow."""
    chosen: bool = False
    """The one that is watched: it is followed, lies on top, and its label is placed first."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that lies over the ground. Two equal scenes look alike."""

    markers: tuple[Marker, ...] = ()
    trail: tuple[Spot, ...] = ()
    """The way driven, oldest first: solid."""
    route: tuple[Spot, ...] = ()
    """The way still to go, next first: dashed."""
    hud: str = ""
    """A few words for the corner, as `6 min · 1.6 km · 24 km/h`; empty for none."""

    @property
    def watched(self) -> Marker | None:
        """The driver to follow: the chosen one, else the only one there is."""
        drivers = [marker for marker in self.markers if marker.kind == "driver"]
        for driver in drivers:
            if driver.chosen:
                return driver
        return drivers[0] if len(drivers) == 1 else None

    def spots(self) -> tuple[Spot, ...]:
        """Every place that should be in view."""
        return (*(marker.at for marker in self.markers), *self.trail, *self.route)
