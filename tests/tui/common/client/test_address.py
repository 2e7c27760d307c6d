"""A client behind a proxy, and one whose server has a certificate of the owner's own making."""

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from faulty_server import FaultyServer, event, for_ever, open_stream

from support.relay import Relay
from support.tls import certificate
from tui.common.client.address import proxy_for
from tui.common.client.meter import Pattern, Wire
from tui.common.client.session import Session, Unreachable
from tui.common.client.sse import EventStream

PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("address", "environment", "proxy"),
    [
        ("http://a.example", {"http_proxy": "p:3128"}, "http://p:3128"),
        ("http://a.example", {"http_proxy": "https://u:pw@p:3128"}, "https://u:pw@p:3128"),
        # As curl: a program behind a web server gets a client's `Proxy:` as HTTP_PROXY.
        ("http://a.example", {"HTTP_PROXY": "p:3128"}, None),
        ("http://a.example", {"HTTPS_PROXY": "p:3128"}, None),
        ("https://a.example", {"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ("https://a.example", {"https_proxy": "low:1", "HTTPS_PROXY": "up:1"}, "http://low:1"),
        ("https://a.example", {"https_proxy": "", "HTTPS_PROXY": "up:1"}, "http://up:1"),
        ("https://a.example", {"https_proxy": "  "}, None),
        ("http://localhost:8080", {"http_proxy": "p:3128"}, None),
        ("http://127.0.0.2:8080", {"http_proxy": "p:3128"}, None),
        ("http://[::1]:8080", {"http_proxy": "p:3128"}, None),
        ("no address", {"http_proxy": "p:3128"}, None),
        ("http://[broken", {"http_proxy": "p:3128"}, None),
    ],
)
def test_the_proxy_is_the_one_curl_would_use(
    monkeypatch: pytest.MonkeyPatch, address: str, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(address) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "a.example", True),
        ("example", "a.example", True),
        (".example", "a.example", True),
        ("a.example", "A.Example", True),
        ("x.org, a.example", "a.example", True),
        ("x.org a.example", "a.example", True),
        ("a.example", "b.a.example:8080", True),
        ("a.example", "ba.example", False),
        ("b.a.example", "a.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3:8080", True),
        ("fd00::/8", "[fd00::1]", True),
        ("[fd00::1]", "[fd00::1]:8080", True),
        ("10.1.2", "10.1.2.3", False),
        ("", "a.example", False),
        (",", "a.example", False),
    ],
)
def test_no_proxy_names_the_hosts_that_curl_would_ask_directly(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, host: str, direct: bool
) -> None:
    monkeypatch.setenv("http_proxy", "p:3128")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, no_proxy)
        assert (proxy_for(f"http://{host}") is None) is direct
        monkeypatch.delenv(name)


async def news(server: FaultyServer, session: Session, wire: Wire) -> None:
    """A request, a stream and a WebSocket get through."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"hello": "there"})

    async def stream_of(request: web.Request) -> web.StreamResponse:
        response = await open_stream(server, request)
        await response.write(event(1))
        await for_ever()
        return response

    async def socket_of(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        return socket

    server.on("GET", "/thing", answer)
    server.on("GET", "/stream", stream_of)
    server.on("GET", "/socket", socket_of)
    await session.log_in("ana@example.com", "correct horse")
    assert (await session.request("GET", "/thing")).status == 200
    async with EventStream(session, "/stream", wire.meter("stream", Pattern.SSE)) as stream:
        assert (await anext(stream)).last_event_id == "c-1"
    channel = await session.connect("/socket", meter=wire.meter("socket", Pattern.WEBSOCKET))
    assert await channel.receive() == "hello"
    channel.close()


async def test_the_proxy_of_the_environment_leads_to_the_server(
    faulty: FaultyServer, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For requests and WebSockets, and not where `NO_PROXY` says so; this machine needs none."""
    monkeypatch.setenv("http_proxy", faulty.url.removeprefix("http://"))
    monkeypatch.setenv("NO_PROXY", "elsewhere.example,.near.example")
    session = Session("http://tiffin.example:8080", wire)
    await news(faulty, session, wire)
    await session.close()

    direct = Session("http://tiffin.near.example", wire)
    with pytest.raises(Unreachable) as alone:
        await direct.log_in("ana@example.com", "correct horse")
    assert alone.value.reason == "unknown host"
    await direct.close()

    await faulty.stop()
    for address, reason in (
        ("http://tiffin.example", "proxy: connection refused"),
        (faulty.url, "connection refused"),
    ):
        session = Session(address, wire)
        with pytest.raises(Unreachable) as away:
            await session.log_in("ana@example.com", "correct horse")
        assert away.value.reason == reason
        await session.close()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://:80", "http://[", "http://"])
async def test_a_proxy_that_cannot_be_used_is_words(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    session = Session("http://tiffin.example", wire)
    with pytest.raises(Unreachable, match="not an HTTP proxy"):
        await session.log_in("ana@example.com", "correct horse")
    await session.close()


class Tunnel(Relay):
    """A proxy that connects as it is told to by CONNECT, but always to the same server."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the CONNECT, and pass on the rest."""
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await super().serve(reader, writer)


async def test_a_certificate_of_ones_own_is_trusted_also_through_a_proxy(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, key = certificate(tmp_path, "tiffin.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)
    server = FaultyServer()
    await server.start(context)
    tunnel = Tunnel(server.url)
    listener = await asyncio.start_server(tunnel.serve, "127.0.0.1", 0)
    proxy = f"http://ana:secret@127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    for certificates, reason in (
        ("", "TLS failed"),
        (str(tmp_path / "nothing.pem"), "no certificates"),
        (str(key), "no certificates"),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", certificates)
        session = Session("https://tiffin.example", wire)
        with pytest.raises(Unreachable) as refused:
            await session.log_in("ana@example.com", "correct horse")
        assert refused.value.reason == reason
        assert "SSL_CERT_FILE" in refused.value.message
        await session.close()

    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    direct = Session(server.url.replace("http:", "https:"), wire)
    await news(server, direct, wire)
    await direct.close()
    tunnel.heads.clear()
    session = Session("https://tiffin.example", wire)
    await news(server, session, wire)
    await session.close()
    assert tunnel.heads
    for head in tunnel.heads:
        assert head.startswith("CONNECT tiffin.example:443 ")
        assert "Proxy-Authorization: Basic YW5hOnNlY3JldA==" in head
    listener.close()
    tunnel.cut()
    await server.stop()
