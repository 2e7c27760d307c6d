"""Draws the lines of a conversation: bubbles with who, when and how far they have come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len
from textual.strip import Strip

from server.features.chat.schemas import ChatMessage
from server.features.shared.schemas import Actor
from tui.common.chat.layout import DAY_LINES, EDGE, LinePosition, MessageLayout
from tui.common.chat.model import Conversation, PendingMessage
from tui.common.format import fit, hours_minutes
from tui.common.language import _
from tui.common.styles import Line, Part, ThemeStyles

STRIPS_KEPT = 2000
SENT, READ, WAITING, REFUSED = "✓", "✓✓", "◌", "✕"
"""The glyph is enough without colour."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What an entry's looks depend on, but for its text."""

    own: bool
    who: str
    at: datetime
    standing: str
    words: str = ""
    """Why it was refused."""


class MessageRenderer:
    """Strips for the lines of a layout, each drawn once."""

    def __init__(self, layout: MessageLayout, variables: Mapping[str, str]) -> None:
        self._layout = layout
        self._theme_styles = ThemeStyles(variables)
        self._strips: dict[object, Strip] = {}

    def strip(self, conversation: Conversation, position: LinePosition, selected: bool) -> Strip:
        """One line, as wide as the layout."""
        layout = self._layout
        number = layout.first + position.index
        written = layout.entry_at(position.index)
        entry = _entry_of(conversation, written, number)
        name: object = written.message.client_id if isinstance(written, PendingMessage) else number
        key = (name, layout.generation, position, layout.width, selected, entry.standing)
        strip = self._strips.get(key)
        if strip is None:
            if len(self._strips) >= STRIPS_KEPT:
                self._strips.clear()
            strip = self._strips[key] = Strip(self._draw(entry, position, selected), layout.width)
        return strip

    def blank(self, width: int) -> Strip:
        """An empty line."""
        return Strip(self._theme_styles.line([], width), width)

    def clear(self) -> None:
        """Draw everything anew: messages of another conversation have the same numbers."""
        self._strips.clear()

    def _draw(self, entry: _Entry, position: LinePosition, selected: bool) -> Line:
        width, line = self._layout.width, position.line
        if position.new_day:
            if line < DAY_LINES:
                return self._theme_styles.line(_day(entry.at, width) if line == 0 else [], width)
            line -= DAY_LINES
        if line == 0:
            return self._theme_styles.line(_heading(entry, width, selected), width)
        texts = self._layout.text_of(position.index)
        if line > len(texts):
            return self._theme_styles.line([], width)
        return self._bubble(entry, texts, line - 1, selected)

    def text_column(self, conversation: Conversation, index: int) -> int:
        """The column in which the lines of an entry's text begin."""
        own = _entry_of(conversation, self._layout.entry_at(index), 0).own
        wide = self._bubble_width(self._layout.text_of(index))
        return max(0, self._layout.width - wide - EDGE) + 1 if own else 2

    def _bubble_width(self, texts: list[str]) -> int:
        return min(max(map(cell_len, texts)), self._layout.width - EDGE)

    def _bubble(self, entry: _Entry, texts: list[str], line: int, selected: bool) -> Line:
        width = self._layout.width
        wide = self._bubble_width(texts)
        text = texts[line]
        filled = f" {text}{' ' * (wide - cell_len(text))} "
        if selected:
            background, ink = "edge", "bold foreground"
        else:
            background = "block-cursor-background" if entry.own else "panel"
            ink = "foreground"
        room = max(0, width - wide - EDGE)
        bubble = self._theme_styles.line([(filled, ink)], wide + 2, background)
        if entry.own:
            bar = self._theme_styles.line([("▐", "error" if entry.words else "primary")], 1)
            return [*self._theme_styles.line([], room), *bubble, *bar] if room else [*bubble, *bar]
        bar = self._theme_styles.line([("▌", "secondary")], 1)
        return [*bar, *bubble, *self._theme_styles.line([], room)] if room else [*bar, *bubble]


def _entry_of(
    conversation: Conversation, written: ChatMessage | PendingMessage, number: int
) -> _Entry:
    if isinstance(written, PendingMessage):
        standing = REFUSED if written.refusal else WAITING
        return _Entry(True, "", written.message.written_at, standing, written.refusal)
    own = written.sender.id == conversation.own_id
    standing = ""
    if own:
        standing = READ if number <= conversation.read_by_others else SENT
    return _Entry(own, name_of(written.sender), written.sent_at, standing)


def name_of(who: Actor) -> str:
    """Somebody's name where there is little room."""
    return fit(who.name, 24)


def _heading(entry: _Entry, width: int, selected: bool) -> list[Part]:
    time = hours_minutes(entry.at)
    ink = "title" if selected else "wire-ink"
    if not entry.own:
        return [(fit(entry.who, max(4, width - cell_len(time) - 3)), ink), (f"  {time}", ink)]
    marks = {READ: "success", SENT: "wire-ink", WAITING: "warning", REFUSED: "bold error"}
    words = {WAITING: _(" waiting"), REFUSED: " " + (entry.words or _("not sent"))}.get(
        entry.standing, ""
    )
    before = _("you") + f"  {time} "
    tail = fit(f"{entry.standing}{words}", max(2, width - cell_len(before) - 1))
    indent = max(0, width - cell_len(before) - cell_len(tail) - 1)
    return [(" " * indent, ""), (before, ink), (tail, marks[entry.standing])]


def _day(at: datetime, width: int) -> list[Part]:
    here = at.astimezone()
    today = datetime.now().astimezone().toordinal()
    days = {today: _("Today"), today - 1: _("Yesterday")}
    words = days.get(here.toordinal(), f"{here:%A} {here.day} {here:%B %Y}")
    name = f" {fit(words, max(1, width - 6))} "
    side = max(0, width - cell_len(name))
    left = side // 2
    return [("─" * left, "edge"), (name, "wire-ink"), ("─" * (side - left), "edge")]
