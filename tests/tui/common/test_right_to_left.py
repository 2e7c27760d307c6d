"""Text from right to left as it is drawn: reordered, in its letters' forms, in its own place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.events import MouseDown, MouseEvent, MouseMove, MouseUp
from textual.strip import Strip
from textual.widgets import Input, Label, Static, TextArea

from server.features.orders.schemas import OrderItem
from support.screen import shown
from support.waiting import wait_until
from tui.common import language, right_to_left
from tui.common.base_app import BaseApp
from tui.common.config import Config
from tui.common.dialogs.save import save_text
from tui.common.format import fit
from tui.common.right_to_left import laid_out, set_layout
from tui.common.sanitize import plain
from tui.common.terminal_news import TerminalNews
from tui.employee.kitchen.format import _item

SALAM, SEEN = "سلام", "ﻡﻼﺳ"
"""Peace, as it is stored and as it is seen; lam and alef are one letter."""


@pytest.fixture(autouse=True)
def layout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(right_to_left, "_on", True)
    return


@pytest.fixture
def arabic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(language, "_isolating", True)
    monkeypatch.setattr(language, "_language", "ar")
    right_to_left._order.cache_clear()
    yield
    right_to_left._order.cache_clear()


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


def test_in_arabic_whatever_has_arabic_letters_begins_at_the_right(arabic: None) -> None:
    assert seen(f"n {SALAM}") == f" {SEEN} n"


@pytest.mark.parametrize(
    "figure",
    [
        *("€12.30", "12.30 €", "#42", "21.5 kB", "9%", "−9%", "±3ms", "2026-11-29"),
        *("+43 316 555 0101", "13:26", "1,234.50", "800 m", "7", "^s"),
    ],
)
def test_a_number_keeps_its_signs_in_place(figure: str, arabic: None) -> None:
    assert seen(f"سبب {figure} Rue X", flows=True) == f"Rue X {figure} ﺐﺒﺳ"
    assert seen(f"سبب {figure}.") == f".{figure} ﺐﺒﺳ"
    assert seen(f"Tom סלם {figure} סלם") == f"{'סלם'[::-1]} {figure} {'סלם'[::-1]} Tom"


def test_names_beside_each_other_keep_their_order(
    arabic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "_catalogue", language._catalogue)
    language.use("ar")
    names = fit(language.listed(["1× Soup", "2× Rice", "רד"]), 40)
    assert laid_out(Strip([Segment(names)])).text == f"{'רד'[::-1]} ،2× Rice ،1× Soup"


def test_a_sign_of_the_message_stays_with_its_number(arabic: None) -> None:
    message = language.Message("סלם ±{error}, {place}").format(error="2ms", place="1 B St")
    assert laid_out(Strip([Segment(message)])).text == f"1 B St ,±2ms {'סלם'[::-1]}"


@pytest.mark.parametrize("sentence", ["إلى {place}، قريبًا", "To {place}, soon", "{place}"])
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.text("aZ19 .,:()+-אבשسلاب", min_size=1).map(lambda text: " ".join(text.split()) or "1"))
def test_what_is_put_into_a_sentence_looks_as_it_does_alone(
    sentence: str, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    alone = seen(data).strip()
    with monkeypatch.context() as set_up:
        set_up.setattr(language, "_isolating", True)
        set_up.setattr(language, "_language", "ar" if sentence[0] == "إ" else "en")
        right_to_left._order.cache_clear()
        message = language.Message(sentence).format(place=data)
        drawn = laid_out(Strip([Segment(message)]), flows=True)
    right_to_left._order.cache_clear()
    assert alone in drawn.text
    assert drawn.cell_length == cell_len(drawn.text) == cell_len(message)


def test_an_isolate_goes_on_where_a_line_is_wrapped(arabic: None) -> None:
    message = language.Message("סלם {place} סלם").format(place="12 Main St. 3 B.")
    first, _, second = message.partition(" St. ")
    word = "סלם"[::-1]
    assert laid_out(Strip([Segment(first)])).text == f"12 Main {word}"
    assert laid_out(Strip([Segment(second)])).text == f"{word} 3 B."


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
    CSS = """
    Static { border: round white; width: 20; }
    Label, Input { border: none; width: 20; }
    """

    def compose(self) -> ComposeResult:
        yield Static(SALAM)
        yield Label(SALAM)
        yield Input(SALAM, compact=True)


@pytest.mark.parametrize("setting", ["app", "off"])
async def test_a_widget_draws_it_within_its_borders(setting: str) -> None:
    app = Words(Config(bidi=setting))  # type: ignore[arg-type]
    async with app.run_test(size=(30, 6)):
        lines = shown(app).splitlines()
    text = SEEN.rjust(18) if setting == "app" else SALAM.ljust(18)
    assert f"│{text}│" in lines[1]
    assert lines[3].strip() == (SEEN if setting == "app" else SALAM)
    assert lines[3].index(lines[3].strip()[0]) < 2, "a label keeps its distance from its field"
    assert ("ﻡﺎﻠﺳ" in lines[4]) is (setting == "app")
    assert (SALAM in lines[4]) is (setting == "off")


@pytest.mark.parametrize("kind", [Input, TextArea])
async def test_the_mouse_is_in_a_text_where_it_is_seen(kind: type[Input | TextArea]) -> None:
    class Field(BaseApp):
        CSS = "Input, TextArea { width: 24; height: 4; }"

        def compose(self) -> ComposeResult:
            yield kind(SALAM + " abc")

    async with Field(Config(bidi="app")).run_test(size=(30, 6)) as pilot:
        field = pilot.app.query_one(kind)
        line = shown(pilot.app).splitlines()[1]
        assert "abc ﻡﺎﻠﺳ" in line
        seen_at = line.index("ﺳ")

        async def mouse(kind: type[MouseEvent], x: int) -> None:  # by the app, as the driver's is
            at = {"x": x, "y": 1, "screen_x": x, "screen_y": 1, "delta_x": 0, "delta_y": 0}
            keys = {"button": 1, "shift": False, "meta": False, "ctrl": False}
            pilot.app.post_message(kind(None, **at, **keys))
            await pilot.pause()

        await mouse(MouseDown, seen_at - 1)
        await mouse(MouseMove, seen_at - 3)
        await mouse(MouseUp, seen_at - 3)
        assert field.selected_text == SALAM[1:3]
        await mouse(MouseDown, line.index("b"))
        await mouse(MouseUp, line.index("b"))
        await pilot.press("x")
        text = field.value if isinstance(field, Input) else field.text
        assert text == SALAM + " axbc"


async def test_what_leaves_the_app_has_no_marks(
    arabic: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    message = language.Message("إلى {place}").format(place="12 Main St.")
    assert len(message) == len("إلى 12 Main St.") + 2
    async with Words(Config(bidi="app")).run_test(notifications=True) as pilot:
        told: list[str] = []
        TerminalNews(Config(notifications="osc9"), {"TERM": "xterm"}, told.append).notify(
            "", message
        )
        assert told == ["\x1b]9;tiffin: إلى 12 Main St.\x07"]
        pilot.app.notify(message)
        await wait_until(lambda: "12 Main St. ﻰﻟﺇ" in shown(pilot.app), what="the toast")
        pilot.app.copy_to_clipboard(message)
        assert pilot.app.clipboard == "إلى 12 Main St."
        save_text(pilot.app.query_one(Static), message, "receipt.txt", "")
        await pilot.pause()
        await pilot.press("enter")
        await wait_until((saved := tmp_path / "receipt.txt").exists, what="the file")
    assert saved.read_text() == "إلى 12 Main St."
    assert plain(message + "") == "إلى 12 Main St.", "of what is no message no mark is trusted"
