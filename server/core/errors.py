"""Problems: the errors that clients see, as in RFC 9457."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError


class Problem(Exception):
    """An error to answer with. Services raise it; the middleware turns it into a response.

    `extra` adds members to the body, such as `order` to a 409. `kind` is the end of the `type` URI,
    by which a client tells problems of one status apart.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, Any]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})
        self.errors = errors
        self.extra = dict(extra or {})

    def body(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        members: dict[str, Any] = {
            "type": f"urn:tiffin:problem:{self.kind}" if self.kind else "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors is not None:
            members["errors"] = list(self.errors)
        return members | self.extra


def _retry_after(seconds: float) -> dict[str, str]:
    """Whole seconds, rounded up: a client that retries too early is refused again."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def malformed(detail: str) -> Problem:
    """400: the request is unreadable."""
    return Problem(400, detail)


def unauthorized(detail: str, kind: str = "token") -> Problem:
    """401: no valid token."""
    return Problem(401, detail, kind=kind, headers={"WWW-Authenticate": "Bearer"})


def forbidden(detail: str) -> Problem:
    """403: the wrong role."""
    return Problem(403, detail)


def not_found(what: str) -> Problem:
    """404: it does not exist or is another account's; the answers are the same."""
    return Problem(404, f"There is no such {what}, or it is not yours.")


def conflict(detail: str, kind: str | None = None, **extra: Any) -> Problem:
    """409: a conflict with the present state, which `extra` may contain."""
    return Problem(409, detail, kind=kind, extra=extra)


def reset() -> Problem:
    """410: the events after the cursor are no longer available."""
    return Problem(
        410,
        "The events after this cursor are no longer available. Read the snapshot again, and"
        " continue from its cursor.",
        kind="reset",
    )


def invalid(loc: Sequence[str | int], msg: str, kind: str | None = None, **extra: Any) -> Problem:
    """422: well formed, but one field is not valid."""
    return Problem(422, msg, kind=kind, errors=[{"loc": list(loc), "msg": msg}], extra=extra)


def validation_problem(error: ValidationError) -> Problem:
    """400 where the JSON itself is broken, else 422 with every field that is wrong."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return malformed(f"The body is not JSON: {problems[0]['msg']}.")
    errors = [
        {"loc": list(problem["loc"]), "msg": problem["msg"].removeprefix("Value error, ")}
        for problem in problems
    ]
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return Problem(422, f"{where}: {first['msg']}.", errors=errors)


def too_many(detail: str, retry_after: float, kind: str | None = None) -> Problem:
    """429: too many requests of one account or address; `retry_after` in seconds."""
    return Problem(429, detail, kind=kind, headers=_retry_after(retry_after))


def unavailable(detail: str, retry_after: float = 1) -> Problem:
    """503: temporarily unavailable; `retry_after` in seconds."""
    return Problem(503, detail, headers=_retry_after(retry_after))
