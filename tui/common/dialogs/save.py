"""The dialog that saves a file; a visitor of a hosted app gets a download."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from tui.common.client.errors import ClientError
from tui.common.client.files import home, short_path
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.hosted import deliver, hosted_where
from tui.common.language import _, without_isolates
from tui.common.sanitize import plain
from tui.common.widgets.path_field import PathField
from tui.common.widgets.status_line import Kind, StatusLine

if TYPE_CHECKING:
    from textual.app import App


class SaveScreen(Dialog[Path]):
    """Fetches a file and writes it; answers with the path, None when closed."""

    AUTO_FOCUS = "#path"
    SCOPED_CSS: ClassVar[bool] = True

    def __init__(
        self,
        fetch: Callable[[], AsyncGenerator[bytes, None]],
        name: str,
        title: str,
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


def save_or_deliver(
    app: "App[None]",
    fetch: Callable[[], AsyncGenerator[bytes, None]],
    name: str,
    tell: Callable[[str, Kind], None],
    title: str,
    *,
    private: bool = False,
) -> None:
    """Have a file saved; a visitor of a hosted app gets it as a download. The parameters are those
    of `SaveScreen`; `tell` is told what became of it, if it was not given up."""

    def saved(path: Path | None) -> None:
        if path is not None:
            tell(_("Saved as {path}.").format(path=plain(str(path))), "done")

    async def offer() -> None:
        try:
            tell(await deliver(app, fetch, name), "done")
        except ClientError as error:
            tell(error.message, "error")

    if hosted_where():
        app.run_worker(offer(), group=f"deliver-{name}", exclusive=True, exit_on_error=False)
    else:
        app.push_screen(SaveScreen(fetch, name, title, private=private), saved)


def save_text(node: Widget, text: str, name: str, title: str) -> None:
    """The same for a private text that is at hand; a toast tells what became of it."""

    async def fetch() -> AsyncGenerator[bytes, None]:
        yield without_isolates(text).encode()

    def tell(words: str, kind: Kind) -> None:
        node.notify(words, title=title, severity="error" if kind == "error" else "information")

    save_or_deliver(node.app, fetch, name, tell, title, private=True)
