"""What a request leaves behind: its log line, its metrics, its health."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.core import health
from server.core.bodies import BodyDeadlines
from server.core.health import Readiness, add_health
from server.core.limits import RequestLimits
from server.core.metrics import Metrics
from server.core.middleware import access_middleware, add_headers
from server.core.routing import PUBLIC, Router
from server.core.services import SERVICES, Services
from server.core.serving import Runner
from server.features.shared.schemas import Id, Wire
from server.settings import Settings
from support.rest import Rest
from support.server_process import UNLIMITED
from support.waiting import PATIENCE, wait_until

router = Router("things")


class Thing(Wire):
    """Anything."""

    id: str


@router.route("GET", "/things/{id}", roles=PUBLIC)
async def get_thing(request: web.Request, id: Id) -> Thing:
    """A thing."""
    logging.getLogger("server.things").info("looking for %s", id)
    return Thing(id=id)


@router.route("GET", "/leaving", roles=PUBLIC)
async def leaving(request: web.Request) -> web.StreamResponse:
    """Begins to answer, and then the client disconnects."""
    response = web.StreamResponse()
    await response.prepare(request)
    assert request.transport is not None
    request.transport.abort()
    await response.write(b"nobody reads this")
    return response


states = {"database": "ok", "broker": "ok"}


@pytest.fixture
async def client() -> AsyncIterator[Rest]:
    async def database() -> str:
        return states["database"]

    async def broker() -> str:
        if states["broker"] != "ok":
            raise OSError(states["broker"])
        return "ok"

    app = web.Application(middlewares=[access_middleware])
    app.on_response_prepare.append(add_headers)
    settings = Settings.model_construct(**(UNLIMITED | {"shutdown_seconds": 1}))
    readiness, metrics = Readiness(), Metrics()
    app[SERVICES] = Services(settings, RequestLimits(settings), BodyDeadlines(), metrics, readiness)
    metrics.gauge("held", "Held.", lambda: 7.0)
    readiness.checks |= {"database": database, "broker": broker}
    router.add_to(app)
    add_health(app)
    runner = Runner(app, settings)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Rest(f"http://127.0.0.1:{runner.addresses[0][1]}") as rest:
        yield rest
    await runner.cleanup()


def lines(logged: io.StringIO, logger: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in logged.getvalue().splitlines()]
    return [line for line in found if line["logger"] == logger]


async def test_a_request_is_one_line_and_its_id_is_on_every_line(
    client: Rest, logged: io.StringIO
) -> None:
    answer = await client.get("/things/a1", headers={"X-Request-ID": "req-7"})
    answer.must(200)
    (access,) = lines(logged, "server.access")
    assert access["message"] == "GET /api/v1/things/a1 200"
    assert (access["status"], access["method"], access["request_id"]) == (200, "GET", "req-7")
    assert access["remote"] == "127.0.0.1"
    assert access["ms"] >= 0
    (inner,) = lines(logged, "server.things")
    assert inner["request_id"] == "req-7"


async def test_a_path_is_masked_and_cannot_forge_a_log_line(
    client: Rest, logged: io.StringIO
) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    (await client.get(f"/nothing/{token}")).must(404)
    (await client.get("/nothing%0A%7B%22level%22%3A%22forged%22%7D")).must(404)
    assert token not in logged.getvalue()
    assert len(lines(logged, "server.access")) == 2
    assert not [one for one in map(json.loads, logged.getvalue().splitlines()) if "forged" in one]


async def test_a_disconnected_client_is_not_an_error(client: Rest, logged: io.StringIO) -> None:
    with pytest.raises(aiohttp.ClientError):
        await client.get("/leaving")

    def told() -> bool:
        return bool(lines(logged, "server.access"))

    await wait_until(told)
    (access,) = lines(logged, "server.access")
    assert access["status"] == 499
    assert [one["level"] for one in map(json.loads, logged.getvalue().splitlines())] == ["INFO"]


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\r\n"],
)
async def test_a_request_that_is_not_http_is_not_an_error(
    client: Rest, logged: io.StringIO, sent: bytes
) -> None:
    port = int(client.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        assert b" 400 " in await reader.read()
    writer.close()
    found = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert not [one for one in found if one["level"] != "INFO" or "exception" in one], found


async def test_the_query_is_not_logged(client: Rest, logged: io.StringIO) -> None:
    await client.get("/things/a1", params={"anything": "private"})
    assert "private" not in logged.getvalue()


async def test_metrics_count_by_route_never_by_path(client: Rest) -> None:
    for name in ("one", "two"):
        (await client.get(f"/things/{name}")).must(200)
    (await client.get("/no/such/path")).must(404)
    answer = (await client.get("//metrics")).must(200)
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.body.decode()
    assert (
        'tiffin_requests_total{method="GET",route="/api/v1/things/{id}",status="200"} 2.0' in text
    )
    assert "such" not in text
    assert "one" not in {line.split('"')[1] for line in text.splitlines() if '"' in line}
    assert "tiffin_held 7.0" in text


async def test_health_is_of_the_process_and_readiness_of_its_parts(
    client: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0)
    assert (await client.get("//healthz")).must(200).json == {"status": "ok"}
    assert (await client.get("//readyz")).must(200).json["parts"] == states
    monkeypatch.setitem(states, "broker", "no connection to Redis")
    answer = (await client.get("//readyz")).must(200)  # slower without it, but everything works
    assert answer.json["status"] == "degraded"
    assert answer.json["parts"] == {"database": "ok", "broker": "not ok"}
    monkeypatch.setitem(states, "database", "disk I/O error")
    assert (await client.get("//readyz")).must(503).json["status"] == "not ready"
    (await client.get("//healthz")).must(200)
