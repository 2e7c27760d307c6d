"""Every theme that can be chosen: Tiffin's night and day, Textual's, the user's own of a folder."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import BUILTIN_THEMES, Theme

from tui.common.config import Config, place_of, read_toml
from tui.common.language import _
from tui.common.sanitize import plain

NAMES = tuple(one.name for one in fields(Theme) if one.name not in ("name", "ansi"))
SWITCHES = ("dark", "luminosity_spread", "text_alpha")


def _colours(lines: str) -> dict[str, str]:
    """Variables by name; a line has some names and then their colour."""
    found = dict[str, str]()
    for line in lines.strip().splitlines():
        names, _space, colour = line.rpartition(" ")
        found.update(dict.fromkeys(names.split(), colour))
    return found


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
    variables=_colours("""
edge scrollbar #293146
title #aab3c8
bar #151b27
wire #161c29
wire-ink footer-description-foreground #8591ab
wire-sep scrollbar-hover #3b455e
badge-ink map-pill-ink #17100a
p-long #bb9af7
p-sse #4fd6be
p-ws #6ea8fe
p-short map-restaurant #f2c14e
p-rest #9aa5bd
map-land #141a25
map-park #1b3326
map-water #123355
map-path #2b3444
map-side #29334a
map-main #3d4a69
map-bridge #5f7299
map-grid #303b52
map-name #8f9bb8
map-trail #ff9d5c
map-route #cfd8ec
map-label #0d1119
map-label-ink #e6eaf2
map-driver footer-key-foreground scrollbar-active #ff8a4c
map-home #5fd38d
map-stale #3a3f4d
footer-background #0b0e14
block-cursor-background #2a2320
block-cursor-foreground #ffb86b
block-cursor-text-style bold
block-cursor-blurred-background #1a2130
block-cursor-blurred-foreground #d6dbe6
input-selection-background #4a3626
scrollbar-background scrollbar-background-hover scrollbar-background-active #11151e
"""),
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
    variables=_colours("""
edge scrollbar #cfcabd
title #4a5264
bar #dedbd2
wire #f0eee8
wire-ink p-rest footer-description-foreground #5f6677
wire-sep #b9b3a4
badge-ink map-label map-pill-ink #ffffff
p-long #7a4fc0
p-sse #0a7766
p-ws #2a62c4
p-short map-restaurant #8f5e00
map-land #f2efe8
map-park #cfe3c2
map-water #b3d3ee
map-path #e2dccf
map-side #dcd6c8
map-main #cbc4b3
map-bridge #98907c
map-grid #cbc5b6
map-name #5f5a4e
map-trail #d2500f
map-route #3a4152
map-label-ink block-cursor-blurred-foreground #232936
map-driver scrollbar-active #c04a14
map-home #157a42
map-stale #d8d3c6
footer-background #e6e4de
footer-key-foreground #b8440f
block-cursor-background #fae6da
block-cursor-foreground #9a3c10
block-cursor-text-style bold
block-cursor-blurred-background #efede7
input-selection-background #f6cdb6
scrollbar-hover #b4ad9c
scrollbar-background scrollbar-background-hover scrollbar-background-active #faf9f6
"""),
)


def _variant(theme: Theme, colours: dict[str, Any], *, variables: str) -> Theme:
    """The theme in fewer colours."""
    return replace(theme, variables=theme.variables | _colours(variables), **colours)


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
    variables="""
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
    variables="""
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
    variables="""
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
    variables="""
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


def own_themes(config: Config) -> tuple[list[Theme], list[str]]:
    """The themes of the user's files, `themes/NAME.toml`; and what is wrong with others, and with
    the name of the theme to begin with, in sentences."""
    themes, problems, seen = list[Theme](), list[str](), {NIGHT.name, DAY.name}
    for path in sorted((config.folder / "themes").glob("*.toml")) if config.folder else ():
        seen.add(plain(path.stem))
        try:
            themes.append(_read(path))
        except ValueError as error:
            problems.append(_("{error} This theme is not offered.").format(error=error))
    seen |= {name for name, one in BUILTIN_THEMES.items() if not one.ansi}
    if config.theme and config.theme not in seen:
        words = _("There is no theme “{theme}”. There are {names}.")
        names = ", ".join(sorted(seen))
        problems.append(words.format(theme=plain(config.theme), names=names))
    return themes, problems


def completed(theme: Theme) -> Theme:
    """A theme with the colours that Tiffin draws with; those it lacks are mixed from its own."""
    if "wire-ink" in theme.variables and "map-land" in theme.variables:
        return theme
    made = theme.to_color_system().generate()
    paper, ink = Color.parse(made["surface"]), Color.parse(made["foreground"])
    primary = Color.parse(made["primary"])
    base = NIGHT if theme.dark else DAY

    def mixed(other: Color, share: float) -> str:
        return paper.blend(other, share).hex6

    own = {
        "edge": mixed(ink, 0.2),
        "title": mixed(ink, 0.75),
        "bar": made["panel"],
        "wire": mixed(ink, 0.06),
        "wire-ink": mixed(ink, 0.6),
        "wire-sep": mixed(ink, 0.3),
        "badge-ink": primary.get_contrast_text(1.0).hex6,
        "footer-background": made["background"],
        "footer-key-foreground": made["primary"],
        "footer-description-foreground": mixed(ink, 0.6),
        "block-cursor-background": mixed(primary, 0.25),
        "block-cursor-foreground": made["foreground"],
        "block-cursor-blurred-background": made["panel"],
        "block-cursor-blurred-foreground": made["foreground"],
        "input-selection-background": mixed(primary, 0.4),
        "scrollbar": mixed(ink, 0.2),
        "scrollbar-hover": mixed(ink, 0.3),
        "scrollbar-active": made["primary"],
    } | {f"scrollbar-background{state}": made["surface"] for state in ("", "-hover", "-active")}
    return replace(theme, variables={**base.variables, **own, **theme.variables})


def _read(path: Path) -> Theme:
    """A theme of a file. Raises ValueError, in words with file and line."""
    table, text = read_toml(path)
    table.pop("name", None)
    variables = table.pop("variables", {})
    if not isinstance(variables, dict):
        raise ValueError(
            _("{place}: [variables] is a table.").format(place=place_of(path, text, "variables"))
        )
    for name, value in {**table, **variables}.items():
        place = place_of(path, text, name)
        if name in table and name not in NAMES:
            raise ValueError(
                _("{place}: there is no “{name}”. There are {names}.").format(
                    place=place, name=plain(name), names=", ".join(NAMES)
                )
            )
        if name == "dark" and not isinstance(value, bool):
            raise ValueError(_("{place}: dark is true or false.").format(place=place))
        if name in SWITCHES[1:] and not (isinstance(value, float) and 0 <= value <= 1):
            raise ValueError(
                _("{place}: {name} is a number from 0.0 to 1.0.").format(place=place, name=name)
            )
        if name in SWITCHES:
            continue
        if name in variables and "-style" in name:
            if not isinstance(value, str) or not VALID_STYLE_FLAGS.issuperset(value.split()):
                fault = _("{name} is one of {values}.")
                fault = fault.format(name=name, values=", ".join(sorted(VALID_STYLE_FLAGS)))
                raise ValueError(f"{place}: {fault}")
            continue
        try:
            Color.parse(value)
        except (ColorParseError, TypeError, AttributeError):
            raise ValueError(
                _('{place}: {name} is a colour such as "#ff8a4c".').format(place=place, name=name)
            ) from None
    if "primary" not in table:
        raise ValueError(
            _('{path}: a line such as primary = "#ff8a4c" is missing.').format(path=path)
        )
    return Theme(name=plain(path.stem), variables=variables, **table)
