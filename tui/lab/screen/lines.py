"""A bordered widget of lines of styled text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.common.format import wrapped
from tui.common.sanitize import plain
from tui.common.styles import Part, ThemeStyles

Row = tuple[Part, ...]


class Lines(Widget):
    """Lines of styled text, of which only those are painted again that have changed."""

    DEFAULT_CSS = """
    Lines {
        border: round $edge; background: $surface; padding: 0 1; width: 1fr;
        border-title-color: $title; border-title-style: bold; border-title-background: $surface;
        border-subtitle-color: $wire-ink; border-subtitle-background: $surface;
    }
    """

    def __init__(self, title: str, *, id: str) -> None:
        super().__init__(id=id)
        self.border_title = Content(title)
        self._rows: list[Row] = []
        self._styles: ThemeStyles | None = None

    def show(self, rows: Iterable[Row]) -> None:
        """Draw these lines."""
        before, self._rows = self._rows, list(rows)
        width = self.size.width
        changed = [
            Region(0, y, width, 1)
            for y in range(min(self.size.height, max(len(before), len(self._rows))))
            if self._row(before, y) != self._row(self._rows, y)
        ]
        if changed:
            self.refresh(*changed)

    def restyle(self) -> None:
        """Paint all again, in another theme."""
        self._styles = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """That line."""
        if self._styles is None:
            self._styles = ThemeStyles(self.app.theme_variables)
        width = self.size.width
        return Strip(self._styles.line(self._row(self._rows, y), width), width)

    @property
    def text(self) -> str:
        """All lines as text."""
        return "\n".join("".join(words for words, _ in row).rstrip() for row in self._rows)

    @staticmethod
    def _row(rows: Sequence[Row], y: int) -> Row:
        return rows[y] if y < len(rows) else ()


def joined(parts: Iterable[Part]) -> Row:
    """Neighbours of one style made one part: each costs time."""
    found: list[Part] = []
    for text, ink in parts:
        if found and found[-1][1] == ink:
            found[-1] = (found[-1][0] + text, ink)
        else:
            found.append((text, ink))
    return tuple(found)


def error_rows(error: str, width: int) -> list[Row]:
    """An error, which may have several lines."""
    rows: list[Row] = []
    lines = plain(error, newlines=True).split("\n")
    for at, line in enumerate(lines):
        ink = "bold error" if at == 0 else "bold" if line is lines[-1] else "foreground"
        rows += [((words, ink),) for words in wrapped(line, width) or ("",)]
    return rows
