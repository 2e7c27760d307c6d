"""Lines for the terminal: by cells, with nothing torn, and nothing in them that steers."""

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from server.text import MARKS_AT_MOST, fault
from tui.common.chat.layout import count_lines, graphemes, is_single_width, wrap
from tui.common.sanitize import plain

FAMILY = "👨‍👩‍👧"
WORDS_OF_ALL_KINDS = (
    "a",
    "word",
    "é",
    "e\u0301",
    "ш",
    "漢字",
    "한글",
    "سلام",
    "می‌خواهم",
    "क्‍ष",
    "x" * 50,
)
EMOJI = ("🙂", "👍🏽", FAMILY, "🇩🇪", "❤️", "1️⃣")
SPACES = (" ", "  ", "\n", "\t", "\r\n", "\u2028")
NUISANCES = ("\u202e", "\x1b[31m", "\x9b2J", "\u200d", "\u200b", "\ufeff", "\u2066", "\x07")
HEAP = "a" + "\u0301" * 40
PIECES = st.sampled_from([*WORDS_OF_ALL_KINDS, *EMOJI, *SPACES, *NUISANCES, HEAP])
TEXTS = st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=80))


@given(TEXTS)
@example("\x1b]0;title\x07\x1b[2Jhello")
@example("\u202eevil\u202c")
def test_nothing_that_is_shown_steers_the_terminal(text: str) -> None:
    shown = plain(text, newlines=True)
    assert fault(shown) is None
    assert not set(shown) & set("\u200b\u200d\ufeff\u200e")
    assert plain(shown, newlines=True) == shown


@given(TEXTS, st.integers(1, 60))
@example(f"{FAMILY}{FAMILY}{FAMILY}", 5)
@example("🇩🇪🇩🇪🇩🇪", 3)
def test_lines_are_no_wider_than_they_may_be_and_lose_nothing(text: str, width: int) -> None:
    text = plain(text, newlines=True)
    single_width = is_single_width(text)
    lines = wrap(text, width, single_width=single_width)
    widest = max((cells for _, cells in graphemes(text.replace("\n", ""))), default=0)
    assert all(cell_len(line) <= max(width, widest) for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace("\n", "").replace(" ", "")
    assert len(lines) == count_lines(text, width, single_width=single_width)
    assert len(lines) >= text.count("\n") + 1


@given(TEXTS, st.integers(2, 60))
def test_nothing_that_is_one_character_to_the_eye_is_torn(text: str, width: int) -> None:
    text = plain(text, newlines=True)
    whole = [piece for part in text.split("\n") for piece, _ in graphemes(part) if piece != " "]
    lines = wrap(text, width, single_width=is_single_width(text))
    found = [piece for line in lines for piece, _ in graphemes(line) if piece != " "]
    assert found == whole


WORDS = st.lists(st.text(alphabet="ab", min_size=1, max_size=9), max_size=12).map(" ".join)


@given(st.lists(WORDS, max_size=3).map("\n".join), st.integers(1, 20))
def test_both_ways_to_wrap_agree(text: str, width: int) -> None:
    assert is_single_width(text)
    by_pattern = wrap(text, width, single_width=True)
    by_cells = wrap(text, width, single_width=False)
    assert by_pattern == by_cells


def test_words_are_kept_whole_where_they_fit() -> None:
    text = "Great, thank you! Could the rider ring twice? The bell is a bit weak."
    lines = ["Great, thank you! Could the rider", "ring twice? The bell is a bit weak."]
    assert wrap(text, 35, single_width=True) == lines


def test_arabic_keeps_its_marks_and_its_order() -> None:
    text = "السَّلَامُ عَلَيْكُمْ"
    assert plain(text, newlines=True) == text
    assert [cell_len(line) <= 8 for line in wrap(text, 8, single_width=is_single_width(text))] == [
        True,
        True,
    ]


def test_heaps_of_marks_are_cut() -> None:
    assert plain("Z" + "\u0335" * 500 + "a", newlines=True) == "Z" + "\u0335" * MARKS_AT_MOST + "a"


def test_escapes_lose_what_makes_them_escapes() -> None:
    assert plain("\x1b[31mred\x1b[0m", newlines=True) == "[31mred[0m"
    assert plain("a\tb\r\nc\rd\u2028e", newlines=True) == "a    b\nc\nd\ne"
