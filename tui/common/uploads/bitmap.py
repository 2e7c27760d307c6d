"""Decodes a picture within limits, no larger than a terminal can show."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.features.uploads.schemas import MAX_PIXELS
from tui.common.language import _

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 640
"""Pixels of the longer side. A column shows two."""
FORMATS = ("JPEG", "PNG", "WEBP")
"""No other format is tried: for some, Pillow starts other programs."""
FAINT = 40
"""The opacity, of 255, up to which a pixel counts as transparent."""
_ORIENTATION = 0x0112
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""By EXIF's orientation, one of Pillow's `Transpose`."""
_SIDEWAYS = (5, 6, 7, 8)
_TOO_LARGE = _("The picture has more than {max_pixels} megapixels.").format(
    max_pixels=MAX_PIXELS // 1_000_000
)
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")


class NotDrawable(Exception):
    """The content is no picture, or none that is decoded here; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """An upright RGB or RGBA picture; `width`, `height` (pixels), `size` (bytes) are its file's."""

    image: Image
    width: int
    height: int
    size: int


def decode(content: bytes, longest: int = LONGEST, *, trim: bool = False) -> Bitmap:
    """The picture in `content`, shrunk to `longest` pixels. Takes a while: call it in a thread.

    With `trim`, transparent margins are cut off.
    Pixels are counted from the header before anything is decoded. Raises NotDrawable.
    """
    from PIL import Image, UnidentifiedImageError

    _check(webp_size(content[:30]))  # Pillow makes room for a WebP as soon as it is opened
    try:
        try:
            picture, size, orientation = _read(content, longest)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
            with _lenient(content) as mended:
                picture, size, orientation = _read(mended, longest)
    except NotDrawable:
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise NotDrawable(_TOO_LARGE) from None
    except UnidentifiedImageError:
        raise NotDrawable(_("This is not a JPEG, PNG or WebP.")) from None
    except Exception as error:  # decoders raise anything for a broken file
        raise NotDrawable(_("The picture is damaged or incomplete.")) from error
    if trim and (box := _opaque(picture)) is not None:
        picture = picture.crop(box)
        size = picture.size
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if orientation in _TURNS:
        picture = picture.transpose(Image.Transpose(_TURNS[orientation]))
        size = size[::-1] if orientation in _SIDEWAYS else size
    picture.info.clear()
    return Bitmap(picture, *size, len(content))


def _read(content: bytes, longest: int) -> tuple[Image, tuple[int, int], int]:
    """The picture, its own size and its orientation."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        size = opened.size
        _check(size)
        opened.draft(None, (longest, longest))  # a JPEG is decoded small at once
        opened.load()
        return _eight_bits(opened), size, _orientation(opened)


@contextlib.contextmanager
def _lenient(content: bytes) -> Iterator[bytes]:
    """The content, read as leniently as the server reads it: a JPEG without its last bytes, or a
    PNG with large or broken chunks beside its pixels, but not half a picture."""
    from PIL import ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES = b"IEND" in content[-12:]
    try:
        yield content if ImageFile.LOAD_TRUNCATED_IMAGES else content + bytes(64)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def webp_size(head: bytes) -> tuple[int, int]:
    """The size in pixels from the first 30 bytes of a WebP; (0, 0) for other formats."""
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    if head[12:16] == b"VP8X":
        wide, high = (int.from_bytes(side, "little") for side in (head[24:27], head[27:30]))
        return 1 + wide, 1 + high
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    wide, high = (int.from_bytes(side, "little") & 0x3FFF for side in (head[26:28], head[28:30]))
    return wide, high


def _check(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise NotDrawable(_TOO_LARGE)


def _opaque(picture: Image) -> tuple[int, int, int, int] | None:
    """The box of the pixels that are not transparent."""
    if picture.mode != "RGBA":
        return None
    return picture.getchannel("A").point(lambda value: 255 if value > FAINT else 0).getbbox()


def _orientation(picture: Image) -> int:
    with contextlib.suppress(Exception):  # broken EXIF is ignored
        return int(picture.getexif().get(_ORIENTATION, 1))
    return 1


def _eight_bits(picture: Image) -> Image:
    """The picture in RGB, or in RGBA if it has transparency."""
    if picture.mode in _DEEP:
        deep = picture.convert("I").point(lambda value: value * (1 / 257))
        return deep.convert("L").convert("RGB")
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture.convert("RGB")
