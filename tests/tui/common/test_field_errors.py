"""What went wrong, in words for whoever typed it."""

import pytest
from pydantic import ValidationError

from server.features.announcements.schemas import NewAnnouncement
from support.news import NEWS
from tui.common.format import field_of, message_for

pytestmark = pytest.mark.usefixtures("few_frames")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", "", "Title: is empty."),
        ("title", "x" * 121, "Title: needs at most 120 characters."),
        ("body", " ", "Text: is empty."),
        ("body", "x" * 10_000, "Text: needs at most 4000 characters."),
        ("title", "\u200b", "Title: has no visible character."),
        (
            "body",
            "a\x1b[31m",
            "Text: must not contain control characters or bidirectional overrides (U+001B).",
        ),
    ],
)
def test_a_field_that_does_not_fit(field: str, value: str, words: str) -> None:
    with pytest.raises(ValidationError) as error:
        NewAnnouncement.model_validate(NEWS | {field: value})
    assert message_for(error.value) == words
    assert field_of(error.value) == field
