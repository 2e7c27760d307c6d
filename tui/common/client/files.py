"""Reads files that may turn out to be pipes or devices, and sends one as a form."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.client.errors import ClientError
from tui.common.language import _

if TYPE_CHECKING:
    from pydantic import BaseModel

PATH_LONG = 100
"""Characters of a path in a sentence: of one that is longer its end."""


def read_regular(path: Path, max_bytes: int) -> bytes:
    """At most so many bytes of a regular file.

    Raises OSError, also for a pipe, a device or whatever else might let one wait for ever or give
    bytes without end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, _("it is not a regular file"), str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(max_bytes)
    finally:
        os.close(handle)


def short_path(path: Path) -> str:
    """A path in a sentence, which must not be pushed out of sight by it."""
    text = str(path)
    return text if len(text) <= PATH_LONG else f"…{text[1 - PATH_LONG :]}"


def home() -> Path:
    """The user's home; the root folder for a user that the system does not know."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


PIECE = 64 * 1024

Progress = Callable[[int, int], None]
"""Called with the bytes that have left, and with all there are; from the start if sent again."""


class UnfitFile(ClientError):
    """The file cannot be read, or the server would not take it; nothing was sent."""


class FileForm:
    """The fields that were set and one file; may be sent more than once."""

    def __init__(
        self, fields: BaseModel, content: bytes, name: str, progress: Progress | None = None
    ) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._progress = progress
        self._content = content
        head = ""
        for field, value in fields.model_dump(mode="json", exclude_unset=True).items():
            if value is not None:
                head += f"--{boundary}\r\n"
                head += f'Content-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        head += f"--{boundary}\r\n"
        head += f'Content-Disposition: form-data; name="file"; filename="{_plain(name)}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        self._head = head.encode()
        self._foot = f"\r\n--{boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self._head) + len(self._content) + len(self._foot)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body; each piece is asked for once the one before it has left."""
        yield self._head
        view = memoryview(self._content)
        for start in range(0, len(view), PIECE):
            self._report(start)
            yield bytes(view[start : start + PIECE])
        self._report(len(view))
        yield self._foot

    def _report(self, sent: int) -> None:
        if self._progress is not None:
            self._progress(sent, len(self._content))


async def read_file(path: Path, max_bytes: int) -> bytes:
    """The file's content; `~` is the home folder.

    Raises `UnfitFile` in words, also where it is larger than `max_bytes` bytes.
    """

    def read() -> bytes:
        if path.is_dir():
            raise UnfitFile(_("{path} is a folder. Name a file in it.").format(path=path))
        content = read_regular(path, max_bytes + 1)
        if len(content) > max_bytes:
            raise UnfitFile(
                _(
                    "{path} has {st_size:.1f} MiB; at most {max_bytes:g} are accepted. Make it "
                    "smaller, or choose another."
                ).format(
                    path=path.name,
                    st_size=path.stat().st_size / 1024 / 1024,
                    max_bytes=max_bytes / 1024 / 1024,
                )
            )
        if not content:
            raise UnfitFile(_("{path} is empty. Choose another.").format(path=path.name))
        return content

    with contextlib.suppress(RuntimeError):  # there is no user of that name
        path = _at_home(path)
    try:
        return await asyncio.to_thread(read)
    except FileNotFoundError:
        raise UnfitFile(_("There is no file {path}.").format(path=short_path(path))) from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise UnfitFile(
            _("{path} cannot be read: {reason}.").format(path=short_path(path), reason=reason)
        ) from None


def _at_home(path: Path) -> Path:
    return path.expanduser()


def _plain(name: str) -> str:
    """A file name without characters that could end the header."""
    kept = (char if char.isascii() and char.isprintable() else "_" for char in name)
    return "".join(kept).replace('"', "_").replace("\\", "_")
