"""Dialogs that choose a picture file and save one, by a path or from a list of folders."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar

from rich.text import Text, TextType
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Input, Static

from tui.common.client.errors import ClientError
from tui.common.client.files import UnfitFile, home, short_path
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.language import _
from tui.common.sanitize import in_one_line, plain
from tui.common.uploads.local_picture import LocalPicture, inspect, looks_like_picture, path_of
from tui.common.widgets.status_line import StatusLine


class PictureTree(DirectoryTree):
    """Folders and picture files, without hidden ones."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "

    def process_label(self, label: TextType) -> Text:
        """A name without control characters: a file's name may hold anything but a slash."""
        return Text(plain(label)) if isinstance(label, str) else label

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Leave out hidden files and what is no picture."""
        return [path for path in paths if not path.name.startswith(".") and _is_offered(path)]


class PickScreen(Dialog[LocalPicture]):
    """Answers with a picture that the server would accept; None when closed."""

    DEFAULT_CSS = """
    PickScreen {
        & > .box { width: 84; height: 80%; }
        & #hint { height: 1; color: $wire-ink; text-wrap: nowrap; text-overflow: ellipsis; }
        & PictureTree {
            height: 1fr; background: $surface; margin-top: 1; padding: 0;
            scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
            &:focus { background-tint: transparent 0%; }
        }
        & StatusLine { max-height: 3; }
    }
    PickScreen.-short > .box { height: 100%; padding: 0 2; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f5", "reload", show=False)]

    def __init__(self, title: str, folder: Path | None = None) -> None:
        """`title` says what the picture is for; `folder` is opened first."""
        super().__init__()
        self._folder = folder
        self._heading = plain(title)
        self._checking = False

    def body(self) -> ComposeResult:
        """A field for the path, the folders, and a line for errors."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = _("tab completes · enter chooses it · esc closes")
            yield PathField(id="path")
            yield Static(
                _("JPEG, PNG or WebP, at most 10 MiB and 25 megapixels"), id="hint", markup=False
            )
            yield PictureTree(_first_folder(self._folder))
            yield StatusLine()

    def action_reload(self) -> None:
        """Read the folder again."""
        self.query_one(PictureTree).reload()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.show_status("")
        path = self.query_one(PathField).path
        if event.value.endswith("/") and path is not None and _is_folder(path):
            self.query_one(PictureTree).path = path

    @on(Input.Submitted)
    def _submitted(self) -> None:
        path = self.query_one(PathField).path
        if path is not None and _is_folder(path):
            self.query_one(PictureTree).path = path
            self.query_one(PictureTree).focus()
            return
        self._pick(path)

    @on(DirectoryTree.FileSelected)
    def _chosen(self, event: DirectoryTree.FileSelected) -> None:
        field = self.query_one(PathField)
        with field.prevent(Input.Changed):
            field.show(event.path)
        self._pick(event.path)

    def _pick(self, path: Path | None) -> None:
        if not self._checking:
            self._checking = True
            self.show_status(_("Checking the picture…"), "info")
            self.run_worker(self._check(path), group="pick", exit_on_error=False)

    async def _check(self, path: Path | None) -> None:
        try:
            local_picture = await inspect(path)
        except UnfitFile as error:
            self.show_status(error.message)
        else:
            if self.is_attached:
                self.dismiss(local_picture)
        finally:
            self._checking = False


def _first_folder(wanted: Path | None) -> Path:
    """The wanted folder if there is one; else where pictures usually are."""
    for folder in (wanted, home() / _("Pictures"), home()):
        if folder is not None and _is_folder(folder):
            return folder
    return Path("/")


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # unlike Path.is_dir, also False without permission


def _is_offered(path: Path) -> bool:
    return looks_like_picture(path) or _is_folder(path)


class SaveScreen(Dialog[Path]):
    """Fetches a picture or another file and writes it; answers with the path, None when closed."""

    AUTO_FOCUS = "#path"
    SCOPED_CSS: ClassVar[bool] = True

    def __init__(
        self,
        fetch: Callable[[], AsyncGenerator[bytes, None]],
        name: str,
        title: str = _("Save the picture"),
        *,
        private: bool = False,
    ) -> None:
        """`fetch` gives the file's content in parts; `name` is the suggested name. Only the user
        may read a `private` file."""
        super().__init__()
        self._fetch = fetch
        self._file_name = name
        self._title = title
        self._mode = 0o600 if private else 0o666
        self._busy = False

    def body(self) -> ComposeResult:
        """A field for the path, and a line for errors."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = _("tab completes · enter saves · esc closes")
            field = PathField(id="path")
            field.show(home() / self._file_name)
            yield field
            yield StatusLine()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        path = self.query_one(PathField).path
        if path is None:
            self.show_status(_("Enter where to save it."))
            return
        # Without permission to look, nothing seems to be there, and writing fails with a message.
        if os.path.isdir(path):
            path /= self._file_name
        if os.path.lexists(path):
            question = _("There is a file {path} already. It would be overwritten.").format(
                path=plain(str(path))
            )
            self.app.push_screen(
                ConfirmScreen(self._title, question, yes=_("Replace it"), danger=True),
                lambda sure: self._start(path) if sure else None,
            )
            return
        self._start(path)

    def _start(self, path: Path) -> None:
        if not self._busy:
            self._busy = True
            self.show_status(_("Saving…"), "info")
            self.run_worker(self._save(path), group="save", exit_on_error=False)

    async def _save(self, path: Path) -> None:
        try:
            await self._write(path)
        except ClientError as error:
            words = _("{message} Nothing was saved.").format(message=error.message)
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or fault
            words = _("{path} cannot be written: {reason}.").format(
                path=short_path(path), reason=reason
            )
        else:
            if self.is_attached:
                self.dismiss(path)
            return
        finally:
            self._busy = False
        self.show_status(words)

    async def _write(self, path: Path) -> None:
        """Write the whole file or nothing."""
        draft = path.with_name(f".{secrets.token_hex(8)}.part")  # the name may be the longest
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            handle = await asyncio.to_thread(os.open, draft, flags, self._mode)
            with os.fdopen(handle, "wb") as file:
                async with aclosing(self._fetch()) as parts:
                    async for part in parts:
                        await asyncio.to_thread(file.write, part)
            await asyncio.to_thread(draft.replace, path)
        finally:
            await asyncio.to_thread(draft.unlink, missing_ok=True)


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
