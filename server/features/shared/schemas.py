"""The parts of all schemas: text, times, pages, problems."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from server import text as texts


def _is_none(value: object) -> bool:
    return value is None


def absent() -> Any:
    """A field that is left out of the JSON while it has no value."""
    return Field(default=None, exclude_if=_is_none)


def left_alone() -> Any:
    """A field of a change that cannot be null; left out, it is None here and stays as it is."""
    return Field(default=None)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    AwareDatetime,
    # Near the ends of the calendar, a conversion to another zone raises OverflowError.
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""RFC 3339, UTC, milliseconds: `2026-01-31T12:00:00.000Z`."""


def _moment(said: object) -> datetime:
    """A date and time as text, not a number, which pydantic would take for seconds since 1970."""
    if isinstance(said, datetime):
        return said
    if isinstance(said, str) and "-" in said.strip()[1:]:
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(said.strip().upper())
    raise ValueError("must be RFC 3339, such as 2026-01-31T12:00:00.000Z")


GivenTime = Annotated[Timestamp, BeforeValidator(_moment)]
"""A time from a client: RFC 3339 and nothing else."""


def _line_ends(text: object) -> object:
    return texts.line_ends(text) if isinstance(text, str) else text


def _lines(text: str) -> str:
    if words := texts.fault(text):
        raise ValueError(words)
    return text


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one line")
    return _lines(text)


def _shown(text: str) -> str:
    if not texts.shows(text):
        raise ValueError("has no visible character")
    return text


def _empty_if_unseen(text: str) -> str:
    return text if texts.shows(text) else ""


LINE_ENDS = BeforeValidator(_line_ends)
"""CR LF and CR become LF. It stands after the constraints, and so is applied before them."""
ONE_LINE = AfterValidator(_one_line)
"""Text, tabs included, without a line break."""
LINES = AfterValidator(_lines)
"""Text, line breaks and tabs included."""
SHOWN = AfterValidator(_shown)
"""Text with at least one visible character."""

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    LINE_ENDS,
    ONE_LINE,
    SHOWN,
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=500),
    LINE_ENDS,
    LINES,
    AfterValidator(_empty_if_unseen),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Latitude = Annotated[float, Field(ge=-90, le=90)]
"""WGS 84 degrees."""
Longitude = Annotated[float, Field(ge=-180, le=180)]
"""WGS 84 degrees."""
Whole = Annotated[int, Field(ge=-(2**53), le=2**53), WithJsonSchema({"type": "integer"})]
"""A whole number in an answer, within the range that every JSON reader represents exactly."""
Cents = Annotated[int, Field(ge=0, le=10_000_000)]
"""Money in minor units."""


class Wire(BaseModel):
    """The base of all schemas.

    Validation errors do not quote the input, so that no password gets into tracebacks and logs.
    """

    model_config = ConfigDict(
        extra="ignore", allow_inf_nan=False, frozen=True, hide_input_in_errors=True
    )


ItemT = TypeVar("ItemT")


class Page(Wire, Generic[ItemT]):
    """One page of a list, newest first; `next` goes back in as `?before=`."""

    items: list[ItemT]
    next: str | None


class StreamEvent(Wire):
    """An event as a long poll tells it: the type and data that a stream would have sent.

    `logged_at` is when it was appended to the log, in the transaction of its change.
    """

    type: str
    logged_at: Timestamp | None = absent()
    data: dict[str, Any]


class EventPage(Wire):
    """What happened after a cursor, and the cursor to go on from."""

    events: list[StreamEvent]
    cursor: str


class FieldError(Wire):
    """What is wrong with one field of a request."""

    loc: list[str | int]
    msg: str


class ProblemDetails(Wire):
    """RFC 9457, the body of every error."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: Whole
    detail: str
    request_id: str
    errors: list[FieldError] | None = absent()


class Address(Wire):
    """Where to bring an order."""

    text: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
        LINE_ENDS,
        ONE_LINE,
        SHOWN,
    ]
    lat: Latitude
    lng: Longitude


class Actor(Wire):
    """Who did something: an account, as others may see it."""

    id: str
    name: str
    role: str


json_string: Callable[[str], str] = encode_basestring
"""A text as JSON, for JSON that is put together without making models."""


def actor_json(identifier: str, name: str, role: str) -> str:
    """The JSON of an Actor."""
    return f'{{"id":"{identifier}","name":{json_string(name)},"role":"{role}"}}'
