"""Paints what dishes are made of: crockery and food."""

import math

from tools.demo_assets.painter import HEIGHT, WIDTH, Painter, Point, Rgb, arc, oval, slab

MIDDLE = (WIDTH / 2, HEIGHT / 2)
WHITE = (240, 236, 228)
BASIL = (58, 122, 46)
CORIANDER = (86, 146, 58)
LIME = (168, 200, 82)
CHILLI = (206, 42, 26)
TOMATO = (206, 58, 34)
PRAWN = (240, 138, 88)
RICE = (246, 240, 224)
SALMON = (246, 132, 84)
AVOCADO = (168, 190, 88)
BREAD = (206, 146, 78)
CHEESE = (250, 226, 158)


def plate(p: Painter, radius: float = 300, colour: Rgb = WHITE, at: Point = MIDDLE) -> None:
    """A flat plate with a rim."""
    p.disc(at, radius, colour, bulge=0.25, gloss=0.3, grain=0.01, shadow=0.6, drop=22)
    p.disc(at, radius * 0.74, p.vary(colour, 0.01), bulge=-0.22, gloss=0, grain=0.01, shadow=0)


def bowl(
    p: Painter, soup: Rgb, radius: float = 270, colour: Rgb = WHITE, at: Point = MIDDLE
) -> None:
    """A deep bowl, filled."""
    p.disc(at, radius, colour, bulge=0.35, gloss=0.4, grain=0.01, shadow=0.65, drop=26)
    dark = (round(colour[0] * 0.72), round(colour[1] * 0.72), round(colour[2] * 0.72))
    p.disc(at, radius * 0.9, dark, bulge=-0.5, gloss=0, grain=0.01, shadow=0)
    p.disc(at, radius * 0.84, soup, bulge=0.12, gloss=0.2, grain=0.09, shadow=0)


def board(p: Painter, wide: float = 370, high: float = 250, colour: Rgb = (150, 104, 62)) -> None:
    """A wooden board."""
    p.stamp(slab(MIDDLE, wide, high, 0, 0.25), colour, bulge=0.2, gloss=0.05, grain=0.1, drop=20)


def stone(p: Painter, wide: float = 370, high: float = 220, colour: Rgb = (46, 48, 54)) -> None:
    """A dark slab for light food."""
    p.stamp(slab(MIDDLE, wide, high, 0, 0.1), colour, bulge=0.3, gloss=0.15, grain=0.12, drop=20)


def dip(p: Painter, at: Point, radius: float, sauce: Rgb, colour: Rgb = WHITE) -> None:
    """A small bowl."""
    bowl(p, sauce, radius, colour, at)


def glass(p: Painter, drink: Rgb, radius: float = 190) -> None:
    """From above: a rim, what is in it, ice."""
    p.disc(MIDDLE, radius * 1.35, (196, 168, 128), bulge=0.15, grain=0.2, shadow=0.5, drop=16)
    p.disc(MIDDLE, radius, (226, 232, 234), bulge=0.5, gloss=0.9, grain=0, shadow=0.5, drop=18)
    p.disc(MIDDLE, radius * 0.9, drink, bulge=-0.25, gloss=0.1, grain=0.05, shadow=0)


def ice(p: Painter, count: int = 4, colour: Rgb = (238, 238, 232)) -> None:
    """Floating cubes."""
    for at in p.scatter(MIDDLE, 95, count, 82):
        outline = slab(at, 42, 40, p.random.uniform(0, 1.5), 0.35)
        p.stamp(outline, p.vary(colour, 0.04), bulge=0.5, gloss=0.9, grain=0.02, shadow=0.2)


def leaf(p: Painter, at: Point, long: float, colour: Rgb = BASIL) -> None:
    """Pointed, with its rib."""
    turn = p.random.uniform(0, math.tau)
    cos, sin = math.cos(turn), math.sin(turn)
    points = []
    for side in (1, -1):
        for step in range(16):
            part = step / 15 if side > 0 else 1 - step / 15
            x, y = (part - 0.5) * 2 * long, side * long * 0.42 * math.sin(part * math.pi) ** 0.8
            points.append((at[0] + x * cos - y * sin, at[1] + x * sin + y * cos))
    colour = p.vary(colour, 0.2)
    p.stamp(points, colour, bulge=0.7, gloss=0.25, grain=0.06, drop=5)
    rib = [(at[0] + t * long * cos, at[1] + t * long * sin) for t in (-0.85, 0, 0.85)]
    pale = (min(255, colour[0] + 40), min(255, colour[1] + 40), min(255, colour[2] + 30))
    p.stroke(rib, max(2, long * 0.07), pale, shadow=0, bulge=0)


def leaves(p: Painter, count: int, radius: float, long: float, colour: Rgb = BASIL) -> None:
    """Scattered about the middle."""
    for at in p.scatter(MIDDLE, radius, count, long):
        leaf(p, at, long * p.random.uniform(0.7, 1.2), colour)


def citrus(p: Painter, at: Point, radius: float, colour: Rgb = LIME) -> None:
    """A slice, with its segments."""
    rind = (round(colour[0] * 0.62), round(colour[1] * 0.74), round(colour[2] * 0.4))
    p.disc(at, radius, rind, bulge=0.3, gloss=0.3, drop=7)
    p.disc(at, radius * 0.9, (240, 240, 206), bulge=0.1, gloss=0, shadow=0)
    turn = p.random.uniform(0, 1)
    for step in range(8):
        angle = turn + step / 8 * math.tau
        place = (at[0] + radius * 0.47 * math.cos(angle), at[1] + radius * 0.47 * math.sin(angle))
        wedge = oval(place, radius * 0.36, radius * 0.145, angle)
        p.stamp(wedge, p.vary(colour, 0.06), bulge=0.4, gloss=0.5, shadow=0)


def rounds(
    p: Painter, count: int, reach: float, radius: float, colour: Rgb, inside: Rgb, apart: float = 0
) -> None:
    """Slices of something round: cucumber, tomato, salami, radish."""
    for at in p.scatter(MIDDLE, reach, count, apart or radius * 1.6):
        size = radius * p.random.uniform(0.88, 1.1)
        p.stamp(p.lump(at, size, size, 0.04), p.vary(colour), bulge=0.5, gloss=0.3)
        p.stamp(p.lump(at, size * 0.8, size * 0.8, 0.05), p.vary(inside), bulge=0.2, shadow=0)


def lumps(
    p: Painter, count: int, reach: float, size: float, colour: Rgb, at: Point = MIDDLE, **how: float
) -> None:
    """Pieces of meat, cheese, fruit."""
    for place in p.scatter(at, reach, count, size * 0.7):
        radius = size * p.random.uniform(0.7, 1.2)
        p.blob(place, radius, p.vary(colour, 0.14), **how)


def crumbs(
    p: Painter, count: int, reach: float, size: float, colour: Rgb, at: Point = MIDDLE
) -> None:
    """Peanuts, sesame, chilli flakes, parmesan."""
    for place in p.scatter(at, reach, count):
        turn = p.random.uniform(0, 3)
        shape = oval(place, size * p.random.uniform(0.7, 1.3), size * 0.6, turn)
        p.stamp(shape, p.vary(colour, 0.2), bulge=0.5, gloss=0.2, drop=2)


def rice(p: Painter, at: Point, radius: float, count: int = 420, colour: Rgb = RICE) -> None:
    """A heap of grains."""
    p.blob(at, radius, colour, rough=0.05, bulge=0.7, grain=0.1, drop=10)
    for place in p.scatter(at, radius * 0.95, count):
        grain = oval(place, 8, 3.2, p.random.uniform(0, 3.14))
        p.stamp(grain, p.vary(colour, 0.06), bulge=0.5, gloss=0.3, shadow=0.3, drop=2)


def noodles(p: Painter, radius: float, count: int, width: float, colour: Rgb) -> None:
    """A tangle."""
    for _ in range(count):
        far = radius * math.sqrt(p.random.random()) * 0.75
        angle = p.random.uniform(0, math.tau)
        middle = (MIDDLE[0] + far * math.cos(angle), MIDDLE[1] + far * math.sin(angle))
        start = p.random.uniform(0, math.tau)
        bend = arc(
            middle,
            p.random.uniform(radius * 0.15, max(radius * 0.2, radius - far)),
            start,
            start + p.random.uniform(1.2, 3.4),
        )
        p.stroke(bend, width, p.vary(colour, 0.1), bulge=0.7, gloss=0.35, drop=3)


def prawn(p: Painter, at: Point, size: float) -> None:
    """Curled, with its stripes and its tail."""
    start = p.random.uniform(0, math.tau)
    body = arc(at, size * 0.6, start, start + 4.0)
    for step, (x, y) in enumerate(body[::2]):
        thick = size * (0.42 - 0.018 * step)
        colour = PRAWN if step % 2 else (252, 178, 136)
        p.disc((x, y), thick, p.vary(colour, 0.04), bulge=0.5, gloss=0.3, drop=4)
    end = body[-1]
    for turn in (-0.5, 0.5):
        fin = oval(end, size * 0.4, size * 0.14, start + 4.0 + 1.57 + turn)
        p.stamp(fin, (226, 92, 52), bulge=0.4, drop=3)


def egg(p: Painter, at: Point, radius: float) -> None:
    """Fried."""
    p.blob(at, radius * 1.04, (214, 160, 88), rough=0.12, bulge=0.3, drop=7)
    p.blob(at, radius, (252, 248, 238), rough=0.13, bulge=0.35, gloss=0.3, grain=0.02, shadow=0)
    p.disc(at, radius * 0.42, (250, 178, 28), bulge=0.7, gloss=0.7, grain=0.01, drop=4)


def pizza(p: Painter, sauce: Rgb, cheese: int, radius: float = 300) -> None:
    """A crust with burnt bubbles, sauce, and `cheese` pieces of cheese."""
    p.stamp(p.lump(MIDDLE, radius, radius, 0.025), BREAD, bulge=0.8, grain=0.12, drop=16)
    for step in range(46):
        angle = step / 46 * math.tau + p.random.uniform(-0.05, 0.05)
        far = radius * p.random.uniform(0.89, 0.97)
        at = (MIDDLE[0] + far * math.cos(angle), MIDDLE[1] + far * math.sin(angle))
        colour = p.vary((226, 170, 98), 0.12) if p.random.random() < 0.7 else (104, 62, 34)
        p.blob(at, p.random.uniform(10, 24), colour, bulge=0.6, shadow=0.1)
    p.stamp(p.lump(MIDDLE, radius * 0.84, radius * 0.84, 0.03), sauce, bulge=0.1, grain=0.16)
    for at in p.scatter(MIDDLE, radius * 0.72, cheese, 40):
        size = p.random.uniform(26, 58)
        p.blob(at, size, p.vary((252, 240, 208), 0.04), rough=0.3, bulge=0.4, gloss=0.3, drop=3)
        p.blob(at, size * 0.35, (232, 190, 112), rough=0.3, bulge=0.2, shadow=0)


def maki(p: Painter, at: Point, radius: float, core: Rgb, second: Rgb, inside_out: bool) -> None:
    """A slice of a roll."""
    outer, inner = ((250, 246, 236), (30, 44, 34)) if inside_out else ((28, 40, 32), RICE)
    p.disc(at, radius, outer, bulge=0.5, gloss=0.15, grain=0.14, shadow=0.5, drop=9)
    p.disc(at, radius * (0.6 if inside_out else 0.9), inner, bulge=0.1, grain=0.1, shadow=0)
    if inside_out:
        p.disc(at, radius * 0.52, RICE, bulge=0.1, grain=0.12, shadow=0)
        for place in p.scatter(at, radius * 0.95, 26):
            p.disc(place, 3, p.vary((244, 128, 52)), gloss=0.6, drop=1)
    else:
        for place in p.scatter(at, radius * 0.82, 50):
            p.stamp(oval(place, 6, 3, p.random.uniform(0, 3)), p.vary(RICE, 0.05), drop=1)
    p.blob((at[0] - radius * 0.13, at[1]), radius * 0.3, core, bulge=0.4, gloss=0.3, drop=2)
    p.blob((at[0] + radius * 0.2, at[1] + 3), radius * 0.2, second, bulge=0.4, gloss=0.3, drop=2)


def nigiri(p: Painter, at: Point, turn: float, fish: Rgb, lines: Rgb) -> None:
    """Rice, and a slice of fish over it."""
    p.stamp(slab(at, 74, 34, turn, 0.6), RICE, bulge=0.7, grain=0.16, shadow=0.5, drop=9)
    slice_of_fish(p, (at[0], at[1] - 5), turn, fish, lines, 82, 31)


def slice_of_fish(
    p: Painter, at: Point, turn: float, fish: Rgb, lines: Rgb, long: float, high: float
) -> None:
    """With lines of fat."""
    p.stamp(slab(at, long, high, turn, 0.55), p.vary(fish, 0.05), bulge=0.5, gloss=0.5, drop=4)
    cos, sin = math.cos(turn), math.sin(turn)
    for step in range(-3, 4):
        x, bend = step * long / 4, high * 0.78
        stripe = []
        for part in (-1, -0.3, 0.4, 1):
            dx, dy = x + 7 * part, bend * part
            stripe.append((at[0] + dx * cos - dy * sin, at[1] + dx * sin + dy * cos))
        p.stroke(stripe, 3, lines, bulge=0, gloss=0.1, shadow=0)


def taco(p: Painter, at: Point, turn: float, filling: tuple[Rgb, ...]) -> None:
    """Open at the top, filled."""
    cos, sin = math.cos(turn), math.sin(turn)
    p.stamp(oval(at, 120, 88, turn), (236, 196, 112), bulge=0.5, grain=0.12, shadow=0.5, drop=12)
    for place in p.scatter(at, 84, 12):
        p.blob(place, 9, (196, 138, 62), bulge=0.1, shadow=0)
    for layer, colour in enumerate(filling):
        for _ in range(20):
            x = p.random.uniform(-88, 88)
            y = p.random.uniform(-34, 34) * (1 - abs(x) / 130) + 4
            place = (at[0] + x * cos - y * sin, at[1] + x * sin + y * cos)
            size = p.random.uniform(9, 21) if layer < 2 else p.random.uniform(5, 10)
            p.blob(place, size, p.vary(colour, 0.15), rough=0.25, gloss=0.3, drop=3)


def swirl(p: Painter, colour: Rgb, radius: float, at: Point = MIDDLE, width: float = 8) -> None:
    """Cream, oil or syrup, poured in a spiral."""
    points = []
    for step in range(70):
        part = step / 69
        angle = part * 11
        far = radius * (0.12 + 0.88 * part)
        points.append((at[0] + far * math.cos(angle), at[1] + far * math.sin(angle)))
    p.stroke(points, width, colour, bulge=0.4, gloss=0.4, shadow=0.15, drop=2)
