"""What can go wrong between a client and its server, in words a person can act on."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from tui.common import language
from tui.common.language import _, marked, ngettext

if TYPE_CHECKING:
    from server.features.shared.schemas import ProblemDetails

PROBLEMS = {
    "below-minimum": marked(
        "The dishes cost less than what the restaurant delivers. Add something to the basket."
    ),
    "chat-closed": marked("The chat is closed. Reopen it to continue."),
    "chat-taken": marked("Somebody else has claimed this chat, and answers in it."),
    "closed": marked("The restaurant takes no orders now. Choose another, or order when it opens."),
    "credentials": marked("The e-mail or the password is wrong."),
    "daily-limit": marked(
        "This account has made as many today as it may. Go on tomorrow, or with one that is there."
    ),
    "dish-changed": marked("The menu has changed. Look at what is new, and order again."),
    "email-taken": marked("There is an account with this e-mail already. Log in, or use another."),
    "menu-full": marked("The menu has as many dishes as it may. Remove one first."),
    "no-such-dish": marked("There is no such dish on the menu. Choose another."),
    "no-such-driver": marked("There is no such driver at this restaurant. Choose another."),
    "not-delivered": marked("Only an order that was delivered can be rated."),
    "order-begun": marked(
        "The kitchen has begun, so the order can no longer be cancelled. Write to support."
    ),
    "order-changed": marked("The order has changed since. Look at it and decide again."),
    "order-over": marked("The order is delivered or cancelled already; nothing can follow."),
    "order-step": marked(
        "The order cannot take this step from where it is now. Look at it and decide again."
    ),
    "order-under-way": marked("An order is still under way. Cancel it, or wait until it has come."),
    "out-of-reach": marked(
        "The restaurant does not deliver as far as this address. Choose one nearer to it, or "
        "correct the address's position on the map."
    ),
    "photo-too-large": marked("The photo has too many pixels. Make it smaller."),
    "photo-unreadable": marked(
        "This file is no photo that can be read. Send a JPEG, a PNG or a WebP."
    ),
    "photos-full": marked(
        "The account's photos take all the room that they may. Delete some first."
    ),
    "photos-waiting": marked(
        "As many of your photos as may be are in the queue. Wait until some are done."
    ),
    "refresh-token": marked("The session has ended. Log in again."),
    "refresh-token-reused": marked(
        "The session was ended on every device that shares it. Log in again."
    ),
    "session-ended": marked("The session has ended. Log in again."),
    "sold-out": marked("{dish} is sold out. Take it out of the basket."),
    "token": marked("The session has ended. Log in again."),
    "too-many-chats": marked(
        "As many chats as may be are open. Close one, or continue in one of them."
    ),
    "total-changed": marked(
        "The menu or the fees have changed. Look at what is new, and order again."
    ),
    "weak-password": marked(
        "This password is too easy to guess. Use several words that do not belong together."
    ),
    "wrong-password": marked("This is not the current password."),
    "wrong-passwords": marked(
        "Too many wrong passwords for this account. Try again in {seconds} s, each further one "
        "takes longer."
    ),
}
"""What the server refuses, by the end of a problem's type, which is stable: its own sentences are
English."""
STATUSES = {
    403: marked("This account may not do that."),
    404: marked("It is not there any more, or not yours."),
    413: marked("This is too large for the server."),
    429: marked("Too many requests. Try again in {seconds} s."),
    503: marked("The server cannot take this now. Try again in {seconds} s."),
}
"""The same by status, where the type says nothing."""

LENGTH = re.compile(r"(?:String should have|needs) at (least|most) (\d+) characters?")
STRANGE = re.compile(r"must not contain .* overrides \((.*)\)")
FAULTS = (marked("has no visible character"), marked("must be one line"))


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
        own = _translated(problem, retry_after, from_proxy=from_proxy)
        super().__init__(own or _message_of(problem))
        self.problem = problem
        self.translated = bool(own)
        """Whether `message` is not the server's, but the same in the user's language."""
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


def refused_message(code: str, detail: str) -> str:
    """Why a chat's server refuses a message, by the code of its frame, such as `chat_closed` or
    `taken`: in the user's language where there are words for it."""
    words = PROBLEMS.get(f"chat-{code.removeprefix('chat_')}")
    return detail if words is None or language.current() == language.ENGLISH else _(words)


def fault_of(message: str) -> str:
    """What is wrong with a field, by what the models that server and apps share say: words that
    follow its name."""
    words = message.removeprefix("Value error, ").rstrip(".")
    if length := LENGTH.fullmatch(words):
        return _of_length(length[1] == "least", int(length[2]))
    if strange := STRANGE.fullmatch(words):
        return _("must not contain control characters or bidirectional overrides ({code})").format(
            code=strange[1]
        )
    if words.startswith("value is not a valid email") and language.current() != language.ENGLISH:
        return _("is not a valid e-mail address")  # the validator says in English why
    if words == "Field required":
        return _("is missing")
    if words in FAULTS:
        return _(words)
    return words.replace("value is not", "is not").removeprefix("value is ")


def _of_length(least: bool, count: int) -> str:
    if least and count == 1:
        return _("is empty")
    if least:
        words = ngettext(
            "needs at least {count} character", "needs at least {count} characters", count
        )
    else:
        words = ngettext(
            "needs at most {count} character", "needs at most {count} characters", count
        )
    return words.format(count=count)


def _translated(problem: ProblemDetails, retry_after: float | None, *, from_proxy: bool) -> str:
    """What the server says, in another language than its own; "" where there are no words for it,
    or not what they need."""
    if from_proxy or language.current() == language.ENGLISH:
        return ""
    kind = problem.type.rpartition(":")[2]
    words = PROBLEMS.get(kind) or STATUSES.get(problem.status, "")
    seconds = math.ceil(retry_after or 1)
    said = {name: str(value)[:200] for name, value in (problem.model_extra or {}).items()}
    try:
        return _(words).format(**{**said, "seconds": seconds}) if words else ""
    except KeyError:  # a server of another version does not say it
        return ""


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
