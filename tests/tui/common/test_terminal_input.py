"""What a terminal sends: a paste of any size is one event, and costs no more than a small one."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from textual._xterm_parser import XTermParser
from textual.events import Key, Paste
from textual.message import Message

from tui.common.terminal import PASTE_CHARACTERS, PasteFilter

START, END = "\x1b[200~", "\x1b[201~"


def told(pieces: list[str]) -> list[str]:
    """Keys and pastes that come of it."""
    parser, shorten = XTermParser(), PasteFilter()
    events: list[Message] = []
    for piece in pieces:
        if text := shorten(piece):
            events += parser.feed(text)
    return [
        event.text if isinstance(event, Paste) else f"key {event.character}"
        for event in events
        if isinstance(event, Key | Paste)
    ]


@given(st.lists(st.integers(0, 80), max_size=8), st.text("ab[2~\n漢", max_size=30))
@example([3], "")
@example([7, 8, 9, 10, 11, 12, 13, 14], "[201~")
def test_however_a_paste_is_cut_up_it_is_one_paste(cuts: list[int], pasted: str) -> None:
    text = f"k{START}x{pasted}{END}l{START}second{END}m"
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [text[at:to] for at, to in pairwise(places)]
    assert told(pieces) == ["key k", f"x{pasted}", "key l", "second", "key m"]


def test_what_is_beyond_the_limit_is_dropped_and_the_app_can_see_that() -> None:
    text = f"{START}{'x' * 2_000_000}{END}k"
    pieces = [text[at : at + 4096] for at in range(0, len(text), 4096)]
    assert told(pieces) == ["x" * (PASTE_CHARACTERS + 1), "key k"]
    shorten = PasteFilter()
    assert (
        sum(len(shorten(piece)) for piece in pieces) == PASTE_CHARACTERS + 1 + len(START + END) + 1
    )
