"""Where the map is in the drivers panel, at the sizes a panel may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.employee.drivers.view import MIN_LIST_LINES, MapPosition, map_position


@pytest.mark.parametrize(
    ("size", "drivers", "expected"),
    [
        ((49, 42), 2, MapPosition(below=True, list_lines=5)),  # a third of 160x48
        ((49, 42), 20, MapPosition(below=True, list_lines=17)),
        ((59, 25), 3, MapPosition(below=True, list_lines=7)),  # in front at 100x30
        ((76, 18), 2, MapPosition(below=True, list_lines=5)),  # alone at 80x24
        ((76, 18), 6, MapPosition(beside=True)),
        ((154, 42), 2, MapPosition(beside=True)),  # zoomed at 160x48
        ((52, 10), 2, MapPosition()),  # alone at 56x16
    ],
)
def test_the_map_has_its_position_at_each_usual_size(
    size: tuple[int, int], drivers: int, expected: MapPosition
) -> None:
    assert map_position(*size, drivers, 2 * drivers) == expected


@given(st.integers(0, 300), st.integers(0, 100), st.integers(0, 60), st.integers(0, 40))
def test_a_map_below_has_more_than_half_the_height(
    width: int, height: int, drivers: int, more: int
) -> None:
    position = map_position(width, height, drivers, 2 * drivers + more)
    assert not (position.below and position.beside)
    if position.below:
        assert position.list_lines <= max(MIN_LIST_LINES, height / 2)
        assert width < 100
