"""Somebody else's server, measured: a small one of these tests, and FastAPI's."""

import asyncio
import json
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.tls import certificate
from tools.ports import free_port
from tui.lab.__main__ import main
from tui.lab.export import write
from tui.lab.records import LONG_POLL, SHORT_POLL, SSE, WEBSOCKET
from tui.lab.targets import run as run_of_target
from tui.lab.targets.description import DescriptionError, read_description
from tui.lab.targets.run import measure, plan_for

EXAMPLES = Path(__file__).parents[3] / "docs" / "lab-targets"
ALL = """
[sse]
path = "/sse"
seq = "order.seq"
headers.x-key = "${LAB_KEY}"
[websocket]
path = "/ws"
seq = "order.seq"
[long-poll]
path = "/poll?held=yes"
seq = "order.seq"
events = "items"
cursor = "after"
next = "newest"
first = "0"
[short-poll]
path = "/state"
seq = "order.seq"
events = "newest"
[publish]
path = "/events"
method = "PUT"
body = '{"order": {"seq": ${seq}}}'
rate = 10
"""


class Endpoints:
    """A server of events, over four patterns."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.changed = asyncio.Event()
        self.hosts: set[str | None] = set()
        self.keys: set[str | None] = set()
        self.published_at: list[float] = []
        self.asked: list[str] = []
        self.app = web.Application(middlewares=[self.note])
        self.app.add_routes(
            [
                web.put("/events", self.publish),
                web.get("/sse", self.sse),
                web.get("/ws", self.socket),
                web.get("/poll", self.poll),
                web.get("/state", self.state),
                web.get("/still", self.still),
                web.get("/moved", self.moved),
            ]
        )

    @web.middleware
    async def note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.hosts.add(request.headers.get("Host"))
        self.asked.append(request.path)
        answer: web.StreamResponse = await handler(request)
        return answer

    def add(self, event: Any) -> None:
        self.events.append(event)
        self.changed.set()
        self.changed = asyncio.Event()

    async def publish(self, request: web.Request) -> web.Response:
        self.published_at.append(time.monotonic())
        self.add(await request.json())
        return web.Response(status=202)

    async def after(self, number: int) -> AsyncIterator[Any]:
        while True:
            while number < len(self.events):
                number += 1
                yield self.events[number - 1]
            await self.changed.wait()

    async def sse(self, request: web.Request) -> web.StreamResponse:
        self.keys.add(request.headers.get("X-Key"))
        news = self.after(len(self.events))
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        async for event in news:
            try:
                await answer.write(f"event: end\nid: 1\ndata: {json.dumps(event)}\n\n".encode())
            except ConnectionError:
                break
        return answer

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        news = self.after(len(self.events))
        await socket.prepare(request)
        sending = asyncio.create_task(self.send_all(socket, news))
        async for _ in socket:
            pass
        sending.cancel()
        return socket

    async def send_all(self, socket: web.WebSocketResponse, news: AsyncIterator[Any]) -> None:
        async for event in news:
            await socket.send_json(event)

    async def poll(self, request: web.Request) -> web.Response:
        assert request.query["held"] == "yes"
        number = int(request.query["after"])
        if number == len(self.events):
            await self.changed.wait()
        return web.json_response({"items": self.events[number:], "newest": len(self.events)})

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response({"now": time.time(), "newest": self.events[-2:]})

    async def still(self, request: web.Request) -> web.Response:
        return web.json_response({"now": time.time(), "newest": {"n": 1}})

    async def moved(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.2:1/sse")


@asynccontextmanager
async def serving(
    endpoints: Endpoints, context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    runner = web.AppRunner(endpoints.app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    host = "127.0.0.1" if context is None else "localhost"
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield f"{'http' if context is None else 'https'}://{host}:{port}"
    finally:
        await runner.cleanup()


async def measured(
    url: str, description: Path, *options: str
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The command's exit code, its one run, and that run's rows by their patterns."""
    out = description.parent / "out"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui.lab", "run", "--target", url),
        *("--description", str(description), "--out", str(out), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode in (0, 1), errors.decode()
    return process.returncode, *read_run(out)


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    (run,) = json.loads((folder / "results.json").read_text())["runs"]
    return run, {row["pattern"]: row for row in run["patterns"]}


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "target.toml"
        path.write_text(text)
        return path

    return write


async def test_every_pattern_of_a_server_is_measured(
    described: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_KEY", "open sesame")
    endpoints = Endpoints()
    endpoints.add({"order": {"seq": 7}})  # of somebody else
    async with serving(endpoints) as url:
        options = ("--seconds", "0.8", "--poll-seconds", "0.2")
        code, run, rows = await measured(url, described(ALL), *options)
    assert code == 0, run
    published = len(endpoints.published_at)
    assert 3 < published <= 8
    assert set(rows) == {SSE, WEBSOCKET, LONG_POLL, SHORT_POLL}
    for pattern, row in rows.items():
        assert row["events"] == published
        assert row["arrivals"] + row["unseen"] == published
        assert (row["repeated"], row["unordered"]) == (0, 0)
        assert row["latency_p50_ms"] > 0
        assert row["bytes_down_per_event"] > 0
        assert (row["unseen"] > 0) is (pattern == SHORT_POLL), pattern
    assert endpoints.keys == {"open sesame"}
    assert endpoints.hosts == {url.removeprefix("http://")}
    assert endpoints.asked.count("/sse") == endpoints.asked.count("/ws") == 1
    assert run["source"] == {"target": url, "rate": 10}
    table = (tmp_path / "out" / "results.md").read_text()
    assert f"{url}, where the lab published 10 a second" in table
    assert "open sesame" not in table
    assert "| one server process" not in table


async def test_what_a_server_does_not_say_is_not_made_up(
    described: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS, by the name in the certificate, with neither a number nor a time; and beside it a
    WebSocket with both, one of whose numbers is missing."""
    monkeypatch.setattr(run_of_target, "LOOPBACK", ())  # as if its clock were another one
    paths = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths)
    names = set()
    context.sni_callback = lambda socket, name, context: names.add(name)
    endpoints = Endpoints()

    async def feed() -> None:
        for number in count(100):
            if number % 4:
                endpoints.add({"n": number, "at": (time.time() - 0.2) * 1000})
                await asyncio.sleep(0.04)

    path = described(
        '[sse]\npath = "/sse"\n[websocket]\npath = "/ws"\nseq = "n"\ntime = "at"\nunit = "ms"\n'
        '[long-poll]\npath = "/moved"\ncursor = "a"\nnext = "b"\n'
        '[short-poll]\npath = "/still"\nevents = "newest"\n'
    )
    described_here = read_description(path)
    async with serving(endpoints, context) as url:
        plan = plan_for(
            url, described_here, {"seconds": 0.6, "network": "office", "poll_seconds": 0.1}
        )
        feeding = asyncio.create_task(feed())
        report = await measure(described_here, plan, "command", lambda words: None)
        feeding.cancel()
    assert not report.kept
    write(report, tmp_path)
    run, rows = read_run(tmp_path)
    stream, socket, moved = rows[SSE], rows[WEBSOCKET], rows[LONG_POLL]
    assert stream["arrivals"] > 3
    unknown = ("events", "unseen", "repeated", "late", "replayed", "promise_kept", "events_behind")
    for name in (*unknown, "latency_p50_ms", "latency_mean_ms", "staleness_ms"):
        assert stream[name] is None, name
    assert stream["bytes_down_per_event"] > 40
    assert socket["events"] is None
    assert 0 < socket["unseen"] < socket["arrivals"]
    assert (socket["repeated"], socket["promise_kept"]) == (0, False)
    assert socket["latency_p50_ms"] > 200
    assert moved["errors"] == ["redirected (HTTP 302)"]
    assert endpoints.asked.count("/still") > 2
    assert rows[SHORT_POLL]["arrivals"] <= 1
    assert names == {"localhost"}
    assert run["clock_error_ms"] >= 500
    notes = " ".join(run["notes"])
    assert "sse: events have no number" in notes
    assert "sse: events have no time" in notes
    assert "websocket: the lab only listened" in notes


BAD = {
    'path = "/x"': "path: there is no such key",
    "[sse]": "sse.path: this key is missing",
    '[sse]\npath = "http://other/x"': "sse.path: 'http://other/x' is no path",
    '[sse]\npath = "//other/x"': "sse.path: '//other/x' is no path",
    '[sse]\npath = "/x"\nheaders.host = "other"': "sse.headers: host is not a header",
    '[sse]\npath = "/x"\nheaders.x = "${LAB_UNSET}"': "sse.headers: x needs LAB_UNSET",
    '[sse]\npath = "/x"\nunit = "h"': "sse.unit: Input should be 's' or 'ms'",
    '[sse]\npath = "/x"\n[publish]\npath = "/y"\nbody = ""\nrate = 11': "publish.rate: ",
    "": "there is nothing to read",
    "[sse": "is not TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_description_is_refused_in_words(
    text: str, described: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = described(text)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--target", "http://127.0.0.1:1", "--description", str(path)])
    assert ended.value.code == 2
    assert re.search(rf"{re.escape(str(path))}:? .*{re.escape(BAD[text])}", capsys.readouterr().err)


REFUSED = {
    "http://a:b@127.0.0.1:1": ("", "--target would show its user and password"),
    "127.0.0.1:1": ("", "is no address"),
    "https://127.0.0.1:1": ("--network=proxy", "nothing in between can read https"),
    "http://127.0.0.1:1": ("--readers=101", "at most 100"),
    "http://127.0.0.1:2": ("--rate=5", "leave out --rate"),
    "http://127.0.0.1:3": ("--poll-seconds=0", "at least 0.1"),
    "http://127.0.0.1:4": ("--patterns=websocket", "no such table"),
}


@pytest.mark.parametrize("url", REFUSED)
def test_more_than_a_target_is_asked_for_is_refused(
    url: str, described: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    option, words = REFUSED[url]
    path = described('[sse]\npath = "/x"\n')
    with pytest.raises(SystemExit) as ended:
        main(["run", "--target", url, "--description", str(path), *filter(None, [option])])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_examples_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    mercure = EXAMPLES / "mercure.toml"
    with pytest.raises(DescriptionError, match="SUBSCRIBER_JWT from the environment"):
        read_description(mercure)
    for name in ("SUBSCRIBER_JWT", "PUBLISHER_JWT"):
        monkeypatch.setenv(name, "x.y.z")
    assert read_description(mercure).numbered == {SSE}
    assert "NOT RUN" in mercure.read_text()


@pytest.mark.others
async def test_fastapi_is_measured_by_its_example(tmp_path: Path) -> None:
    from benchmarks.peers.targets import FastApi, Missing

    try:
        FastApi.make()
    except Missing as missing:
        pytest.skip(str(missing))
    example = tmp_path / "fastapi.toml"
    example.write_text((EXAMPLES / "fastapi.toml").read_text())
    with FastApi(tmp_path) as server:
        _, run, rows = await measured(f"http://127.0.0.1:{server.port}", example, "--seconds", "4")
    assert set(rows) == {SSE, LONG_POLL}
    for row in rows.values():
        assert row["connected"] == 1
        assert row["arrivals"] + row["unseen"] == row["events"] > 5
        assert row["repeated"] == 0
        assert row["latency_p50_ms"] > 0
    assert rows[SSE]["unseen"] == 0, run
