"""What went wrong, in words for whoever typed it."""

import pytest
from pydantic import ValidationError

from server.features.announcements.schemas import NewAnnouncement
from server.features.shared.schemas import ProblemDetails
from support.live_server import LiveServer
from support.news import NEWS
from tui.common import language
from tui.common.client.errors import PROBLEMS, ApiError, refused_message
from tui.common.client.meter import Wire
from tui.common.client.session import Session
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


@pytest.fixture
def arabic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_isolating", False)
    monkeypatch.setattr(language, "_language", language._language)
    monkeypatch.setattr(language, "_catalogue", language._catalogue)
    language.use("ar")


async def test_a_refusal_is_said_in_the_users_language(
    live_server: LiveServer, arabic: None
) -> None:
    session = Session(live_server.url, Wire())
    try:
        with pytest.raises(ApiError) as refused:
            await session.log_in("ana@example.org", "no such password")
        assert message_for(refused.value) == language._("The e-mail or the password is wrong.")
        assert refused.value.message[:1] > "z"
        language.use("en")
        with pytest.raises(ApiError) as refused:
            await session.log_in("ana@example.org", "no such password")
    finally:
        await session.close()
    assert message_for(refused.value) == refused.value.problem.detail


def test_what_has_no_words_keeps_the_servers(arabic: None) -> None:
    def said(kind: str, status: int = 409, **more: object) -> str:
        problem = ProblemDetails.model_validate(
            {
                "type": f"urn:tiffin:problem:{kind}",
                "title": "Conflict",
                "status": status,
                "detail": "The server's words.",
                "request_id": "r",
                **more,
            }
        )
        return message_for(ApiError(problem, 2.5))

    assert said("newer than we are") == "The server's words."
    assert said("sold-out") == "The server's words.", "it does not say which"
    assert said("sold-out", dish="Soup", self="x") == "نفد Soup. احذفه من السلة."
    assert "3" in said("newer than we are", 429)
    assert refused_message("taken", "x") == language._(PROBLEMS["chat-taken"])
    assert refused_message("newer", "x") == "x"


def test_a_code_that_has_words_is_one_of_the_servers() -> None:
    sources = (language.CATALOGUES.parents[1] / "server").rglob("*.py")
    text = "".join(source.read_text() for source in sources)
    assert [code for code in PROBLEMS if f'"{code}"' not in text] == []
