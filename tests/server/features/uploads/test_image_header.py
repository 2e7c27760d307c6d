"""What a header says, compared with what Pillow reads."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from server.features.uploads.image_header import Unreadable, media_type_of, read_header

KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
ON_DISK = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@ON_DISK
@given(
    kind=st.sampled_from(sorted(KINDS)),
    mode=st.sampled_from(["RGB", "RGBA", "L"]),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    lossless=st.booleans(),
    words=st.binary(max_size=3000),
)
def test_a_header_says_what_pillow_reads(
    tmp_path: Path, kind: str, mode: str, width: int, height: int, lossless: bool, words: bytes
) -> None:
    picture = Image.new("RGB" if kind == "JPEG" and mode == "RGBA" else mode, (width, height), 7)
    exif = Image.Exif()
    exif[0x010E] = words.hex()
    path = tmp_path / "picture"
    picture.save(path, kind, exif=exif, lossless=lossless, progressive=lossless)
    header = read_header(path)
    assert (header.media_type, header.width, header.height) == (KINDS[kind], width, height)
    assert header.pixels == width * height


@ON_DISK
@given(
    content=st.binary(max_size=400),
    kind=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFFxxxxWEBP"]),
)
def test_any_bytes_give_a_header_or_are_unreadable(
    tmp_path: Path, content: bytes, kind: bytes
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(kind + content)
    try:
        header = read_header(path)
    except Unreadable:
        return
    assert header.width > 0
    assert header.height > 0


@ON_DISK
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_a_truncated_header_gives_no_wrong_size(
    tmp_path: Path, data: st.DataObject, kind: str
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, kind)
    whole = file.getvalue()
    path = tmp_path / "picture"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        header = read_header(path)
    except Unreadable:
        return
    assert (header.width, header.height) == (40, 30)


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"%PDF-1.7", "a PDF"), (b"GIF89a", "a GIF"), (b"  <SVG ", "an SVG"), (b"", "an empty file")],
)
def test_other_types_are_named(head: bytes, name: str) -> None:
    with pytest.raises(Unreadable, match=name):
        media_type_of(head)
