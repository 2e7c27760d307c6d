"""Request bodies: how long they may take to arrive, and their JSON."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import http_exceptions, web
from pydantic import BaseModel, ValidationError

from server.core.errors import Problem, malformed, unavailable, validation_problem
from server.core.services import service

BODY_SECONDS = 20.0
"""How long a client may take to send its JSON."""


class BodyDeadlines:
    """The deadlines of the bodies that this process is receiving.

    `draining` is set once the server stops: each answer then closes its connection.
    """

    def __init__(self) -> None:
        self.draining = False
        self._stopped = False
        self._deadlines: set[asyncio.Timeout] = set()

    @contextlib.asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Receive a body within that many seconds.

        Raises TimeoutError after them, and Problem 503 where the server stops waiting earlier.
        """
        try:
            async with asyncio.timeout(0 if self._stopped else seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if not self._stopped:
                raise
            raise unavailable(
                "The server is shutting down, and not all of the request has come. Send it again.",
                1,
            ) from None

    def stop(self) -> None:
        """Stop waiting for bodies, also for those that begin later."""
        self._stopped = True
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(now)


async def read_body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """The request's JSON as that model. Raises Problem 400, 413, 415 or 422."""
    kind = request.content_type
    if "Content-Type" in request.headers and not (
        kind == "application/json" or kind.endswith("+json")
    ):
        raise Problem(415, f"Send JSON (`Content-Type: application/json`), not {kind}.")
    try:
        # aiohttp itself waits for ever for a body that stops or goes on in broken chunks.
        async with service(request, BodyDeadlines).within(BODY_SECONDS):
            sent = await request.read()
    except TimeoutError:
        raise malformed(f"The body did not arrive within {BODY_SECONDS:g} s.") from None
    except (web.RequestPayloadError, http_exceptions.BadHttpMessage):
        raise malformed("The body is not what its headers announce.") from None
    if not sent and request.method == "DELETE":  # as most clients send it
        sent = b"{}"
    try:
        # Strict: `true` is not 1, and a string is not a number. A time or an enum is a string.
        body = model.model_validate_json(sent, strict=True)
    except ValidationError as error:
        raise validation_problem(error) from None
    _check_json(sent)
    return body


def _check_json(sent: bytes) -> None:
    """Refuse what pydantic's parser accepts but JSON readers disagree about. Raises Problem 400."""
    try:
        _PLAIN_JSON.decode(sent.decode())
    except ValueError as error:
        raise malformed(f"The body is not JSON: {error}.") from None


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        # Readers differ in which of the two they take.
        raise ValueError("an object has a member twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


_PLAIN_JSON = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_number, parse_int=len, parse_float=len
)
