"""Paints food from above: shapes lit from the top left, on a plate, on a table."""

import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 960, 720
LIGHT = (0.55, 0.83)
OVERSAMPLING = 2
"""How much finer than pixels outlines are drawn."""

Rgb = tuple[int, int, int]
Point = tuple[float, float]
Outline = Sequence[Point]


class Painter:
    """One picture, determined by its seed. Coordinates are pixels."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self._noise = np.random.default_rng(self.random.getrandbits(32))
        self.pixels = np.zeros((HEIGHT, WIDTH, 3))

    def image(self) -> Image.Image:
        """The picture as a camera takes it: slightly soft, darker at the corners."""
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        away = np.hypot((x - WIDTH * 0.45) / WIDTH, (y - HEIGHT * 0.42) / HEIGHT)
        lit = self.pixels * (1.08 - 0.5 * away[..., None] ** 2)
        lit += self._noise.normal(0, 2.0, lit.shape)
        return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(0.6)
        )

    # -- the table

    def wood(self, colour: Rgb) -> None:
        """A table of planks."""
        plank = HEIGHT / 5
        y = np.mgrid[0:HEIGHT, 0:WIDTH][0]
        grain = (
            self._clouds(HEIGHT, WIDTH, (3, 120)) * 0.5
            + self._clouds(HEIGHT, WIDTH, (1.2, 40)) * 0.5
        )
        tone = 1 + 0.16 * grain
        for number in range(6):
            rows = (y >= number * plank) & (y < (number + 1) * plank)
            tone[rows] *= self.random.uniform(0.88, 1.08)
        tone[(y % plank) < 3] *= 0.55
        self.pixels = np.array(colour, float) * tone[..., None]

    def slate(self, colour: Rgb) -> None:
        """A smooth, mottled surface."""
        tone = (
            1
            + 0.10 * self._clouds(HEIGHT, WIDTH, (30, 30))
            + 0.05 * self._clouds(HEIGHT, WIDTH, (2, 2))
        )
        self.pixels = np.array(colour, float) * tone[..., None]

    # -- shapes

    def stamp(
        self,
        outline: Outline,
        colour: Rgb,
        *,
        bulge: float = 0.6,
        gloss: float = 0.25,
        grain: float = 0.08,
        shadow: float = 0.35,
        drop: float = 6,
    ) -> None:
        """A shape that bulges by `bulge` and casts a shadow `drop` pixels long."""
        margin = 12 + 3 * drop
        left = max(0, math.floor(min(x for x, _ in outline) - margin))
        top = max(0, math.floor(min(y for _, y in outline) - margin))
        right = min(WIDTH, math.ceil(max(x for x, _ in outline) + margin))
        bottom = min(HEIGHT, math.ceil(max(y for _, y in outline) + margin))
        if right - left < 3 or bottom - top < 3:
            return
        size = (right - left, bottom - top)
        mask = Image.new("L", (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING))
        corners = [((x - left) * OVERSAMPLING, (y - top) * OVERSAMPLING) for x, y in outline]
        ImageDraw.Draw(mask).polygon(corners, fill=255)
        mask = mask.resize(size, Image.Resampling.LANCZOS)
        area = self.pixels[top:bottom, left:right]
        if shadow:
            soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(drop)), float) / 255
            cast = np.roll(soft, (round(drop * 0.9), round(drop * 0.6)), (0, 1))
            area *= 1 - shadow * cast[..., None]
        part = np.asarray(mask, float)[..., None] / 255
        area += part * (self._shaded(mask, colour, bulge, gloss, grain) - area)

    def _shaded(
        self, mask: Image.Image, colour: Rgb, bulge: float, gloss: float, grain: float
    ) -> np.ndarray:
        box = mask.getbbox() or (0, 0, 1, 1)
        soft = max(1.5, 0.2 * min(box[2] - box[0], box[3] - box[1]))
        height = np.asarray(mask.filter(ImageFilter.GaussianBlur(soft)), float) / 255
        down, across = np.gradient(height * soft)
        light = across * LIGHT[0] + down * LIGHT[1]
        tone = 1 + bulge * (1.1 * light - 0.5 * (1 - np.clip(height * 1.25, 0, 1)))
        tone += grain * self._clouds(*height.shape, (2, 2))
        shine = gloss * 255 * np.clip(light * 2.2 - 0.35, 0, 1) ** 2
        return np.array(colour, float) * tone[..., None] + shine[..., None]

    def disc(self, at: Point, radius: float, colour: Rgb, **how: float) -> None:
        """A circle."""
        self.stamp(oval(at, radius, radius), colour, **how)

    def blob(
        self, at: Point, radius: float, colour: Rgb, *, rough: float = 0.18, **how: float
    ) -> None:
        """A lump: an irregular circle."""
        self.stamp(self.lump(at, radius, radius, rough), colour, **how)

    def lump(self, at: Point, wide: float, high: float, rough: float) -> Outline:
        """The outline of a lump."""
        waves = [
            (turns, self.random.uniform(-rough, rough) / turns**0.5, self.random.uniform(0, 6.28))
            for turns in (2, 3, 5, 7)
        ]
        points = []
        for step in range(60):
            angle = step / 60 * math.tau
            far = 1 + sum(size * math.sin(turns * angle + start) for turns, size, start in waves)
            points.append(
                (at[0] + wide * far * math.cos(angle), at[1] + high * far * math.sin(angle))
            )
        return points

    def stroke(self, points: Outline, width: float, colour: Rgb, **how: float) -> None:
        """A thick line with round ends."""
        left, right = [], []
        for at, (x, y) in enumerate(points):
            ax, ay = points[max(0, at - 1)]
            bx, by = points[min(len(points) - 1, at + 1)]
            long = math.hypot(bx - ax, by - ay) or 1
            nx, ny = (by - ay) / long * width / 2, (ax - bx) / long * width / 2
            left.append((x + nx, y + ny))
            right.append((x - nx, y - ny))
        for end in (points[0], points[-1]):
            self.disc(end, width / 2, colour, **(how | {"shadow": 0}))
        self.stamp([*left, *reversed(right)], colour, **how)

    def vary(self, colour: Rgb, by: float = 0.12) -> Rgb:
        """A random variation of the colour."""
        light = self.random.uniform(1 - by, 1 + by)
        r, g, b = (
            max(0, min(255, round(part * light * self.random.uniform(1 - by / 3, 1 + by / 3))))
            for part in colour
        )
        return r, g, b

    def scatter(self, at: Point, radius: float, count: int, apart: float = 0.0) -> list[Point]:
        """Random points within a circle, `apart` pixels from each other where that is possible."""
        found: list[Point] = []
        for _ in range(count * 30):
            if len(found) == count:
                break
            far, angle = radius * math.sqrt(self.random.random()), self.random.uniform(0, math.tau)
            x, y = at[0] + far * math.cos(angle), at[1] + far * math.sin(angle)
            if all(math.hypot(x - a, y - b) >= apart for a, b in found):
                found.append((x, y))
        return found

    def _clouds(self, high: int, wide: int, size: tuple[float, float]) -> np.ndarray:
        """Noise around 0 with a grain of `size` pixels: rows, columns."""
        rows, columns = max(2, round(high / size[0])), max(2, round(wide / size[1]))
        small = Image.fromarray(self._noise.normal(0, 1, (rows, columns)).astype(np.float32))
        return np.asarray(small.resize((wide, high), Image.Resampling.BICUBIC))


def oval(at: Point, wide: float, high: float, turn: float = 0.0) -> Outline:
    """An ellipse's outline, turned by `turn` radians."""
    cos, sin = math.cos(turn), math.sin(turn)
    points = []
    for step in range(72):
        x, y = wide * math.cos(step / 72 * math.tau), high * math.sin(step / 72 * math.tau)
        points.append((at[0] + x * cos - y * sin, at[1] + x * sin + y * cos))
    return points


def slab(at: Point, wide: float, high: float, turn: float = 0.0, round_by: float = 0.3) -> Outline:
    """A rectangle with round corners, turned; `round_by` 1 is an ellipse."""
    power = 2 + 8 * (1 - round_by)
    cos, sin = math.cos(turn), math.sin(turn)
    points = []
    for step in range(72):
        c, s = math.cos(step / 72 * math.tau), math.sin(step / 72 * math.tau)
        x = wide * math.copysign(abs(c) ** (2 / power), c)
        y = high * math.copysign(abs(s) ** (2 / power), s)
        points.append((at[0] + x * cos - y * sin, at[1] + x * sin + y * cos))
    return points


def arc(at: Point, radius: float, start: float, end: float, steps: int = 24) -> Outline:
    """A part of a circle, as a line."""
    return [
        (
            at[0] + radius * math.cos(start + (end - start) * step / steps),
            at[1] + radius * math.sin(start + (end - start) * step / steps),
        )
        for step in range(steps + 1)
    ]
