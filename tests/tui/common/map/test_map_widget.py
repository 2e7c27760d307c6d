import os
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
from map_overlays import HOME, SHOP, MapWindow, demo_basemap, trip_overlay
from textual.events import MouseScrollUp
from textual.geometry import Size

from tui.common.map.geometry import LatLng, Marker, Overlay, View
from tui.common.map.palette import Palette
from tui.common.map.render import RenderedBasemap, draw
from tui.common.map.widget import changed_regions
from tui.common.themes import DAY

BASEMAP = demo_basemap()
BRAILLE = range(0x2801, 0x2900)


def braille(text: str) -> int:
    return sum(ord(char) in BRAILLE for char in text)


async def test_the_map_shows_markers_labels_trail_and_corner_text() -> None:
    app = MapWindow(BASEMAP, trip_overlay())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        text = app.text()
        for part in ("◆", "⌂", "▶", "Thai Basil", "Home", "Ken", "6 min · 1.6 km · 24 km/h"):
            assert text.count(part) == 1, part
        assert "6 min" in app.lines()[0]
        assert " m " in app.lines()[-1]
        assert braille(text) > 20


async def test_a_moving_driver_does_not_redraw_the_basemap() -> None:
    app = MapWindow(BASEMAP, trip_overlay(0.0))
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.pause()
        assert app.map.basemap_draws == 1
        before = app.text()
        for step in range(1, 21):
            app.map.show(trip_overlay(step / 20, hud=f"{20 - step} min"))
            await pilot.pause()
        assert app.map.basemap_draws == 1
        assert app.text() != before
        assert "0 min" in app.lines()[0]


async def test_exactly_what_has_changed_is_painted() -> None:
    app = MapWindow(BASEMAP, trip_overlay(0.5))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        painted: list[int] = []
        original = app.map.render_line
        app.map.render_line = lambda y: painted.append(y) or original(y)  # type: ignore
        app.map.show(trip_overlay(0.5, hud="5 min · 1.5 km · 24 km/h"))
        await pilot.pause()
        assert set(painted) == {0}
        app.map.show(trip_overlay(0.55, hud="5 min · 1.4 km · 24 km/h"))
        await pilot.pause()
        assert len(set(painted)) < 20
        app.map.render_line = original  # type: ignore[method-assign]
        shown = [
            "".join(part.text for part in strip) for strip in app.screen._compositor.render_strips()
        ]
        assert shown == app.lines()


async def test_an_equal_overlay_is_ignored() -> None:
    app = MapWindow(BASEMAP, trip_overlay())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        overlay = app.map.overlay
        app.map.show(trip_overlay())
        assert app.map.overlay is overlay


async def test_keys_zoom_move_follow_and_show_everything() -> None:
    app = MapWindow(BASEMAP, trip_overlay(0.3))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        whole = app.text()
        await pilot.press("f")
        assert app.map.following
        assert "▶" in app.lines()[15]
        assert "⌂" not in app.text()
        await pilot.press("left")
        assert not app.map.following
        moved = app.text()
        app.map.show(trip_overlay(0.9))
        assert "⌂" not in app.text(), "a map that was moved stays"
        app.map.show(trip_overlay(0.3))
        assert app.text() == moved
        await pilot.press("0")
        assert app.text() == whole
        await pilot.press("plus")
        assert app.map.following
        closer = app.text()
        await pilot.press("minus", "minus")
        assert app.text() != closer
        await pilot.press("f", "f")
        await pilot.press("0")
        assert app.text() == whole


async def test_a_followed_driver_stays_near_the_centre_with_few_redraws() -> None:
    app = MapWindow(BASEMAP, trip_overlay(0.0))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f")
        drawn = app.map.basemap_draws
        for step in range(51):
            app.map.show(trip_overlay(step / 50))
            row = next(at for at, line in enumerate(app.lines()) if "▶" in line)
            column = app.lines()[row].index("▶")
            assert 8 <= row <= 22
            assert 25 <= column <= 75
        assert app.map.basemap_draws - drawn < 15


async def test_the_wheel_zooms_and_a_drag_moves() -> None:
    app = MapWindow(BASEMAP, trip_overlay())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        whole = app.text()
        await pilot._post_mouse_events([MouseScrollUp], app.map, offset=(10, 10))
        zoomed = app.text()
        assert zoomed != whole
        await pilot.mouse_down(app.map, offset=(40, 12))
        await pilot.hover(app.map, offset=(46, 14))
        await pilot.mouse_up(app.map, offset=(46, 14))
        assert app.text() != zoomed
        assert app.mouse_captured is None


async def test_the_map_adapts_to_size_and_theme() -> None:
    app = MapWindow(BASEMAP, trip_overlay())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert [len(line) for line in app.lines()] == [60] * 20
        assert all(part in app.text() for part in "◆⌂▶")
        before = app.map.render_line(5)
        drawn = app.map.basemap_draws
        app.theme = DAY.name
        await pilot.pause()
        assert app.map.render_line(5) != before
        assert app.map.basemap_draws == drawn + 1
        app.map.blur()
        await pilot.pause()
        app.lines()
        assert app.map.basemap_draws == drawn + 1, "the same colours are no reason"


async def test_a_stale_driver_is_a_question_mark() -> None:
    app = MapWindow(BASEMAP, trip_overlay(stale=True, hud="no news for 22 s"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = app.text()
        assert " ? " in text
        assert "▶" not in text
        assert "no news for 22 s" in text


async def test_without_a_basemap_there_is_a_grid_and_no_street() -> None:
    app = MapWindow(None, trip_overlay())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "m a square" in app.text()
        assert all(char in app.text() for char in "│─┼")
        assert not set("▌▐▀▄█▖▗▘▝") & set(app.text())
        grid = app.map.render_line(3)
        app.map.basemap = BASEMAP
        await pilot.pause()
        assert "a square" not in app.text()
        assert app.map.render_line(3) != grid


async def test_without_colour_glyphs_tell_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    app = MapWindow(BASEMAP, trip_overlay())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        assert app.no_color
        text = app.text()
        for part in ("≈≈", "··", "[◆]", "[⌂]", "[▶]", "█"):
            assert part in text, part


async def test_the_arrow_points_along_the_heading() -> None:
    app = MapWindow(None, trip_overlay())
    async with app.run_test(size=(60, 16)) as pilot:
        for heading, arrow in ((0, "▲"), (90, "▶"), (181, "▼"), (269, "◀"), (350, "▲")):
            app.map.show(trip_overlay(heading=float(heading)))
            await pilot.pause()
            assert f" {arrow} " in app.text(), heading


async def test_labels_of_several_drivers_do_not_overlap() -> None:
    names = [f"Driver {number:02}" for number in range(12)]
    markers = tuple(
        Marker("driver", name, LatLng(47.07 + 0.0012 * (at % 4), 15.44 + 0.0012 * (at // 4)), 0.0)
        for at, name in enumerate(names)
    )
    app = MapWindow(BASEMAP, Overlay(markers, hud="12 drivers"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        text = app.text()
        assert text.count("▲") == 12
        for name in names:
            assert text.count(name) == 1, name
        assert app.map.overlay.watched is None
        await pilot.press("f")
        assert not app.map.following
        app.map.show(Overlay((replace(markers[5], chosen=True), *markers[6:])))
        await pilot.press("f")
        assert app.map.following


TEXTS = [
    "寿司カゼ 🍣",
    "Ken\x1b[31m\x07",
    "‮drow",
    "a" * 300,
    "👩‍👩‍👧‍👦 family",
    "नमस्ते",
    "\n\t",
    "",
]


async def test_any_label_keeps_every_line_as_wide_as_the_window() -> None:
    app = MapWindow(BASEMAP, trip_overlay())
    async with app.run_test(size=(61, 17)) as pilot:
        for size in ((61, 17), (30, 8), (9, 3)):
            await pilot.resize_terminal(*size)
            for text in TEXTS:
                app.map.show(trip_overlay(label=text, hud=text))
                await pilot.pause()
                for row in range(size[1]):
                    strip = app.map.render_line(row)
                    assert sum(segment.cell_length for segment in strip) == size[0], text
                    assert "\x1b" not in strip.text


EVERYWHERE = [
    LatLng(90, 0),
    LatLng(-90, -180),
    LatLng(0, 180),
    LatLng(0, -180),
    LatLng(47.07, 15.44),
]


async def test_every_size_and_position_can_be_drawn() -> None:
    app = MapWindow(BASEMAP, Overlay())
    async with app.run_test(size=(20, 6)) as pilot:
        await pilot.pause()
        sizes = [(1, 1), (2, 1), (1, 9), (3, 2), (7, 3), (20, 6)]
        for size, lat_lng in product(sizes, EVERYWHERE):
            await pilot.resize_terminal(*size)
            overlay = Overlay(
                (Marker("driver", "Ken", lat_lng, 12.0, chosen=True), Marker("home", "Home", HOME)),
                (SHOP, lat_lng, lat_lng),
                (lat_lng, HOME),
                "1 min",
            )
            for basemap in (BASEMAP, None):
                app.map.basemap = basemap
                app.map.show(overlay)
                for act in (
                    app.map.action_follow,
                    partial(app.map.action_zoom, 1),
                    partial(app.map.action_pan, -1, 1),
                    partial(app.map.action_zoom, -9),
                    app.map.action_whole,
                ):
                    act()
                    assert len(app.lines()) == size[1]


async def test_an_empty_overlay_shows_the_town() -> None:
    app = MapWindow(BASEMAP, Overlay())
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert "▐" in app.text()
        await pilot.press("f", "plus", "0", "minus")
        app.map.basemap = None
        await pilot.pause()
        assert "a square" in app.text()
        assert app.map.size == Size(60, 20)


def test_drawing_is_a_function_of_its_arguments() -> None:
    palette = Palette.of({}, dark=True)
    view = View.enclosing(trip_overlay().lat_lngs(), 80, 24)
    rendered = RenderedBasemap.draw(BASEMAP, view, palette)
    assert draw(trip_overlay(), view, rendered, palette, False) == draw(
        trip_overlay(), view, rendered, palette, False
    )
    assert RenderedBasemap.draw(BASEMAP, view, palette) == rendered


def test_changed_text_is_painted_to_its_end() -> None:
    palette = Palette.of({}, dark=True)
    view = View.enclosing(trip_overlay().lat_lngs(), 80, 24)
    rendered = RenderedBasemap.draw(None, view, palette)
    before, after = (
        draw(trip_overlay(label=name, hud=hud), view, rendered, palette, True)
        for name, hud in (("Kenneth", "12 min"), ("Cynthia", "11 min"))
    )
    regions = {region.y: region for region in changed_regions(before, after, 80)}
    assert regions[0].right == 80
    assert regions[0].width >= len(" 12 min ")
    label = next(region for row, region in regions.items() if row)
    assert label.width >= len(" Kenneth ")


async def test_the_window_is_kept_until_a_much_closer_one_fits() -> None:
    def approach(part: float) -> Overlay:
        return Overlay(tuple(one for one in trip_overlay(part).markers if one.kind != "restaurant"))

    app = MapWindow(BASEMAP, approach(0.0))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        for step in range(31):
            app.map.show(approach(step / 100))
        assert app.map.basemap_draws == 1
        for step in range(30, 81):
            app.map.show(approach(step / 100))
        assert 2 <= app.map.basemap_draws <= 5
        app.map.show(trip_overlay(0.8))
        assert "◆" in app.text(), "a new marker comes into view"
