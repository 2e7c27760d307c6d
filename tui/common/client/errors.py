"""What can go wrong between a client and its server, in words a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.common.language import _

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
    return words or _("The server answered with HTTP {status}.").format(status=problem.status)


def unreachable(base_url: str, fault: Exception, connect_seconds: float) -> Unreachable:
    """What an exception of aiohttp or of the system means for one who uses `base_url`."""
    import aiohttp

    server = _("The server at {base_url}").format(base_url=base_url)
    match fault:
        # A resolver's: a part of the name is empty, or longer than 63 characters.
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return Unreachable(
                _(
                    "{base_url} is not an address. It should look like http://localhost:8080; "
                    "give it with --server."
                ).format(base_url=base_url),
                _("not an address"),
            )
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(
                _(
                    "{server} is not known to the network: its name cannot be looked up. Check "
                    "the address and your connection."
                ).format(server=server),
                _("unknown host"),
            )
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return Unreachable(
                _(
                    "{server} has no valid certificate, or does not speak TLS. Check whether "
                    "the address should begin with http:// or https://; for a certificate "
                    "authority of your own, set SSL_CERT_FILE."
                ).format(server=server),
                _("TLS failed"),
            )
        case aiohttp.ClientProxyConnectionError():
            reason = _os_words(fault.os_error)
            return Unreachable(
                _(
                    "The proxy on the way to {base_url} does not answer ({reason}). Check "
                    "http_proxy and HTTPS_PROXY, or name the server in NO_PROXY."
                ).format(base_url=base_url, reason=reason),
                _("proxy: {reason}").format(reason=reason),
            )
        case aiohttp.ClientHttpProxyError():
            return Unreachable(
                _(
                    "The proxy on the way to {base_url} refuses (HTTP {status}). Check "
                    "http_proxy and HTTPS_PROXY, or name the server in NO_PROXY."
                ).format(base_url=base_url, status=fault.status),
                _("proxy refuses (HTTP {status})").format(status=fault.status),
            )
        case aiohttp.ClientConnectorError():
            reason = _os_words(fault.os_error)
            return Unreachable(
                _(
                    "{server} does not answer ({reason}). Check that it runs and that the "
                    "address is right."
                ).format(server=server, reason=reason),
                reason,
            )
        case aiohttp.ConnectionTimeoutError():
            return Unreachable(
                _(
                    "{server} does not answer (no connection within {connect_seconds:g} "
                    "seconds). Check the address and your network."
                ).format(server=server, connect_seconds=connect_seconds),
                _("no connection in time"),
            )
        case TimeoutError():
            return Unreachable(
                _(
                    "{server} has gone silent (no answer in time). It may be overloaded; try "
                    "again in a moment."
                ).format(server=server),
                _("no answer in time"),
            )
        case aiohttp.ClientResponseError():
            what = (fault.message or _("not HTTP"))[:200]
            return Unreachable(
                _(
                    "What answers at {base_url} is not a Tiffin server, or a broken one "
                    "({what}). Check the address."
                ).format(base_url=base_url, what=what),
                _("not understood"),
            )
        case ValueError():
            return Unreachable(
                _(
                    "Nothing can be sent to the server at {base_url} ({fault}). Check the "
                    "address, and whether client and server are of the same version."
                ).format(base_url=base_url, fault=str(fault)[:200]),
                _("cannot be sent"),
            )
    return Unreachable(
        _("The connection to the server at {base_url} was lost. Try again.").format(
            base_url=base_url
        ),
        _("connection lost"),
    )


def _os_words(fault: OSError) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return _("connection refused")
    if isinstance(fault, ConnectionResetError):
        return _("connection reset")
    words = (fault.strerror or _("no connection")).strip()
    return words[:1].lower() + words[1:]
