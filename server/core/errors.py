"""Problems: every error a client may see, as RFC 9457 has it."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError


class Problem(Exception):
    """An error to answer with. Services raise it; the middleware turns it into a response.

    `extra` adds members to the body, such as `order` beside a 409; `kind` ends the `type`
    URI where a client should be able to tell two problems of one status apart.
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
    """Whole seconds, never too few: who comes back too early is refused again."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def malformed(detail: str) -> Problem:
    """400: what was sent could not be read at all."""
    return Problem(400, detail)


def unauthorized(detail: str, kind: str = "token") -> Problem:
    """401: no token, or one that does not hold."""
    return Problem(401, detail, kind=kind, headers={"WWW-Authenticate": "Bearer"})


def forbidden(detail: str) -> Problem:
    """403: the wrong role."""
    return Problem(403, detail)


def not_found(what: str) -> Problem:
    """404: not there, or not yours: the two look the same."""
    return Problem(404, f"There is no such {what}, or it is not yours.")


def conflict(detail: str, **extra: Any) -> Problem:
    """409: at odds with the present state, which `extra` may show."""
    return Problem(409, detail, extra=extra)


def reset() -> Problem:
    """410: what came after the cursor cannot be told."""
    return Problem(
        410,
        "What came after this cursor cannot be told. Read the snapshot again, and go on with its"
        " cursor.",
        kind="reset",
    )


def invalid(loc: Sequence[str | int], msg: str) -> Problem:
    """422: well formed, but one field cannot be."""
    return Problem(422, msg, errors=[{"loc": list(loc), "msg": msg}])


def unfit(error: ValidationError) -> Problem:
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


def too_many(detail: str, retry_after: float) -> Problem:
    """429: too much from one account or address; `retry_after` in seconds."""
    return Problem(429, detail, headers=_retry_after(retry_after))


def unavailable(detail: str, retry_after: float = 1) -> Problem:
    """503: not now; `retry_after` in seconds."""
    return Problem(503, detail, headers=_retry_after(retry_after))
