import re
import unicodedata
from collections.abc import Callable

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.events import Key, Paste
from textual.widgets import Input, TextArea
from wcwidth import wcwidth

from server.text import clean, shows
from tui.common.base_app import BaseApp
from tui.common.format import fit, human_age, human_bytes, human_latency, sparkline
from tui.common.sanitize import anchored, in_one_line, plain

CLUSTERS = (
    *("☁️", "1️⃣", "❤️", "☎️", "☁", "👍🏽", "☝🏽", "🇩🇪", "🇩", "👨‍👩‍👧", "🏳️‍🌈", "👩🏽‍⚕️", "❤‍🔥"),
    *("क्‍ष", "किताब", "हिन्दी", "நி", "می‌خواهم", "한글", "漢字", "e\u0301", "☰", "㉈", "𝌆"),
    *("\u3164", "\u115f", "\uffa0", "\ufe0f", "\u20e3", "\u200d", "\u200c", "\U0001f3fd", "a\tb"),
    *("\U0001fadb", "\U0001fae9", "\U0002ebf0", "\u0378", "Z" + "\u0335" * 40, "\u202e", "\u0903"),
)


def as_libc(char: str) -> int:
    """Widths as terminals have them that go by the C library's: vowel signs take a cell."""
    return 1 if unicodedata.category(char) == "Mc" else max(0, wcwidth(char))


def as_of_2021(char: str) -> int:
    """As tmux with tables of Unicode 14, which drops what is newer."""
    return -1 if unicodedata.category(char) == "Cn" else as_libc(char)


def at_most_one(char: str) -> int:
    """As a terminal to which no symbol is wide."""
    symbol = 0x2300 < ord(char) < 0x2E80 or 0x1F000 <= ord(char) < 0x20000
    return min(1, as_libc(char)) if symbol else as_libc(char)


TERMINALS = (as_libc, as_of_2021, at_most_one, wcwidth)


def drawn_in(terminal: Callable[[str], int], text: str) -> list[str]:
    """The cells of a line full of `x`, in which `text` was drawn and a bar behind it."""
    screen = pyte.Screen(200, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyte.screens.wcwidth", terminal)
        pyte.Stream(screen).feed(f"{'x' * 200}\r{anchored(text)}|")
    return [screen.buffer[0][at].data for at in range(200)]


@pytest.mark.parametrize("terminal", TERMINALS)
@given(text=st.lists(st.sampled_from(CLUSTERS), max_size=12).map("".join))
def test_every_terminal_goes_on_where_the_row_does_and_leaves_nothing(
    terminal: Callable[[str], int], text: str
) -> None:
    field = re.sub(
        "\u200d(?![\u2600-\u2bff\U0001f000-\U0001f1e5\U0001f400-\U0001faff])", "", in_one_line(text)
    )
    for shown in (plain(text), plain(text, newlines=True), field):
        cells = drawn_in(terminal, shown)
        end = cell_len(shown)
        assert [at for at, char in enumerate(cells) if char == "|"] == [end]
        assert "x" not in cells[:end]
        assert set(cells[end + 1 :]) == {"x"}


def test_what_a_terminal_drops_is_seen_as_a_box() -> None:
    pea = plain("\U0001fadb soup")
    assert "".join(drawn_in(as_of_2021, pea)).startswith("\ufffd  soup|")
    assert "".join(drawn_in(wcwidth, pea)).startswith("\U0001fadb soup|")
    assert "".join(drawn_in(as_libc, plain("हिन्दी"))).startswith("हिन्दी|")


def test_what_every_terminal_draws_alike_is_written_as_it_is() -> None:
    for text in ("\x1b[1mZoë\x1b[0m │╭─ ⣿ ▶ 漢字 ✓ ё", "\x1b]0;🫛\x07"):
        assert anchored(text) == text
    assert anchored("a\x1b[0m🫛b") == "a\x1b[0m\x1b7\ufffd \x1b8\x1b7🫛\x1b8\x1b[2Cb"


@given(st.lists(st.one_of(st.sampled_from(CLUSTERS), st.characters())).map("".join))
def test_nothing_that_can_be_seen_is_taken_out(text: str) -> None:
    text = clean(text)
    flags = {chr(0x1F1E6 + at): chr(ord("A") + at) for at in range(26)}
    seen = [flags.get(char, char) for char in text if shows(char) or char == "\u0301"]
    drawn = plain(text)
    assert [char for char in drawn if shows(char) or char == "\u0301"] == seen
    assert plain(drawn) == drawn
    assert plain(plain(text, newlines=True), newlines=True) == plain(text, newlines=True)


def test_how_it_is_drawn() -> None:
    assert plain("☁️ 1️⃣ 🇩🇪 👨‍👩‍👧 👍🏽 a\u3164b ☰") == "☁️ 1️⃣ DE 👨👩👧 👍🏽 ab ☰"
    assert plain("می‌خواهم किताब") == "می‌خواهم किताब"


class Fields(BaseApp):
    def compose(self) -> ComposeResult:
        yield Input()
        yield Input(password=True)
        yield TextArea()


PASTED = "\U0001fadb ❤️\tक्\u200dष\x1b[2J\r\n👨\u200d👩\r\n"


async def test_what_is_typed_and_pasted_stays_as_it_is_but_for_what_steers() -> None:
    app = Fields()
    async with app.run_test(size=(60, 12)) as pilot:
        for _ in range(3):
            for char in "1\u20e3\U0001f1e9\U0001fa77\u200d":
                app.post_message(Key(char, char))
            app.post_message(Paste(PASTED))
            app.copy_to_clipboard("|\ta\r\nb\x9b")
            await pilot.pause()
            await pilot.press("ctrl+v", "tab")
        shown, secret = app.query(Input)
        typed = "1\u20e3\U0001f1e9\U0001fa77\u200d"
        assert shown.value == typed + "\U0001fadb ❤️ क्\u200dष[2J 👨\u200d👩| a b"
        assert secret.value.startswith(typed + "\U0001fadb ❤️")
        area = app.query_one(TextArea)
        assert area.text == typed + "\U0001fadb ❤️\tक्\u200dष[2J\n👨\u200d👩\n|\ta\nb"
        await pilot.press("shift+tab", "shift+tab", *["left"] * 30, "x", "tab", "tab", "up", "end")
        assert {strip.cell_length for strip in app.screen._compositor.render_strips()} == {60}


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    shown = plain(text)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u200d\ufeff")


def test_line_breaks_become_spaces_unless_they_are_wanted() -> None:
    assert plain("a\nb\u2028c\td\r\ne") == "a b c d e"
    assert plain("a\r\nb\tc\rd", newlines=True) == "a\nb    c\nd"
    assert plain("\x1b[31mred\x1b[0m") == "[31mred[0m"


@given(st.text(), st.integers(0, 40))
def test_what_is_cut_fits_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) <= width
    assert cell_len(fit(text, width, pad=True)) == width


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (17_300, "17.3 kB"), (412_000, "412 kB"), (2.5e9, "2.5 GB")],
)
def test_bytes(count: float, words: str) -> None:
    assert human_bytes(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.71, "0.7s"), (42, "42s"), (540, "9m"), (18_000, "5h"), (200_000, "2d"), (-1, "0.0s")],
)
def test_ages(seconds: float, words: str) -> None:
    assert human_age(seconds) == words


def test_latencies() -> None:
    assert [human_latency(ms) for ms in (6.2, 1200, 50_000)] == ["6ms", "1.2s", "50s"]


def test_a_sparkline_is_as_wide_as_asked_and_rises_with_its_values() -> None:
    assert sparkline([], 4) == "    "
    assert sparkline([1, 2, 3], 5) == "  ▁▄█"
    assert sparkline([5, 5], 2, low=0) == "██"
    assert sparkline([1], 0) == ""
