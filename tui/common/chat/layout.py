"""Where each message of a conversation stands, in lines, at some width."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.cells import cell_len, get_character_cell_size
from wcwidth import iter_graphemes

from server.text import clean
from tui.common.chat.model import PendingMessage
from tui.common.sanitize import plain, sources

if TYPE_CHECKING:
    from server.features.chat.schemas import ChatMessage
    from tui.common.chat.model import Conversation

WIDEST = 72
"""Cells of a bubble's text, at most: longer lines are hard to read."""
NARROWEST = 8
SHARE = 0.8
"""Of the width, at most: a bubble's side tells whose it is."""
EDGE = 3
"""Cells of a bubble beside its text: the bar, and a space on either side."""
DAY_LINES = 2
"""A separator, and a blank line below it."""
FRAME_LINES = 2
"""The line above a bubble's text that says who and when, and the blank one below it."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written; its text as it is shown; whether each of its characters takes one cell;
    its day."""

    entry: ChatMessage | PendingMessage
    text: str
    single_width: bool
    day: int


@dataclass(frozen=True, slots=True)
class LinePosition:
    """A line within an entry: which entry, which of its lines, and whether a new day begins it."""

    index: int
    line: int
    new_day: bool


class MessageLayout:
    """Lines of the messages, then of the drafts; one after the other, each an entry.

    `update` follows the conversation. Only what has come or another width costs anything. Between
    two updates it stays what it was, whatever becomes of the conversation: a window may be painted
    at any time.
    """

    def __init__(self) -> None:
        self.width = 0
        self.text_width = NARROWEST
        self._written: list[_Written] = []
        self._days: list[bool] = []
        self._ends: list[int] = []
        """The line after each message's last."""
        self._pending: tuple[PendingMessage, ...] = ()
        self._pending_written: list[_Written] = []
        self._pending_ends: list[int] = []
        self.first = 0
        """The number of the first message."""
        self.generation = -1
        """The conversation's."""

    @property
    def lines(self) -> int:
        """How many there are."""
        ends = self._pending_ends or self._ends
        return ends[-1] if ends else 0

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self._ends) + len(self._pending_ends)

    def update(self, conversation: Conversation, width: int) -> int:
        """Follow the conversation; how many lines have come in above those there were.

        At another width nothing of that is true any more, and it is 0.
        """
        added = 0
        in_front = self.first - conversation.first
        if width != self.width:
            self.width = width
            self.text_width = max(NARROWEST, min(WIDEST, int(width * SHARE) - EDGE))
            self._read_texts(conversation)
            self._measure_all()
        elif conversation.generation != self.generation:
            self._read_texts(conversation)
            self._measure_all()
        elif in_front:
            # Where the first one ended, as it may have lost the day above it.
            before = self._ends[0] if self._ends else None
            self._read_texts(conversation)
            self._measure_all()
            added = 0 if before is None else self._ends[in_front] - before
        else:
            self._append(conversation)
        self._measure_pending(conversation)
        return added

    @property
    def lines_of_messages(self) -> int:
        """Without the drafts."""
        return self._ends[-1] if self._ends else 0

    def position_at(self, line: int) -> LinePosition | None:
        """What stands in that line; None behind the end."""
        if not 0 <= line < self.lines:
            return None
        if line < self.lines_of_messages:
            index = bisect_right(self._ends, line)
            top = self._ends[index - 1] if index else 0
            return LinePosition(index, line - top, self._days[index])
        index = bisect_right(self._pending_ends, line)
        top = self._pending_ends[index - 1] if index else self.lines_of_messages
        return LinePosition(len(self._ends) + index, line - top, False)

    def top_of(self, index: int) -> int:
        """The first line of an entry."""
        if index <= len(self._ends):
            return self._ends[index - 1] if index else 0
        return self._pending_ends[index - len(self._ends) - 1]

    def bottom_of(self, index: int) -> int:
        """The line after an entry's last."""
        return self.top_of(index + 1)

    def entry_at(self, index: int) -> ChatMessage | PendingMessage:
        """What was written there."""
        return self._written_at(index).entry

    def text_of(self, index: int) -> list[str]:
        """The lines of an entry's text."""
        written = self._written_at(index)
        return wrap(written.text, self.text_width, single_width=written.single_width)

    def text_row(self, position: LinePosition) -> int | None:
        """Which line of its entry's text that is; None where it is none, as above and below."""
        row = position.line - 1 - (DAY_LINES if position.new_day else 0)
        return row if 0 <= row < len(self.text_of(position.index)) else None

    def text_between(self, index: int, start: tuple[int, int], end: tuple[int, int | None]) -> str:
        """What was written in an entry between two places in its lines, each a row and a column.

        A column counts characters as they are drawn; None is the end of the row.
        """
        written = self._written_at(index)
        lines, starts = self.text_of(index), self._row_starts(written)
        same = start[0] == end[0]
        first = starts[start[0]] + whole_characters(lines[start[0]], start[1], None)[0]
        last = starts[end[0]] + whole_characters(lines[end[0]], start[1] if same else 0, end[1])[1]
        if first >= last:
            return ""
        text = _text_of(written.entry)
        places = sources(text)
        return clean(text)[places[first] : places[last - 1] + 1]

    def _row_starts(self, written: _Written) -> list[int]:
        """Where in the text each of its lines begins."""
        starts: list[int] = []
        top = 0
        for paragraph in written.text.split("\n"):
            at = 0
            for line in wrap(paragraph, self.text_width, single_width=written.single_width):
                at = paragraph.index(line, at)
                starts.append(top + at)
                at += len(line)
            top += len(paragraph) + 1
        return starts

    def _written_at(self, index: int) -> _Written:
        if index < len(self._written):
            return self._written[index]
        return self._pending_written[index - len(self._written)]

    def _read_texts(self, conversation: Conversation) -> None:
        """Have the text of each message, without reading again what is known."""
        if conversation.generation != self.generation:
            self._written = []
            self.first = conversation.first
            self.generation = conversation.generation
        in_front = self.first - conversation.first
        messages = conversation.messages
        known = in_front + len(self._written)
        self._written[:0] = [_written_of(message) for message in messages[:in_front]]
        self._written += [_written_of(message) for message in messages[known:]]
        self.first = conversation.first

    def _measure_all(self) -> None:
        width = self.text_width
        self._days = []
        heights: list[int] = []
        day = -1
        for one in self._written:
            new_day = one.day != day
            day = one.day
            self._days.append(new_day)
            lines = count_lines(one.text, width, single_width=one.single_width)
            heights.append(lines + FRAME_LINES + (DAY_LINES if new_day else 0))
        self._ends = list(accumulate(heights))

    def _append(self, conversation: Conversation) -> None:
        for message in conversation.messages[len(self._written) :]:
            one = _written_of(message)
            new_day = not self._written or self._written[-1].day != one.day
            self._written.append(one)
            self._days.append(new_day)
            lines = count_lines(one.text, self.text_width, single_width=one.single_width)
            height = lines + FRAME_LINES + (DAY_LINES if new_day else 0)
            self._ends.append(self.lines_of_messages + height)

    def _measure_pending(self, conversation: Conversation) -> None:
        pending = tuple(conversation.pending)
        if pending != self._pending:
            self._pending = pending
            self._pending_written = [_written_of(draft) for draft in pending]
        at = self.lines_of_messages
        self._pending_ends = []
        for one in self._pending_written:
            at += (
                count_lines(one.text, self.text_width, single_width=one.single_width) + FRAME_LINES
            )
            self._pending_ends.append(at)


def _text_of(entry: ChatMessage | PendingMessage) -> str:
    return entry.message.text if isinstance(entry, PendingMessage) else entry.text


def _written_of(entry: ChatMessage | PendingMessage) -> _Written:
    at = entry.message.written_at if isinstance(entry, PendingMessage) else entry.sent_at
    text = plain(_text_of(entry), newlines=True)
    return _Written(entry, text, is_single_width(text), at.astimezone().toordinal())


_WORDS = re.compile(r" +|[^ ]+")


def is_single_width(text: str) -> bool:
    """Whether every character takes exactly one cell, so that `len` tells the width."""
    return text.isascii() or all(
        char == "\n" or get_character_cell_size(char) == 1 for char in set(text)
    )


def wrap(text: str, width: int, *, single_width: bool) -> list[str]:
    """The lines of `text`, each at most `width` cells wide, broken at spaces where there are any.

    `single_width` is `is_single_width(text)`. Only a character that is wider than `width` makes a
    wider line.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        if single_width:
            if len(paragraph) <= width:
                lines.append(paragraph)
            else:
                lines += [line.rstrip(" ") for line in _pattern(width).findall(paragraph)]
        elif cell_len(paragraph) <= width:
            lines.append(paragraph)
        else:
            lines += _wrap_by_cells(paragraph, width)
    return lines


def count_lines(text: str, width: int, *, single_width: bool) -> int:
    """How many lines `wrap` makes."""
    if single_width and len(text) <= width and "\n" not in text:
        return 1
    return len(wrap(text, width, single_width=single_width))


def graphemes(text: str) -> list[tuple[str, int]]:
    """What is one character to the eye, with its cells: letters with their signs and marks."""
    return [(piece, cell_len(piece)) for piece in iter_graphemes(text)]


def whole_characters(line: str, start: int, end: int | None) -> tuple[int, int]:
    """The part of a line between two of its characters, with all of what is one to the eye.

    `end` is the one after the last, None the line's end. A mark without a width of its own stands
    for what follows it: so Textual names the cell after a letter with a mark.
    """
    ends = list(accumulate(len(piece) for piece in iter_graphemes(line)))

    def grapheme_at(index: int) -> int:
        while index < len(line) and not cell_len(line[index]):
            index += 1
        return bisect_right(ends, index)

    first = grapheme_at(start)
    last = len(ends) if end is None else min(len(ends), grapheme_at(end - 1) + 1) if end else 0
    places = [0, *ends]
    return places[first], places[max(first, last)]


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
