"""A field for a path, completed as it is typed."""

import asyncio
import os
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from tui.common.photo.candidate import looks_like_picture, path_of
from tui.common.text import in_one_line, plain

LOOKED_AT = 2000
"""Entries of a folder; what is beyond is not suggested."""


class PathField(Input):
    """Tab and → take the suggestion; without one, tab goes on."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", show=False)]
    TAKES_RAW = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, suggester=PathSuggester(), max_length=4096)
        self._shown: tuple[str, Path] | None = None

    @property
    def path(self) -> Path | None:
        """The path that is meant; None where nothing is typed."""
        if self._shown is not None and self.value == self._shown[0]:
            return self._shown[1]
        return path_of(self.value)

    def show(self, path: Path) -> None:
        """Have this path in the field. What is seen of it may differ: a file's name may hold what
        steers a terminal, and still has to be found."""
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
        """Take the suggestion, or go on."""
        if self._suggestion and self.cursor_position >= len(self.value):
            self.action_cursor_right()
        else:
            self.screen.focus_next()


class PathSuggester(Suggester):
    """Folders and pictures."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The first entry of the folder that begins like that."""
        return await asyncio.to_thread(complete, value)


def complete(typed: str) -> str | None:
    """What is typed, with the rest of the first name that fits; folders end with a slash."""
    folder, _, start = typed.rpartition("/")
    if not typed or (not folder and "/" not in typed and typed.startswith("~")):
        return None
    try:
        where = Path(f"{folder}/" if "/" in typed else ".").expanduser()
        found: list[str] = []
        with os.scandir(where) as entries:
            for number, entry in enumerate(entries):
                if number >= LOOKED_AT:
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
