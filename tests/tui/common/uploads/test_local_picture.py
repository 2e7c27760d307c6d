"""Choosing a file: how paths are meant, what is offered, what is not taken and why."""

from pathlib import Path

import pytest
from picture_files import RED, noise, png_bomb, saved
from PIL import Image

from tui.common.client.files import UnfitFile
from tui.common.uploads.local_picture import inspect, path_of
from tui.common.widgets.path_field import complete


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/a/b c.jpg", "/a/b c.jpg"),
        ("  /a/b.jpg \n", "/a/b.jpg"),
        ("'/a/b c.jpg'", "/a/b c.jpg"),
        ('"/a/b c.jpg"', "/a/b c.jpg"),
        (r"/a/b\ c.jpg", "/a/b c.jpg"),
        ("file:///a/b%20c.jpg", "/a/b c.jpg"),
        ("'/a/b", "'/a/b"),
        ("~nobody-of-that-name/b.jpg", "~nobody-of-that-name/b.jpg"),
        ("", None),
        ("  ", None),
        ("a\0b", None),
    ],
)
def test_a_path_typed_or_pasted(typed: str, meant: str | None) -> None:
    assert path_of(typed) == (None if meant is None else Path(meant))


def test_home_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/a.jpg") == tmp_path / "a.jpg"


async def test_a_picture_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(saved(Image.new("RGB", (30, 20), RED), "WEBP"))
    local_picture = await inspect(path_of(f"'{path}'"))
    assert local_picture.path == path
    assert (local_picture.bitmap.width, local_picture.bitmap.height) == (30, 20)


UNFIT = {
    "": (None, "Enter the path"),
    "nowhere.jpg": (None, "There is no file"),
    ".": (None, "is a folder"),
    "empty.jpg": (b"", "is empty"),
    "large.png": (bytes(10 * 1024 * 1024 + 1), "at most 10"),
    "a.jpg": (b"GIF89a and so on", "a.jpg is a GIF"),
    "b.jpg": (b"\0\0\0\x18ftypheic", "convert it to JPEG"),
    "c.png": (b"<svg xmlns='...'/>", "an SVG"),
    "d.png": (b"hello", "not a JPEG, PNG or WebP"),
    "e.png": (noise((100, 100))[:5000], "damaged"),
    "f.png": (png_bomb(), "25 megapixels"),
}


@pytest.mark.parametrize("name", UNFIT)
async def test_what_is_not_taken_is_told_before_it_is_sent(name: str, tmp_path: Path) -> None:
    content, words = UNFIT[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnfitFile, match=words):
        await inspect(tmp_path / name if name else None)


def test_names_are_completed(tmp_path: Path) -> None:
    for name in ("pizza.jpg", "pizza.txt", "plate.PNG", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "pictures").mkdir()
    start = f"{tmp_path}/"
    assert complete(f"{start}pi") == f"{start}pictures/"
    assert complete(f"{start}piz") == f"{start}pizza.jpg"
    assert complete(f"{start}pl") == f"{start}plate.PNG"
    assert complete(f"{start}.h") == f"{start}.hidden.jpg"
    assert complete(start) == f"{start}pictures/"
    for nothing in (f"{start}x", f"{start}pizza.jpg", f"{start}no/such/", "", "~", "\0/"):
        assert complete(nothing) is None
