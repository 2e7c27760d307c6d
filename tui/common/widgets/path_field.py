"""A field for a path, with suggestions from the folders."""

import asyncio
import os
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from tui.common.sanitize import in_one_line, plain
from tui.common.uploads.local_picture import looks_like_picture, path_of

MOST_ENTRIES = 2000
"""Entries of a folder that are read for a suggestion."""


class PathField(Input):
    """A field for a path. Tab and → accept the suggestion; without one, tab moves the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", show=False)]
    TAKES_RAW = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, suggester=PathSuggester(), max_length=4096)
        self._shown: tuple[str, Path] | None = None

    @property
    def path(self) -> Path | None:
        """The path in the field; None where it is empty."""
        if self._shown is not None and self.value == self._shown[0]:
            return self._shown[1]
        return path_of(self.value)

    def show(self, path: Path) -> None:
        """Put this path into the field. Control characters are not shown, but `path` keeps them."""
        self.value = plain(str(path))
        self._shown = (self.value, path)
        self.cursor_position = len(self.value)

    def _on_paste(self, event: events.Paste) -> None:
        text = event.text.strip("\r\n")
        path = path_of(text)
        if path is not None and plain(text) != text:
            self.show(path)
            event.prevent_default()
            event.stop()
        else:
            event.text = in_one_line(text)

    def action_complete(self) -> None:
        """Accept the suggestion, or move the focus."""
        if self._suggestion and self.cursor_position >= len(self.value):
            self.action_cursor_right()
        else:
            self.screen.focus_next()


class PathSuggester(Suggester):
    """Suggests folders and pictures."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The path with the first entry of its folder that begins like that."""
        return await asyncio.to_thread(complete, value)


def complete(typed: str) -> str | None:
    """The typed text, completed by the first name that fits; a folder ends with a slash."""
    folder, _, start = typed.rpartition("/")
    if not typed or (not folder and "/" not in typed and typed.startswith("~")):
        return None
    try:
        where = Path(f"{folder}/" if "/" in typed else ".").expanduser()
        found: list[str] = []
        with os.scandir(where) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_ENTRIES:
                    break
                name = entry.name
                if not name.startswith(start) or (name.startswith(".") and not start):
                    continue
                if entry.is_dir():
                    found.append(f"{name}/")
                elif looks_like_picture(Path(name)):
                    found.append(name)
    except (OSError, RuntimeError, ValueError):
        return None
    if not found:
        return None
    whole = typed[: len(typed) - len(start)] + min(found)
    return whole if plain(whole) == whole != typed else None
