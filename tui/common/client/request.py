"""One request and its answer, counted on a meter as they cross the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tui.common.client.errors import ApiError, Unreachable
from tui.common.client.frame import Contents, head_text
from tui.common.client.retry import parse_retry_after
from tui.common.language import _

if TYPE_CHECKING:
    import aiohttp

    from server.features.shared.schemas import ProblemDetails
    from tui.common.client.meter import Meter

ANSWER_BYTES = 32 * 1024 * 1024
"""The largest answer that is read; our server sends no larger ones."""
PROBLEM_TYPE = "application/problem+json"
PROBLEM_SECONDS = 10.0
PROBLEM_BYTES = 256 * 1024
"""As much of an error as is read."""
WORDS_LONG = 1000
"""Characters that are kept of an error's title and detail."""
FIELDS_TOLD = 10
"""Fields of a request whose errors are shown, at most."""


SECRET_PATHS = ("/auth", "/me")
"""Of requests whose bodies, and whose answers', hold passwords or tokens."""


ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer below 400; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RequestContext:
    """One request and its answer, open until `close`.

    `translate_errors` turns what the network raises into `Unreachable`.
    """

    def __init__(
        self,
        translate_errors: Callable[[], AbstractContextManager[None]],
        meter: Meter,
        what: str,
        body_size: int,
        on_sent: Callable[[], None] | None = None,
        on_closed: Callable[[], None] | None = None,
        body: bytes = b"",
    ) -> None:
        self._translate_errors = translate_errors
        self._meter = meter
        self._what = what
        self._body_size = body_size
        self._on_sent = on_sent
        self._on_closed = on_closed
        self._body = body
        self._exchange = 0
        self._sent_at = 0.0
        self._counted = False
        self._response: aiohttp.ClientResponse | None = None
        self.latency_ms = 0.0
        """From the head's leaving to the answer's first byte."""
        self.size = 0
        """Bytes of the answer so far: status line, headers and body."""

    @property
    def response(self) -> aiohttp.ClientResponse:
        """The answer; its body is read with `read` or `chunk`, so that it is counted."""
        assert self._response is not None, "the answer has not arrived yet"
        return self._response

    def head_sent(self, head_size: int, head: str = "") -> None:
        """Called as the request's head leaves, once more if aiohttp had to repeat it."""
        self._sent_at = time.perf_counter()
        if not self._counted:
            self._counted = True
            self._meter.opened()
            self._exchange = self._meter.exchange
        contents = Contents.of(head, self._shown(self._body), exchange=self._exchange)
        self._meter.sent(self._what, head_size + self._body_size, contents)
        if self._on_sent is not None:
            self._on_sent()

    def answered(self, response: aiohttp.ClientResponse) -> None:
        """Called once the answer's head has arrived."""
        self._response = response
        self.latency_ms = (time.perf_counter() - self._sent_at) * 1000
        status_line = f"HTTP/1.1 {response.status} {response.reason or ''}"
        headers = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
        self._received(len(status_line) + 2 + headers + 2)

    async def read(self, max_bytes: int = ANSWER_BYTES) -> bytes:
        """The rest of the body; closes. Raises `Unreachable`, also for more than `max_bytes`."""
        body = bytearray()
        try:
            while more := await self.chunk():
                body += more
                if len(body) > max_bytes:
                    raise Unreachable(
                        _(
                            "The server's answer has more than {max_bytes:g} MiB; the rest was not "
                            "read."
                        ).format(max_bytes=max_bytes / 1024 / 1024),
                        _("answer too large"),
                    )
        finally:
            self.close()
        return bytes(body)

    def contents(self, body: bytes) -> Contents:
        """The answer as the log keeps it."""
        response = self.response
        status_line = f"HTTP/1.1 {response.status} {response.reason or ''}"
        head = head_text(status_line, response.raw_headers)
        return Contents.of(head, self._shown(body), self.latency_ms, self._exchange)

    def _shown(self, body: bytes) -> str | bytes:
        """What may be kept of a body: neither passwords nor tokens."""
        path = self._what.partition(" ")[2]
        return _("(not kept)") if body and path.startswith(SECRET_PATHS) else body

    async def reply(self, max_bytes: int = ANSWER_BYTES) -> Reply:
        """The whole answer to a request that was to be answered at once, noted on the meter."""
        body = await self.read(max_bytes)
        self._meter.measured(self.latency_ms)
        what = f"{self.response.status} {self._what.partition('?')[0]}"
        self._meter.event(what, self.size, payload=len(body), contents=self.contents(body))
        return Reply(self.response.status, self.response.headers, body)

    async def chunk(self) -> bytes:
        """The next bytes of the body, b"" at its end. Raises `Unreachable`."""
        with self._translate_errors():
            data = await self.response.content.readany()
        if data:
            self._received(len(data))
        return data

    async def coalesce(self, seconds: float) -> None:
        """Let the kernel collect what comes for so long, so that one read brings it all."""
        connection = self.response.connection
        transport = None if connection is None else connection.transport
        if transport is None:
            return
        transport.pause_reading()
        try:
            await asyncio.sleep(seconds)
        finally:
            transport.resume_reading()

    async def problem(self) -> ApiError:
        """The error that the answer is, noted on the meter; closes."""
        from server.features.shared.schemas import ProblemDetails

        response = self.response
        body = b""
        try:
            async with asyncio.timeout(PROBLEM_SECONDS):
                while len(body) < PROBLEM_BYTES and (more := await self.chunk()):
                    body += more
        except (Unreachable, TimeoutError):
            pass
        finally:
            self.close()
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        from_proxy = response.content_type != PROBLEM_TYPE
        try:
            problem = _bounded(ProblemDetails.model_validate_json(body), response.status)
        except ValueError:
            from_proxy = True
            problem = ProblemDetails(
                type="about:blank",
                title=_phrase(response.status),
                status=response.status,
                detail=_(
                    "The server answered with HTTP {status} ({status_2}) and did not say why."
                ).format(status=response.status, status_2=_phrase(response.status)),
                request_id=response.headers.get("X-Request-ID", ""),
            )
        what = f"{problem.status} {problem.title}"
        self._meter.frame(what, self.size, self.contents(bytes(body)))
        return ApiError(problem, retry_after, from_proxy=from_proxy)

    def _received(self, size: int) -> None:
        self.size += size
        self._meter.received(size)

    def close(self) -> None:
        """Release the connection; it is dropped where the answer was not read to its end."""
        if self._response is not None:
            self._response.close()
        if self._counted:
            self._counted = False
            self._meter.closed()
        if self._on_closed is not None:
            self._on_closed()
            self._on_closed = None


def _bounded(said: ProblemDetails, status: int) -> ProblemDetails:
    """With the answer's status, whatever its body says, and no more words than can be shown."""
    errors = [
        error.model_copy(
            update={
                "loc": [part if isinstance(part, int) else part[:80] for part in error.loc[:8]],
                "msg": error.msg[:WORDS_LONG],
            }
        )
        for error in (said.errors or [])[:FIELDS_TOLD]
    ]
    return said.model_copy(
        update={
            "title": said.title[:WORDS_LONG],
            "status": status,
            "detail": said.detail[:WORDS_LONG],
            "errors": errors or None,
        }
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return _("unknown status")


def parse(model: type[ModelT], reply: Reply, what: str = "") -> ModelT:
    """The answer as that model, called `what` in words. Raises `Unreachable`."""
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as fault:
        raise _not_understood(what or model.__name__, fault) from fault


def parse_object(what: str, reply: Reply) -> dict[str, Any]:
    """The answer as some JSON object. Raises `Unreachable`."""
    try:
        return TypeAdapter(dict[str, Any]).validate_json(reply.body)
    except ValidationError as fault:
        raise _not_understood(what, fault) from fault


def _not_understood(what: str, fault: ValidationError) -> Unreachable:
    first = fault.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or _("all of it")
    return Unreachable(
        _(
            "The server's answer is not a {what} that this version understands "
            "({where}: {first}). Are client and server of the same version?"
        ).format(what=what, where=where, first=first["msg"]),
        _("answer not understood"),
    )
