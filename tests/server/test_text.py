"""What counts as text, and every field that follows the rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from wcwidth import wcswidth

from server.__main__ import main
from server.features.announcements.schemas import Body, Title
from server.features.chat.frame_schemas import Text
from server.features.shared.schemas import Address, Name, Note
from server.text import MARKS_AT_MOST, clean, fault, line_ends, shows, spelled

FAMILY = "👨\u200d👩\u200d👧"
TEXTS = {
    "letters": "Maya",
    "a tab": "a\tb",
    "newer than the tables of Python 3.11": "\U0001fadb \U0001fa77 \U0001fae9 \U0002ebf0",
    "Persian": "می\u200cخواهم",
    "Hindi": "क्\u200dष किताब",
    "a family": FAMILY,
    "a flag of tags": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a skin tone": "👩🏽\u200d⚕\ufe0f",
    "a keycap": "1\ufe0f\u20e3",
    "Hebrew with a mark": "\u200fשלום",
    "as many marks as may be": "a" + "\u0301" * MARKS_AT_MOST,
    "unassigned": "\u0378",
}
STEERING = {
    "an escape": "a\x1b[31m",
    "C1": "a\x9b2J",
    "DEL": "a\x7f",
    "an override": "\u202eayam",
    "an embedding": "\u202aa\u202c",
    "an isolate": "\u2066a\u2069",
    "half a character": "a\ud800",
    "no character": "a\uffff",
    "a heap": "Z" + "\u0335" * (MARKS_AT_MOST + 1),
}
UNSEEN = {
    "a zero-width space": "\u200b",
    "a joiner": FAMILY[1],
    "a byte order mark": "\ufeff",
    "a word joiner": "\u2060",
    "a Hangul filler": "\u3164",
    "the half-width one": "\uffa0",
    "the leading one": "\u115f\u1160",
    "a blank of braille": "\u2800",
    "tags": "\U000e0041\U000e0042",
    "a variation selector": "\ufe0f",
    "a soft hyphen": "\u00ad",
    "a combining mark": "\u0301",
    "a hieroglyph's blank": "\U00013441",
    "a direction": "\u200e",
    "blanks": "\u3000\u2003",
}
SHOWN: dict[str, Any] = {"name": Name, "title": Title, "body": Body, "message": Text}
NASTY = st.text(
    st.one_of(
        st.characters(), st.sampled_from("".join([*TEXTS.values(), *STEERING.values()]) + "\r\n\v")
    ),
    max_size=80,
)


def taken(field: Any, text: str) -> str | None:
    try:
        return str(TypeAdapter(field).validate_python(text))
    except ValidationError:
        return None


@given(NASTY)
def test_cleaning_leaves_text_and_cleaning_again_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert fault(cleaned) is None
    assert clean(cleaned) == line_ends(cleaned) == cleaned


@given(NASTY)
def test_valid_text_needs_no_cleaning(text: str) -> None:
    text = line_ends(text)
    lines = text.replace("\u2028", "\n").replace("\u2029", "\n")
    assert (fault(text) is None) == (clean(text) == lines)


@given(NASTY)
def test_a_name_has_visible_characters(text: str) -> None:
    name = taken(Name, text)
    assert name is None or wcswidth(name.replace("\t", " ")) >= 1


@pytest.mark.parametrize("field", SHOWN)
def test_a_field_needs_a_visible_character(field: str) -> None:
    assert {what: taken(SHOWN[field], text) for what, text in TEXTS.items()} == TEXTS
    refused = STEERING | UNSEEN | {"nothing": "", "together": "".join(UNSEEN.values())[:9]}
    assert {what: taken(SHOWN[field], text) for what, text in refused.items()} == dict.fromkeys(
        refused
    )


def test_an_empty_note_is_no_note() -> None:
    assert {what: taken(Note, text) for what, text in TEXTS.items()} == TEXTS
    assert {what: taken(Note, text) for what, text in UNSEEN.items()} == dict.fromkeys(UNSEEN, "")
    assert {what: taken(Note, text) for what, text in STEERING.items()} == dict.fromkeys(STEERING)


@pytest.mark.parametrize("field", [Note, Body, Text])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_becomes_one(field: Any, end: str) -> None:
    assert taken(field, f"no onions{end}{end}ring\ttwice") == "no onions\n\nring\ttwice"


@pytest.mark.parametrize("option", ["--name", "--vehicle"])
def test_a_driver_is_named_by_the_same_rule(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("Eve\x1b[2J", "\u3164", " "):
        with pytest.raises(SystemExit):
            main(["add-driver", "--restaurant", "r", "--name", "Eve", option, text])
        assert f"argument {option}: " in capsys.readouterr().err


@pytest.mark.parametrize("field", [Name, Title])
def test_a_line_has_no_line_break(field: Any) -> None:
    assert taken(field, "Maya\r\n") == "Maya"
    assert taken(field, "Maya\r\nLin") is None
    assert Address(text="12\tHarbour Street\r\n", lat=0, lng=0).text == "12\tHarbour Street"


def test_one_fault_is_described() -> None:
    assert fault("a\x9b") == (
        "must not contain control characters or bidirectional overrides (U+009B)"
    )
    assert fault(STEERING["a heap"]) == "must not have more than 8 marks on one character"


@given(NASTY)
def test_spelled_text_has_no_control_characters(text: str) -> None:
    assert "marks" in (fault(spelled(text)) or "marks")
    assert not set(spelled(text)) & set("\x1b\x9b\u061c\u200e\u202e\u2028\u2066\ufeff\U000e0041")


def test_readable_text_is_not_spelled_out() -> None:
    assert spelled("Zoë 漢字 a\tb\n") == "Zoë 漢字 a\tb\n"
    assert spelled("\x9b\u202e") == r"\x9b\u202e"
    assert shows("Zoë")
