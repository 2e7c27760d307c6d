"""A sent file made into pixels: upright, eight bits a channel, small, without its metadata.

Runs in the worker's process alone: what decodes a stranger's file may be killed at any time.
"""

import contextlib
import io
import warnings
import zlib
from collections.abc import Iterator
from functools import reduce
from hashlib import shake_256
from pathlib import Path

from PIL import Image, ImageChops, ImageCms

from server.features.uploads.header import PNG, Header, Unreadable, read_header
from server.features.uploads.schemas import MAX_PIXELS

LONGEST_SIDE = 1280
"""Pixels. The model looks at 320 by 320, and a menu shows less than this."""
FORMATS = ("JPEG", "PNG", "WEBP")
"""Nothing else is even tried: Pillow knows formats that start other programs."""
QUALITY = 90
PROFILE_BYTES = 1024 * 1024
"""Of a PNG's colour profile, unpacked; Pillow reads no larger one. Those of cameras and screens
have some kilobytes."""
SPARE_BYTES = 64
"""What may be missing of the pixels of a JPEG that was cut short: a decoder wants to see some bytes
behind the last, and as many hold no more than a few hundred pixels."""
LOST = 0.01
"""The share of a JPEG that was cut short in its last scan of several that may be affected by it."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
_GREY = ("1", "L", "LA")
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf")
"""Of a PNG, beside its pixels: what decides how it looks."""
_END_OF_IMAGE = b"\xff\xd9"
_NOT_WHOLE = (
    "The picture is damaged or not whole: it could not be read to its end. Save it anew and send"
    " that, or another."
)

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_picture(path: Path) -> Image.Image:
    """The file's first picture as RGB, or RGBA where it has transparency, LONGEST_SIDE at most.

    Raises Unreadable, in words for whoever sent it.
    """
    header = read_header(path)
    if header.pixels > MAX_PIXELS:
        raise Unreadable(f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels.")
    try:
        content = path.read_bytes()
        if content.startswith(PNG):
            content = _plain_png(content)
        elif header.begun:
            content = _ended(content, header)
        with _loaded(content, header) as opened:
            turn = _TURNS.get(_orientation(opened))
            profile = opened.info.get("icc_profile")
            picture = _eight_bits(opened)
    except (MemoryError, Unreadable):
        raise
    except Exception as error:  # whatever a decoder may say about a file that is none
        raise Unreadable(_NOT_WHOLE) from error
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    picture = _in_srgb(picture, profile)
    if turn is not None:
        picture = picture.transpose(turn)
    picture.info.clear()  # what is not there cannot be saved along
    return picture


def keep_picture(picture: Image.Image, path: Path) -> str:
    """Write it as it is now, and give its media type: PNG where it has transparency, else JPEG."""
    if picture.mode == "RGBA":
        picture.save(path, "PNG", compress_level=3)
        return "image/png"
    picture.save(path, "JPEG", quality=QUALITY, optimize=True)
    return "image/jpeg"


def cut_out(picture: Image.Image, mask: Image.Image, path: Path) -> None:
    """Write the picture as a PNG with that mask as its transparency.

    Colours stay whole at the edges, and nothing is left of what the mask takes away.
    """
    alpha = mask
    if picture.mode == "RGBA":
        own = picture.getchannel("A")
        alpha = Image.composite(mask, Image.new("L", mask.size, 0), own)
    whole = picture.convert("RGB")
    whole.putalpha(alpha)
    nothing = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    left = alpha.point(lambda value: 255 if value else 0)
    Image.composite(whole, nothing, left).save(path, "PNG", compress_level=3)


def on_white(picture: Image.Image) -> Image.Image:
    """As the model has to see it: what is transparent may have any colour underneath."""
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture).convert("RGB")


@contextlib.contextmanager
def _loaded(content: bytes, header: Header) -> Iterator[Image.Image]:
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        if opened.size != (header.width, header.height):
            raise Unreadable("The picture is damaged: it tells two sizes.")
        opened.draft(None, (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG decoded small saves most
        opened.load()
        yield opened


def _plain_png(content: bytes) -> bytes:
    """The PNG with its pixels and what decides how they look, as Pillow understands it.

    What stands beside them may be large or broken without a pixel being so; an animation is left
    as the picture that is shown where there is none.
    """
    parts, kept = [PNG], set[bytes]()
    at = len(PNG)
    while (kind := content[at + 4 : at + 8]) and kind != b"IEND":
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        data, checksum = content[at + 8 : end], content[end : end + 4]
        at = end + 4
        if kind == b"IDAT":
            parts.append(_chunk(kind, data))
        elif kind in _KEPT and kind not in kept:
            kept.add(kind)
            if checksum != _chunk(kind, data)[-4:]:
                if kind[:1].isupper():  # nothing can be shown without it
                    raise Unreadable(_NOT_WHOLE)
            else:
                data = _transparent(data, *content[24:26]) if kind == b"tRNS" else data
                if data and (kind != b"iCCP" or _fits(data)):
                    parts.append(_chunk(kind, data))
    return b"".join((*parts, _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((len(data).to_bytes(4, "big"), kind, data, checksum.to_bytes(4, "big")))


def _transparent(data: bytes, depth: int, colour: int) -> bytes:
    """A PNG's transparent colour in the values that Pillow has for such pixels: it scales those of
    fewer than eight bits, and takes of colours of sixteen the upper eight. Nothing where it is too
    short for one."""
    if len(data) < {0: 2, 2: 6}.get(colour, 0):
        return b""
    values = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    most = (1 << depth) - 1
    if colour == 0 and depth < 8:
        values = [(value & most) * 255 // most for value in values]
    elif colour == 2 and depth == 16:
        values = [value >> 8 for value in values]
    else:
        return data
    return b"".join(value.to_bytes(2, "big") for value in values)


def _fits(profile: bytes) -> bool:
    """Whether it unpacks, and to no more than PROFILE_BYTES."""
    _, _, packed = profile.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed[1:], PROFILE_BYTES)
    except zlib.error:
        return False
    return packed[:1] == b"\0" and not unpacking.unconsumed_tail


def _ended(content: bytes, header: Header) -> bytes:
    """A JPEG that was cut short, so that it can be read to its end.

    Its lines have to be there. Where it comes in several scans all of them are, only the coarser
    the earlier it was cut: then the last scan has to be there. Raises Unreadable.
    """
    if header.begun == 1:  # without an end, the decoder gives up where lines are missing
        return content + bytes(SPARE_BYTES)
    # What is missing is taken for nothing, and once for anything: that changes what it is.
    anything = b"\0" + shake_256().digest(1 << 18).replace(b"\xff", b"\0")
    with (
        _loaded(content + _END_OF_IMAGE, header) as one,
        _loaded(content + anything + _END_OF_IMAGE, header) as other,
    ):
        changed = ImageChops.difference(one, other)
    unchanged = reduce(ImageChops.lighter, changed.split()).histogram()[0]
    if unchanged < (1 - LOST) * changed.width * changed.height:
        raise Unreadable(_NOT_WHOLE)
    return content + _END_OF_IMAGE


def _orientation(picture: Image.Image) -> int:
    with contextlib.suppress(Exception):  # EXIF is as hostile as anything, and may be left out
        return int(picture.getexif().get(_ORIENTATION, 1))
    return 1


def _eight_bits(picture: Image.Image) -> Image.Image:
    """As L, LA, RGB, RGBA or CMYK: a profile is for one of them and no other."""
    clear = picture.info.get("transparency")
    if picture.mode in _DEEP:
        deep = picture.convert("I")
        grey = deep.point([round(value / 257) for value in range(1 << 16)], "L")
        if clear is not None:
            grey.putalpha(deep.point([255 * (value != clear) for value in range(1 << 16)], "L"))
        return grey
    has_alpha = clear is not None or picture.mode in _WITH_ALPHA
    if picture.mode in _GREY:
        return picture.convert("LA" if has_alpha else "L")
    if picture.mode == "CMYK":
        return picture.copy()
    return picture.convert("RGBA" if has_alpha else "RGB")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours as they are meant, as RGB or RGBA; the profile itself is metadata, and goes.

    One that is broken, or made for other channels, is left aside.
    """
    alpha = picture.getchannel("A") if picture.mode in _WITH_ALPHA else None
    colours = picture.convert(picture.mode.removesuffix("A"))
    if profile:
        with contextlib.suppress(Exception):
            meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if meant.profile.xcolor_space == "RGB ":  # some programs write it into grey ones, too
                colours = colours.convert("RGB") if colours.mode == "L" else colours
            srgb = ImageCms.createProfile("sRGB")
            done = ImageCms.profileToProfile(colours, meant, srgb, outputMode="RGB")
            colours = done or colours
    colours = colours.convert("RGB")
    if alpha is not None:
        colours.putalpha(alpha)
    return colours
