"""The two themes, the colour of each pattern, and the glyph of each state."""

from dataclasses import replace
from typing import Any

from textual.theme import Theme

from tui.common.client.meter import Pattern, State

NIGHT = Theme(
    name="tiffin-night",
    dark=True,
    primary="#ff8a4c",
    secondary="#6ea8fe",
    accent="#ffb86b",
    success="#5fd38d",
    warning="#f2c14e",
    error="#f7667a",
    foreground="#d6dbe6",
    background="#0b0e14",
    surface="#11151e",
    panel="#1a2130",
    variables={
        "edge": "#293146",
        "title": "#aab3c8",
        "bar": "#151b27",
        "wire": "#161c29",
        "wire-ink": "#8591ab",
        "wire-sep": "#3b455e",
        "badge-ink": "#17100a",
        "p-long": "#bb9af7",
        "p-sse": "#4fd6be",
        "p-ws": "#6ea8fe",
        "p-short": "#f2c14e",
        "p-rest": "#9aa5bd",
        "map-land": "#141a25",
        "map-park": "#1b3326",
        "map-water": "#123355",
        "map-path": "#2b3444",
        "map-side": "#29334a",
        "map-main": "#3d4a69",
        "map-bridge": "#5f7299",
        "map-grid": "#303b52",
        "map-name": "#8f9bb8",
        "map-trail": "#ff9d5c",
        "map-route": "#cfd8ec",
        "map-label": "#0d1119",
        "map-label-ink": "#e6eaf2",
        "map-pill-ink": "#17100a",
        "map-driver": "#ff8a4c",
        "map-restaurant": "#f2c14e",
        "map-home": "#5fd38d",
        "map-stale": "#3a3f4d",
        "footer-background": "#0b0e14",
        "footer-key-foreground": "#ff8a4c",
        "footer-description-foreground": "#8591ab",
        "block-cursor-background": "#2a2320",
        "block-cursor-foreground": "#ffb86b",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#1a2130",
        "block-cursor-blurred-foreground": "#d6dbe6",
        "input-selection-background": "#4a3626",
        "scrollbar": "#293146",
        "scrollbar-hover": "#3b455e",
        "scrollbar-active": "#ff8a4c",
        "scrollbar-background": "#11151e",
        "scrollbar-background-hover": "#11151e",
        "scrollbar-background-active": "#11151e",
    },
)

DAY = Theme(
    name="tiffin-day",
    dark=False,
    primary="#c04a14",
    secondary="#2a62c4",
    accent="#a85a08",
    success="#157a42",
    warning="#8f5e00",
    error="#c22840",
    foreground="#232936",
    background="#e6e4de",
    surface="#faf9f6",
    panel="#efede7",
    variables={
        "edge": "#cfcabd",
        "title": "#4a5264",
        "bar": "#dedbd2",
        "wire": "#f0eee8",
        "wire-ink": "#5f6677",
        "wire-sep": "#b9b3a4",
        "badge-ink": "#ffffff",
        "p-long": "#7a4fc0",
        "p-sse": "#0a7766",
        "p-ws": "#2a62c4",
        "p-short": "#8f5e00",
        "p-rest": "#5f6677",
        "map-land": "#f2efe8",
        "map-park": "#cfe3c2",
        "map-water": "#b3d3ee",
        "map-path": "#e2dccf",
        "map-side": "#dcd6c8",
        "map-main": "#cbc4b3",
        "map-bridge": "#98907c",
        "map-grid": "#cbc5b6",
        "map-name": "#5f5a4e",
        "map-trail": "#d2500f",
        "map-route": "#3a4152",
        "map-label": "#ffffff",
        "map-label-ink": "#232936",
        "map-pill-ink": "#ffffff",
        "map-driver": "#c04a14",
        "map-restaurant": "#8f5e00",
        "map-home": "#157a42",
        "map-stale": "#d8d3c6",
        "footer-background": "#e6e4de",
        "footer-key-foreground": "#b8440f",
        "footer-description-foreground": "#5f6677",
        "block-cursor-background": "#fae6da",
        "block-cursor-foreground": "#9a3c10",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#efede7",
        "block-cursor-blurred-foreground": "#232936",
        "input-selection-background": "#f6cdb6",
        "scrollbar": "#cfcabd",
        "scrollbar-hover": "#b4ad9c",
        "scrollbar-active": "#c04a14",
        "scrollbar-background": "#faf9f6",
        "scrollbar-background-hover": "#faf9f6",
        "scrollbar-background-active": "#faf9f6",
    },
)


def _variant(theme: Theme, colours: dict[str, Any], *, hand: str) -> Theme:
    """The theme in fewer colours; a line of `hand` has names of variables, and their colour."""
    variables = dict(theme.variables)
    for line in hand.strip().splitlines():
        names, _, colour = line.rpartition(" ")
        variables.update(dict.fromkeys(names.split(), colour))
    return replace(theme, variables=variables, **colours)


_NIGHT_256 = _variant(
    NIGHT,
    {
        "primary": "#ff875f",
        "secondary": "#5fafff",
        "accent": "#ffaf5f",
        "success": "#5fd787",
        "warning": "#ffd75f",
        "error": "#ff5f87",
        "foreground": "#dadada",
        "background": "#080808",
        "surface": "#121212",
        "panel": "#262626",
    },
    hand="""
edge scrollbar #303030
title #b2b2b2
bar wire #1c1c1c
wire-ink footer-description-foreground #8a8a8a
wire-sep scrollbar-hover #444444
badge-ink map-pill-ink map-label footer-background #080808
p-long #af87ff
p-sse #5fd7af
p-ws #5fafff
p-short map-restaurant #ffd75f
p-rest #a8a8a8
map-land #121212
map-park #005f00
map-water #00005f
map-path map-side map-grid #303030
map-main #4e4e4e
map-bridge #808080
map-name #9e9e9e
map-trail map-driver footer-key-foreground scrollbar-active #ff875f
map-route map-label-ink #eeeeee
map-home #5fd787
map-stale #3a3a3a
block-cursor-background input-selection-background #5f0000
block-cursor-foreground #ffaf5f
block-cursor-blurred-background #262626
block-cursor-blurred-foreground #dadada
scrollbar-background scrollbar-background-hover scrollbar-background-active #121212
""",
)
_DAY_256 = _variant(
    DAY,
    {
        "primary": "#af5f00",
        "secondary": "#005faf",
        "accent": "#875f00",
        "success": "#00875f",
        "warning": "#875f00",
        "error": "#af005f",
        "foreground": "#262626",
        "background": "#e4e4e4",
        "surface": "#ffffff",
        "panel": "#eeeeee",
    },
    hand="""
edge scrollbar map-main #d0d0d0
title #4e4e4e
bar #dadada
wire map-land block-cursor-blurred-background #eeeeee
wire-ink footer-description-foreground p-rest map-name #626262
wire-sep scrollbar-hover #b2b2b2
badge-ink map-pill-ink map-label #ffffff
p-long #875faf
p-sse #00875f
p-ws #005faf
p-short map-restaurant #875f00
map-park #d7ffd7
map-water #afd7ff
map-path map-side map-grid map-stale #d0d0d0
map-bridge #808080
map-trail map-driver footer-key-foreground scrollbar-active #af5f00
map-route map-label-ink block-cursor-blurred-foreground #262626
map-home #00875f
footer-background #e4e4e4
block-cursor-background #ffd7af
block-cursor-foreground #870000
input-selection-background #ffd7af
scrollbar-background scrollbar-background-hover scrollbar-background-active #ffffff
""",
)
_NIGHT_16 = _variant(
    NIGHT,
    {
        "primary": "#ffff55",
        "secondary": "#55ffff",
        "accent": "#ffff55",
        "success": "#55ff55",
        "warning": "#ffff55",
        "error": "#ff5555",
        "foreground": "#ffffff",
        "background": "#000000",
        "surface": "#000000",
        "panel": "#555555",
    },
    hand="""
edge scrollbar wire-sep map-path map-side map-grid map-stale #555555
title p-rest wire-ink footer-description-foreground map-main map-name scrollbar-hover #aaaaaa
bar wire map-land map-label map-pill-ink badge-ink footer-background #000000
p-long #ff55ff
p-sse #55ffff
p-ws #5555ff
p-short map-restaurant footer-key-foreground scrollbar-active #ffff55
map-park map-home #00aa00
map-water #0000aa
map-bridge map-route map-label-ink #ffffff
map-trail map-driver #ff5555
block-cursor-background #0000aa
input-selection-background #aa5500
block-cursor-foreground #ffff55
block-cursor-blurred-background #555555
block-cursor-blurred-foreground #ffffff
scrollbar-background scrollbar-background-hover scrollbar-background-active #000000
""",
)
_DAY_16 = _variant(
    DAY,
    {
        "primary": "#aa0000",
        "secondary": "#0000aa",
        "accent": "#aa00aa",
        "success": "#00aa00",
        "warning": "#aa5500",
        "error": "#aa0000",
        "foreground": "#000000",
        "background": "#ffffff",
        "surface": "#ffffff",
        "panel": "#aaaaaa",
    },
    hand="""
edge scrollbar wire-sep map-path map-side map-main map-grid map-stale bar #aaaaaa
title p-rest wire-ink footer-description-foreground map-bridge map-name scrollbar-hover #555555
wire map-land map-label map-pill-ink badge-ink footer-background #ffffff
p-long #aa00aa
p-sse map-home #00aa00
p-ws map-route #0000aa
p-short map-restaurant #aa5500
map-park #55ff55
map-water #55ffff
map-label-ink block-cursor-blurred-foreground #000000
map-trail map-driver footer-key-foreground scrollbar-active #aa0000
block-cursor-background #55ffff
input-selection-background #ffff55
block-cursor-foreground #000000
block-cursor-blurred-background #aaaaaa
scrollbar-background scrollbar-background-hover scrollbar-background-active #ffffff
""",
)
PALETTES: dict[str, tuple[Theme, Theme]] = {
    "truecolor": (NIGHT, DAY),
    "256": (_NIGHT_256, _DAY_256),
    "standard": (_NIGHT_16, _DAY_16),
}
"""Night and day for the number of a terminal's colours, as Rich names it. Rich would take for each
colour the nearest there is, and a row under the cursor would look like any other."""

PATTERN_COLOR: dict[Pattern, str] = {
    Pattern.LONG_POLL: "$p-long",
    Pattern.SSE: "$p-sse",
    Pattern.WEBSOCKET: "$p-ws",
    Pattern.SHORT_POLL: "$p-short",
    Pattern.REST: "$p-rest",
}
"""One hue a pattern, everywhere."""

STATE_GLYPH: dict[State, tuple[str, str]] = {
    State.IDLE: ("○", "$wire-ink"),
    State.CONNECTING: ("◌", "$wire-ink"),
    State.LIVE: ("●", "$success"),
    State.WAITING: ("◐", "$success"),
    State.RETRY: ("◌", "$warning"),
    State.DOWN: ("✕", "$error"),
}
"""A state's glyph and colour; the glyph is enough without colour."""
