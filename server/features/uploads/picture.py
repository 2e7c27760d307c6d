"""Turns an uploaded file into pixels: upright, eight bits a channel, small, without metadata.

This runs in the worker process alone: whatever decodes a stranger's file may be killed any time.
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

from server.features.uploads.image_header import PNG, Header, Unreadable, read_header
from server.features.uploads.schemas import MAX_PIXELS

MAX_SIDE = 1280
"""Pixels. The model works on 320 by 320, and a menu shows less than this."""
FORMATS = ("JPEG", "PNG", "WEBP")
"""Pillow tries no others: for some formats it starts other programs."""
JPEG_QUALITY = 90
MAX_PROFILE_BYTES = 1024 * 1024
"""Of a PNG's colour profile, unpacked; Pillow reads no larger one. Those of cameras and screens
have a few kilobytes."""
PADDING_BYTES = 64
"""How much of its pixel data a truncated JPEG may lack: decoders need some bytes after the last
pixel, and this many hold no more than a few hundred pixels."""
MAX_LOST = 0.01
"""The share of the pixels that may be affected where a JPEG is truncated in the last of several
scans."""

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
_KEPT_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf")
"""The chunks of a PNG, besides its pixels, that decide how it looks."""
_END_OF_IMAGE = b"\xff\xd9"
_INCOMPLETE = (
    "The picture is damaged or incomplete: it could not be read to the end. Save it again and send"
    " that, or send another."
)

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_picture(path: Path) -> Image.Image:
    """The file's first picture as RGB, or RGBA where it has transparency, MAX_SIDE at most.

    Raises Unreadable, whose message is for the sender.
    """
    header = read_header(path)
    if header.pixels > MAX_PIXELS:
        raise Unreadable(f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels.")
    try:
        content = path.read_bytes()
        if content.startswith(PNG):
            content = _plain_png(content)
        elif header.unfinished_scans:
            content = _completed(content, header)
        with _loaded(content, header) as opened:
            turn = _TURNS.get(_orientation(opened))
            profile = opened.info.get("icc_profile")
            picture = _eight_bits(opened)
    except (MemoryError, Unreadable):
        raise
    except Exception as error:  # decoders raise anything for a broken file
        raise Unreadable(_INCOMPLETE) from error
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    picture = _in_srgb(picture, profile)
    if turn is not None:
        picture = picture.transpose(turn)
    picture.info.clear()  # so that no metadata is saved with it
    return picture


def save_picture(picture: Image.Image, path: Path) -> str:
    """Write it as a PNG where it has transparency, else as a JPEG; returns the media type."""
    if picture.mode == "RGBA":
        picture.save(path, "PNG", compress_level=3)
        return "image/png"
    picture.save(path, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "image/jpeg"


def cut_out(picture: Image.Image, mask: Image.Image, path: Path) -> None:
    """Write the picture as a PNG with the mask as its transparency.

    Edges keep their full colour, and nothing is left of what the mask removes.
    """
    alpha = mask
    if picture.mode == "RGBA":
        own = picture.getchannel("A")
        alpha = Image.composite(mask, Image.new("L", mask.size, 0), own)
    opaque = picture.convert("RGB")
    opaque.putalpha(alpha)
    blank = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    visible = alpha.point(lambda value: 255 if value else 0)
    Image.composite(opaque, blank, visible).save(path, "PNG", compress_level=3)


def on_white(picture: Image.Image) -> Image.Image:
    """The picture as the model has to see it: transparent pixels may have any colour."""
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture).convert("RGB")


@contextlib.contextmanager
def _loaded(content: bytes, header: Header) -> Iterator[Image.Image]:
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        if opened.size != (header.width, header.height):
            raise Unreadable("The picture is damaged: it states two sizes.")
        opened.draft(None, (MAX_SIDE, MAX_SIDE))  # decoding a JPEG at a smaller size saves most
        opened.load()
        yield opened


def _plain_png(content: bytes) -> bytes:
    """The PNG reduced to its pixels and the chunks that decide how they look.

    Other chunks may be large or broken while the pixels are fine. Of an animation the default image
    is left.
    """
    parts, kept = [PNG], set[bytes]()
    at = len(PNG)
    while (kind := content[at + 4 : at + 8]) and kind != b"IEND":
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        data, checksum = content[at + 8 : end], content[end : end + 4]
        at = end + 4
        if kind == b"IDAT":
            parts.append(_chunk(kind, data))
        elif kind in _KEPT_CHUNKS and kind not in kept:
            kept.add(kind)
            if checksum != _chunk(kind, data)[-4:]:
                if kind[:1].isupper():  # a critical chunk: nothing can be shown without it
                    raise Unreadable(_INCOMPLETE)
            else:
                data = _transparent_colour(data, *content[24:26]) if kind == b"tRNS" else data
                if data and (kind != b"iCCP" or _unpacks(data)):
                    parts.append(_chunk(kind, data))
    return b"".join((*parts, _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((len(data).to_bytes(4, "big"), kind, data, checksum.to_bytes(4, "big")))


def _transparent_colour(data: bytes, depth: int, colour: int) -> bytes:
    """A PNG's transparent colour in the values that Pillow gives to pixels: scaled where they have
    fewer than eight bits, the upper eight where they have sixteen. Empty where the chunk is too
    short."""
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


def _unpacks(profile: bytes) -> bool:
    """Whether a colour profile unpacks to at most MAX_PROFILE_BYTES."""
    _, _, packed = profile.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return packed[:1] == b"\0" and not unpacking.unconsumed_tail


def _completed(content: bytes, header: Header) -> bytes:
    """A truncated JPEG, completed so that it can be decoded to its end.

    All of its lines have to be there. With several scans they always are, only coarser the earlier
    the file ends, so then the last scan has to be there. Raises Unreadable.
    """
    if header.unfinished_scans == 1:  # the decoder fails by itself where lines are missing
        return content + bytes(PADDING_BYTES)
    # Decode it once as if nothing were missing and once with noise: pixels that differ were lost.
    noise = b"\0" + shake_256().digest(1 << 18).replace(b"\xff", b"\0")
    with (
        _loaded(content + _END_OF_IMAGE, header) as one,
        _loaded(content + noise + _END_OF_IMAGE, header) as other,
    ):
        changed = ImageChops.difference(one, other)
    unchanged = reduce(ImageChops.lighter, changed.split()).histogram()[0]
    if unchanged < (1 - MAX_LOST) * changed.width * changed.height:
        raise Unreadable(_INCOMPLETE)
    return content + _END_OF_IMAGE


def _orientation(picture: Image.Image) -> int:
    with contextlib.suppress(Exception):  # EXIF may be hostile, and can be ignored
        return int(picture.getexif().get(_ORIENTATION, 1))
    return 1


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture as L, LA, RGB, RGBA or CMYK, the modes that a colour profile may be for."""
    transparent = picture.info.get("transparency")
    if picture.mode in _DEEP:
        deep = picture.convert("I")
        grey = deep.point([round(value / 257) for value in range(1 << 16)], "L")
        if transparent is not None:
            opacity = [255 * (value != transparent) for value in range(1 << 16)]
            grey.putalpha(deep.point(opacity, "L"))
        return grey
    has_alpha = transparent is not None or picture.mode in _WITH_ALPHA
    if picture.mode in _GREY:
        return picture.convert("LA" if has_alpha else "L")
    if picture.mode == "CMYK":
        return picture.copy()
    return picture.convert("RGBA" if has_alpha else "RGB")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in sRGB, as RGB or RGBA, by its colour profile, which is then dropped.

    A profile that is broken or for other channels is ignored.
    """
    alpha = picture.getchannel("A") if picture.mode in _WITH_ALPHA else None
    colours = picture.convert(picture.mode.removesuffix("A"))
    if profile:
        with contextlib.suppress(Exception):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space == "RGB ":  # some programs write it into grey ones
                colours = colours.convert("RGB") if colours.mode == "L" else colours
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(colours, source, srgb, outputMode="RGB")
            colours = converted or colours
    colours = colours.convert("RGB")
    if alpha is not None:
        colours.putalpha(alpha)
    return colours
