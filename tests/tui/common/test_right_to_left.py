"""Text from right to left as it is drawn: reordered, in its letters' forms, in its own place."""

from collections.abc import Iterator

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.strip import Strip
from textual.widgets import Input, Static

from server.features.orders.schemas import OrderItem
from support.screen import shown
from tui.common import language, right_to_left
from tui.common.base_app import BaseApp
from tui.common.config import Config
from tui.common.right_to_left import laid_out, set_layout
from tui.employee.kitchen.format import _item

SALAM, SEEN = "سلام", "ﻡﻼﺳ"
"""Peace, as it is stored and as it is seen; lam and alef are one letter."""


@pytest.fixture(autouse=True)
def layout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(right_to_left, "_on", True)
    return


def seen(text: str, *, flows: bool = False, edited: bool = False) -> str:
    strip = laid_out(Strip([Segment(text)]), flows=flows, edited=edited)
    assert strip.cell_length == sum(part.cell_length for part in strip) == len(text)
    return strip.text


def test_columns_and_borders_keep_their_place() -> None:
    assert seen(f"│ {SALAM}  12:46 │ {SALAM} │") == f"│  {SEEN}  12:46 │  {SEEN} │"
    assert seen("plain  ─── 12 │") == "plain  ─── 12 │"


def test_a_name_leaves_its_price_in_its_place() -> None:
    dish = OrderItem(menu_item_id="d", name="חומוס עם הרבה טחינה", price_cents=1320, quantity=1)
    (line,) = _item(dish, "EUR", 20)
    assert seen(line.plain).endswith("  €13.20")


def test_keys_stand_before_what_they_do() -> None:
    keys = [Segment("^q", Style(bold=True)), Segment(" סלם  "), Segment("?", Style(bold=True))]
    assert laid_out(Strip(keys), parted=True).text == f"^q {'סלם'[::-1]}  ?"


def test_what_a_text_begins_with_decides_its_direction() -> None:
    assert seen("Order 12 from דוד (new)") == "Order 12 from דוד"[:14] + "דוד"[::-1] + " (new)"
    assert seen("דוד (12) Tom") == "Tom (12) " + "דוד"[::-1]


def test_in_arabic_whatever_has_arabic_letters_begins_at_the_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(language, "_language", "ar")
    right_to_left._order.cache_clear()
    assert seen(f"n {SALAM}") == f" {SEEN} n"
    right_to_left._order.cache_clear()


def test_letters_have_the_forms_of_their_place() -> None:
    assert seen("ببب با") == "ﺎﺑ ﺐﺒﺑ"
    assert seen("ب\u0640ب") == "ﺐ\u0640ﺑ"
    for word in ("كاملًا", "كاملاً"):
        assert laid_out(Strip([Segment(word)])).text == " ﻼ\u064bﻣﺎﻛ"


def test_a_field_begins_at_the_right_and_its_cursor_moves_with_the_letters() -> None:
    cursor = Style(reverse=True)
    line = Strip([Segment("▊ "), Segment("סלם"), Segment(" ", cursor), Segment("   ▎")])
    drawn = laid_out(line, flows=True, edited=True)
    assert drawn.text == "▊    " + "סלם"[::-1] + " ▎"
    assert drawn.crop(4, 5)._segments == [Segment(" ", cursor)], "left of the last letter"
    assert seen(f"▊ {SALAM}  ▎", flows=True, edited=True) == "▊  ﻡﺎﻠﺳ ▎", "a cell for each letter"


@pytest.mark.parametrize(
    ("setting", "environment", "laid"),
    [
        ("auto", {"VTE_VERSION": "7600"}, True),
        ("auto", {"KONSOLE_VERSION": "230800"}, False),
        ("app", {"KONSOLE_VERSION": "230800"}, True),
        ("terminal", {}, False),
        ("off", {}, False),
    ],
)
def test_a_setting_says_who_lays_it_out(
    setting: str, environment: dict[str, str], laid: bool
) -> None:
    assert set_layout(setting, environment) is laid  # type: ignore[arg-type]
    assert (seen(SALAM) != SALAM) is laid


class Words(BaseApp):
    CSS = "Static { border: round white; width: 20; } Input { width: 20; }"

    def compose(self) -> ComposeResult:
        yield Static(SALAM)
        yield Input(SALAM)


@pytest.mark.parametrize("setting", ["app", "off"])
async def test_a_widget_draws_it_within_its_borders(setting: str) -> None:
    app = Words(Config(bidi=setting))  # type: ignore[arg-type]
    async with app.run_test(size=(30, 6)):
        lines = shown(app).splitlines()
    text = SEEN.rjust(18) if setting == "app" else SALAM.ljust(18)
    assert f"│{text}│" in lines[1]
    assert ("ﻡﺎﻠﺳ" in lines[4]) is (setting == "app")
    assert (SALAM in lines[4]) is (setting == "off")
