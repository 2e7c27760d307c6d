"""What is read of a picture: all of it, as it looks, whatever else is in the file."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from photo_corpus import bare_png, chunk, jpeg, plate, png, saved, webp, with_chunks
from PIL import Image, ImageCms

from server.features.uploads.image_header import Unreadable
from server.features.uploads.picture import MAX_PROFILE_BYTES, read_picture

GROUND, RIM, MEAT = (196, 164, 132), (250, 250, 245), (160, 40, 20)
AT = ((3, 3), (60, 90), (120, 90))
"""Where the corpus' plate has those."""
GREYS = tuple((value,) * 3 for value in (170, 250, 74))


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Image.Image]:
    """Gives a reader of pictures from bytes."""

    def picture(content: bytes) -> Image.Image:
        path = tmp_path / "sent"
        path.write_bytes(content)
        return read_picture(path)

    return picture


def shows(picture: Image.Image, colours: Iterable[tuple[int, ...]], *, most: int = 4) -> None:
    """Those stand where the plate has its colours, as far as a JPEG keeps them."""
    found = [picture.convert("RGB").getpixel(at) for at in AT]
    for one, other in zip(found, colours, strict=True):
        assert isinstance(one, tuple)
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= most, found


def wrong(kind: bytes, data: bytes) -> bytes:
    return chunk(kind, data)[:-4] + bytes(4)


LONG = b"x" * (MAX_PROFILE_BYTES + 1)
PACKED = zlib.compress(LONG)
BESIDE = {
    "zTXt over a megabyte": chunk(b"zTXt", b"workflow\0\0" + PACKED),
    "iTXt over a megabyte": chunk(b"iTXt", b"workflow\0\1\0\0\0" + PACKED),
    "tEXt over a megabyte": chunk(b"tEXt", b"workflow\0" + LONG),
    "tEXt without a name": chunk(b"tEXt", b""),
    "zTXt packed by something else": chunk(b"zTXt", b"k\0\7" + PACKED),
    "iCCP over a megabyte": chunk(b"iCCP", b"large\0\0" + PACKED),
    "iCCP packed by nothing": chunk(b"iCCP", b"bad\0\0no zlib"),
    "iCCP packed by something else": chunk(b"iCCP", b"bad\0\7" + PACKED),
    "iCCP without a name": chunk(b"iCCP", b""),
    "a profile of noise": chunk(b"iCCP", b"bad\0\0" + zlib.compress(b"noise" * 99)),
    "eXIf of nothing": chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "gAMA of nothing": chunk(b"gAMA", b""),
    "cHRM of nothing": chunk(b"cHRM", b"x"),
    "tRNS of nothing": chunk(b"tRNS", b""),
    "an animation of nothing": chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(5)),
    "half an animation": chunk(b"acTL", b"\0\0\0\2" + bytes(4)) + chunk(b"fdAT", b"\0\0\0\7x"),
    "a second header": bare_png(9, 9)[8:33],
    "a kind that nobody knows": chunk(b"abCd", b"x"),
    **{
        f"a wrong checksum in {kind.decode()}": wrong(kind, data)
        for kind, data in (
            (b"tEXt", b"a\0b"),
            (b"pHYs", b"\0\0\0\1\0\0\0\1\1"),
            (b"tRNS", b"\0\xc4\0\xa4\0\x84"),
            (b"iCCP", b"k\0\0" + zlib.compress(b"x")),
            (b"eXIf", b"MM\0*"),
            (b"tIME", bytes(7)),
        )
    },
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("beside", BESIDE)
def test_a_png_is_read_whatever_its_other_chunks_are(
    read: Callable[[bytes], Image.Image], beside: str
) -> None:
    picture = read(with_chunks(BESIDE[beside]))
    assert (picture.mode, picture.size) == ("RGB", (240, 180))
    shows(picture, (GROUND, RIM, MEAT))


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE"])
def test_a_png_with_a_broken_critical_chunk_is_refused(
    read: Callable[[bytes], Image.Image], kind: bytes
) -> None:
    content = bytearray(saved(plate().quantize(8), "PNG"))
    at = content.index(kind)
    end = at + 4 + int.from_bytes(content[at - 4 : at], "big")
    content[end] ^= 1
    with pytest.raises(Unreadable, match="damaged or incomplete"):
        read(bytes(content))


def test_a_truncated_png_is_read_if_its_pixels_are_complete(
    read: Callable[[bytes], Image.Image],
) -> None:
    for content in (png(), saved(plate(), "PNG", compress_level=0)):
        for cut in (1, 4, 12, 14, 16):
            shows(read(content[:-cut]), (GROUND, RIM, MEAT))
        with pytest.raises(Unreadable, match="damaged or incomplete"):
            read(content[:-40])


def deep(colour: int, mode: str, *clear: int, depth: int = 16) -> bytes:
    """The plate with that many bits a channel; `clear` is the transparent colour."""
    picture = plate(mode)
    length = picture.width * len(picture.getbands())
    content = picture.tobytes()
    rows = []
    for start in range(0, len(content), length):
        row = content[start : start + length]
        if depth == 16:
            doubled = bytearray(2 * length)
            doubled[::2] = doubled[1::2] = row
            row = bytes(doubled)
        elif depth < 8:
            row = packed(row, depth)
        rows.append(b"\0" + row)
    chunks = [chunk(b"IDAT", zlib.compress(b"".join(rows)))]
    if clear:
        chunks.insert(0, chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    return bare_png(240, 180, *chunks, depth=depth, colour=colour)


def packed(row: bytes, depth: int) -> bytes:
    """Several pixels in a byte, by their upper bits."""
    count = 8 // depth
    return bytes(
        sum((row[at + n] >> 8 - depth) << (8 - depth - n * depth) for n in range(count))
        for at in range(0, len(row), count)
    )


SOLID, CLEAR = (255, 255, 255), (0, 255, 255)
DEEP = [
    ("grey of 16 bits", deep(0, "L"), GREYS, None),
    ("colours of 16 bits", deep(2, "RGB"), (GROUND, RIM, MEAT), None),
    ("grey with alpha of 16 bits", deep(4, "LA"), GREYS, SOLID),
    ("colours with alpha of 16 bits", deep(6, "RGBA"), (GROUND, RIM, MEAT), SOLID),
    ("grey of 16 bits, one clear", deep(0, "L", 170 * 257), GREYS, CLEAR),
    ("grey of 16 bits, another clear", deep(0, "L", 170 * 257 + 1), GREYS, SOLID),
    ("colours of 16, one clear", deep(2, "RGB", *(v * 257 for v in GROUND)), None, CLEAR),
    ("colours of 16, lower bits differ", deep(2, "RGB", *(v << 8 for v in GROUND)), None, CLEAR),
    ("grey of 8 bits, one clear", deep(0, "L", 170, depth=8), GREYS, CLEAR),
    ("grey of 4 bits, one clear", deep(0, "L", 170 >> 4, depth=4), None, CLEAR),
    ("grey of 2 bits, one clear", deep(0, "L", 170 >> 6, depth=2), None, CLEAR),
    ("grey of 1 bit, one clear", deep(0, "L", 170 >> 7, depth=1), None, (0, 0, 255)),
    ("a palette, one clear", png("P", transparency=plate("P").getpixel((3, 3))), None, CLEAR),
    ("interlaced", saved(plate(), "PNG", interlace=1), (GROUND, RIM, MEAT), None),
]


@pytest.mark.parametrize(
    ("content", "colours", "alpha"), [one[1:] for one in DEEP], ids=[one[0] for one in DEEP]
)
def test_all_depths_and_transparent_colours_are_read(
    read: Callable[[bytes], Image.Image],
    content: bytes,
    colours: tuple[tuple[int, ...], ...] | None,
    alpha: tuple[int, ...] | None,
) -> None:
    picture = read(content)
    if colours is not None:
        shows(picture, colours)
    assert picture.mode == ("RGB" if alpha is None else "RGBA")
    if alpha is not None:
        assert tuple(picture.getchannel("A").getpixel(at) for at in AT) == alpha


CUTS = [
    ("baseline", jpeg()),
    ("grey", jpeg("L")),
    ("CMYK", jpeg("CMYK")),
    ("progressive", jpeg(progressive=True)),
    ("with restarts", jpeg(restart_marker_rows=1)),
    ("with a thumbnail's end in it", jpeg(comment=b"\xff\xd8\xff\xd9")),
]


@pytest.mark.parametrize("content", [one[1] for one in CUTS], ids=[one[0] for one in CUTS])
def test_a_truncated_jpeg_is_read_if_its_lines_are_complete(
    read: Callable[[bytes], Image.Image], content: bytes
) -> None:
    whole = read(content)
    for cut in (1, 2, 3):
        assert read(content[:-cut]).size == whole.size
    assert read(content[:-2]).tobytes() == whole.tobytes(), "not a pixel is missing"
    assert read(content + bytes(5000)).tobytes() == whole.tobytes()
    for share in (0.5, 0.75, 0.9):
        with pytest.raises(Unreadable, match="damaged or incomplete"):
            read(content[: int(len(content) * share)])


def profile(space: bytes, *tags: tuple[bytes, bytes]) -> bytes:
    """An ICC profile with those curves and colours."""
    white = struct.pack(">iii", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    every = [(b"desc", text), (b"wtpt", b"XYZ " + bytes(4) + white), *tags]
    at, table, data = 132 + 12 * len(every), struct.pack(">I", len(every)), b""
    for name, content in every:
        table += name + struct.pack(">II", at + len(data), len(content))
        data += content
    size = 128 + len(table) + len(data)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + table + data


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(65536 * v)) for v in values)


LINEAR = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + b"\0\0"
COLOURS = profile(
    b"RGB ",
    (b"rXYZ", xyz(0.4361, 0.2225, 0.0139)),
    (b"gXYZ", xyz(0.3851, 0.7169, 0.0971)),
    (b"bXYZ", xyz(0.1431, 0.0606, 0.7141)),
    *((name, LINEAR) for name in (b"rTRC", b"gTRC", b"bTRC")),
)
GREY = profile(b"GRAY", (b"kTRC", LINEAR))
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def lighter(*colours: tuple[int, ...]) -> list[tuple[int, ...]]:
    """As sRGB has them where the values were those of the light itself."""
    return [
        tuple(
            round(255 * (1.055 * (v / 255) ** (1 / 2.4) - 0.055 if v > 0.8 else 12.92 * v / 255))
            for v in colour
        )
        for colour in colours
    ]


LIGHT, LIGHT_GREYS = lighter(GROUND, RIM, MEAT), lighter(*GREYS)
PROFILES = [
    ("RGB in a JPEG", jpeg(icc_profile=COLOURS), LIGHT),
    ("RGB in a WebP", webp(icc_profile=COLOURS, lossless=True), LIGHT),
    ("RGB in a PNG with alpha", png("RGBA", icc_profile=COLOURS), LIGHT),
    ("RGB in a palette", saved(plate().quantize(32), "PNG", icc_profile=COLOURS), LIGHT),
    ("RGB in a grey JPEG", jpeg("L", icc_profile=COLOURS), LIGHT_GREYS),
    ("grey in a JPEG", jpeg("L", icc_profile=GREY), LIGHT_GREYS),
    ("grey in a PNG", png("L", icc_profile=GREY), LIGHT_GREYS),
    ("grey in a PNG with alpha", png("LA", icc_profile=GREY), LIGHT_GREYS),
    ("grey in a PNG of colours", png(icc_profile=GREY), (GROUND, RIM, MEAT)),
    ("Lab in a JPEG", jpeg(icc_profile=LAB), (GROUND, RIM, MEAT)),
    ("RGB in a CMYK JPEG", jpeg("CMYK", icc_profile=COLOURS), (GROUND, RIM, MEAT)),
    ("a broken one", jpeg(icc_profile=COLOURS[:200]), (GROUND, RIM, MEAT)),
    ("half of one", jpeg(icc_profile=COLOURS[:-30]), (GROUND, RIM, MEAT)),
]


@pytest.mark.parametrize(
    ("content", "colours"), [one[1:] for one in PROFILES], ids=[one[0] for one in PROFILES]
)
def test_colours_follow_their_profile(
    read: Callable[[bytes], Image.Image], content: bytes, colours: list[tuple[int, ...]]
) -> None:
    """A profile that is broken or for other colours is ignored."""
    picture = read(content)
    shows(picture, colours, most=9)
    with Image.open(io.BytesIO(content)) as sent:
        assert picture.mode == ("RGBA" if sent.mode in ("LA", "RGBA") else "RGB")
