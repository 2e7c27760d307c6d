"""Draws a picture in terminal cells: quadrant blocks with two colours each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style

from tui.common.styles import QUADRANTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from tui.common.uploads.bitmap import Bitmap

Rgb = tuple[int, int, int]
Paper = tuple[Rgb, Rgb]
"""The two colours of the chequered background behind transparent pixels; plain if equal."""
Cell = tuple[str, Style]


@dataclass(frozen=True, slots=True)
class Cells:
    """A drawn picture; `rows` hold `columns` cells each."""

    columns: int
    rows: list[list[Cell]]


def fitted_size(wide: int, high: int, columns: int, rows: int) -> tuple[int, int]:
    """The columns and rows of a whole picture of `wide` by `high` pixels within so many cells.

    A cell is twice as high as it is wide. (0, 0) where there is no room.
    """
    if min(wide, high, columns, rows) <= 0:
        return 0, 0
    scale = min(columns / wide, 2 * rows / high)
    return (
        max(1, min(columns, round(wide * scale))),
        max(1, min(rows, round(high * scale / 2))),
    )


def draw(bitmap: Bitmap, columns: int, rows: int, paper: Paper) -> Cells:
    """The picture in exactly so many cells. Takes a while: call it in a thread."""
    dots = _flat(bitmap.image, 2 * columns, 2 * rows, paper).tobytes()
    stride = 6 * columns
    styles: dict[bytes, Style] = {}
    drawn: list[list[Cell]] = []
    for start in range(0, 2 * rows * stride, 2 * stride):
        top, bottom = dots[start : start + stride], dots[start + stride : start + 2 * stride]
        drawn.append(
            [_cell(top[at : at + 6], bottom[at : at + 6], styles) for at in range(0, stride, 6)]
        )
    return Cells(columns, drawn)


def _cell(top: bytes, bottom: bytes, styles: dict[bytes, Style]) -> Cell:
    """Quarters lighter than the mean get one colour, the others another."""
    r0, g0, b0, r1, g1, b1 = top
    r2, g2, b2, r3, g3, b3 = bottom
    lights = (
        2 * r0 + 5 * g0 + b0,
        2 * r1 + 5 * g1 + b1,
        2 * r2 + 5 * g2 + b2,
        2 * r3 + 5 * g3 + b3,
    )
    mean = sum(lights) / 4
    bits = ink_r = ink_g = ink_b = inked = 0
    for at, (light, r, g, b) in enumerate(
        zip(lights, (r0, r1, r2, r3), (g0, g1, g2, g3), (b0, b1, b2, b3), strict=True)
    ):
        if light > mean:
            bits |= 1 << at
            ink_r, ink_g, ink_b, inked = ink_r + r, ink_g + g, ink_b + b, inked + 1
    bare = 4 - inked
    background = (
        (r0 + r1 + r2 + r3 - ink_r) // bare,
        (g0 + g1 + g2 + g3 - ink_g) // bare,
        (b0 + b1 + b2 + b3 - ink_b) // bare,
    )
    ink = (ink_r // inked, ink_g // inked, ink_b // inked) if inked else background
    key = bytes((*ink, *background))
    style = styles.get(key)
    if style is None:
        style = styles[key] = Style.from_color(_colour(ink), _colour(background))
    return QUADRANTS[bits], style


def _colour(rgb: Rgb) -> Color:
    return Color.from_triplet(ColorTriplet(*rgb))


def _flat(picture: Image, wide: int, high: int, paper: Paper) -> Image:
    """The picture in RGB and that size, on `paper` where it is transparent."""
    from PIL import Image

    # Dots that are larger than pixels stay sharp; else each is made of all the pixels it covers.
    grows = wide > picture.width or high > picture.height
    how = Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS
    scaled = picture.resize((wide, high), how)
    if scaled.mode != "RGBA":
        return scaled.convert("RGB")
    background = Image.new("RGB", (wide, high), paper[0])
    if paper[0] != paper[1]:
        background.paste(paper[1], (0, 0), _squares(wide, high))
    background.paste(scaled, (0, 0), scaled)
    return background


def _squares(wide: int, high: int) -> Image:
    """A mask of squares, two columns wide and a row high."""
    from PIL import Image

    across, down = -(-wide // 4), -(-high // 2)
    mask = bytes(255 * ((x + y) % 2) for y in range(down) for x in range(across))
    small = Image.frombytes("L", (across, down), mask)
    return small.resize((4 * across, 2 * down), Image.Resampling.NEAREST).crop((0, 0, wide, high))
