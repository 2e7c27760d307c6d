"""A file that somebody wants to send: found by what was typed or pasted, and looked at first."""

import asyncio
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from server.features.uploads.schemas import MAX_BYTES
from tui.common.client.files import UnfitFile, read_file
from tui.common.sanitize import plain
from tui.common.uploads.bitmap import Bitmap, NotDrawable, decode

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp"})
"""What is offered for choosing; what is sent is judged by its content alone."""
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an SVG, or other XML"),
    (b"PK\x03\x04", "a ZIP file"),
)


@dataclass(frozen=True, slots=True)
class LocalPicture:
    """A picture that the server would take."""

    path: Path
    bitmap: Bitmap

    @property
    def name(self) -> str:
        """The file's, fit for the screen; only `path` opens it."""
        return plain(self.path.name)


async def inspect(path: Path | None) -> LocalPicture:
    """Read and decode the file. Raises `UnfitFile`, in words for whoever chose it."""
    if path is None:
        raise UnfitFile("Enter the path of a picture, or choose one below.")
    content = await read_file(path, MAX_BYTES)
    try:
        bitmap = await asyncio.to_thread(decode, content)
    except NotDrawable as error:
        words = _named(path, content[:64]) or f"{path.name}: {error}"
        raise UnfitFile(f"{words} Choose another.") from None
    return LocalPicture(path, bitmap)


def path_of(typed: str) -> Path | None:
    """The path that was meant: typed, or as terminals paste it: quoted, escaped, as a URL."""
    text = typed.strip()
    if text.startswith("file://"):
        try:
            text = unquote(urlsplit(text).path)
        except ValueError:  # half of an IPv6 address, and no host of a file
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
    except RuntimeError:  # nobody's home, by that name
        return path


def looks_like_picture(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in SUFFIXES


def _named(path: Path, head: bytes) -> str:
    """What it is, where that is known and no picture that is taken."""
    if head[4:8] == b"ftyp":
        return f"{path.name} is a HEIC, an AVIF or a video; convert it to JPEG."
    lowered = head.lstrip().lower()
    for start, name in _OTHERS:
        if lowered.startswith(start.lower()):
            return f"{path.name} is {name}; a photo is a JPEG, a PNG or a WebP."
    return ""
