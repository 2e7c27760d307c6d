"""Requests over aiohttp, metered, with every failure put into words."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tui.common.client.address import proxy_for
from tui.common.client.errors import Unreachable
from tui.common.client.request import Exchange
from tui.common.client.retry import ServerClock

if TYPE_CHECKING:
    import aiohttp
    from pydantic import BaseModel

    from tui.common.client.channel import Channel
    from tui.common.client.files import FileForm
    from tui.common.client.meter import Meter
    from tui.common.client.request import Reply

API_PREFIX = "/api/v1"
CONNECT_SECONDS = 5.0
REST_SECONDS = 20.0
KEPT = "identity"
"""The content encoding that is none."""
CLOSE_SECONDS = 1.0
"""A server may take so long to answer the end of a WebSocket."""


class RequestOptions(TypedDict, total=False):
    """What a request may have besides method and path; `HttpClient.send` says what each does."""

    json: BaseModel | None
    form: FileForm | None
    params: Mapping[str, str | int] | None
    headers: Mapping[str, str] | None
    total: float | None
    silence: float | None
    on_sent: Callable[[], None] | None
    redirects: bool


class HttpClient:
    """The connections to one server; aiohttp is imported with the first request."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.clock = ServerClock()
        self._http: aiohttp.ClientSession | None = None
        self._closed = False
        self._farewells: set[asyncio.Task[None]] = set()
        """WebSockets that are being closed."""

    async def send(
        self,
        method: str,
        path: str,
        *,
        meter: Meter,
        token: str | None = None,
        json: BaseModel | None = None,
        form: FileForm | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        total: float | None = REST_SECONDS,
        silence: float | None = None,
        on_sent: Callable[[], None] | None = None,
        redirects: bool = False,
    ) -> Exchange:
        """Send one request and return as the answer's head is here, whatever its status.

        `path` is relative to `/api/v1`. Of `json` only the fields that were set travel; `form` is
        sent instead of it. `total` bounds the whole, `silence` the time without a byte, both in
        seconds. `on_sent` is called as the head leaves. `redirects` are followed, without the
        token where they lead to another server. Raises `Unreachable`.
        """
        if self._http is None:
            # Half a second on a slow machine, in which keys are to be answered.
            await asyncio.to_thread(import_module, "aiohttp")
        import aiohttp

        http = self._open()
        body = None if json is None else json.model_dump_json(exclude_unset=True).encode()
        kind = None if json is None else "application/json"
        size = len(body or b"")
        if form is not None:
            kind, size = form.content_type, form.size
        query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
        joint = "&" if "?" in path else "?"
        what = f"{method} {path}{joint}{query}" if query else f"{method} {path}"
        exchange = Exchange(self.in_words, meter, what, size, on_sent)
        timeout = aiohttp.ClientTimeout(
            total=total,
            connect=2 * CONNECT_SECONDS,
            sock_connect=CONNECT_SECONDS,
            sock_read=silence,
        )
        try:
            with self.in_words():
                response = await http.request(
                    method,
                    f"{self.base_url}{API_PREFIX}{path}",
                    params=params,
                    data=body if form is None else form.pieces(),
                    headers=_headers(headers, kind, size, token),
                    timeout=timeout,
                    allow_redirects=redirects,
                    trace_request_ctx=exchange,
                )
            exchange.answered(response)
            if "Age" not in response.headers:  # a cache's `Date` is as old as what it kept
                self.clock.note(response.headers.get("Date"), exchange.latency_ms / 1000)
            if 300 <= response.status < 400:
                raise self._elsewhere(response)
            if response.status < 300 and response.headers.get("Content-Encoding", KEPT) != KEPT:
                raise self._compressed(response)
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def connect(
        self,
        path: str,
        *,
        meter: Meter,
        token: str,
        params: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> Channel:
        """Open a WebSocket, which may be silent for `silence` seconds.

        Raises `Unreachable`, and `ApiError` where the handshake is refused by HTTP.
        """
        if self._http is None:
            await asyncio.to_thread(import_module, "aiohttp")
        import aiohttp

        from tui.common.client.channel import Channel, refused

        http = self._open()
        try:
            with self.in_words():
                async with asyncio.timeout(2 * CONNECT_SECONDS):
                    socket = await http.ws_connect(
                        f"{self.base_url}{API_PREFIX}{path}",
                        params=params,
                        headers={"Authorization": f"Bearer {token}"},
                        timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                        autoping=False,
                    )
        except Unreachable as error:
            if isinstance(error.__cause__, aiohttp.WSServerHandshakeError):
                raise refused(error.__cause__, self.base_url) from error
            raise
        return Channel(socket, meter, f"GET {path}", token, self._farewells, silence)

    async def close(self) -> None:
        """Close every connection; nothing can be sent after that."""
        self._closed = True
        if self._farewells:
            await asyncio.wait(self._farewells)
        if self._http is not None:
            await self._http.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise Unreachable("This client has been closed.", "closed")
        if self._http is None:
            import aiohttp

            from tui.common.client.channel import Socket

            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_on_head_sent)
            trace.on_request_redirect.append(self._on_redirect)
            self._http = aiohttp.ClientSession(
                # A stream holds its connection, and how many there are is the panels' business.
                connector=aiohttp.TCPConnector(limit=0),
                # Not `trust_env`: it would also send what ~/.netrc has for this host.
                proxy=proxy_for(self.base_url),
                # Of a WebSocket's handshake; requests bring their own.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Sizes shown are those on the wire, and a compressing proxy would hold events back.
                headers={"Accept-Encoding": KEPT, "User-Agent": f"tiffin ({platform.system()})"},
                # A little of what is compressed may be gigabytes of nothing.
                auto_decompress=False,
                trace_configs=[trace],
                ws_response_class=Socket,
            )
        return self._http

    async def _on_redirect(self, _session: object, context: object, params: object) -> None:
        """A WebSocket is opened where it was asked for: aiohttp would follow a redirect."""
        import aiohttp

        assert isinstance(params, aiohttp.TraceRequestRedirectParams)
        if not isinstance(getattr(context, "trace_request_ctx", None), Exchange):
            params.response.close()
            raise self._elsewhere(params.response)

    def _elsewhere(self, response: aiohttp.ClientResponse) -> Unreachable:
        target = response.headers.get("Location", "another address")[:200]
        return Unreachable(
            f"The server at {self.base_url} sends us on to {target}. "
            "Give the address it really has with --server.",
            f"redirected (HTTP {response.status})",
        )

    def _compressed(self, response: aiohttp.ClientResponse) -> Unreachable:
        encoding = response.headers["Content-Encoding"][:40]
        return Unreachable(
            f"What answers at {self.base_url} compresses its answers ({encoding}), which was not "
            "asked for. Something between here and the server may do so; give another address "
            "with --server.",
            "compressed answer",
        )

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Turn the network's exceptions into `Unreachable`."""
        import aiohttp

        try:
            yield
        except (aiohttp.ClientError, OSError, ValueError, EOFError) as fault:
            raise unreachable(self.base_url, fault, CONNECT_SECONDS) from fault


async def _on_head_sent(_session: object, context: object, params: object) -> None:
    import aiohttp

    assert isinstance(params, aiohttp.TraceRequestHeadersSentParams)
    exchange = getattr(context, "trace_request_ctx", None)
    if isinstance(exchange, Exchange):
        line = len(f"{params.method} {params.url.raw_path_qs} HTTP/1.1\r\n")
        headers = sum(len(f"{name}: {value}\r\n") for name, value in params.headers.items())
        exchange.head_sent(line + headers + 2)


def _headers(
    more: Mapping[str, str] | None, kind: str | None, size: int, token: str | None
) -> dict[str, str]:
    headers = {"Accept": "application/json", **(more or {})}
    if kind is not None:
        headers["Content-Type"] = kind
        headers["Content-Length"] = str(size)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


ModelT = TypeVar("ModelT", bound=BaseModel)


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
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return Unreachable(
        f"The server's answer was no {what} that this version understands ({where}: "
        f"{first['msg']}). Are client and server of the same version?",
        "answer not understood",
    )


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
                f"{server} cannot prove who it is, or does not speak TLS. "
                "Check that the address begins with the right http:// or https://.",
                "TLS failed",
            )
        case aiohttp.ClientProxyConnectionError():
            reason = _os_words(fault.os_error)
            return Unreachable(
                f"The proxy on the way to {base_url} does not answer ({reason}). Check HTTP_PROXY "
                "and HTTPS_PROXY, or name the server in NO_PROXY.",
                f"proxy: {reason}",
            )
        case aiohttp.ClientHttpProxyError():
            return Unreachable(
                f"The proxy on the way to {base_url} refuses (HTTP {fault.status}). Check "
                "HTTP_PROXY and HTTPS_PROXY, or name the server in NO_PROXY.",
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
