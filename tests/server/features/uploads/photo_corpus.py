"""Bad, odd and hostile files, made here: what each is, and what has to become of it."""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from server import demo

SECRET = "51.5007N-0.1246W-secret"
"""Put into every kind of metadata, and must not be found afterwards."""
MIB = 1024 * 1024


@dataclass(frozen=True)
class Odd:
    """One file.

    `becomes` is the status it is refused with, or `done`, `failed`, or either. `size` is the
    result's in pixels, where it shows that the file was read correctly; `words` are part of its
    error message.
    """

    name: str
    make: Callable[[], bytes]
    becomes: int | str
    size: tuple[int, int] | None = None
    file_name: str = "photo.jpg"
    media_type: str = "image/jpeg"
    words: str = ""


def plate(mode: str = "RGB", size: tuple[int, int] = (240, 180)) -> Image.Image:
    """A plate on a table: something that stands out, with its left marked red."""
    picture = Image.new("RGB", size, (196, 164, 132))
    draw = ImageDraw.Draw(picture)
    wide, high = size
    draw.ellipse((wide * 0.2, high * 0.15, wide * 0.8, high * 0.85), fill=(250, 250, 245))
    draw.ellipse((wide * 0.35, high * 0.3, wide * 0.65, high * 0.7), fill=(160, 40, 20))
    return picture.convert(mode)


def saved(picture: Image.Image, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def jpeg(mode: str = "RGB", **how: Any) -> bytes:
    return saved(plate(mode), "JPEG", quality=85, **how)


def png(mode: str = "RGB", **how: Any) -> bytes:
    return saved(plate(mode), "PNG", **how)


def webp(mode: str = "RGB", **how: Any) -> bytes:
    return saved(plate(mode), "WEBP", **how)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One of a PNG's, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bare_png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """81 megapixels in some ten kilobytes."""
    row = b"\0" + bytes(9000 // 8)
    pixels = zlib.compress(row * 9000, 9)
    return bare_png(9000, 9000, chunk(b"IDAT", pixels), depth=1, colour=0)


def deep_grey() -> bytes:
    """Sixteen bits a pixel."""
    wide, high = 240, 180
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">H", value * 257) for value in row)
        for row in (plate("L").crop((0, y, wide, y + 1)).tobytes() for y in range(high))
    )
    return bare_png(wide, high, chunk(b"IDAT", zlib.compress(rows)), depth=16, colour=0)


def deep_colours() -> bytes:
    wide, high = 240, 180
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">H", value * 257) for value in row)
        for row in (plate().crop((0, y, wide, y + 1)).tobytes() for y in range(high))
    )
    return bare_png(wide, high, chunk(b"IDAT", zlib.compress(rows)), depth=16, colour=2)


def palette() -> bytes:
    """With a transparent colour."""
    picture = plate().quantize(8)
    return saved(picture, "PNG", transparency=0)


def animated(kind: str) -> bytes:
    frames = [plate(), Image.new("RGB", (240, 180), "black"), Image.new("RGB", (240, 180), "red")]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def exif(orientation: int | None = None) -> Image.Exif:
    found = Image.Exif()
    if orientation is not None:
        found[0x0112] = orientation
    found[0x010E] = SECRET
    found[0x013B] = SECRET
    found.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 2.5), 29: SECRET})
    return found


def turned(kind: str, orientation: int) -> bytes:
    return saved(plate(), kind, exif=exif(orientation))


def talkative_png() -> bytes:
    """Text of all three kinds, EXIF, a time, a profile."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET)
    text.add_text("Zipped", SECRET, zip=True)
    text.add_itxt("XML:com.adobe.xmp", SECRET)
    text.add(b"tIME", struct.pack(">HBBBBB", 2026, 1, 31, 12, 0, 0))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return png(pnginfo=text, exif=exif(), icc_profile=profile)


def talkative_jpeg() -> bytes:
    return jpeg(exif=exif(), comment=SECRET.encode(), xmp=SECRET.encode())


def in_the_middle(content: bytes, what: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + what + content[half + len(what) :]


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.html", f"<script>{SECRET}</script>")
    return file.getvalue()


def lying_webp() -> bytes:
    """A canvas of 100 by 100 around a frame that is larger."""
    content = bytearray(webp("RGBA", lossless=True, exif=b"x"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (99).to_bytes(3, "little") + (99).to_bytes(3, "little")
    return bytes(content)


def flat_webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size


def frame_of(width: int, height: int) -> bytes:
    """A JPEG that is a header and nothing else."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes.fromhex("012200021101031101")
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


def with_chunks(*chunks: bytes, content: bytes | None = None) -> bytes:
    """A PNG with those behind its header."""
    content = content or png()
    return content[:33] + b"".join(chunks) + content[33:]


def wordy_png() -> bytes:
    """Two kilobytes of text that are 100 MB once unpacked."""
    return with_chunks(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100 * MIB), 9)))


def wordy_profile() -> bytes:
    return with_chunks(chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100 * MIB), 9)))


def plain(colour: str) -> bytes:
    return saved(Image.new("RGBA", (240, 180), colour), "PNG")


def dish(name: str) -> bytes:
    return (Path(demo.__file__).parent / "photos" / f"{name}.jpg").read_bytes()


def noise() -> bytes:
    return saved(Image.effect_noise((300, 300), 60).convert("RGB"), "PNG")


def coloured_noise() -> bytes:
    """Of which the model says that all of it stands out."""
    content = hashlib.shake_256(b"3").digest(300 * 300 * 3)
    return saved(Image.frombytes("RGB", (300, 300), content), "PNG")


def broken_checksum() -> bytes:
    content = png()
    at = content.index(b"IDAT")
    length = struct.unpack(">I", content[at - 4 : at])[0]
    end = at + 4 + length
    return content[:end] + bytes(4) + content[end + 4 :]


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes so often that there are `count`."""
    content = jpeg("L", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (count - content.count(b"\xff\xda")) + b"\xff\xd9"


def in_pieces(*others: bytes, pieces: int = 1) -> bytes:
    """A PNG with its pixels in that many chunks, most of them empty, and with others before."""
    pixels = zlib.compress(b"".join(b"\0" + bytes(720) for _ in range(180)))
    empty = [chunk(b"IDAT", b"")] * (pieces - 1)
    return bare_png(240, 180, *others, chunk(b"IDAT", pixels), *empty)


def profiles(count: int) -> bytes:
    """So many profiles of a megabyte in a kilobyte each."""
    return in_pieces(*[chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(MIB - 1024), 9))] * count)


def fields(count: int) -> bytes:
    """A JPEG with so many empty comments before its frame."""
    return jpeg()[:2] + b"\xff\xfe\0\2" * count + jpeg()[2:]


NOTHING = "Nothing in the picture stands out"
REFUSED = [
    Odd("empty", bytes, 422),
    Odd("one byte", lambda: b"\xff", 415),
    Odd("text", lambda: b"Not a picture at all, but named like one.", 415),
    Odd("random bytes", lambda: bytes((7 * n * n + 3) % 251 for n in range(5000)), 415),
    Odd("SVG", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', 415),
    Odd("SVG with a prolog", lambda: b'\xef\xbb\xbf<?xml version="1.0"?><svg/>', 415),
    Odd("HTML", lambda: b"<!DOCTYPE html><script>alert(1)</script>", 415),
    Odd("EPS", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit", 415),
    Odd("EPS with a preview", lambda: b"\xc5\xd0\xd3\xc6" + bytes(60), 415),
    Odd("PDF", lambda: saved(plate(), "PDF"), 415),
    Odd("GIF", lambda: saved(plate(), "GIF"), 415),
    Odd("animated GIF", lambda: animated("GIF"), 415),
    Odd("BMP", lambda: saved(plate(), "BMP"), 415),
    Odd("TIFF", lambda: saved(plate(), "TIFF"), 415),
    Odd("ICO", lambda: saved(plate(size=(32, 32)), "ICO"), 415),
    Odd("HEIC", lambda: b"\0\0\0\x18ftypheic" + bytes(80), 415),
    Odd("Photoshop", lambda: b"8BPS" + bytes(80), 415),
    Odd("ZIP", zipped, 415),
    Odd("GIF that is a script", lambda: b"GIF89a=1;alert(1)//" + bytes(80), 415),
    Odd("PNG in a RIFF", lambda: b"RIFF\x10\0\0\0WAVEfmt " + png(), 415),
    Odd("PNG bomb", bomb, 413),
    Odd("PNG of 4 gigapixels", lambda: bare_png(65535, 65535), 413),
    Odd("JPEG of 4 gigapixels", lambda: frame_of(65535, 65535), 413),
    Odd("WebP of 268 megapixels", lambda: flat_webp(16384, 16384), 413),
    Odd("25 megapixels and a row", lambda: bare_png(5000, 5001), 413),
    Odd("PNG cut in its header", lambda: png()[:20], 422),
    Odd("PNG without a header", lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), 422),
    Odd("PNG without width", lambda: bare_png(0, 10), 422),
    Odd("JPEG in a PNG's clothes", lambda: b"\x89PNG\r\n\x1a\n" + jpeg(), 422),
    Odd("JPEG that only begins", lambda: b"\xff\xd8\xff", 422),
    Odd(
        "JPEG without a frame",
        lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(9) + b"\xff\xd9",
        422,
    ),
    Odd("JPEG without height", lambda: frame_of(100, 0), 422),
    Odd("JPEG with a length of nothing", lambda: b"\xff\xd8\xff\xe1\0\0" + jpeg(), 422),
    Odd("JPEG of 4,000 scans", lambda: scans(4000), 422),
    Odd("JPEG of a scan too many", lambda: scans(101), 422),
    Odd("JPEG of a million markers", lambda: in_the_middle(jpeg(), b"\xff\x01" * MIB), 422),
    Odd("JPEG of 9,000 comments", lambda: fields(9000), 422),
    Odd("PNG of 9,000 profiles", lambda: profiles(9000), 422),
    Odd("PNG of 800,000 chunks", lambda: in_pieces(*[chunk(b"teSt", b"")] * 800_000), 422),
    Odd("PNG in 800,000 pieces", lambda: in_pieces(pieces=800_000), 422),
    Odd("WebP that only begins", lambda: webp()[:16], 422),
    Odd("WebP of an unknown kind", lambda: b"RIFF\x20\0\0\0WEBPVP9 " + bytes(30), 422),
    Odd("a byte over 10 MiB", lambda: jpeg() + bytes(10 * MIB), 413),
    Odd("50 MB", lambda: jpeg() + bytes(50 * MIB), 413),
]
FAILING = [
    Odd("JPEG cut in half", lambda: jpeg()[: len(jpeg()) // 2], "failed"),
    Odd("JPEG of a header alone", lambda: frame_of(200, 100), "failed"),
    Odd("JPEG with another in its middle", lambda: in_the_middle(jpeg(), jpeg()[:400]), "either"),
    Odd("PNG cut in half", lambda: png()[: len(png()) // 2], "failed"),
    Odd("PNG without pixels", lambda: bare_png(200, 100), "failed"),
    Odd("PNG of noise", lambda: bare_png(200, 100, chunk(b"IDAT", b"noise" * 50)), "failed"),
    Odd("PNG with a wrong checksum", broken_checksum, "either"),
    Odd(
        "PNG with too few rows",
        lambda: bare_png(200, 100, chunk(b"IDAT", zlib.compress(bytes(601)))),
        "either",
    ),
    Odd("WebP cut in half", lambda: webp()[: len(webp()) // 2], "failed"),
    Odd("WebP that lies about its size", lying_webp, "failed"),
    Odd("WebP of a header alone", lambda: flat_webp(200, 100), "failed"),
]
FINE = [
    Odd("JPEG of many scans", lambda: scans(100), "done", (240, 180)),
    Odd("PNG of many pieces", lambda: in_pieces(pieces=9999), "either"),
    Odd("JPEG under a PNG's name", jpeg, "done", (240, 180), "photo.png", "image/png"),
    Odd("PNG under an SVG's name", png, "done", (240, 180), "photo.svg", "image/svg+xml"),
    Odd(
        "JPEG with HTML in it", lambda: jpeg(comment=f"<html>{SECRET}".encode()), "done", (240, 180)
    ),
    Odd("talkative JPEG", talkative_jpeg, "done", (240, 180)),
    Odd("talkative PNG", talkative_png, "done", (240, 180)),
    Odd("JPEG on its side", lambda: turned("JPEG", 6), "done", (180, 240)),
    Odd("PNG with a palette", palette, "done", (240, 180)),
    Odd("PNG of 16 bit grey", deep_grey, "done", (240, 180)),
    Odd("animated WebP", lambda: animated("WEBP"), "done", (240, 180)),
    Odd("a long line", lambda: saved(plate(size=(5000, 1)), "PNG"), "done", (1280, 1)),
    Odd("a long line upright", lambda: saved(plate(size=(1, 5000)), "PNG"), "done"),
]
JUDGED = [
    Odd("nothing but white", lambda: plain("white"), "failed", words=NOTHING),
    # One of the demo's least striking dishes: a tenth of the picture stands out.
    Odd("small dumplings", lambda: dish("matcha-mochi"), "done"),
    Odd(
        "25 megapixels with alpha",
        lambda: saved(plate("RGBA", (5000, 5000)), "PNG", compress_level=1),
        "done",
        (1280, 1280),
    ),
]
"""Of which the model itself decides whether something stands out, or that take much memory."""
JUDGED_TOO = [
    Odd("nothing but black", lambda: plain("black"), "failed", words=NOTHING),
    Odd("nothing but red", lambda: plain("red"), "failed", words=NOTHING),
    Odd(
        "a gradient",
        lambda: saved(Image.linear_gradient("L"), "PNG"),
        "failed",
        words=NOTHING,
    ),
    Odd("noise", noise, "failed", words=NOTHING),
    Odd("coloured noise", coloured_noise, "failed", words=NOTHING),
    Odd("all of it transparent", lambda: plain("#ffffff00"), "failed", words=NOTHING),
    Odd("one pixel", lambda: saved(plate(size=(1, 1)), "PNG"), "failed", words=NOTHING),
    Odd("PNG with text of 100 MB", wordy_png, "done", (240, 180)),
    Odd("PNG with a profile of 100 MB", wordy_profile, "done", (240, 180)),
    Odd("pale cake", lambda: dish("tiramisu"), "done"),
    Odd("25 megapixels", lambda: saved(plate(size=(5000, 5000)), "JPEG"), "done", (1280, 1280)),
]
"""More of them. Each takes the model half a second of CPU time."""
READ = [
    Odd("progressive JPEG", lambda: jpeg(progressive=True), "done", (240, 180)),
    Odd("JPEG that speaks of scans", lambda: jpeg(comment=b"\xff\xda" * 999), "done", (240, 180)),
    Odd("JPEG with scans behind it", lambda: jpeg() + b"\xff\xda" * 999, "done", (240, 180)),
    Odd("grey JPEG", lambda: jpeg("L"), "done", (240, 180)),
    Odd("CMYK JPEG", lambda: jpeg("CMYK"), "done", (240, 180)),
    Odd("JPEG with a ZIP behind it", lambda: jpeg() + zipped(), "done", (240, 180)),
    Odd("talkative WebP", lambda: webp(exif=exif(), xmp=SECRET.encode()), "done", (240, 180)),
    Odd("PNG on its side", lambda: turned("PNG", 8), "done", (180, 240)),
    Odd("WebP on its side, mirrored", lambda: turned("WEBP", 5), "done", (180, 240)),
    Odd("PNG of two colours", lambda: png("1"), "done", (240, 180)),
    Odd("PNG of 16 bit colours", deep_colours, "done", (240, 180)),
    Odd("grey PNG with transparency", lambda: png("LA"), "done", (240, 180)),
    Odd("animated PNG", lambda: animated("PNG"), "done", (240, 180)),
    Odd("WebP without loss", lambda: webp("RGBA", lossless=True), "done", (240, 180)),
    Odd("JPEG of two pictures", lambda: animated("MPO"), "done", (240, 180)),
]
"""Of which only the reading differs: that needs no worker."""
NAMES = [
    "../../../../etc/cron.d/tiffin",
    "..\\..\\boot.ini",
    "/etc/passwd",
    "~/.ssh/authorized_keys",
    "photo.jpg\0.svg",
    "a" * 4000,
    'photo"; filename="other.svg',
    "фото 📷.jpg",
    "",
    ".",
    "con.jpg",
]
"""Ways to be somewhere else than one should."""
