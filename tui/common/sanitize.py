"""How data becomes text on the screen: without anything that controls a terminal."""

import re
from bisect import bisect_left, bisect_right
from functools import lru_cache

import rich.cells
from rich.cells import CellTable, cell_len
from wcwidth.table_mc import CATEGORY_MC

from server.text import UNSEEN, clean
from tui.common.language import ISOLATE, ISOLATE_END, Message

TAB = "    "
_ISOLATES = re.compile(f"([{ISOLATE}{ISOLATE_END}])")

# A joiner too: Textual counts two letters joined by one as one letter wide, terminals as two.
# But one that keeps Persian letters apart stays, and so does what makes a symbol an emoji.
_UNDRAWN = re.compile(f"(?![\u200c\ufe0f])[{UNSEEN}]")
_UNSEEN_ALONE = re.compile(f"(?![\u200c\u200d\ufe0f])[{UNSEEN}]")
_JOINED_EMOJI = re.compile("\u200d[\u2190-\u2bff\U0001f000-\U0001fbff]")
# A flag is two letters of a special alphabet, each one or two cells wide.
_FLAG_LETTERS = {0x1F1E6 + at: chr(ord("A") + at) for at in range(26)}
# Characters to which every terminal gives the same cells; the rest is `anchored`.
_AGREED = (
    "\x00-\u0377\u0384-\u0482\u048a-\u052f\u1e00-\u1eff\u2010-\u2027\u2030-\u205e\u20a0-\u20bf"
    "\u2100-\u2319\u2460-\u25fc\u2713-\u2718\u2800-\u28ff\u3000-\u3029\u3041-\u3096\u309b-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60\uffe0-\uffe6\ufffd"
)
_UNSURE = re.compile(f"[^{_AGREED}]")
_SYMBOL = (  # alone, without a tone or a variant
    "[\U0001f000-\U0001f3fa\U0001f400-\U0001fbff\U00020000-\U0003ffff](?![\u200d\ufe0f\U0001f3fb-\U0001f3ff])"
)
_UNSURE_RUN = re.compile(
    f"(?P<symbol>{_SYMBOL})|(?:\u200d[^\x00-\x7f]|(?!{_SYMBOL})(?:[0-9#*©®\u2010-\u3299]\ufe0f|[^{_AGREED}]))+"
)


def _count_as_terminals_do() -> None:
    """Textual counts cells by Rich's table, in which a Hindi vowel sign beside its letter takes
    none, nor does a skin tone. Terminals count them separately, or draw them with their letter in
    fewer cells; a row leaves room for the most."""
    table = rich.cells.load_cell_table("auto")  # type: ignore[attr-defined]
    wider = dict.fromkeys(range(0x1F3FB, 0x1F400), 2)
    for first, last in CATEGORY_MC[max(CATEGORY_MC, key=_version)]:
        wider |= dict.fromkeys(range(first, last + 1), 1)
    wider |= dict.fromkeys((0x302E, 0x302F, 0x16FF0, 0x16FF1), 2)
    codes = sorted(wider)
    widths: list[tuple[int, int, int]] = []
    for first, last, width in table.widths:
        start = first
        for code in codes[bisect_left(codes, first) : bisect_right(codes, last)]:
            widths += [(start, code - 1, width)] if start < code else []
            widths += [(code, code, wider[code])]
            start = code + 1
        widths += [(start, last, width)] if start <= last else []
    corrected = CellTable(table.unicode_version, widths, table.narrow_to_wide)
    vars(rich.cells)["load_cell_table"] = lambda version="auto": corrected
    rich.cells.get_character_cell_size.cache_clear()
    rich.cells.cached_cell_len.cache_clear()


def _version(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split(".")))


_count_as_terminals_do()


@lru_cache(4096, typed=True)
def plain(text: str, *, newlines: bool = False) -> str:
    """`text` as it is drawn: cleaned, and without invisible characters that take no cell.

    Line breaks and tabs turn into spaces; with `newlines`, line feeds stay and a tab is four
    spaces. A family of emoji becomes its members, a flag its letters. A message keeps the marks
    around its data. Only for drawing: what is stored, sent or copied is `clean`. The result is
    text, never markup: put it into a `Content`, not into `Content.from_markup`.
    """
    if text.isascii() and text.isprintable():
        return text
    if isinstance(text, Message) and ISOLATE in text:
        parts = enumerate(_ISOLATES.split(text))  # every second is a mark
        drawn = (one if at % 2 else plain(one, newlines=newlines) for at, one in parts)
        return Message("".join(drawn))
    text = clean(text)
    text = text.replace("\t", TAB) if newlines else in_one_line(text)
    return _UNDRAWN.sub("", text).translate(_FLAG_LETTERS)


def sources(text: str) -> list[int]:
    """For each character of `plain(text, newlines=True)`, its index in `clean(text)`."""
    found: list[int] = []
    for at, char in enumerate(clean(text)):
        if char == "\t":
            found += [at] * len(TAB)
        elif not _UNDRAWN.match(char):
            found.append(at)
    return found


def in_one_line(text: str) -> str:
    """`text` for a field of one line: cleaned, line breaks and tabs turned into spaces."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def has_sure_width(text: str) -> bool:
    """Whether every terminal gives the text the same cells."""
    return text.isascii() or not _UNSURE.search(text)


def anchored(output: str) -> str:
    """The text to write to a terminal, so that it continues where Textual expects it.

    Terminals disagree on the width of many characters: newer ones, vowel signs, emoji of several
    parts. After a run of those the cursor is positioned explicitly, and before it the cells are
    cleared, as the run may fill fewer. U+FFFD is written under a symbol, as some terminals drop
    characters that are newer than they are.
    """
    if has_sure_width(output) or output.startswith("\x1b]"):
        return output
    return _UNSURE_RUN.sub(_anchored_run, output)


def _anchored_run(run: re.Match[str]) -> str:
    cells = cell_len(run[0])
    # A field shows its text as it will be sent: with fillers of uncertain width, and families,
    # to which Textual gives the room of their first member.
    text = _UNSEEN_ALONE.sub("", _JOINED_EMOJI.sub("", run[0]))
    if not cells:
        return f"\x1b7{text}\x1b8" if text else ""
    under = ("\ufffd" if run["symbol"] else "").ljust(cells)
    return f"\x1b7{under}\x1b8\x1b7{text}\x1b8\x1b[{cells}C"
