"""Hosted mode, for visitors in a browser or over ssh: they get a screen, not a machine.

No file of the machine can be opened or written, no other program started, no other server named.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui.common.language import _

if TYPE_CHECKING:
    from textual.app import App

Where = Literal["", "browser", "ssh"]

ALLOWED = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "COLORTERM", "NO_COLOR",
    "TEXTUAL_COLOR_SYSTEM", "TEXTUAL_FPS", "COLUMNS", "ROWS", "PYTHONPATH", "PYTHONSAFEPATH",
)  # fmt: skip
"""What an app needs of the environment. No proxy is used, and no setting of the server is read."""

PREFIX = "tiffin-window-"
"""Of the names of the folders that are removed at the end; the host of the pages has the same."""

_where: Where = ""


def hosted_where() -> Where:
    """Where the visitor is; "" where the app is not hosted."""
    return _where


@contextlib.contextmanager
def hosting(where: Where) -> Iterator[None]:
    """Be hosted from now on: an empty home and working folder, which are removed at the end, and an
    environment of what is allowed. Does nothing for ""."""
    global _where
    if not where:
        yield
        return
    _where = where
    kept = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    folder = os.environ.get("HOME", "")
    # The host's folder for this window, which remains if the host is killed; never a real home.
    if not (Path(folder).name.startswith(PREFIX) and folder == os.getcwd()):
        folder = tempfile.mkdtemp(prefix=PREFIX)
    os.environ.clear()
    os.environ.update(kept, HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def sample_photos() -> list[Path]:
    """The pictures that a visitor may send: those of the demo's dishes."""
    spec = find_spec("server")
    folders = [Path(one) for one in (spec and spec.submodule_search_locations) or ()]
    return sorted(photo for one in folders for photo in one.glob("demo/photos/*.jpg"))


async def deliver(
    app: "App[None]", fetch: Callable[[], AsyncGenerator[bytes, None]], name: str
) -> str:
    """Offer a file as a download; returns what to tell the visitor. Raises what `fetch` raises."""
    if _where == "ssh":
        return _("Nothing can be saved over ssh. Run the app on your own machine for that.")
    parts = [part async for part in fetch()]
    app.deliver_binary(BytesIO(b"".join(parts)), save_filename=name)
    return _("{name} is a download of your browser.").format(name=name)
