"""A sent file made into pixels: upright, eight bits a channel, small, without its metadata.

Runs in the worker's process alone: what decodes a stranger's file may be killed at any time.
"""

import contextlib
import io
import warnings
from pathlib import Path

from PIL import Image, ImageCms

from server.features.uploads.header import Unreadable, read_header
from server.features.uploads.schemas import MAX_PIXELS

LONGEST_SIDE = 1280
"""Pixels. The model looks at 320 by 320, and a menu shows less than this."""
FORMATS = ("JPEG", "PNG", "WEBP")
"""Nothing else is even tried: Pillow knows formats that start other programs."""
QUALITY = 90

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
        with Image.open(path, formats=FORMATS) as opened:
            if opened.size != (header.width, header.height):
                raise Unreadable("The picture is damaged: it tells two sizes.")
            opened.draft(None, (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG decoded small saves most
            opened.load()
            turn = _TURNS.get(_orientation(opened))
            profile = opened.info.get("icc_profile")
            picture = _eight_bits(opened)
    except (MemoryError, Unreadable):
        raise
    except Exception as error:  # whatever a decoder may say about a file that is none
        raise Unreadable(
            "The picture is damaged or not whole: it could not be read to its end."
        ) from error
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


def _orientation(picture: Image.Image) -> int:
    with contextlib.suppress(Exception):  # EXIF is as hostile as anything, and may be left out
        return int(picture.getexif().get(_ORIENTATION, 1))
    return 1


def _eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode in _DEEP:
        deep = picture.convert("I")
        return deep.point(lambda value: value * (1 / 257)).convert("L").convert("RGB")
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture.copy() if picture.mode in ("RGB", "CMYK") else picture.convert("RGB")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours as they are meant; the profile itself is metadata, and goes."""
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    if profile:
        with contextlib.suppress(Exception):  # a profile for other channels, or none at all
            meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            done = ImageCms.profileToProfile(
                picture, meant, ImageCms.createProfile("sRGB"), outputMode=mode
            )
            if done is not None:
                return done
    return picture.convert(mode)
