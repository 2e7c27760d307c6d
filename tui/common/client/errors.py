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

    def __init__(
        self,
        problem: ProblemDetails,
        retry_after: float | None = None,
        *,
        from_proxy: bool = False,
    ) -> None:
        super().__init__(_message_of(problem))
        self.problem = problem
        self.retry_after = retry_after
        self.from_proxy = from_proxy
        """Whether the answer was no problem+json: something on the way gave it, not our server."""

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
    """Nobody is logged in any more: the server refused to renew the session, or there is none."""


class ResetStream(ClientError):
    """The server cannot go on from our cursor: read the snapshot again and open a new stream."""


def _message_of(problem: ProblemDetails) -> str:
    words = problem.detail or problem.title
    if problem.errors:
        fields = "; ".join(
            f"{'.'.join(str(part) for part in error.loc) or 'request'}: {error.msg}"
            for error in problem.errors
        )
        words = f"{words} ({fields})" if words else fields
    return words or f"The server answered with HTTP {problem.status}."


def unreachable(base_url: str, fault: Exception, connect_seconds: float) -> Unreachable:
    """What an exception of aiohttp or of the system means for one who uses `base_url`."""
    import aiohttp

    server = f"The server at {base_url}"
    match fault:
        # A resolver's: a part of the name is empty, or longer than 63 characters.
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return Unreachable(
                f"{base_url} is not an address. It should look like http://localhost:8080; "
                "give it with --server.",
                "not an address",
            )
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(
                f"{server} is not known to the network: its name cannot be looked up. "
                "Check the address and your connection.",
                "unknown host",
            )
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return Unreachable(
                f"{server} has no valid certificate, or does not speak TLS. Check whether the "
                "address should begin with http:// or https://; for a certificate authority of "
                "your own, set SSL_CERT_FILE.",
                "TLS failed",
            )
        case aiohttp.ClientProxyConnectionError():
            reason = _os_words(fault.os_error)
            return Unreachable(
                f"The proxy on the way to {base_url} does not answer ({reason}). Check http_proxy "
                "and HTTPS_PROXY, or name the server in NO_PROXY.",
                f"proxy: {reason}",
            )
        case aiohttp.ClientHttpProxyError():
            return Unreachable(
                f"The proxy on the way to {base_url} refuses (HTTP {fault.status}). Check "
                "http_proxy and HTTPS_PROXY, or name the server in NO_PROXY.",
                f"proxy refuses (HTTP {fault.status})",
            )
        case aiohttp.ClientConnectorError():
            reason = _os_words(fault.os_error)
            return Unreachable(
                f"{server} does not answer ({reason}). Check that it runs and that the address "
                "is right.",
                reason,
            )
        case aiohttp.ConnectionTimeoutError():
            return Unreachable(
                f"{server} does not answer (no connection within {connect_seconds:g} seconds). "
                "Check the address and your network.",
                "no connection in time",
            )
        case TimeoutError():
            return Unreachable(
                f"{server} has gone silent (no answer in time). It may be overloaded; "
                "try again in a moment.",
                "no answer in time",
            )
        case aiohttp.ClientResponseError():
            what = (fault.message or "not HTTP")[:200]
            return Unreachable(
                f"What answers at {base_url} is not a Tiffin server, or a broken one ({what}). "
                "Check the address.",
                "not understood",
            )
        case ValueError():
            return Unreachable(
                f"Nothing can be sent to the server at {base_url} ({str(fault)[:200]}). "
                "Check the address, and whether client and server are of the same version.",
                "cannot be sent",
            )
    return Unreachable(
        f"The connection to the server at {base_url} was lost. Try again.", "connection lost"
    )


def _os_words(fault: OSError) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return "connection refused"
    if isinstance(fault, ConnectionResetError):
        return "connection reset"
    words = (fault.strerror or "no connection").strip()
    return words[:1].lower() + words[1:]
