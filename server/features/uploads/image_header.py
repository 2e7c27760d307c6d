"""Checks photos by their headers alone: the type, the size in pixels, the number of parts.

Nothing is decoded. The number of parts matters because each costs a decoder time, however empty it
is: a JPEG's scan as much as all of its pixels.
"""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from server.core.errors import Problem, invalid
from server.features.uploads.schemas import MAX_PIXELS

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

MAX_SCANS = 100
"""Of a JPEG. Encoders write a dozen; a hundred of 25 megapixels each take four seconds."""
MAX_SEGMENTS = 1000
"""Of a JPEG beside its scans, of a PNG beside its pixels. Cameras and editors write a few dozen,
and 160 where they fill the whole file."""
MAX_PIXEL_CHUNKS = 10_000
"""Of a PNG. Encoders write chunks of 8 KiB and more, which is 1280 in the largest file."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG markers that no length follows."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""A marker that ends a scan, not one of those inside a scan."""
_PIXEL_CHUNKS = (b"IDAT", b"fdAT", b"fcTL")
_WINDOW = 256 * 1024
"""Bytes searched at a time: no other thread runs during a search."""
_TOO_MANY = "The picture has more {} than any camera writes. Save it again as a plain JPEG or PNG."

_OTHER_TYPES = (
    ((b"GIF87a", b"GIF89a"), "a GIF"),
    ((b"BM",), "a BMP"),
    ((b"II*\0", b"MM\0*"), "a TIFF"),
    ((b"%PDF",), "a PDF"),
    ((b"%!PS", b"\xc5\xd0\xd3\xc6"), "PostScript"),
    ((b"8BPS",), "a Photoshop file"),
    ((b"PK\x03\x04",), "a ZIP file"),
    ((b"<svg", b"<?xml"), "an SVG, or other XML"),
    ((b"<!doctype html", b"<html"), "HTML"),
)


class Unreadable(ValueError):
    """The file is damaged or of a type that is not accepted; the message tells the sender so."""


@dataclass(frozen=True, slots=True)
class Header:
    """A picture's type, by its content, and its size in pixels before it is turned upright."""

    media_type: str
    width: int
    height: int
    unfinished_scans: int = 0
    """The number of scans in a JPEG whose end is missing; 0 where the end is there."""

    @property
    def pixels(self) -> int:
        """How many a decoder has to produce."""
        return self.width * self.height


def check_head(head: bytes) -> None:
    """Check a file's first bytes. Raises Problem 415, 422 where the file is not accepted."""
    if not head:
        raise invalid(["file"], "The file is empty. Send another.")
    try:
        media_type_of(head)
    except Unreadable as error:
        raise Problem(415, str(error), kind="photo-unreadable") from None


def check_photo(path: Path) -> str:
    """The file's media type. Raises Problem 413, 422."""
    try:
        header = read_header(path)
    except Unreadable as error:
        raise invalid(["file"], str(error), "photo-unreadable") from None
    if header.pixels > MAX_PIXELS:
        raise Problem(
            413,
            f"The picture has {header.width} × {header.height} pixels; at most"
            f" {MAX_PIXELS // 1_000_000} megapixels are accepted. Make it smaller.",
            kind="photo-too-large",
        )
    return header.media_type


def media_type_of(head: bytes) -> str:
    """The media type by a file's first bytes. Raises Unreadable, which names other types."""
    if head.startswith(JPEG):
        return "image/jpeg"
    if head.startswith(PNG):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    raise Unreadable(f"This is {_named(head)}. Send a JPEG, a PNG or a WebP.")


def read_header(path: Path) -> Header:
    """The header of the file. Raises Unreadable."""
    with path.open("rb") as file:
        head = file.read(32)
        kind = media_type_of(head)
        unfinished_scans = 0
        if kind == "image/webp":
            size = _webp(head)
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if kind == "image/png":
                    size = _png(content)
                else:
                    size, unfinished_scans = _jpeg(content)
    if size is None or 0 in size:
        raise Unreadable("The picture is damaged: its header does not say how large it is.")
    return Header(kind, *size, unfinished_scans)


def _named(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return "a HEIC, an AVIF or a video"
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for starts, name in _OTHER_TYPES:
        if any(lowered.startswith(start.lower()) for start in starts):
            return name
    return "not a picture that is accepted here"


def _png(content: mmap.mmap) -> tuple[int, int] | None:
    if len(content) < 24 or content[12:16] != b"IHDR":
        return None
    offset, pixels, others = 8, 0, 0
    while (kind := content[offset + 4 : offset + 8]) and kind != b"IEND":
        if kind in _PIXEL_CHUNKS:
            pixels += 1
        else:
            others += 1
        if pixels > MAX_PIXEL_CHUNKS or others > MAX_SEGMENTS:
            raise Unreadable(_TOO_MANY.format("chunks"))
        offset += 12 + int.from_bytes(content[offset : offset + 4], "big")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _webp(head: bytes) -> tuple[int, int] | None:
    if len(head) < 30:
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(head[24:27], "little"),
            1 + int.from_bytes(head[27:30], "little"),
        )
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return (
            int.from_bytes(head[26:28], "little") & 0x3FFF,
            int.from_bytes(head[28:30], "little") & 0x3FFF,
        )
    return None


def _jpeg(content: mmap.mmap) -> tuple[tuple[int, int] | None, int]:
    """The size in its first frame (decoders use that one and refuse a second), and the number of
    scans where the end is missing."""
    size: tuple[int, int] | None = None
    offset = 2
    segments = scans = 0
    while (found := _marker(content, offset)) is not None:
        if size is None and content[offset] != 0xFF:  # something else comes before the first frame
            return None, 0
        offset, marker = found
        if marker == _END_OF_IMAGE or (size is None and marker == _START_OF_SCAN):
            return size, 0
        if marker == _START_OF_SCAN:
            scans += 1
        else:
            segments += 1
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise Unreadable(_TOO_MANY.format("scans" if scans > MAX_SCANS else "segments"))
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(content[offset : offset + 2], "big")
        if length < 2:
            break
        if size is None and marker in _START_OF_FRAME:
            frame = content[offset + 2 : offset + 7]
            if len(frame) < 5:
                return None, 0
            size = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
        offset += length
    return size, scans


def _marker(content: mmap.mmap, offset: int) -> tuple[int, int] | None:
    """The next marker from the offset on, and the offset after it."""
    while offset < len(content):
        found = _MARKER.search(content, offset, offset + _WINDOW + 1)
        if found is not None:
            return found.end(), found[1][0]
        offset += _WINDOW
    return None
