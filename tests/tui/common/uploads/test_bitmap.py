"""Decoding: what is made of good files, and that no file does any harm."""

import tracemalloc

import pytest
from picture_files import BLUE, CLEAR, RED, noise, plain, png_bomb, saved, webp_bomb
from PIL import Image, PngImagePlugin

from tui.common.uploads.bitmap import LONGEST, NotDrawable, decode, webp_size

MODES = {
    "PNG": ("RGB", "L", "P", "RGBA", "LA", "I;16"),
    "JPEG": ("RGB", "L", "CMYK"),
    "WEBP": ("RGB", "L", "RGBA"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes]
)
def test_every_kind_becomes_rgb_or_rgba(kind: str, mode: str) -> None:
    picture = Image.new("LA", (30, 20), (128, 200)).convert("LA" if "A" in mode else "L")
    picture = Image.new(mode, (30, 20), 128 * 257) if mode == "I;16" else picture.convert(mode)
    content = saved(picture, kind)
    bitmap = decode(content)
    assert bitmap.image.mode == ("RGBA" if mode in ("RGBA", "LA") else "RGB")
    assert (bitmap.width, bitmap.height, bitmap.size) == (30, 20, len(content))
    assert bitmap.image.convert("L").getpixel((5, 5)) in range(110, 145)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright(orientation: int) -> None:
    picture = Image.new("RGB", (60, 20), BLUE)
    picture.paste(RED, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    bitmap = decode(saved(picture, "PNG", exif=exif))
    wanted = (20, 60) if orientation >= 5 else (60, 20)
    assert (bitmap.width, bitmap.height) == bitmap.image.size == wanted
    red_first = bitmap.image.getpixel((2, 2)) == RED
    assert red_first is (orientation in (1, 4, 5, 6))


def test_a_large_one_is_shrunk_and_keeps_its_own_size() -> None:
    bitmap = decode(saved(Image.new("RGB", (3000, 1000), RED), "JPEG"))
    assert bitmap.image.size[0] == LONGEST
    assert (bitmap.width, bitmap.height) == (3000, 1000)


def test_trimming_leaves_what_is_to_be_seen() -> None:
    picture = Image.new("RGBA", (100, 80), CLEAR)
    picture.paste((*RED, 255), (30, 20, 50, 60))
    assert decode(saved(picture), trim=True).image.size == (20, 40)
    empty = Image.new("RGBA", (10, 10), CLEAR)
    assert decode(saved(empty), trim=True).image.size == (10, 10)


HOSTILE = {
    "nothing": b"",
    "text": b"not a picture at all" * 9,
    "a PNG's start": b"\x89PNG\r\n\x1a\n",
    "half a PNG": noise((200, 200))[:9000],
    "half a JPEG": saved(Image.effect_noise((200, 200), 50), "JPEG")[:900],
    "a GIF": saved(Image.new("P", (5, 5)), "GIF"),
    "a BMP": saved(Image.new("RGB", (5, 5)), "BMP"),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(id) run\n",
    "a PNG bomb": png_bomb(),
    "a WebP bomb": webp_bomb(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_picture_is_told_and_costs_nothing(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(NotDrawable):
            decode(content)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 20_000_000


def test_what_the_server_reads_is_shown_too() -> None:
    """A JPEG without its last bytes, and a PNG with a megabyte of text that is packed."""
    picture = Image.new("RGB", (60, 40), RED)
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 1_500_000, zip=True)
    for content in (saved(picture, "JPEG")[:-2], saved(picture, pnginfo=text)):
        shown = decode(content).image
        assert (shown.mode, shown.size) == ("RGB", (60, 40))
        red, green, _ = shown.getpixel((30, 20))  # type: ignore[misc]
        assert red - green > 100
    with pytest.raises(NotDrawable):  # and what it does not read is not, from then on either
        decode(saved(Image.effect_noise((200, 200), 50), "JPEG")[:900])


@pytest.mark.parametrize("how", [{}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}])
def test_the_size_of_a_webp_is_read_from_its_head(how: dict[str, object]) -> None:
    content = saved(Image.new("RGBA", (123, 45), CLEAR if how else RED), "WEBP", **how)
    assert webp_size(content[:30]) == (123, 45)
    assert webp_size(content[:20]) == (0, 0)


def test_a_single_pixel_is_a_picture() -> None:
    assert plain(RED, (1, 1)).image.getpixel((0, 0)) == RED
