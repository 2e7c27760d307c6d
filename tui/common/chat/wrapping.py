"""Text broken into lines of so many cells, with nothing torn that is one character to the eye."""

import re
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size
from wcwidth import iter_graphemes

_WORDS = re.compile(r" +|[^ ]+")


def is_plain(text: str) -> bool:
    """Whether every character takes exactly one cell, so that `len` tells the width."""
    return text.isascii() or all(
        char == "\n" or get_character_cell_size(char) == 1 for char in set(text)
    )


def wrap(text: str, width: int, *, plain: bool) -> list[str]:
    """The lines of `text`, each at most `width` cells wide, broken at spaces where there are any.

    `plain` is `is_plain(text)`. Only a character that is wider than `width` makes a wider line.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        if plain:
            if len(paragraph) <= width:
                lines.append(paragraph)
            else:
                lines += [line.rstrip(" ") for line in _pattern(width).findall(paragraph)]
        elif cell_len(paragraph) <= width:
            lines.append(paragraph)
        else:
            lines += _wrap_by_cells(paragraph, width)
    return lines


def count_lines(text: str, width: int, *, plain: bool) -> int:
    """How many lines `wrap` makes."""
    if plain and len(text) <= width and "\n" not in text:
        return 1
    return len(wrap(text, width, plain=plain))


def graphemes(text: str) -> list[tuple[str, int]]:
    """What is one character to the eye, with its cells: letters with their signs and marks."""
    return [(piece, cell_len(piece)) for piece in iter_graphemes(text)]


@lru_cache(64)
def _pattern(width: int) -> re.Pattern[str]:
    # As much as fits up to a space, with the spaces after it; else as much as fits.
    return re.compile(rf".{{1,{width}}}(?=[ ]|$)[ ]*|.{{1,{width}}}")


def _wrap_by_cells(paragraph: str, width: int) -> list[str]:
    lines: list[str] = []
    line, room = "", width
    for word in _WORDS.findall(paragraph):
        cells = cell_len(word)
        if cells <= room:
            line += word
            room -= cells
        elif word[0] == " ":  # what does not fit of the spaces hangs over the edge
            line, room = line + word[:room], 0
        elif cells <= width:
            lines.append(line.rstrip(" "))
            line, room = word, width - cells
        else:
            if line.strip(" "):
                lines.append(line.rstrip(" "))
                line, room = "", width
            for piece, piece_cells in graphemes(word):
                if piece_cells > room and line:
                    lines.append(line)
                    line, room = "", width
                line += piece
                room -= piece_cells
    if line:
        lines.append(line.rstrip(" "))
    return lines
