"""Choosing a picture: by its path, typed or pasted, or from the folders below."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text, TextType
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DirectoryTree, Input, Static

from tui.common.client.files import home
from tui.common.client.form import UnfitFile
from tui.common.photo.candidate import Candidate, inspect, looks_like_picture
from tui.common.photo.path_field import PathField
from tui.common.screens.modal import Modal
from tui.common.text import plain
from tui.common.widgets.too_small import TooSmall


class PictureTree(DirectoryTree):
    """Folders and what looks like pictures; what begins with a dot is left out."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "

    def process_label(self, label: TextType) -> Text:
        """A name as text in one line: it may hold anything but a slash."""
        return Text(plain(label)) if isinstance(label, str) else label

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Only those."""
        return [path for path in paths if not path.name.startswith(".") and _is_offered(path)]


class PickScreen(Modal[Candidate]):
    """Answers with a picture that the server would take; None when closed."""

    DEFAULT_CSS = """
    PickScreen {
        & > .box { width: 84; height: 80%; }
        & #hint { height: 1; color: $wire-ink; text-wrap: nowrap; text-overflow: ellipsis; }
        & PictureTree {
            height: 1fr; background: $surface; margin-top: 1; padding: 0;
            scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
            &:focus { background-tint: transparent 0%; }
        }
        & #words { height: auto; min-height: 1; max-height: 3; margin-top: 1; }
    }
    PickScreen.-short > .box { height: 100%; padding: 0 2; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f5", "reload", show=False)]

    def __init__(self, title: str, folder: Path | None = None) -> None:
        """`title` says what the picture is for, `folder` where to look first."""
        super().__init__()
        self._folder = folder
        self._heading = plain(title)
        self._looking = False

    def compose(self) -> ComposeResult:
        """The path, the folders, a line for what is wrong."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = "tab completes · enter takes it · esc closes"
            yield PathField(id="path")
            yield Static(
                "JPEG, PNG or WebP, at most 10 MiB and 25 megapixels", id="hint", markup=False
            )
            yield PictureTree(_first_folder(self._folder))
            yield Static("", id="words", markup=False)
        yield TooSmall()

    def say(self, words: str, *, trouble: bool = True) -> None:
        """Show `words` at the foot."""
        mark = ("✕ ", "bold $error") if trouble else ("", "")
        line = Content.assemble(mark, (plain(words), "" if trouble else "$wire-ink"))
        self.query_one("#words", Static).update(line if words else Content(""))

    def action_reload(self) -> None:
        """Look at the folder again."""
        self.query_one(PictureTree).reload()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.say("")
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
        self._take(path)

    @on(DirectoryTree.FileSelected)
    def _chosen(self, event: DirectoryTree.FileSelected) -> None:
        field = self.query_one(PathField)
        with field.prevent(Input.Changed):
            field.show(event.path)
        self._take(event.path)

    def _take(self, path: Path | None) -> None:
        if not self._looking:
            self._looking = True
            self.say("Looking at it …", trouble=False)
            self.run_worker(self._look(path), group="pick", exit_on_error=False)

    async def _look(self, path: Path | None) -> None:
        try:
            candidate = await inspect(path)
        except UnfitFile as trouble:
            if self.is_attached:
                self.say(trouble.words)
        else:
            if self.is_attached:
                self.dismiss(candidate)
        finally:
            self._looking = False


def _first_folder(wanted: Path | None) -> Path:
    """The one that is wanted; else where pictures usually are."""
    for folder in (wanted, home() / "Pictures", home()):
        if folder is not None and _is_folder(folder):
            return folder
    return Path("/")


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # unlike Path.is_dir, False also where one may not look


def _is_offered(path: Path) -> bool:
    return looks_like_picture(path) or _is_folder(path)
