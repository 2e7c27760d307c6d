import pytest

from tui.common.map.geometry import LatLng, View, to_mercator

PLACES = [LatLng(47.076, 15.434), LatLng(47.066, 15.447)]


@pytest.mark.parametrize("size", [(160, 48), (100, 30), (50, 12), (12, 4)])
def test_every_position_is_in_view_with_a_margin(size: tuple[int, int]) -> None:
    view = View.enclosing(PLACES, *size)
    assert view.holds(PLACES, 3)
    closer = view.zoomed(1.9)
    assert not closer.holds(PLACES, 3)


def test_a_distance_has_the_same_dots_in_every_direction() -> None:
    view = View.enclosing(PLACES, 80, 24)
    at = view.dot(to_mercator(LatLng(47.07, 15.44)))
    east = view.dot(to_mercator(LatLng(47.07, 15.44 + 1000 / 75_735)))
    north = view.dot(to_mercator(LatLng(47.07 + 1000 / 111_195, 15.44)))
    assert east[0] - at[0] == pytest.approx(at[1] - north[1], rel=0.005)
    assert (east[0] - at[0]) * view.metres_a_dot == pytest.approx(1000, rel=0.005)


def test_zooming_keeps_the_position_under_the_mouse() -> None:
    view = View.enclosing(PLACES, 80, 24)
    before = view.dot(to_mercator(PLACES[0]))
    after = view.zoomed(1.5, before).dot(to_mercator(PLACES[0]))
    assert after == pytest.approx(before, abs=0.01)


def test_a_view_moves_by_the_given_dots() -> None:
    view = View.enclosing(PLACES, 80, 24)
    x, y = view.dot(to_mercator(PLACES[0]))
    assert view.moved(7, -5).dot(to_mercator(PLACES[0])) == pytest.approx((x - 7, y + 5), abs=0.01)


def test_positions_on_both_sides_of_the_antimeridian_are_close() -> None:
    places = [LatLng(-17.0, 179.99), LatLng(-17.01, -179.99)]
    view = View.enclosing(places, 80, 24)
    assert view.metres_a_dot < 30
    assert view.holds(places, 4)


@pytest.mark.parametrize(
    "places",
    [
        [LatLng(90, 0)],
        [LatLng(-90, 180)],
        [LatLng(90, -180), LatLng(-90, 180)],
        [LatLng(0, 0), LatLng(0, 180)],
        [LatLng(47, 15), LatLng(47, 15)],
        [],
    ],
)
@pytest.mark.parametrize("size", [(0, 0), (1, 1), (80, 24)])
def test_any_position_gives_a_finite_view(places: list[LatLng], size: tuple[int, int]) -> None:
    view = View.enclosing(places, *size)
    for steps in (1e9, 1e-9, 1.5):
        zoomed = view.zoomed(steps).moved(1e6, 1e6)
        assert 0 < zoomed.metres_a_dot < 1e7
        for place in places:
            zoomed.cell(place)
