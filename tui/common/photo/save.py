"""Writing a picture to a file: asks where, and before anything is lost."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from tui.common.client.errors import ClientTrouble
from tui.common.client.files import home, in_short
from tui.common.photo.path_field import PathField
from tui.common.screens.confirm import ConfirmScreen
from tui.common.screens.modal import Modal
from tui.common.text import plain
from tui.common.widgets.too_small import TooSmall


class SaveScreen(Modal[Path]):
    """Fetches the picture and writes it; answers with where it is, None when closed."""

    DEFAULT_CSS = """
    SaveScreen {
        & #words { height: auto; min-height: 1; margin-top: 1; }
    }
    """
    AUTO_FOCUS = "#path"
    SCOPED_CSS: ClassVar[bool] = True

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], name: str) -> None:
        """`fetch` gives the file's content, `name` is what it is called unless told otherwise."""
        super().__init__()
        self._fetch = fetch
        self._file_name = name
        self._busy = False

    def compose(self) -> ComposeResult:
        """The path, and a line for what is wrong."""
        with Vertical(classes="box") as box:
            box.border_title = "Save the picture"
            box.border_subtitle = "tab completes · enter saves · esc closes"
            field = PathField(id="path")
            field.show(home() / self._file_name)
            yield field
            yield Static("", id="words", markup=False)
        yield TooSmall()

    def say(self, words: str, *, trouble: bool = True) -> None:
        """Show `words` at the foot."""
        mark = ("✕ ", "bold $error") if trouble else ("", "")
        self.query_one("#words", Static).update(Content.assemble(mark, plain(words)))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        path = self.query_one(PathField).path
        if path is None:
            self.say("Type where to save it.")
            return
        # Where one may not look there is nothing to be seen, and writing fails in words.
        if os.path.isdir(path):
            path /= self._file_name
        if os.path.lexists(path):
            question = f"There is a file {plain(str(path))} already. It would be lost."
            self.app.push_screen(
                ConfirmScreen("Save the picture", question, yes="Replace it", danger=True),
                lambda sure: self._start(path) if sure else None,
            )
            return
        self._start(path)

    def _start(self, path: Path) -> None:
        if not self._busy:
            self._busy = True
            self.say("Saving …", trouble=False)
            self.run_worker(self._save(path), group="save", exit_on_error=False)

    async def _save(self, path: Path) -> None:
        try:
            content = await self._fetch()
            await asyncio.to_thread(_write, path, content)
        except ClientTrouble as trouble:
            words = f"{trouble.words} Nothing was saved."
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or fault
            words = f"{in_short(path)} cannot be written: {reason}."
        else:
            if self.is_attached:
                self.dismiss(path)
            return
        finally:
            self._busy = False
        if self.is_attached:
            self.say(words)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{secrets.token_hex(8)}.part")  # the name itself may be the longest
    try:
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
