"""The description of somebody else's endpoints: a small TOML file, checked and put into words."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tui.lab.records import LONG_POLL, SHORT_POLL, SSE, WEBSOCKET

MOST_PUBLISHED = 10.0
"""Events a second."""
SEQ = "${seq}"
"""Stands in a body for the number of the event."""
_PATH = re.compile(r"/(?!/)[^\s#\\]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_OF_THE_CONNECTION = frozenset(
    {"Connection", "Content-Length", "Host", "Transfer-Encoding", "Upgrade"}
)


class DescriptionError(ValueError):
    """The file, the key and what is wrong with it, in words."""


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(
            f"{text!r} is no path: it begins with one /, and has neither a space nor # in it. "
            "The server is named by --target alone."
        )
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    """With their usual capitals, and with what they take from the environment."""
    found = {}
    for name, text in headers.items():
        title = name.title()
        if not _HEADER.fullmatch(name) or title in _OF_THE_CONNECTION:
            raise ValueError(f"{name} is not a header that can be set here; leave it out.")
        for variable in _VARIABLE.findall(text):
            if variable not in os.environ:
                raise ValueError(f"{name} needs {variable} from the environment: set it.")
        value = _VARIABLE.sub(lambda match: os.environ[match[1]], text)
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"{name} has a value that is not one line of ASCII.")
        found[title] = value
    return found


Path_ = Annotated[str, AfterValidator(_path)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Place = Annotated[str, Field(min_length=1)]
"""Where in a JSON something is: names, and numbers in lists, with dots between."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path_
    """Below the address of --target."""
    headers: Headers = Field(default_factory=dict)
    """Of each request; `${NAME}` in a value is taken from the environment."""


class Endpoint(_Table):
    """Where events are read, and what they say."""

    seq: Place | None = None
    """Where an event has its number: one more than the event before."""
    time: Place | None = None
    """Where it has its time, since 1970."""
    unit: Literal["s", "ms"] = "s"
    """Of that time."""


class Polled(Endpoint):
    """An endpoint whose answers are JSON."""

    events: Place | None = None
    """Where an answer has its events, a list or one; None: it is one. A short poll takes the last
    of a list."""


class LongPolled(Polled):
    """One that holds the request until there is something new."""

    cursor: Place
    """The parameter of the query that says what is known already."""
    next: Place
    """Where an answer has that of the next request."""
    first: str | None = None
    """That of the first request; None: it has none."""


class Publish(_Table):
    """How the lab publishes events there itself."""

    rate: Annotated[float, Field(gt=0, le=MOST_PUBLISHED)]
    """Events a second, on average, and never more than ten."""
    body: str
    """`${seq}` in it is the number of the event."""
    content_type: Annotated[str, Field(alias="content-type")] = "application/json"
    method: Literal["POST", "PUT"] = "POST"


class Description(BaseModel):
    """What there is to be measured: a table for each pattern, and one for what publishes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    short_poll: Annotated[Polled | None, Field(alias=SHORT_POLL)] = None
    long_poll: Annotated[LongPolled | None, Field(alias=LONG_POLL)] = None
    sse: Endpoint | None = None
    websocket: Endpoint | None = None
    publish: Publish | None = None

    @model_validator(mode="after")
    def _check(self) -> Description:
        if not self.endpoints:
            raise ValueError(
                f"there is nothing to read: it needs at least one table of {SHORT_POLL}, "
                f"{LONG_POLL}, {SSE} and {WEBSOCKET}."
            )
        return self

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """By the pattern by which each is read."""
        found = {
            SHORT_POLL: self.short_poll,
            LONG_POLL: self.long_poll,
            SSE: self.sse,
            WEBSOCKET: self.websocket,
        }
        return {pattern: endpoint for pattern, endpoint in found.items() if endpoint is not None}

    @property
    def numbered(self) -> frozenset[str]:
        """The patterns whose events have the numbers that the lab gives them."""
        if self.publish is None or SEQ not in self.publish.body:
            return frozenset()
        return frozenset(
            pattern for pattern, endpoint in self.endpoints.items() if endpoint.seq is not None
        )


def read_description(path: Path) -> Description:
    """Raises DescriptionError."""
    try:
        return Description.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise DescriptionError(f"{path}: {_words(error)}") from None
    except OSError as error:
        raise DescriptionError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise DescriptionError(f"{path} is not TOML: {error}.") from None


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    kind, reason = first["type"], first["msg"].removeprefix("Value error, ")
    if kind == "missing":
        reason = "this key is missing."
    elif kind == "extra_forbidden":
        reason = "there is no such key."
    return f"{key}: {reason}" if key else reason


def look_up(document: Any, place: str | None) -> Any:
    """What a JSON has at that place, None where it has none; the whole for no place."""
    for part in place.split(".") if place else ():
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document
