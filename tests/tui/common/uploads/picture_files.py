"""Small pictures for the tests, good and bad, and a window around the view."""

import io
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from support.waiting import wait_until
from tui.common.themes import DAY, NIGHT
from tui.common.uploads.bitmap import Bitmap, decode
from tui.common.widgets.picture import PictureView

RED, GREEN, BLUE = (200, 30, 30), (30, 160, 60), (40, 60, 200)
CLEAR = (0, 0, 0, 0)


def saved(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    """A picture as a file's content."""
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def plain(colour: tuple[int, ...], size: tuple[int, int] = (60, 40)) -> Bitmap:
    """One colour all over; four numbers are with transparency."""
    return decode(saved(Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour)))


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Bitmap:
    """Two colours, side by side."""
    picture = Image.new("RGB", (60, 40), left)
    picture.paste(right, (30, 0, 60, 40))
    return decode(saved(picture))


def noise(size: tuple[int, int]) -> bytes:
    """A PNG that cannot be made smaller: about a byte a pixel."""
    return saved(Image.effect_noise(size, 90), compress_level=1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb() -> bytes:
    """81 megapixels in some ten kilobytes."""
    header = struct.pack(">IIBBBBB", 9000, 9000, 1, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(9000 // 8)) * 9000, 9)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp_bomb() -> bytes:
    """A canvas of 268 megapixels, of which nothing is there."""
    side = (16383 - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + side + side
    return b"RIFF" + struct.pack("<I", len(body)) + body


class ViewApp(App[None]):
    """The view alone."""

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(NIGHT)
        self.register_theme(DAY)
        self.theme = NIGHT.name
        self.view = PictureView()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return NIGHT.variables

    def compose(self) -> ComposeResult:
        yield self.view


@asynccontextmanager
async def viewing(
    before: Bitmap | None, after: Bitmap | None, size: tuple[int, int] = (40, 20)
) -> AsyncIterator[tuple[PictureView, Pilot[None]]]:
    """A window of the view with these, drawn, in the focus."""
    app = ViewApp()
    async with app.run_test(size=size) as pilot:
        app.view.show(before, after)
        app.view.focus()
        await drawn(app.view)
        yield app.view, pilot


async def drawn(view: PictureView) -> None:
    """Wait until what is seen is what should be."""
    await wait_until(lambda: view.settled, what="the picture is drawn")


def colour_at(view: PictureView, column: int, row: int) -> tuple[int, int, int] | None:
    """The colour behind that cell of the view."""
    at = 0
    for segment in view.render_line(row):
        at += segment.cell_length
        if column < at:
            colour = segment.style.bgcolor if segment.style else None
            triplet = colour.triplet if colour is not None else None
            return None if triplet is None else (triplet.red, triplet.green, triplet.blue)
    return None


def text_of(view: PictureView) -> list[str]:
    """The view's lines."""
    return [view.render_line(row).text for row in range(view.size.height)]
