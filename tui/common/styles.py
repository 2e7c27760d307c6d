"""What widgets paint their own lines with: styles, blocks, the signs of patterns and states."""

from collections.abc import Iterable, Mapping

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.common.client.meter import Pattern, State

Line = list[Segment]
Part = tuple[str, str]
"""Safe text, and its style: `bold warning`, without `$`."""

QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By bits: top left, top right, bottom left, bottom right."""
WORDS = frozenset({"bold", "italic", "underline", "strike", "reverse"})
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


class ThemeStyles:
    """Styles by name, made once for a theme: `styles("bold primary", "panel")`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._made: dict[tuple[str, str], Style] = {}

    def __call__(self, ink: str, background: str = "surface") -> Style:
        """Words and at most one theme colour on the theme's colour `background`."""
        style = self._made.get((ink, background))
        if style is None:
            words = [word for word in ink.split() if word in WORDS]
            colours = [word for word in ink.split() if word not in WORDS]
            colour = self._variables[colours[0] if colours else "foreground"]
            style = Style.parse(" ".join(words)) if words else Style()
            style += Style(color=colour, bgcolor=self._variables[background])
            self._made[ink, background] = style
        return style

    def line(self, parts: Iterable[Part], width: int, background: str = "surface") -> Line:
        """Parts that fit into `width` together, filled up to it."""
        segments: Line = []
        room = width
        for text, ink in parts:
            if text and room > 0:
                _extend(segments, text, self(ink, background))
                room -= cell_len(text)
        if room > 0:
            _extend(segments, " " * room, self("", background))
        return segments if room >= 0 else list(Strip(segments).crop(0, width))


def _extend(segments: Line, text: str, style: Style) -> None:
    """Add `text`, to the last segment if the style is the same: every segment costs time."""
    if segments and segments[-1].style is style:
        text = segments.pop().text + text
    segments.append(Segment(text, style))
