"""The map's colours, taken from the theme, and how they are mixed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rich.color import Color as RichColor
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.color import Color, ColorParseError

from tui.common.map.basemap import Kind
from tui.common.themes import DAY, NIGHT

Rgb = tuple[int, int, int]

NAMES = (
    "land", "park", "water", "path", "side", "main", "bridge", "grid", "name", "trail", "route",
    "label", "label-ink", "pill-ink", "driver", "restaurant", "home", "stale",
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """A colour for each thing on the map; `mono` where nothing may depend on colour."""

    colours: Mapping[str, Rgb]
    mono: bool = False

    @classmethod
    def of(cls, variables: Mapping[str, str], dark: bool, mono: bool = False) -> "Palette":
        """From a theme's `map-*` variables; for one missing or invalid, from our own theme."""
        own = (NIGHT if dark else DAY).variables
        return cls(
            {name: _rgb(variables.get(f"map-{name}"), own[f"map-{name}"]) for name in NAMES}, mono
        )

    def __getitem__(self, name: str) -> Rgb:
        return self.colours[name]

    def basemap(self, metres_a_dot: float) -> tuple[Rgb, ...]:
        """A colour for each `Kind`. Small streets fade where they lie close together."""
        land = self["land"]
        near = min(1.0, max(0.0, (26.0 - metres_a_dot) / 20.0))
        side = mix(land, self["side"], 0.45 + 0.55 * near)
        path = mix(land, self["path"], 0.3 + 0.7 * near)
        return tuple(
            {Kind.PATH: path, Kind.SIDE: side}.get(kind, self[kind.name.lower()]) for kind in Kind
        )


def mix(a: Rgb, b: Rgb, part: float) -> Rgb:
    """`a` with the share `part` of `b`, 0 to 1."""
    return (
        round(a[0] + (b[0] - a[0]) * part),
        round(a[1] + (b[1] - a[1]) * part),
        round(a[2] + (b[2] - a[2]) * part),
    )


@lru_cache(8192)
def style(ink: Rgb, paper: Rgb, bold: bool = False) -> Style:
    """The style of these colours, made once."""
    return Style(color=_rich(ink), bgcolor=_rich(paper), bold=bold or None)


@lru_cache(1024)
def _rich(colour: Rgb) -> RichColor:
    return RichColor.from_triplet(ColorTriplet(*colour))


def _rgb(wanted: str | None, own: str) -> Rgb:
    try:
        colour = Color.parse(wanted or own)
    except ColorParseError:
        colour = Color.parse(own)
    if colour.ansi is not None or colour.a < 1:
        colour = Color.parse(own)
    return colour.r, colour.g, colour.b
