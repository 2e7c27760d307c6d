"""What a picture's first bytes say: its type and its pixels, read without decoding anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG's markers that have no length."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SEGMENTS = 1000

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
        if kind == "image/png":
            size = _png(head)
        elif kind == "image/webp":
            size = _webp(head)
        else:
            file.seek(2)
            size = _jpeg(file)
    if size is None or 0 in size:
        raise Unreadable("The picture is damaged: its header does not say how large it is.")
    return Header(kind, *size)


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


def _png(head: bytes) -> tuple[int, int] | None:
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


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


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    """Of its first frame: decoders go by that one and refuse a second."""
    for _ in range(_SEGMENTS):
        byte = file.read(1)
        if byte != b"\xff":
            return None
        while byte == b"\xff":  # as many may stand before a marker as they like
            byte = file.read(1)
        if not byte or byte[0] in (_START_OF_SCAN, _END_OF_IMAGE, 0):
            return None
        if byte[0] in _ALONE:
            continue
        length = int.from_bytes(file.read(2), "big")
        if length < 2:
            return None
        if byte[0] in _START_OF_FRAME:
            frame = file.read(5)
            if len(frame) < 5:
                return None
            return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
        file.seek(length - 2, 1)
    return None
