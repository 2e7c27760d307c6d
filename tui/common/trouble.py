"""What went wrong, as plain words for the place it belongs to."""

from tui.common.text import plain

LABELS = {"body": "text"}
"""What a field is called on the screen, where that is another word than on the wire."""


def field_of(error: Exception) -> str | None:
    """The field of a form that an error is about, if it is about one."""
    from pydantic import ValidationError

    from tui.common.client.errors import ApiError

    if isinstance(error, ValidationError):
        location = error.errors(include_url=False)[0]["loc"]
        return str(location[0]) if location else None
    if isinstance(error, ApiError) and error.problem.errors:
        location_sent = [str(part) for part in error.problem.errors[0].loc if part != "body"]
        return location_sent[0] if location_sent else None
    return None


def words_of(error: Exception) -> str:
    """A sentence that a person can act on. Raises what is no trouble but a mistake of ours."""
    from pydantic import ValidationError

    from tui.common.client.errors import ApiError, ClientTrouble

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return _about(field_of(error), first["msg"])
    if isinstance(error, ApiError) and error.problem.errors:
        return _about(field_of(error), error.problem.errors[0].msg)
    if isinstance(error, ClientTrouble):
        return plain(error.words)
    raise error


def _about(field: str | None, message: str) -> str:
    words = plain(message).removeprefix("Value error, ")
    name = LABELS.get(field or "", (field or "").replace("_", " "))
    words = {
        "String should have at least 1 character": "is empty",
        "Field required": "is missing",
    }.get(words, words)
    words = words.replace("String should have", "needs").rstrip(".")
    words = words.removeprefix("value is ")
    if message.startswith("value is not"):
        words = f"is {words}"
    return f"{name.capitalize()}: {words}." if name else f"{words.capitalize()}."
