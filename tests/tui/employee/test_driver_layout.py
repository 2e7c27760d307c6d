"""Where roster and map stand, at the sizes a panel may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.employee.drivers.layout import LEAST_ROSTER_LINES, Layout, layout_for


@pytest.mark.parametrize(
    ("size", "drivers", "expected"),
    [
        ((49, 42), 2, Layout(below=True, roster_lines=5)),  # a third of 160x48
        ((49, 42), 20, Layout(below=True, roster_lines=17)),
        ((59, 25), 3, Layout(below=True, roster_lines=7)),  # in front at 100x30
        ((76, 18), 2, Layout(below=True, roster_lines=5)),  # alone at 80x24
        ((76, 18), 6, Layout(right=True)),
        ((154, 42), 2, Layout(right=True)),  # zoomed at 160x48
        ((52, 10), 2, Layout()),  # alone at 56x16
    ],
)
def test_at_each_usual_size(size: tuple[int, int], drivers: int, expected: Layout) -> None:
    assert layout_for(*size, drivers, 2 * drivers) == expected


@given(st.integers(0, 300), st.integers(0, 100), st.integers(0, 60), st.integers(0, 40))
def test_a_map_below_has_more_than_half(width: int, height: int, drivers: int, more: int) -> None:
    layout = layout_for(width, height, drivers, 2 * drivers + more)
    assert not (layout.below and layout.right)
    if layout.below:
        assert layout.roster_lines <= max(LEAST_ROSTER_LINES, height / 2)
        assert width < 100
