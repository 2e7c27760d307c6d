"""What every answer has in common: its headers, HEAD, half-closed clients, and no garbage."""

import asyncio
import gc
import json
from dataclasses import dataclass

import aiohttp
import pytest

from server.app import OPERATIONS
from server.transports.connections import Connections
from support.cast import Cast
from support.live_server import LiveServer
from support.room import open_chat
from support.uploads import sent
from support.waiting import wait_until

pytestmark = pytest.mark.server_settings(photo_workers=0)
"""Photos stay in the queue: none is shown, and none has a result."""

API = "/api/v1"
ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Said:
    """The response on a bare connection, until the server closes it."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str


def request(line: str, token: str | None = None, body: bytes = b"", *headers: bytes) -> bytes:
    """A request by hand."""
    lines = [f"{line} HTTP/1.1".encode(), b"Host: localhost", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}".encode())
    if body:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", b""]) + body


async def spoken(server: LiveServer, sent: bytes, *, half: bool = True) -> list[Said]:
    """Send that and close this side; every response until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        if half:
            writer.write_eof()
        async with asyncio.timeout(ANSWER_SECONDS):
            left = await reader.read() if half else await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
    found = []
    while left:
        head, _, left = left.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        lines = (line.split(": ", 1) for line in rest)
        headers = {name.lower(): value for name, value in lines}
        size = int(headers.get("content-length", len(left)))
        version, status = first.split()[:2]
        found.append(Said(int(status), headers, left[:size], version))
        left = left[size:]
    return found


def is_marked(headers: dict[str, str]) -> None:
    """The headers of every answer."""
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["server"] == "Tiffin"
    assert headers["x-request-id"]


async def paths_of(cast: Cast, live_server: LiveServer) -> dict[str, str | None]:
    """Every route that accepts GET, with ids filled in, and whose token it needs."""
    order = (await cast.order_at("out_for_delivery"))["id"]
    here = {"lat": 48.86, "lng": 2.36}
    (await cast.employee.put(f"/drivers/{cast.place.drivers[0]}/location", here)).must(204)
    chat, upload = await open_chat(cast.customer), await sent(cast.customer)
    news = {"title": "Rain", "body": "Slow.", "severity": "info", "audience": "everyone"}
    told = (await cast.employee.post("/announcements", news)).must(201).json["id"]
    things = {
        "orders": order,
        "chats": chat,
        "uploads": upload,
        "announcements": told,
        "drivers": cast.place.drivers[0],
        "restaurants": cast.place.id,
    }
    found: dict[str, str | None] = {}
    for operation in OPERATIONS:
        if operation.method == "GET":
            thing = things.get(operation.path.split("/")[3], "")
            caller = cast.customer if "customer" in operation.roles else cast.employee
            path = operation.path.replace("{id}", str(thing))
            if path.endswith("/map/route"):
                path += "?from_lat=48.86&from_lng=2.36&to_lat=48.85&to_lng=2.35"
            found[path] = caller.token
    return found | dict.fromkeys(
        ("/healthz", "/readyz", "/metrics", f"{API}/openapi.json", f"{API}/nowhere"), None
    )


async def test_head_is_answered_like_get_and_never_waits(
    cast: Cast, live_server: LiveServer
) -> None:
    for path, token in (await paths_of(cast, live_server)).items():
        # Of what a GET sends in chunks, only the head is read: it may go on after that.
        [head] = await spoken(live_server, request(f"HEAD {path}", token))
        [got] = await spoken(live_server, request(f"GET {path}", token), half=False)
        if path.endswith("/ws"):
            assert (got.status, head.status, head.headers["allow"]) == (426, 405, "GET")
            continue
        assert (head.status, head.body) == (got.status, b""), path
        assert head.headers["x-request-id"] != got.headers["x-request-id"]
        for name in ("content-type", "cache-control"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)
        for one in (got.headers, head.headers):
            is_marked(one)
            kept = one["cache-control"]
            if one.get("content-type", "").startswith(("application/json", "application/problem")):
                assert kept == "no-store", path
            else:
                assert "no-" in kept or "private" in kept, path
    order = (await cast.order())["id"]
    poll = f"HEAD {API}/orders/{order}/status?last_status=placed"
    assert [
        one.status for one in await spoken(live_server, request(poll, cast.customer.token))
    ] == [204]
    await wait_until(lambda: live_server.services[Connections].held == 0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("connection", ["", "Connection: close", "Connection: keep-alive"])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_an_operations_answer_has_the_same_head_as_aiohttps_own(
    cast: Cast, live_server: LiveServer, version: str, connection: str, method: str
) -> None:
    heads = []
    for path in (f"{API}/me", "/healthz"):
        lines = [f"{method} {path} {version}", "Host: x", *([connection] if connection else [])]
        lines.append(f"Authorization: Bearer {cast.customer.token}")
        [said] = await spoken(live_server, "\r\n".join([*lines, "", ""]).encode())
        assert said.status == 200
        assert int(said.headers.pop("content-length")) > 0
        for changing in ("x-request-id", "date", "tiffin-time"):
            assert said.headers.pop(changing)
        heads.append((said.version, said.headers))
    assert heads[0] == heads[1]


async def test_every_error_has_the_common_headers_and_is_not_cached(
    cast: Cast, live_server: LiveServer
) -> None:
    long = b"X-Long: " + b"a" * 9000
    for asked, status in (
        (request("GET /api/v1/me"), 401),
        (request("PUT /api/v1/me", cast.customer.token), 405),
        (request("POST /api/v1/auth/login", None, b"{"), 400),
        (request("GET /healthz", None, b"", long), 400),
        (request("POST /api/v1/auth/login", None, b"{}", b"Expect: something"), 417),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ):
        [answer] = await spoken(live_server, asked)
        assert answer.status == status, asked
        is_marked(answer.headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"]


async def test_an_upgrade_has_the_common_headers_and_takes_a_cursor_of_any_length(
    cast: Cast,
) -> None:
    path = f"/chats/{await open_chat(cast.customer)}/ws?after={'a' * 2000}"
    customer = cast.customer
    async with customer.http.ws_connect(customer.url(path), headers=customer.headers) as ws:
        async with asyncio.timeout(ANSWER_SECONDS):
            while (await ws.receive_json())["type"] != "reset":
                pass
        headers = {name.lower(): value for name, value in ws._response.headers.items()}
        is_marked(headers)
        assert "cache-control" not in headers


async def test_a_request_of_a_half_closed_client_is_answered(
    cast: Cast, live_server: LiveServer
) -> None:
    token = cast.customer.token
    basket = json.dumps(cast.place.basket()).encode()
    me = request("GET /api/v1/me", token)
    for asked, statuses in (
        (request("GET /healthz"), [200]),
        (me, [200]),
        (request("GET /api/v1/me", token, b"", b"Connection: close"), [200]),
        (request("PATCH /api/v1/me", token, b'{"name": "Half Closed"}'), [200]),
        (request("POST /api/v1/orders", token, basket), [201]),
        (me * 5, [200] * 5),
        (request("GET /api/v1/me", token, b"", b"Connection: Upgrade", b"Upgrade: h2c"), [200]),
        (request("PATCH /api/v1/me", token, b'{"name": "Cut off"}')[:-3], [400]),
        (me[:-4], []),
        (b"", []),
    ):
        assert [one.status for one in await spoken(live_server, asked)] == statuses, asked
    assert (await cast.customer.get("/me")).json["name"] == "Half Closed"
    assert len((await cast.customer.get("/orders")).json["items"]) == 1


async def test_a_held_request_of_a_half_closed_client_is_answered_without_news(
    cast: Cast, live_server: LiveServer
) -> None:
    order = (await cast.order())["id"]
    poll = request(f"GET {API}/orders/{order}/status?last_status=placed", cast.customer.token)
    [answer] = await spoken(live_server, poll)
    assert (answer.status, answer.headers["retry-after"]) == (204, "1")
    stream = request(f"GET {API}/announcements/stream", cast.customer.token)
    [answer] = await spoken(live_server, stream)
    assert answer.status == 200
    assert answer.body.endswith(b"\r\n0\r\n\r\n")
    held = live_server.services[Connections]
    for asked in (poll, stream):
        reader, writer = await asyncio.open_connection("127.0.0.1", live_server.port)
        writer.write(asked)
        await wait_until(lambda: held.held == 1)
        writer.write_eof()
        async with asyncio.timeout(ANSWER_SECONDS):
            assert b"HTTP/1.1 20" in await reader.read()
        await wait_until(lambda: held.held == 0)
        writer.close()


async def test_a_last_event_id_of_any_bytes_gets_a_reset(
    cast: Cast, live_server: LiveServer
) -> None:
    token = cast.customer.token
    path = f"GET {API}/announcements/stream"
    for cursor, reset in (
        (b"", False),
        (b"   ", False),
        (b"abc", True),
        ("café".encode(), True),
        (b"a\tb", True),
        (b"\xe9\xff", True),
        (b"a" * 1025, True),
        (b"a" * 5000, True),
    ):
        asked = request(path, token, b"", b"Last-Event-ID: " + cursor)
        [answer] = await spoken(live_server, asked)
        assert (answer.status, b"event: reset" in answer.body) == (200, reset), cursor
    [answer] = await spoken(live_server, request(f"{path}?after=", token))
    assert b"event: reset" not in answer.body


ANSWERED = 30
REFUSED: tuple[tuple[str, str, object], ...] = (
    ("GET", "/nothing/here", None),
    ("PUT", "/orders", None),
    ("GET", "/orders/ord_none", None),
    ("POST", "/orders", {"items": 1}),
    ("POST", "/auth/login", {"email": "eve@example.org", "password": "not the password"}),
    ("POST", "/auth/refresh", {"refresh_token": "rt_unknown"}),
)


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
async def test_a_refusal_leaves_little_to_the_garbage_collector(
    cast: Cast, method: str, path: str, body: object
) -> None:
    """It stops everybody while it collects. aiohttp leaves six objects of an unknown path."""
    url, sent = cast.customer.url(path), {} if body is None else {"json": body}
    async with aiohttp.ClientSession(headers=cast.customer.headers) as session:

        async def ask(times: int) -> None:
            for _ in range(times):
                async with session.request(method, url, **sent) as answer:
                    assert answer.status >= 400
                    await answer.read()

        await ask(3)  # what is made once
        gc.collect()
        gc.disable()
        try:
            await ask(ANSWERED)
            assert gc.collect() < 10 * ANSWERED
        finally:
            gc.enable()
