"""The dialog that chooses a picture file, by a path or from a list of folders."""

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

from tui.common.client.files import UnfitFile, home
from tui.common.dialogs.base import Dialog
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.uploads.local_picture import LocalPicture, inspect, looks_like_picture
from tui.common.widgets.path_field import PathField
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
