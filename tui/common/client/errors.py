"""What can go wrong between a client and its server, in words a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.features.shared.schemas import ProblemDetails


class ClientError(Exception):
    """Any of the below; `message` is a sentence for the screen."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ApiError(ClientError):
    """The server answered with an error (status 400 and up); `retry_after` is in seconds."""

    def __init__(self, problem: ProblemDetails, retry_after: float | None = None) -> None:
        super().__init__(_in_words(problem))
        self.problem = problem
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status


class Unreachable(ClientError):
    """No answer came: the network, the address or the server itself.

    `reason` is the short form, for a line with little room.
    """

    def __init__(self, message: str, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.retry_after = retry_after


class NoStream(Unreachable):
    """Something answers, but no stream comes through: another content type, or not a byte."""


class SignedOut(ClientError):
    """Nobody is signed in any more: the server refused to renew the session, or there is none."""


class ResetStream(ClientError):
    """The server cannot go on from our cursor: read the snapshot again and open a new stream."""


def _in_words(problem: ProblemDetails) -> str:
    words = problem.detail or problem.title
    if problem.errors:
        fields = "; ".join(
            f"{'.'.join(str(part) for part in error.loc) or 'request'}: {error.msg}"
            for error in problem.errors
        )
        words = f"{words} ({fields})" if words else fields
    return words or f"The server answered with HTTP {problem.status}."
