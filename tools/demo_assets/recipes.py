"""Paints each dish of the demo's town."""

import math
from collections.abc import Callable

from tools.demo_assets import ingredients as d
from tools.demo_assets.painter import Painter, Rgb, arc, oval, slab

MX, MY = d.MIDDLE
MEAT = (128, 74, 42)
SAMBAR = (206, 122, 44)
CREAM = (248, 240, 220)
BLUE = (72, 104, 142)
CLAY = (150, 84, 54)


def around(count: int, far: float, turn: float = 0.3) -> list[tuple[float, float]]:
    """Points on a circle."""
    return [
        (
            MX + far * math.cos(turn + step / count * math.tau),
            MY + far * math.sin(turn + step / count * math.tau),
        )
        for step in range(count)
    ]


def pad_thai(p: Painter) -> None:
    d.plate(p)
    d.noodles(p, 200, 90, 13, (214, 152, 84))
    for at in around(5, 95):
        d.prawn(p, at, 48)
    d.crumbs(p, 60, 170, 8, (206, 160, 98))
    d.leaves(p, 9, 160, 24, d.CORIANDER)
    d.citrus(p, (MX + 165, MY + 110), 56)


def green_curry(p: Painter) -> None:
    d.bowl(p, (150, 170, 96), colour=BLUE)
    d.swirl(p, (232, 236, 206), 200)
    d.lumps(p, 16, 180, 26, (232, 214, 170), gloss=0.3)
    d.rounds(p, 7, 170, 28, (98, 128, 60), (216, 220, 160))
    d.leaves(p, 9, 170, 34)
    d.crumbs(p, 16, 180, 10, d.CHILLI)


def pad_kra_pao(p: Painter) -> None:
    d.plate(p, colour=(96, 116, 122))
    d.rice(p, (MX - 90, MY + 20), 125)
    for at in p.scatter((MX + 85, MY + 10), 118, 150):
        p.blob(at, p.random.uniform(9, 17), p.vary(MEAT, 0.2), gloss=0.35, drop=3)
    d.leaves(p, 10, 150, 26)
    d.crumbs(p, 22, 160, 9, d.CHILLI, (MX + 85, MY + 10))
    d.egg(p, (MX - 50, MY - 30), 96)


def tom_yum(p: Painter) -> None:
    d.bowl(p, (224, 122, 58), colour=(58, 60, 70))
    d.crumbs(p, 90, 215, 6, (244, 172, 84))
    for at in around(4, 105, 0.8):
        d.prawn(p, at, 52)
    d.rounds(p, 6, 180, 30, d.TOMATO, (232, 112, 74))
    d.lumps(p, 7, 180, 32, (226, 206, 176), rough=0.1)
    d.leaves(p, 10, 180, 24, d.CORIANDER)
    d.citrus(p, (MX + 130, MY - 100), 46)


def som_tam(p: Painter) -> None:
    d.plate(p, colour=(204, 176, 132))
    d.noodles(p, 190, 110, 8, (206, 216, 148))
    d.noodles(p, 170, 26, 7, (238, 138, 52))
    d.rounds(p, 8, 160, 25, d.TOMATO, (238, 122, 82))
    d.crumbs(p, 50, 170, 9, (208, 164, 104))
    d.crumbs(p, 22, 170, 9, d.CHILLI)
    d.citrus(p, (MX - 170, MY + 100), 50)


def spring_rolls(p: Painter) -> None:
    d.stone(p)
    for step in range(6):
        x = MX - 250 + step * 66
        shape = slab((x, MY - 20 + 12 * (step % 2)), 27, 118, 0.12, 0.5)
        p.stamp(shape, p.vary((214, 150, 72), 0.06), bulge=0.9, gloss=0.3, grain=0.2, drop=10)
    d.dip(p, (MX + 235, MY), 92, (220, 84, 40))
    d.crumbs(p, 14, 60, 6, d.CHILLI, (MX + 235, MY))


def mango_rice(p: Painter) -> None:
    d.plate(p, colour=(60, 92, 78))
    d.rice(p, (MX - 80, MY), 128)
    for step in range(7):
        shape = oval((MX + 60 + step * 17, MY - 90 + step * 30), 92, 24, -0.35)
        p.stamp(shape, p.vary((252, 178, 40), 0.05), bulge=0.6, gloss=0.4, drop=5)
    d.swirl(p, CREAM, 70, (MX - 80, MY), 9)
    d.crumbs(p, 26, 90, 5, (70, 60, 44), (MX - 80, MY))


def iced_tea(p: Painter) -> None:
    d.glass(p, (222, 118, 40))
    d.swirl(p, (250, 214, 168), 150, width=16)
    d.ice(p, 4, (250, 214, 170))


def _pizza(sauce: Rgb, cheese: int, more: Callable[[Painter], None]) -> Callable[[Painter], None]:
    def paint(p: Painter) -> None:
        d.pizza(p, sauce, cheese)
        more(p)

    return paint


def _margherita(p: Painter) -> None:
    d.leaves(p, 8, 200, 40)


def _diavola(p: Painter) -> None:
    d.rounds(p, 15, 210, 38, (172, 40, 26), (204, 66, 42), 66)
    d.crumbs(p, 40, 230, 6, d.CHILLI)


def _formaggi(p: Painter) -> None:
    d.lumps(p, 16, 210, 22, (116, 142, 150), rough=0.3)
    d.lumps(p, 18, 215, 30, (246, 206, 112), rough=0.3)
    d.crumbs(p, 40, 230, 7, (252, 238, 192))


def _marinara(p: Painter) -> None:
    d.crumbs(p, 34, 215, 12, (240, 224, 184))
    d.crumbs(p, 70, 225, 5, (74, 96, 44))


def _prosciutto(p: Painter) -> None:
    for at in p.scatter(d.MIDDLE, 180, 9, 80):
        shape = p.lump(at, 74, 46, 0.28)
        p.stamp(shape, p.vary((222, 112, 100), 0.08), bulge=0.5, gloss=0.3, grain=0.16)
    d.leaves(p, 26, 210, 32, (74, 134, 50))
    d.crumbs(p, 24, 210, 14, (250, 236, 196))


def burrata(p: Painter) -> None:
    d.plate(p, colour=(64, 70, 82))
    d.rounds(p, 12, 190, 52, d.TOMATO, (228, 92, 60), 70)
    p.blob((MX, MY), 104, (252, 250, 244), rough=0.06, bulge=0.7, gloss=0.5, grain=0.02, drop=12)
    d.swirl(p, (196, 190, 80), 60, (MX, MY), 5)
    d.leaves(p, 7, 130, 32)
    p.stamp(slab((MX + 170, MY + 120), 86, 44, 0.5, 0.4), d.BREAD, bulge=0.6, grain=0.2, drop=8)


def tiramisu(p: Painter) -> None:
    d.plate(p, colour=(222, 218, 210))
    p.stamp(slab(d.MIDDLE, 160, 120, 0.2, 0.15), (242, 226, 190), bulge=0.9, grain=0.05, drop=14)
    p.stamp(slab((MX, MY - 6), 150, 110, 0.2, 0.15), (92, 56, 34), bulge=0.3, grain=0.3, shadow=0)
    d.crumbs(p, 110, 190, 4, (84, 52, 32))
    d.lumps(p, 3, 60, 24, (64, 36, 22), gloss=0.6)
    d.leaf(p, (MX + 60, MY - 60), 34, (96, 168, 88))


def limonata(p: Painter) -> None:
    d.glass(p, (246, 232, 150))
    d.ice(p, 3)
    d.citrus(p, (MX - 60, MY + 50), 72, (246, 214, 70))
    d.citrus(p, (MX + 80, MY - 50), 60, (246, 214, 70))
    d.leaves(p, 4, 110, 32, (84, 160, 76))


def falafel(p: Painter) -> None:
    d.bowl(p, (228, 206, 156), colour=(66, 88, 98))
    d.rice(p, (MX - 95, MY - 70), 92, 260, (214, 176, 112))
    p.blob((MX + 105, MY - 75), 88, (236, 212, 164), rough=0.06, bulge=0.4)
    d.swirl(p, (206, 168, 84), 60, (MX + 105, MY - 75), 7)
    d.lumps(p, 8, 62, 24, (206, 68, 112), (MX - 130, MY + 85), rough=0.25)
    for at in ((MX - 10, MY + 40), (MX + 75, MY + 70), (MX + 15, MY + 125), (MX + 105, MY + 145)):
        p.blob(at, 48, p.vary((140, 88, 42), 0.08), rough=0.08, bulge=0.8, grain=0.34, drop=8)
    d.leaves(p, 10, 190, 24, d.CORIANDER)


def poke(p: Painter) -> None:
    d.bowl(p, d.RICE, colour=(34, 40, 48))
    d.rice(p, d.MIDDLE, 195, 420)
    for at in p.scatter((MX - 80, MY - 60), 95, 14, 36):
        shape = slab(at, 30, 26, p.random.uniform(0, 1.5), 0.3)
        p.stamp(shape, p.vary(d.SALMON, 0.06), bulge=0.5, gloss=0.5, drop=5)
    for step in range(7):
        shape = oval((MX + 60 + step * 17, MY - 110 + step * 22), 62, 17, -0.5)
        p.stamp(shape, p.vary(d.AVOCADO, 0.06), bulge=0.4, gloss=0.2, drop=4)
    for at in p.scatter((MX + 60, MY + 120), 68, 12, 32):
        p.disc(at, 27, (74, 132, 58), bulge=0.3, drop=3)
        p.disc(at, 22, (214, 232, 176), bulge=0.1, shadow=0)
    d.lumps(p, 26, 62, 13, (120, 184, 66), (MX - 110, MY + 105), gloss=0.4)
    d.crumbs(p, 70, 190, 4, (240, 226, 186))


def roots(p: Painter) -> None:
    d.plate(p, colour=(218, 208, 190))
    d.lumps(p, 60, 180, 12, (110, 84, 48), gloss=0.1)
    d.lumps(p, 12, 165, 36, (150, 30, 72), gloss=0.4)
    for colour in ((236, 128, 42), (238, 214, 160)):
        for at in p.scatter(d.MIDDLE, 165, 9, 60):
            shape = slab(at, 56, 15, p.random.uniform(0, 3), 0.6)
            p.stamp(shape, p.vary(colour, 0.1), bulge=0.7, gloss=0.3, drop=6)
    d.lumps(p, 14, 165, 18, (250, 248, 240), rough=0.3)
    d.leaves(p, 12, 170, 20, d.CORIANDER)


def caesar(p: Painter) -> None:
    d.bowl(p, (176, 200, 112), colour=(66, 84, 104))
    for at in p.scatter(d.MIDDLE, 180, 30, 36):
        p.blob(at, p.random.uniform(40, 66), p.vary((150, 190, 84), 0.16), rough=0.3, gloss=0.15)
    for at in p.scatter(d.MIDDLE, 165, 11, 52):
        shape = slab(at, 27, 25, p.random.uniform(0, 1.5), 0.3)
        p.stamp(shape, p.vary((216, 160, 86), 0.08), bulge=0.7, grain=0.24, drop=6)
    for at in p.scatter(d.MIDDLE, 120, 5, 72):
        shape = slab(at, 74, 24, p.random.uniform(0, 3), 0.5)
        p.stamp(shape, p.vary((232, 196, 144), 0.05), bulge=0.5, gloss=0.2, grain=0.1, drop=7)
    d.crumbs(p, 40, 180, 12, (250, 240, 206))


def _soup(soup: Rgb, cream: Rgb, crockery: Rgb, bits: Rgb) -> Callable[[Painter], None]:
    def paint(p: Painter) -> None:
        d.bowl(p, soup, colour=crockery)
        d.crumbs(p, 120, 205, 7, p.vary(soup, 0.2))
        d.swirl(p, cream, 120, width=10)
        d.crumbs(p, 40, 190, 6, bits)
        d.leaves(p, 7, 130, 24, d.CORIANDER)

    return paint


def banana_bread(p: Painter) -> None:
    d.plate(p, 290, (70, 104, 118))
    for at, turn in (((MX - 60, MY - 30), -0.3), ((MX + 55, MY + 40), 0.1)):
        p.stamp(slab(at, 130, 96, turn, 0.4), (122, 74, 36), bulge=0.8, grain=0.2, drop=14)
        p.stamp(slab(at, 112, 80, turn, 0.4), (224, 178, 104), bulge=0.2, grain=0.26, shadow=0)
        d.crumbs(p, 22, 74, 8, (134, 84, 42), at)


def ginger_shot(p: Painter) -> None:
    d.glass(p, (240, 200, 74), 150)
    d.swirl(p, (250, 226, 130), 100, width=9)
    d.citrus(p, (MX + 70, MY - 60), 60, (246, 214, 70))
    d.lumps(p, 3, 260, 30, (206, 170, 116), (MX - 20, MY + 10), rough=0.3)


def nigiri_set(p: Painter) -> None:
    d.stone(p)
    fish = (
        (d.SALMON, (252, 206, 176)), ((176, 34, 46), (214, 96, 98)),
        ((250, 226, 214), (246, 180, 160)), (d.PRAWN, (252, 220, 196)),
    )  # fmt: skip
    for step in range(8):
        at = (MX - 240 + (step % 4) * 160, MY - 85 + (step // 4) * 160)
        d.nigiri(p, at, -0.35, *fish[(step + step // 4) % 4])
    d.lumps(p, 1, 1, 24, (150, 190, 80), (MX + 310, MY + 160))


def sashimi(p: Painter) -> None:
    d.plate(p, colour=(38, 48, 66))
    d.noodles(p, 180, 60, 5, (240, 240, 234))
    fish = (
        (d.SALMON, (252, 206, 176)), ((176, 34, 46), (210, 88, 92)),
        ((248, 218, 204), (240, 160, 140)),
    )  # fmt: skip
    for kind, (colour, lines) in enumerate(fish):
        for step in range(4):
            at = (MX - 130 + kind * 130 + step * 10, MY - 96 + step * 58)
            d.slice_of_fish(p, at, 0.18, colour, lines, 66, 34)
    d.leaves(p, 5, 170, 36, (60, 128, 70))
    d.citrus(p, (MX + 165, MY + 100), 44, (246, 214, 70))


def _rolls(core: Rgb, second: Rgb, inside_out: bool) -> Callable[[Painter], None]:
    def paint(p: Painter) -> None:
        d.board(p, 370, 220)
        for step in range(8):
            at = (MX - 225 + (step % 4) * 150, MY - 80 + (step // 4) * 160)
            d.maki(p, at, 66, core, second, inside_out)
        d.lumps(p, 3, 34, 26, (248, 196, 188), (MX + 318, MY), rough=0.3)

    return paint


def miso(p: Painter) -> None:
    d.bowl(p, (206, 160, 92), colour=(52, 20, 22))
    d.lumps(p, 18, 200, 50, (220, 178, 112), rough=0.3, bulge=0.1, shadow=0)
    for at in p.scatter(d.MIDDLE, 165, 10, 60):
        shape = slab(at, 30, 28, p.random.uniform(0, 1.5), 0.15)
        p.stamp(shape, (250, 244, 230), bulge=0.5, grain=0.03, drop=6)
    d.lumps(p, 9, 170, 26, (40, 74, 50), rough=0.4)
    d.rounds(p, 20, 180, 12, (96, 164, 66), (222, 240, 190))


def edamame(p: Painter) -> None:
    d.bowl(p, (74, 122, 50), colour=(212, 206, 194))
    for at in p.scatter(d.MIDDLE, 185, 44, 26):
        turn = p.random.uniform(0, 3.14)
        p.stamp(oval(at, 70, 18, turn), p.vary((104, 164, 62), 0.14), bulge=0.8, gloss=0.3, drop=6)
        for step in (-36, 0, 36):
            bean = (at[0] + step * math.cos(turn), at[1] + step * math.sin(turn))
            p.disc(bean, 14, p.vary((124, 184, 76), 0.1), bulge=0.6, gloss=0.3, shadow=0)
    d.crumbs(p, 60, 190, 4, (250, 250, 248))


def karaage(p: Painter) -> None:
    d.plate(p, colour=(60, 74, 88))
    for at in p.scatter(d.MIDDLE, 135, 9, 82):
        p.blob(at, 58, p.vary((186, 110, 46), 0.1), rough=0.2, bulge=0.9, grain=0.34, drop=10)
    d.citrus(p, (MX - 165, MY + 95), 54, (246, 214, 70))
    d.dip(p, (MX + 165, MY - 105), 70, (250, 242, 214))
    d.leaves(p, 6, 150, 24, d.CORIANDER)


def mochi(p: Painter) -> None:
    d.stone(p, 340, 200)
    for at in ((MX - 165, MY + 10), (MX, MY - 20), (MX + 165, MY + 12)):
        p.disc(at, 84, p.vary((150, 178, 92), 0.05), bulge=0.9, gloss=0.25, grain=0.05, drop=14)
        d.crumbs(p, 40, 70, 3, (110, 142, 56), at)
    d.crumbs(p, 140, 260, 3, (122, 154, 66))


def _tacos(*filling: Rgb) -> Callable[[Painter], None]:
    def paint(p: Painter) -> None:
        d.board(p, 380, 230, (112, 74, 46))
        for step in range(3):
            d.taco(p, (MX - 210 + step * 205, MY - 10 + 16 * (step % 2)), 1.25, filling)
        d.citrus(p, (MX + 310, MY + 150), 44)

    return paint


def quesadilla(p: Painter) -> None:
    d.plate(p, colour=(60, 112, 116))
    for step in range(4):
        start = step * math.pi / 2 + 0.3
        tip = (MX + 14 * math.cos(start + 0.78), MY + 14 * math.sin(start + 0.78))
        wedge = [tip, *arc(tip, 190, start + 0.06, start + 1.5)]
        p.stamp(wedge, p.vary((228, 182, 106), 0.05), bulge=0.5, grain=0.16, drop=9)
        for place in p.scatter(
            (MX + 105 * math.cos(start + 0.78), MY + 105 * math.sin(start + 0.78)), 58, 9
        ):
            p.blob(place, 13, (160, 98, 44), rough=0.4, bulge=0.1, shadow=0)
    d.lumps(p, 12, 150, 20, d.CHEESE, rough=0.3, gloss=0.4)
    d.dip(p, (MX, MY), 58, d.TOMATO)


def guacamole(p: Painter) -> None:
    d.plate(p, 325)
    for at in around(15, 195):
        turn = p.random.uniform(0, 6)
        chip = [
            (at[0] + 70 * math.cos(turn + k * 2.09), at[1] + 70 * math.sin(turn + k * 2.09))
            for k in range(3)
        ]
        p.stamp(chip, p.vary((240, 192, 92), 0.08), bulge=0.4, grain=0.2, drop=8)
    d.dip(p, d.MIDDLE, 150, (142, 172, 70), (58, 52, 50))
    d.lumps(p, 24, 105, 16, (158, 186, 84), rough=0.3)
    d.lumps(p, 10, 95, 11, d.TOMATO)
    d.leaves(p, 7, 90, 20, d.CORIANDER)


def elote(p: Painter) -> None:
    d.plate(p, colour=(52, 84, 108))
    for number, y in enumerate((MY - 70, MY + 70)):
        p.stamp(slab((MX, y), 205, 54, 0.06, 0.5), (232, 182, 52), bulge=0.8, drop=14)
        for row in range(-3, 4):
            for column in range(-12, 13):
                x = MX + column * 15.5 + 7 * (row % 2)
                at = (x, y + row * 13 * (1 - (column / 17) ** 2) + (x - MX) * 0.06)
                burnt = p.random.random() < 0.16
                colour = (142, 84, 30) if burnt else (250, 208, 70)
                p.disc(at, 8.6, p.vary(colour, 0.08), bulge=0.7, gloss=0.5, drop=2)
        d.crumbs(p, 46, 150, 7, (250, 246, 230), (MX, y + number))
        d.crumbs(p, 26, 150, 5, d.CHILLI, (MX, y))
    d.citrus(p, (MX + 195, MY + 20), 46)


def churros(p: Painter) -> None:
    d.plate(p, 330, (74, 112, 120))
    for step in range(5):
        x = MX - 255 + step * 78
        for rib in (-16, 0, 16):
            line = [(x + rib + 30 * t, MY - 150 + 300 * t) for t in (0, 0.35, 0.7, 1)]
            p.stroke(line, 22, p.vary((200, 130, 62), 0.06), bulge=0.9, grain=0.2, drop=9)
        d.crumbs(p, 46, 110, 3, (250, 244, 230), (x + 14, MY))
    d.dip(p, (MX + 190, MY + 40), 98, (104, 58, 34))


def horchata(p: Painter) -> None:
    d.glass(p, (240, 226, 202))
    d.ice(p, 4, (248, 240, 224))
    d.crumbs(p, 90, 150, 4, (150, 92, 48))
    for turn in (0.5, 0.8):
        stick = slab((MX + 90, MY - 60), 120, 15, turn, 0.4)
        p.stamp(stick, (132, 78, 42), bulge=0.9, grain=0.2, drop=7)


def dosa(p: Painter) -> None:
    d.plate(p, 320, (70, 96, 70))
    p.stamp(slab((MX, MY + 40), 290, 62, -0.12, 0.6), (212, 142, 66), bulge=0.9, grain=0.2, drop=16)
    for at in p.scatter((MX, MY + 40), 220, 50):
        if abs(at[1] - MY - 40) < 46:
            p.blob(at, 12, p.vary((236, 184, 104), 0.1), rough=0.4, bulge=0.1, shadow=0)
    d.dip(p, (MX - 130, MY - 110), 66, (244, 240, 226))
    d.dip(p, (MX + 10, MY - 140), 66, SAMBAR)
    d.dip(p, (MX + 145, MY - 105), 60, (108, 150, 74))


def biryani(p: Painter) -> None:
    d.bowl(p, (232, 196, 120), colour=CLAY)
    d.rice(p, d.MIDDLE, 195, 380, (246, 222, 164))
    d.rice(p, (MX + 50, MY - 40), 100, 160, (246, 176, 60))
    d.lumps(p, 8, 140, 44, (176, 92, 40), gloss=0.4, grain=0.2)
    d.noodles(p, 150, 34, 6, (128, 70, 30))
    d.leaves(p, 12, 170, 22, d.CORIANDER)


def idli(p: Painter) -> None:
    d.plate(p, 300, (62, 104, 74))
    for at in ((MX - 95, MY - 80), (MX + 55, MY - 105), (MX - 120, MY + 70), (MX + 20, MY + 55)):
        p.disc(at, 78, p.vary((250, 246, 236), 0.02), bulge=0.8, gloss=0.1, grain=0.06, drop=12)
    d.dip(p, (MX + 165, MY + 70), 84, SAMBAR)
    d.crumbs(p, 26, 150, 6, (70, 40, 30), (MX - 40, MY))
    d.leaves(p, 5, 130, 22, (60, 110, 50))


def dal(p: Painter) -> None:
    d.bowl(p, (232, 170, 50), colour=CLAY)
    d.crumbs(p, 200, 215, 7, (240, 186, 72))
    d.rice(p, (MX - 90, MY + 70), 96, 260)
    d.swirl(p, (208, 92, 30), 90, (MX + 60, MY - 40), 7)
    d.crumbs(p, 34, 120, 8, (150, 92, 44), (MX + 60, MY - 40))
    d.leaves(p, 8, 160, 22, d.CORIANDER)


def palak(p: Painter) -> None:
    d.bowl(p, (64, 96, 40), colour=(176, 112, 62))
    d.lumps(p, 50, 200, 24, (72, 106, 44), rough=0.3, bulge=0.3)
    for at in p.scatter(d.MIDDLE, 160, 13, 62):
        shape = slab(at, 36, 32, p.random.uniform(0, 1.5), 0.25)
        p.stamp(shape, p.vary((250, 240, 212), 0.04), bulge=0.6, grain=0.08, drop=8)
    d.swirl(p, CREAM, 110, width=6)


def naan(p: Painter) -> None:
    d.board(p, 390, 250)
    shape = [(x + 34 * (x - MX) / 260, y * 1.0) for x, y in p.lump(d.MIDDLE, 265, 170, 0.07)]
    p.stamp(shape, (236, 196, 128), bulge=0.8, gloss=0.15, grain=0.14, drop=14)
    for at in p.scatter(d.MIDDLE, 165, 26, 30):
        colour = (178, 112, 52) if p.random.random() < 0.6 else (112, 66, 34)
        p.blob(at, p.random.uniform(9, 26), p.vary(colour, 0.1), rough=0.35, bulge=0.3, shadow=0)
    d.crumbs(p, 40, 165, 8, (250, 236, 200))
    d.leaves(p, 14, 165, 16, d.CORIANDER)


def gulab(p: Painter) -> None:
    d.bowl(p, (214, 128, 48), colour=(232, 224, 214))
    for at in around(3, 88, 0.6):
        p.disc(at, 82, p.vary((132, 60, 26), 0.05), bulge=0.9, gloss=0.7, grain=0.08, drop=12)
    d.crumbs(p, 30, 150, 8, (142, 178, 78))
    d.leaves(p, 5, 150, 20, (214, 96, 120))


def lassi(p: Painter) -> None:
    d.glass(p, (250, 196, 84))
    d.swirl(p, (252, 226, 160), 140, width=14)
    d.crumbs(p, 40, 90, 6, (120, 160, 66))
    d.leaf(p, (MX + 70, MY - 50), 40, (96, 168, 88))


RECIPES: dict[str, Callable[[Painter], None]] = {
    "Pad thai": pad_thai,
    "Green curry": green_curry,
    "Pad kra pao": pad_kra_pao,
    "Tom yum goong": tom_yum,
    "Som tam": som_tam,
    "Vegetable spring rolls": spring_rolls,
    "Mango sticky rice": mango_rice,
    "Thai iced tea": iced_tea,
    "Margherita": _pizza((204, 66, 36), 11, _margherita),
    "Diavola": _pizza((196, 56, 30), 9, _diavola),
    "Quattro formaggi": _pizza((244, 214, 140), 16, _formaggi),
    "Marinara": _pizza((206, 62, 32), 0, _marinara),
    "Prosciutto e rucola": _pizza((240, 212, 148), 10, _prosciutto),
    "Burrata": burrata,
    "Tiramisù": tiramisu,
    "Limonata": limonata,
    "Falafel bowl": falafel,
    "Salmon poke": poke,
    "Roasted roots": roots,
    "Caesar": caesar,
    "Lentil soup": _soup((214, 110, 44), (250, 226, 190), (92, 104, 110), (120, 60, 30)),
    "Banana bread": banana_bread,
    "Ginger shot": ginger_shot,
    "Nigiri set": nigiri_set,
    "Sashimi set": sashimi,
    "California rolls": _rolls((244, 120, 92), d.AVOCADO, True),
    "Vegetable maki": _rolls((126, 178, 76), (250, 214, 90), False),
    "Miso soup": miso,
    "Edamame": edamame,
    "Chicken karaage": karaage,
    "Matcha mochi": mochi,
    "Tacos al pastor": _tacos((182, 72, 32), (206, 96, 44), (250, 206, 70), d.CORIANDER),
    "Tacos de pescado": _tacos((220, 168, 92), (206, 120, 176), (250, 244, 226), d.LIME),
    "Tacos de hongos": _tacos((122, 84, 54), (52, 34, 36), (250, 244, 226), d.CORIANDER),
    "Quesadilla": quesadilla,
    "Guacamole": guacamole,
    "Elote": elote,
    "Churros": churros,
    "Horchata": horchata,
    "Masala dosa": dosa,
    "Chicken biryani": biryani,
    "Idli": idli,
    "Dal tadka": dal,
    "Palak paneer": palak,
    "Garlic naan": naan,
    "Gulab jamun": gulab,
    "Mango lassi": lassi,
}
"""By the dish's name on the menu."""
TABLES: tuple[tuple[str, Rgb], ...] = (
    ("wood", (150, 112, 78)),
    ("slate", (176, 172, 164)),
    ("wood", (196, 160, 118)),
    ("slate", (132, 142, 146)),
)


def painted(name: str, table: int) -> Painter:
    """The dish, on one of the tables."""
    painter = Painter(name)
    kind, colour = TABLES[table % len(TABLES)]
    if kind == "wood":
        painter.wood(colour)
    else:
        painter.slate(colour)
    RECIPES[name](painter)
    return painter
