import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.events import Key, Paste
from textual.widgets import Input
from wcwidth import wcwidth

from tui.common.base_app import BaseApp
from tui.common.chat.legible import legible
from tui.common.text import drawn, fit, human_age, human_bytes, human_latency, plain, spark

CLUSTERS = (
    *("☁️", "1️⃣", "❤️", "☎️", "☁", "👍🏽", "☝🏽", "🇩🇪", "🇩", "👨‍👩‍👧", "🏳️‍🌈", "👩🏽‍⚕️", "❤‍🔥"),
    *("क्‍ष", "می‌خواهم", "한글", "漢字", "e\u0301", "\u3164", "\u115f", "\uffa0", "☰", "㉈", "𝌆"),
    *("\ufe0f", "\u20e3", "\u200d", "\U0001f3fd"),
)


def cells_in_a_terminal(text: str) -> int:
    """What a terminal makes of it that draws one character after the other."""
    return sum(max(0, wcwidth(char)) for char in text)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=ascii)
def test_a_cluster_is_as_wide_as_a_terminal_draws_it(cluster: str) -> None:
    for shown in (plain(cluster * 3), drawn(legible(cluster * 3))):
        assert cell_len(shown) == cells_in_a_terminal(shown)


@given(st.lists(st.sampled_from(CLUSTERS)).map("".join))
def test_clusters_side_by_side_are_as_wide_as_a_terminal_draws_them(text: str) -> None:
    for shown in (plain(text), drawn(legible(text))):
        assert cell_len(shown) == cells_in_a_terminal(shown)


def test_what_has_no_certain_width_is_drawn_by_parts() -> None:
    assert drawn("☁️ 1️⃣ 🇩🇪 👨‍👩‍👧 👍🏽 a\u3164b ☰") == "☁ 1 DE 👨👩👧 👍 ab \ufffd"
    assert drawn("می‌خواهم किताब") == "می‌خواهم किताब"


class Fields(BaseApp):
    def compose(self) -> ComposeResult:
        yield Input()
        yield Input(password=True)


async def test_what_is_typed_and_pasted_has_a_certain_width_and_a_password_stays_as_it_is() -> None:
    app = Fields()
    async with app.run_test() as pilot:
        for _ in range(2):
            for char in "1\u20e3\U0001f1e9":
                app.post_message(Key(char, char))
            app.post_message(Paste("❤️"))
            await pilot.press("tab")
        shown, secret = app.query(Input)
        assert shown.value == "1D❤"
        assert secret.value == "1\u20e3\U0001f1e9❤️"


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    shown = plain(text)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u200d\ufeff")


def test_line_breaks_become_spaces_unless_they_are_wanted() -> None:
    assert plain("a\nb\u2028c\td") == "a b c d"
    assert plain("a\nb", newlines=True) == "a\nb"
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
    assert spark([], 4) == "    "
    assert spark([1, 2, 3], 5) == "  ▁▄█"
    assert spark([5, 5], 2, low=0) == "██"
    assert spark([1], 0) == ""
