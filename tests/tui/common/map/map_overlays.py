"""What the tests of the map share: the demo's basemap, overlays on it, a window with a map."""

import json
from importlib import resources

from textual.app import App, ComposeResult

from tui.common.map.basemap import Basemap
from tui.common.map.geometry import LatLng, Marker, Overlay
from tui.common.map.widget import TownMap
from tui.common.themes import DAY, NIGHT

SHOP, HOME = LatLng(47.07613, 15.43387), LatLng(47.06676, 15.44717)


def demo_basemap() -> Basemap:
    text = resources.files("server.demo").joinpath("map.geojson").read_text(encoding="utf-8")
    return Basemap.parse(json.loads(text))


def trip_overlay(
    part: float = 0.5, hud: str = "6 min · 1.6 km · 24 km/h", **driver: object
) -> Overlay:
    """A driver so far along the straight way from the restaurant to the home."""
    at = LatLng(
        SHOP.lat + (HOME.lat - SHOP.lat) * part,
        SHOP.lng + (HOME.lng - SHOP.lng) * part,
    )
    more: dict[str, object] = {"label": "Ken", "heading": 120.0, "chosen": True, **driver}
    return Overlay(
        (
            Marker("restaurant", "Thai Basil", SHOP),
            Marker("home", "Home", HOME),
            Marker("driver", at=at, **more),  # type: ignore[arg-type]
        ),
        trail=(SHOP, at),
        route=(at, HOME),
        hud=hud,
    )


class MapWindow(App[None]):
    """A map alone, in one of the two themes."""

    def __init__(self, basemap: Basemap | None, overlay: Overlay) -> None:
        super().__init__()
        self.map = TownMap(basemap)
        self.map.show(overlay)

    def compose(self) -> ComposeResult:
        yield self.map

    def on_mount(self) -> None:
        for theme in (NIGHT, DAY):
            self.register_theme(theme)
        self.theme = NIGHT.name
        self.map.focus()

    def lines(self) -> list[str]:
        """The map's text as it is painted."""
        return [self.map.render_line(row).text for row in range(self.map.size.height)]

    def text(self) -> str:
        return "\n".join(self.lines())
