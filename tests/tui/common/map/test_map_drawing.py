import pytest
from textual.theme import Theme

from tui.common.map.basemap import Kind
from tui.common.map.bitmap import Bitmap, BrailleLines, Quadrants, clip
from tui.common.map.geometry import LatLng, View, grid_metres, human_metres, round_metres, scale_bar
from tui.common.map.palette import Palette
from tui.common.themes import DAY, NIGHT

LAND, WATER, STREET = (0, 0, 0), (0, 0, 200), (200, 200, 200)
COLOURS = [LAND, (0, 200, 0), WATER, STREET, STREET, STREET, STREET, STREET]


def picture(bitmap: Bitmap) -> list[str]:
    rows = [bitmap.dots[at : at + bitmap.wide] for at in range(0, len(bitmap.dots), bitmap.wide)]
    return ["".join(" #"[bool(dot)] for dot in row) for row in rows]


def test_an_area_is_filled_and_its_hole_is_not() -> None:
    bitmap = Bitmap(8, 8)
    outline = [(0, 0), (8, 0), (8, 8), (0, 8)]
    bitmap.fill([outline, [(2, 2), (6, 2), (6, 6), (2, 6)]], 1)
    assert picture(bitmap) == ["########"] * 2 + ["##    ##"] * 4 + ["########"] * 2


@pytest.mark.parametrize("width", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("end", [(40.0, 20.0), (40.0, 33.0), (20.0, 60.0), (39.5, 20.5)])
def test_a_line_has_its_length_and_width(width: float, end: tuple[float, float]) -> None:
    bitmap = Bitmap(80, 80)
    bitmap.line((20.0, 20.0), end, width, 1)
    long = max(abs(end[0] - 20), abs(end[1] - 20)) if width == 1 else 20 * width
    drawn = sum(map(bool, bitmap.dots))
    if width == 1:
        assert long <= drawn <= long + 2
    else:
        assert drawn >= long


def test_lines_and_areas_far_outside_are_clipped() -> None:
    bitmap = Bitmap(10, 10)
    bitmap.line((-1e9, -1e9), (1e9, -1e9), 3.0, 1)
    bitmap.fill([[(-1e9, 20), (1e9, 20), (0, 1e9)]], 1)
    assert not any(bitmap.dots)
    bitmap.line((-1e9, 5.0), (1e9, 5.0), 1.0, 1)
    assert picture(bitmap)[5] == "##########"


def test_clipping() -> None:
    assert clip((-5, 5), (15, 5), 0, 0, 10, 10) == ((0, 5), (10, 5))
    assert clip((-5, -5), (-1, 20), 0, 0, 10, 10) is None
    assert clip((3, 3), (3, 3), 0, 0, 10, 10) == ((3, 3), (3, 3))


def test_two_kinds_in_a_cell_are_a_quadrant_in_their_colours() -> None:
    bitmap = Bitmap(2, 4)
    bitmap.dots[:] = bytes((Kind.WATER, 0, Kind.WATER, 0, 0, 0, 0, 0))
    char, style, paper = next(Quadrants(COLOURS, STREET, False).rows(bitmap))[0]
    assert style.color
    assert style.bgcolor
    colours = {"▘": (WATER, LAND), "▟": (LAND, WATER)}[char]
    assert (style.color.triplet, style.bgcolor.triplet) == colours
    assert paper == (0, 0, 50)


def test_without_colour_every_kind_has_its_own_glyph() -> None:
    seen = {}
    for kind in (Kind.LAND, Kind.PARK, Kind.WATER, Kind.MAIN, Kind.GRID):
        bitmap = Bitmap(2, 4)
        bitmap.dots[:] = bytes((kind,)) * 8
        seen[kind] = next(Quadrants(COLOURS, STREET, True).rows(bitmap))[0][0]
    assert seen[Kind.WATER] == "≈"
    assert seen[Kind.PARK] == "·"
    assert len(set(seen.values())) == len(seen)


def test_a_trail_is_solid_and_a_route_has_gaps() -> None:
    trail, route = BrailleLines(20, 2), BrailleLines(20, 2)
    dots = [(0.0, 4.0), (10.0, 4.0), (39.0, 4.0)]
    trail.draw(dots)
    route.draw(dots, dashed=True)
    assert set(trail.masks) >= set(range(20, 40))
    drawn = sum(mask.bit_count() for mask in route.masks.values())
    assert 0.4 < drawn / sum(mask.bit_count() for mask in trail.masks.values()) < 0.7


def test_dashes_continue_over_short_segments() -> None:
    whole, bits = BrailleLines(20, 2), BrailleLines(20, 2)
    whole.draw([(0.0, 4.0), (36.0, 4.0)], dashed=True)
    bits.draw([(0.6 * at, 4.0) for at in range(61)], dashed=True)
    ink = [sum(mask.bit_count() for mask in one.masks.values()) for one in (whole, bits)]
    assert abs(ink[0] - ink[1]) <= 10


def test_a_line_that_leaves_the_window_is_clipped() -> None:
    lines = BrailleLines(4, 2)
    lines.draw([(-1e8, 2.0), (1e8, 2.0)], dashed=True)
    assert lines.masks
    assert set(lines.masks) <= set(range(8))


@pytest.mark.parametrize(
    ("most", "metres"), [(0.07, 0.05), (1, 1), (49, 20), (50, 50), (99, 50), (4999, 2000)]
)
def test_round_distances(most: float, metres: float) -> None:
    assert round_metres(most) == pytest.approx(metres)


def test_a_scale_bar_has_the_length_it_names() -> None:
    for factor in (0.01, 0.3, 1.0, 4.0):
        view = View.enclosing([LatLng(47, 15), LatLng(47.01, 15.02)], 100, 30).zoomed(factor)
        bar, words = scale_bar(view, square=False).split(maxsplit=1)
        number, unit = words.split()
        metres = float(number) * (1000 if unit == "km" else 1)
        assert metres == pytest.approx(2 * len(bar) * view.metres_a_dot, rel=0.2)
        assert grid_metres(view) / view.metres_a_dot >= 25
        assert human_metres(grid_metres(view)) in scale_bar(view, square=True)


@pytest.mark.parametrize("theme", [NIGHT, DAY], ids=["night", "day"])
def test_streets_water_and_parks_differ_in_both_themes(theme: Theme) -> None:
    colours = Palette.of(theme.variables, theme.dark).basemap(5.0)
    kinds = (Kind.LAND, Kind.PARK, Kind.WATER, Kind.BRIDGE, Kind.SIDE, Kind.MAIN)
    for one in kinds:
        for other in kinds:
            apart = sum(abs(a - b) for a, b in zip(colours[one], colours[other], strict=True))
            assert one is other or apart >= 20, (one, other)


def test_missing_colours_are_those_of_our_theme() -> None:
    strange = Palette.of({"map-land": "ansi_red", "map-main": "no colour"}, dark=True)
    assert strange == Palette.of(NIGHT.variables, dark=True)
