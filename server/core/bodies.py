"""JSON bodies: read in time, and for what they say."""

import json
from typing import Any

from aiohttp import http_exceptions, web
from pydantic import BaseModel, ValidationError

from server.core.arrivals import Arrivals
from server.core.errors import Problem, malformed, unfit
from server.core.services import service

BODY_SECONDS = 20.0
"""How long a client may take to send its JSON."""


async def read_body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """The request's JSON as that model. Raises Problem 400, 413, 415 or 422."""
    kind = request.content_type
    if "Content-Type" in request.headers and not (
        kind == "application/json" or kind.endswith("+json")
    ):
        raise Problem(415, f"Send JSON (`Content-Type: application/json`), not {kind}.")
    try:
        # aiohttp never ends the wait for a body that stops coming, or goes on in broken chunks.
        async with service(request, Arrivals).within(BODY_SECONDS):
            sent = await request.read()
    except TimeoutError:
        raise malformed(f"The body did not arrive within {BODY_SECONDS:g} s.") from None
    except (web.RequestPayloadError, http_exceptions.BadHttpMessage):
        raise malformed("The body is not what its headers announce.") from None
    if not sent and request.method == "DELETE":  # as most clients send it
        sent = b"{}"
    try:
        # A `true` is no 1 and a text no number; a time or a name out of a list is text in JSON.
        body = model.model_validate_json(sent, strict=True)
    except ValidationError as error:
        raise unfit(error) from None
    _check_json(sent)
    return body


def _check_json(sent: bytes) -> None:
    """What pydantic's parser lets pass. Raises Problem 400."""
    try:
        _PLAIN_JSON.decode(sent.decode())
    except ValueError as error:
        raise malformed(f"The body is not JSON: {error}.") from None


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        # Which of the two counts would be another one for whatever has looked at it on the way.
        raise ValueError("an object has a member twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


_PLAIN_JSON = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_number, parse_int=len, parse_float=len
)
