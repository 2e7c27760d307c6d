"""Every theme that can be chosen: Tiffin's, Textual's, and the user's own from a folder."""

from dataclasses import fields, replace
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import BUILTIN_THEMES, Theme

from tui.common.config import Config, place_of, read_toml
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.theme import DAY, NIGHT

NAMES = tuple(one.name for one in fields(Theme) if one.name not in ("name", "ansi"))
SWITCHES = ("dark", "luminosity_spread", "text_alpha")


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
