"""Requests over aiohttp, metered, with every failure put into words."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypedDict

from tui.common.client.address import proxy_for, tls_context
from tui.common.client.clock import ServerClock
from tui.common.client.errors import Unreachable, unreachable
from tui.common.client.frame import head_text
from tui.common.client.request import RequestContext
from tui.common.language import _

if TYPE_CHECKING:
    from ssl import SSLContext

    import aiohttp
    from pydantic import BaseModel
    from yarl import URL

    from tui.common.client.meter import Meter
    from tui.common.client.websocket import WebSocket

API_PREFIX = "/api/v1"
CONNECT_SECONDS = 5.0
REST_SECONDS = 20.0
SHARED_CONNECTIONS = 2
"""For requests that are answered at once. Panels that start together ask a dozen things at a time,
and each would open a connection of its own, which then lies idle."""
SHARE_SECONDS = 3.0
"""A request waits so long for one of them before it opens another: they may carry pictures."""
IDENTITY = "identity"
"""The content encoding of an answer that is not compressed."""
CLOSE_SECONDS = 1.0
"""For the server's answer to the closing of a WebSocket."""

_on_handshake_sent: ContextVar[Callable[[], None] | None] = ContextVar("sent", default=None)
"""What is called as the head of a WebSocket's handshake leaves; `ws_connect` of aiohttp has no
argument for it, as requests have."""


class Form(Protocol):
    """A body that is sent as it is."""

    @property
    def content_type(self) -> str:
        """Of the request."""

    @property
    def size(self) -> int:
        """Bytes of the whole body."""

    def pieces(self) -> AsyncIterator[bytes]:
        """The body; it may be asked for again."""


class RequestOptions(TypedDict, total=False):
    """What a request may have besides method and path; `HttpClient.send` says what each does."""

    json: BaseModel | None
    form: Form | None
    params: Mapping[str, str | int] | None
    headers: Mapping[str, str] | None
    total: float | None
    silence: float | None
    on_sent: Callable[[], None] | None
    redirects: bool


class HttpClient:
    """The connections to one server; aiohttp is imported with the first request."""

    def __init__(
        self,
        base_url: str,
        *,
        prefix: str = API_PREFIX,
        headers: Mapping[str, str] | None = None,
        tls_name: str | None = None,
    ) -> None:
        """`prefix` comes before every path; `headers` go with every request, in place of its own.
        `tls_name` is the server's name by its certificate, where it is not asked at that name."""
        self.base_url = base_url
        self._prefix = prefix
        self._own_headers = dict(headers or {})
        self._tls_name = tls_name
        self.clock = ServerClock()
        self._http: aiohttp.ClientSession | None = None
        self._closed = False
        self._closing: set[asyncio.Task[None]] = set()
        """WebSockets that are being closed."""
        self._shared = asyncio.Semaphore(SHARED_CONNECTIONS)

    async def send(
        self,
        method: str,
        path: str,
        *,
        meter: Meter,
        token: str | None = None,
        json: BaseModel | None = None,
        form: Form | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        total: float | None = REST_SECONDS,
        silence: float | None = None,
        on_sent: Callable[[], None] | None = None,
        redirects: bool = False,
    ) -> RequestContext:
        """Send one request and return with the answer's head, whatever its status.

        `path` is relative to the prefix. Of `json` only the fields that were set travel; `form` is
        sent instead of it. `total` bounds the whole, `silence` the time without a byte, both in
        seconds. `on_sent` is called as the head leaves. `redirects` are followed, without the
        token where they lead to another server. Raises `Unreachable`.
        """
        http = await self._open()
        import aiohttp

        body = None if json is None else json.model_dump_json(exclude_unset=True).encode()
        kind = None if json is None else "application/json"
        size = len(body or b"")
        if form is not None:
            kind, size = form.content_type, form.size
        query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
        joint = "&" if "?" in path else "?"
        what = f"{method} {path}{joint}{query}" if query else f"{method} {path}"
        # A stream and a photo hold their connection; what is answered at once can share a few.
        holds = total is None or form is not None
        release = None if holds else await self._wait_for_connection()
        request = RequestContext(
            self.translate_errors, meter, what, size, on_sent, release, body or b""
        )
        timeout = aiohttp.ClientTimeout(
            total=total,
            connect=2 * CONNECT_SECONDS,
            sock_connect=CONNECT_SECONDS,
            sock_read=silence,
        )
        try:
            with self.translate_errors():
                response = await http.request(
                    method,
                    f"{self.base_url}{self._prefix}{path}",
                    params=params,
                    data=body if form is None else form.pieces(),
                    headers=_headers(headers, kind, size, token) | self._own_headers,
                    timeout=timeout,
                    allow_redirects=redirects,
                    server_hostname=self._tls_name,
                    trace_request_ctx=request,
                )
            request.answered(response)
            if "Age" not in response.headers:  # a cache's `Date` is as old as what it kept
                head = response.headers
                took = request.latency_ms / 1000
                self.clock.record(head.get("Date"), took, head.get("Tiffin-Time"))
            if 300 <= response.status < 400:
                raise self._redirected(response)
            if (
                response.status < 300
                and response.headers.get("Content-Encoding", IDENTITY) != IDENTITY
            ):
                raise self._compressed(response)
        except BaseException:
            request.close()
            raise
        return request

    async def connect(
        self,
        path: str,
        *,
        meter: Meter,
        token: str | None = None,
        params: Mapping[str, str] | None = None,
        silence: float | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> WebSocket:
        """Open a WebSocket, which may be silent for `silence` seconds.

        `on_sent` is called as the handshake's head leaves. Raises `Unreachable`, and `ApiError`
        where the handshake is refused by HTTP.
        """
        http = await self._open()
        import aiohttp

        from tui.common.client.websocket import WebSocket, refused

        before = _on_handshake_sent.set(on_sent)
        try:
            with self.translate_errors():
                async with asyncio.timeout(2 * CONNECT_SECONDS):
                    socket = await http.ws_connect(
                        f"{self.base_url}{self._prefix}{path}",
                        params=params,
                        headers=_bearer(token) | self._own_headers,
                        server_hostname=self._tls_name,
                        timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                        autoping=False,
                    )
        except Unreachable as error:
            if isinstance(error.__cause__, aiohttp.WSServerHandshakeError):
                raise refused(error.__cause__, self.base_url) from error
            raise
        finally:
            _on_handshake_sent.reset(before)
        return WebSocket(socket, meter, f"GET {path}", token or "", self._closing, silence)

    async def close(self) -> None:
        """Close every connection; nothing can be sent after that."""
        self._closed = True
        if self._closing:
            await asyncio.wait(self._closing)
        if self._http is not None:
            await self._http.close()

    async def _wait_for_connection(self) -> Callable[[], None] | None:
        """Returns what to call when the connection is free again, None if it is not shared."""
        try:
            async with asyncio.timeout(SHARE_SECONDS):
                await self._shared.acquire()
        except TimeoutError:
            return None
        return self._shared.release

    async def _open(self) -> aiohttp.ClientSession:
        if self._http is None:
            # This takes half a second on a slow machine; keys must be answered meanwhile.
            await asyncio.to_thread(import_module, "aiohttp")
        context = None
        if self._http is None and self.base_url.startswith("https:"):
            context = await self._tls_context()
        if self._closed:
            raise Unreachable(_("This client has been closed."), "closed")
        if self._http is None:
            import aiohttp

            from tui.common.client.websocket import Socket

            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_on_head_sent)
            trace.on_request_redirect.append(self._on_redirect)
            self._http = aiohttp.ClientSession(
                # Streams hold a connection each; how many there are is up to the panels.
                connector=aiohttp.TCPConnector(limit=0, ssl=context or True),
                # Not `trust_env`: it would also send what ~/.netrc has for this host.
                proxy=self._proxy(),
                # Of a WebSocket's handshake; requests bring their own.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Sizes shown are those on the wire, and a compressing proxy would hold events back.
                headers={
                    "Accept-Encoding": IDENTITY,
                    "User-Agent": f"tiffin ({platform.system()})",
                },
                # A few compressed bytes may unpack to gigabytes.
                auto_decompress=False,
                trace_configs=[trace],
                ws_response_class=Socket,
            )
        return self._http

    def _proxy(self) -> URL | None:
        from yarl import URL

        proxy = proxy_for(self.base_url)
        try:
            url = None if proxy is None else URL(proxy)
        except ValueError:
            url = URL()
        if url is not None and not (url.scheme in ("http", "https") and url.host):
            raise Unreachable(
                _(
                    "The proxy that the environment names for {base_url} is not an HTTP proxy. "
                    "Correct http_proxy or HTTPS_PROXY, or name the server in NO_PROXY."
                ).format(base_url=self.base_url),
                _("no HTTP proxy"),
            )
        return url

    async def _tls_context(self) -> SSLContext:
        try:
            return await asyncio.to_thread(tls_context)
        except OSError as fault:
            raise Unreachable(
                _(
                    "The certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read "
                    "({fault})."
                ).format(fault=fault.strerror or fault),
                _("no certificates"),
            ) from fault

    async def _on_redirect(self, _session: object, context: object, params: object) -> None:
        """A WebSocket is opened where it was asked for: aiohttp would follow a redirect."""
        import aiohttp

        assert isinstance(params, aiohttp.TraceRequestRedirectParams)
        if not isinstance(getattr(context, "trace_request_ctx", None), RequestContext):
            params.response.close()
            raise self._redirected(params.response)

    def _redirected(self, response: aiohttp.ClientResponse) -> Unreachable:
        target = response.headers.get("Location", _("another address"))[:200]
        return Unreachable(
            _(
                "The server at {base_url} redirects to {target}. Give that address with --server."
            ).format(base_url=self.base_url, target=target),
            _("redirected (HTTP {status})").format(status=response.status),
        )

    def _compressed(self, response: aiohttp.ClientResponse) -> Unreachable:
        encoding = response.headers["Content-Encoding"][:40]
        return Unreachable(
            _(
                "What answers at {base_url} compresses its answers ({encoding}), which was "
                "not asked for. Something between here and the server may do so; give "
                "another address with --server."
            ).format(base_url=self.base_url, encoding=encoding),
            _("compressed answer"),
        )

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn the network's exceptions into `Unreachable`."""
        import aiohttp

        try:
            yield
        except (aiohttp.ClientError, OSError, ValueError, EOFError) as fault:
            raise unreachable(self.base_url, fault, CONNECT_SECONDS) from fault


async def _on_head_sent(_session: object, context: object, params: object) -> None:
    import aiohttp

    assert isinstance(params, aiohttp.TraceRequestHeadersSentParams)
    request = getattr(context, "trace_request_ctx", None)
    if isinstance(request, RequestContext):
        line = len(f"{params.method} {params.url.raw_path_qs} HTTP/1.1\r\n")
        headers = sum(len(f"{name}: {value}\r\n") for name, value in params.headers.items())
        first = f"{params.method} {params.url.raw_path_qs} HTTP/1.1"
        request.head_sent(line + headers + 2, head_text(first, params.headers.items()))
    elif (on_sent := _on_handshake_sent.get()) is not None:
        on_sent()


def _headers(
    more: Mapping[str, str] | None, kind: str | None, size: int, token: str | None
) -> dict[str, str]:
    headers = {"Accept": "application/json", **(more or {})}
    if kind is not None:
        headers["Content-Type"] = kind
        headers["Content-Length"] = str(size)
    return headers | _bearer(token)


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}
