"""What a picture's headers say: its type, its pixels, how many parts it has; nothing is decoded.

Each part costs a decoder time, however empty it is: a JPEG's scan as much as all of its pixels.
"""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

SCANS = 100
"""Of a JPEG. Encoders make a dozen; a hundred of 25 megapixels each are four seconds."""
SEGMENTS = 1000
"""Of a JPEG beside its scans, of a PNG beside its pixels. What cameras and editors add is some
dozens, and 160 where it fills the whole file."""
PIECES = 10_000
"""Of a PNG's pixels. Encoders make them of 8 KiB and more, which is 1280 in the largest file."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG's markers that have no length."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""One that ends a scan: none of those that stand within."""
_PIXELS = (b"IDAT", b"fdAT", b"fcTL")
_WINDOW = 256 * 1024
"""Bytes searched at once: meanwhile no other thread runs."""
_TOO_MANY = "The picture has more {} than any camera makes. Save it anew as a plain JPEG or PNG."

_OTHERS = (
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
    """A file that is none of the types taken, or is broken, in words."""


@dataclass(frozen=True, slots=True)
class Header:
    """A picture's type, by its content, and its size in pixels, before any turning."""

    media_type: str
    width: int
    height: int
    begun: int = 0
    """The scans that a JPEG has begun whose end is missing; 0 where it is there."""

    @property
    def pixels(self) -> int:
        """How many the decoder would have to make."""
        return self.width * self.height


def media_type_of(head: bytes) -> str:
    """The type that a file's first bytes show. Raises Unreadable, naming what else it is."""
    if head.startswith(JPEG):
        return "image/jpeg"
    if head.startswith(PNG):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    raise Unreadable(f"This is {_named(head)}. Send a JPEG, a PNG or a WebP.")


def read_header(path: Path) -> Header:
    """What that file's header says. Raises Unreadable."""
    with path.open("rb") as file:
        head = file.read(32)
        kind = media_type_of(head)
        begun = 0
        if kind == "image/webp":
            size = _webp(head)
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if kind == "image/png":
                    size = _png(content)
                else:
                    size, begun = _jpeg(content)
    if size is None or 0 in size:
        raise Unreadable("The picture is damaged: its header does not say how large it is.")
    return Header(kind, *size, begun)


def _named(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return "a HEIC, an AVIF or a film"
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for starts, name in _OTHERS:
        if any(lowered.startswith(start.lower()) for start in starts):
            return name
    return "no picture that is taken here"


def _png(content: mmap.mmap) -> tuple[int, int] | None:
    if len(content) < 24 or content[12:16] != b"IHDR":
        return None
    at, pixels, others = 8, 0, 0
    while (kind := content[at + 4 : at + 8]) and kind != b"IEND":
        if kind in _PIXELS:
            pixels += 1
        else:
            others += 1
        if pixels > PIECES or others > SEGMENTS:
            raise Unreadable(_TOO_MANY.format("chunks"))
        at += 12 + int.from_bytes(content[at : at + 4], "big")
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
    """The size of its first frame, as decoders go by that one and refuse a second; and the scans
    that it has begun where it has no end."""
    size: tuple[int, int] | None = None
    at = 2
    segments = scans = 0
    while (found := _marker(content, at)) is not None:
        if size is None and content[at] != 0xFF:  # something else before the first frame
            return None, 0
        at, marker = found
        if marker == _END_OF_IMAGE or (size is None and marker == _START_OF_SCAN):
            return size, 0
        if marker == _START_OF_SCAN:
            scans += 1
        else:
            segments += 1
        if scans > SCANS or segments > SEGMENTS:
            raise Unreadable(_TOO_MANY.format("scans" if scans > SCANS else "segments"))
        if marker in _ALONE:
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        if length < 2:
            break
        if size is None and marker in _START_OF_FRAME:
            frame = content[at + 2 : at + 7]
            if len(frame) < 5:
                return None, 0
            size = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
        at += length
    return size, scans


def _marker(content: mmap.mmap, at: int) -> tuple[int, int] | None:
    """The next one from there on, and where what follows it begins."""
    while at < len(content):
        found = _MARKER.search(content, at, at + _WINDOW + 1)
        if found is not None:
            return found.end(), found[1][0]
        at += _WINDOW
    return None
