"""How data becomes text on the screen: nothing that steers a terminal, numbers short."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from textual.content import Content

BLOCKS = "▁▂▃▄▅▆▇█"

_HARMLESS = frozenset("\n")
_STEERS = frozenset({"Cc", "Cf", "Co", "Cn"})
_BREAKS = frozenset({"Zl", "Zp"})


_SYMBOLS_OF_UNSURE_WIDTH = (
    *range(0x2630, 0x2638),
    *range(0x268A, 0x2690),
    *range(0x3248, 0x3250),
    *range(0x1D300, 0x1D357),
    *range(0x1D360, 0x1D377),
)
_ONE_WIDTH: dict[int, str | None] = {
    # Variation selectors, the keycap's frame, the zero-width joiner, Hangul fillers, skin tones.
    **dict.fromkeys((*range(0xFE00, 0xFE10), 0x20E3, 0x200D, 0x115F, 0x1160, 0x3164, 0xFFA0), None),
    **dict.fromkeys(range(0x1F3FB, 0x1F400), None),
    # A flag is two letters of its own alphabet.
    **{0x1F1E6 + at: chr(ord("A") + at) for at in range(26)},
    **dict.fromkeys(_SYMBOLS_OF_UNSURE_WIDTH, "\ufffd"),
}


def drawn(text: str) -> str:
    """`text` without the characters whose width terminals and Textual count differently.

    A row with one of them is drawn too long or too short, and stays on the screen in pieces. Emoji
    lose their variants and joiners (a family becomes its members), flags become letters. Only for
    what is drawn and typed: what is stored or copied keeps them.
    """
    return text if text.isascii() else text.translate(_ONE_WIDTH)


@lru_cache(2048)
def plain(text: str, *, newlines: bool = False) -> str:
    """`text` without anything that could steer the terminal or reorder the line.

    Control and format characters go (bidirectional overrides and joiners too), surrogates (bytes
    of a file name that are no UTF-8) become U+FFFD, line breaks turn into spaces unless `newlines`
    keeps `\n`; the rest is as in `drawn`. The result is text, never markup: put it into a
    `Content`, not into `Content.from_markup`.
    """
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    for char in drawn(text):
        category = unicodedata.category(char)
        if char in _HARMLESS and newlines:
            kept.append(char)
        elif char in "\n\r\t" or category in _BREAKS:
            kept.append(" ")
        elif category == "Cs":
            kept.append("\ufffd")
        elif category not in _STEERS:
            kept.append(char)
    return "".join(kept)


def fit(text: str, width: int, *, pad: bool = False) -> str:
    """`text` made safe and cut to `width` cells, with an ellipsis where something is missing."""
    text = plain(text)
    if width <= 0:
        return ""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width) if pad else text


def centred(message: Content, y: int, width: int, height: int) -> Content:
    """Line `y` of a message in the middle of so many cells and lines; empty where none of it is."""
    lines = message.wrap(max(1, width - 4)) if message else []
    first = max(0, (height - len(lines)) // 2)
    if not first <= y < first + len(lines):
        return Content("")
    line = lines[y - first]
    return Content.assemble(" " * max(0, (width - line.cell_length) // 2), line)


def human_bytes(count: float) -> str:
    """A number of bytes: `96 B`, `17.3 kB`, `412 kB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def human_age(seconds: float) -> str:
    """How long ago: `0.7s`, `42s`, `9m`, `5h`, `2d`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    if seconds < 100:
        return f"{seconds:.0f}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h" if seconds < 129_600 else f"{seconds / 86_400:.0f}d"


def human_latency(milliseconds: float) -> str:
    """A latency: `6ms`, `1.2s`, `50s`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f}ms"
    return f"{milliseconds / 1000:.1f}s" if milliseconds < 9950 else f"{milliseconds / 1000:.0f}s"


def human_money(cents: int) -> str:
    """Minor units as euros: `24.80`."""
    return f"{cents / 100:.2f}"


def spark(values: Iterable[float], width: int, low: float | None = None) -> str:
    """The last `width` values as blocks of rising height, right-aligned in `width` cells.

    `low` is the value drawn as the lowest block; by default the smallest of them.
    """
    if width <= 0:
        return ""
    tail = list(values)[-width:]
    if not tail:
        return " " * width
    floor = min(tail) if low is None else low
    span = (max(tail) - floor) or 1.0
    top = len(BLOCKS) - 1
    drawn = (BLOCKS[min(top, max(0, int((value - floor) / span * (top + 0.99))))] for value in tail)
    return "".join(drawn).rjust(width)
