"""For every request: its id, its log line, its metrics, and errors as problem+json."""

import asyncio
import json
import logging
import re
import time
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from server.core.addresses import client_address
from server.core.answers import NO_STORE, ON_EVERY_ANSWER, REQUEST_ID, TIME
from server.core.bodies import BodyDeadlines
from server.core.clock import now, to_text
from server.core.errors import Problem
from server.core.ids import new_request_id
from server.core.logging import request_id
from server.core.metrics import Metrics
from server.core.routing import HELD, IDENTITY, OPERATION, THROTTLE_SECONDS, count_anonymous
from server.core.services import service
from server.core.streaming import STREAM

logger = logging.getLogger("server.access")

_CLIENTS_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@web.middleware
async def access_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error; only a cancellation is raised."""
    sent = request.headers.get("X-Request-ID", "")
    identifier = sent if _CLIENTS_ID.fullmatch(sent) else new_request_id()
    token = request_id.set(identifier)
    started = time.perf_counter()
    status = 499  # if the client disconnects before the answer
    request[REQUEST_ID] = identifier
    try:
        response = await _answer(request, handler, identifier)
        status = response.status
        return response
    finally:
        entry = _entry_of(request, identifier, started)
        if entry.held and STREAM in request:
            request[STREAM].on_close(entry.log)
        else:
            entry.log(status)
        request_id.reset(token)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer, streams and upgrades included; an aiohttp signal, which a
    JsonResponse does not send."""
    response.headers.update(ON_EVERY_ANSWER)
    response.headers[TIME] = to_text(now())
    if "Cache-Control" not in response.headers and response.status != 101:
        response.headers.update(NO_STORE)
    if (identifier := request.get(REQUEST_ID)) is not None:  # None where it was refused early
        response.headers["X-Request-ID"] = identifier


async def _answer(request: web.Request, handler: Handler, identifier: str) -> web.StreamResponse:
    try:
        if request.match_info.http_exception is not None:
            count_anonymous(request)
        response = await handler(request)
    except (web.HTTPException, Problem) as error:
        if isinstance(error, web.HTTPException) and error.status < 400:
            raise
        # aiohttp keeps an unknown path's error beside the frame that raised it: a cycle that only
        # the garbage collector finds, which stops everybody for tens of milliseconds.
        error.__traceback__ = None
        response = problem_response(as_problem(error), identifier)
        if response.status == 429:
            request[HELD] = True
            await asyncio.sleep(THROTTLE_SECONDS)
    except Exception as error:
        gone = request.transport is None or request.transport.is_closing()
        if gone and isinstance(error, ConnectionError):
            return web.Response(status=499)  # the client has gone: not an error of the server
        logger.exception("unexpected error")
        detail = (
            "Something went wrong on the server. Its logs have the details under this request id."
        )
        response = problem_response(Problem(500, detail), identifier)
    if not response.prepared and service(request, BodyDeadlines).draining:
        response.force_close()
    return response


def as_problem(error: web.HTTPException | Problem) -> Problem:
    """An error of aiohttp as a problem."""
    if isinstance(error, Problem):
        return error
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Problem(error.status, _WORDS.get(error.status, error.reason), headers=headers)


_WORDS = {
    404: "There is nothing at this path. GET /api/v1/openapi.json lists what there is.",
    405: "This path does not accept that method; `Allow` names those it does.",
    413: "The body is too large.",
}


def problem_response(problem: Problem, identifier: str) -> web.Response:
    """The problem as a response."""
    return web.json_response(
        problem.body(identifier),
        status=problem.status,
        headers=problem_headers(problem, identifier),
        content_type="application/problem+json",
    )


def problem_headers(problem: Problem, identifier: str) -> dict[str, str]:
    """The headers of an error, which may also be answered outside of the application."""
    return ON_EVERY_ANSWER | NO_STORE | {"X-Request-ID": identifier} | problem.headers


def problem_bytes(problem: Problem) -> bytes:
    """The whole answer to a request that was not read."""
    identifier = new_request_id()
    body = json.dumps(problem.body(identifier)).encode()
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in problem_headers(problem, identifier).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class _Entry:
    """What is logged and counted of a request once it is answered, or its stream has ended."""

    metrics: Metrics
    identifier: str
    started: float
    method: str
    route: str
    path: str
    held: bool
    remote: str
    account: str | None

    def log(self, status: int) -> None:
        """Log and count it."""
        seconds = time.perf_counter() - self.started
        self.metrics.count_request(self.method, self.route, status, seconds, held=self.held)
        # Health checks and throttled requests would fill the log.
        usual = status == 429 or (self.path == "/healthz" and status == 200)
        level = logging.DEBUG if usual else logging.INFO
        if not logger.isEnabledFor(level):
            return
        fields = {
            "method": self.method,
            "path": self.path,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "remote": self.remote,
            "account": self.account,
        }
        token = request_id.set(self.identifier)  # a stream ends outside of its request
        line = "%s %s %s"
        logger.log(level, line, self.method, self.path, status, extra={"fields": fields})
        request_id.reset(token)


def _entry_of(request: web.Request, identifier: str, started: float) -> _Entry:
    operation, identity = request.get(OPERATION), request.get(IDENTITY)
    return _Entry(
        metrics=service(request, Metrics),
        identifier=identifier,
        started=started,
        method=request.method,
        route=operation.path if operation else "unknown",
        path=request.path,
        held=request.get(HELD, False),
        remote=client_address(request),
        account=identity.account_id if identity else None,
    )
