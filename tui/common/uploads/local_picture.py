"""A picture file to send: found by a typed or pasted path, and checked before it is sent."""

import asyncio
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from server.features.uploads.schemas import MAX_BYTES
from tui.common.client.files import UnfitFile, read_file
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.uploads.bitmap import Bitmap, NotDrawable, decode

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp"})
"""Files that the dialog offers. Whether one is a picture is decided by its content."""
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"<svg", _("an SVG")),
    (b"<?xml", _("an SVG, or other XML")),
    (b"PK\x03\x04", _("a ZIP file")),
)


@dataclass(frozen=True, slots=True)
class LocalPicture:
    """A picture that the server would accept."""

    path: Path
    bitmap: Bitmap

    @property
    def name(self) -> str:
        """The file's name without control characters; open the file by `path`."""
        return plain(self.path.name)


async def inspect(path: Path | None) -> LocalPicture:
    """Read and decode the file. Raises `UnfitFile` with a message for the user."""
    if path is None:
        raise UnfitFile(_("Enter the path of a picture, or choose one below."))
    content = await read_file(path, MAX_BYTES)
    try:
        bitmap = await asyncio.to_thread(decode, content)
    except NotDrawable as error:
        words = _named(path, content[:64]) or f"{path.name}: {error}"
        raise UnfitFile(_("{words} Choose another.").format(words=words)) from None
    return LocalPicture(path, bitmap)


def path_of(typed: str) -> Path | None:
    """The path in a text that was typed, or pasted by a terminal: quoted, escaped, or as a URL."""
    text = typed.strip()
    if text.startswith("file://"):
        try:
            text = unquote(urlsplit(text).path)
        except ValueError:  # an incomplete IPv6 address as the host
            return None
    elif text[:1] in ("'", '"') or "\\ " in text:
        try:
            words = shlex.split(text)
        except ValueError:
            words = []
        text = words[0] if len(words) == 1 else text
    if not text or "\0" in text:
        return None
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # `~name` of an unknown user
        return path


def looks_like_picture(path: Path) -> bool:
    """Whether its name is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def _named(path: Path, head: bytes) -> str:
    """A sentence that names the file's format, if it is a known one that is not accepted."""
    if head[4:8] == b"ftyp":
        return _("{path} is a HEIC, an AVIF or a video; convert it to JPEG.").format(path=path.name)
    lowered = head.lstrip().lower()
    for start, name in _OTHERS:
        if lowered.startswith(start.lower()):
            return _("{path} is {name}; a photo is a JPEG, a PNG or a WebP.").format(
                path=path.name, name=name
            )
    return ""
