"""A server's connections under clients that do not read, do not send, or do not leave."""

import asyncio
import hashlib
import io
import json
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from PIL import Image

from server.core import connection as connection_module
from server.core.auth import Identity
from server.core.bodies import BodyDeadlines
from server.core.connection import TURN, Connection
from server.core.metrics import Metrics
from server.core.parse_queue import ACCEPTING_SECONDS, ParseQueue
from server.core.routing import IDENTITY
from server.core.services import SERVICES, Services
from server.core.serving import BODY_BUFFER, Runner, Server
from support.idle_reader import idle_reader
from support.live_server import running_server, settings_for
from support.metrics import figure
from support.raw_http import RawRequest, raise_file_limit
from support.rest import Rest
from support.server_process import ServerProcess, StartServer
from support.town import Place, open_restaurant
from support.uploads import sent
from support.waiting import PATIENCE, wait_for, wait_until

READERS = 80
ORDERS = 100
NO_PHOTOS = {"TIFFIN_PHOTO_WORKERS": "0"}
PICTURE_BYTES = 4 * 1024 * 1024
BODY = json.dumps({"email": "a@example.com", "password": "correct horse", "name": "A"}).encode()


def memory(server: ServerProcess) -> float:
    """What the process holds, in MB."""
    return float(psutil.Process(server.pid).memory_info().rss) / 1e6


def connections(server: ServerProcess) -> int:
    """How many clients are connected."""
    found = psutil.Process(server.pid).net_connections("tcp")
    clients = [one for one in found if one.laddr.port == server.port]
    return sum(one.status == psutil.CONN_ESTABLISHED for one in clients)


async def answered(rest: Rest, route: str) -> int:
    """How many GETs of that route have been answered."""
    told = (await rest.get("//metrics")).must(200).body.decode().splitlines()
    labels = ('method="GET"', f'route="{route}"')
    lines = [line for line in told if all(label in line for label in labels)]
    return sum(int(float(line.split()[-1])) for line in lines if "_requests_total{" in line)


async def long_orders(rest: Rest, place: Place, number: int) -> None:
    """Place orders as large as they may be."""
    item = {"menu_item_id": place.dishes[0], "quantity": 1, "note": "\U0001f35b" * 78}
    order = place.basket() | {"items": [item] * 50}
    body = json.dumps(order, ensure_ascii=False).encode()
    for _ in range(number):
        headers = {"Content-Type": "application/json"}
        (await rest.post("/orders", data=body, headers=headers)).must(201)


def picture(size: int) -> bytes:
    """The start of a PNG, which is all that is looked at before a worker has it, and more."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue() + bytes(size)


@asynccontextmanager
async def unread(rest: Rest, path: str, number: int) -> AsyncIterator[None]:
    """That many connections that have sent a request and read nothing."""
    async with AsyncExitStack() as stack:
        for _ in range(number):
            await stack.enter_async_context(idle_reader(rest, path))
        yield


async def test_lists_that_nobody_reads_take_little_memory(start_server: StartServer) -> None:
    server = start_server(env={"TIFFIN_UNREAD_MB": "8"} | NO_PHOTOS)
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as rest:
        await rest.register("ana@example.com")
        await long_orders(rest, place, ORDERS)
        (await rest.get("/orders?limit=200")).must(200)
        before, known = memory(server), await answered(rest, "/api/v1/orders")

        async def all_answered() -> bool:
            return await answered(rest, "/api/v1/orders") >= known + READERS

        async with unread(rest, "/orders?limit=200", READERS):
            await wait_until(all_answered)
            grown = memory(server) - before
        assert grown < 80, f"{grown:.0f} MB for {READERS} lists"


async def test_a_list_of_long_entries_has_shorter_pages(start_server: StartServer) -> None:
    server = start_server(env=NO_PHOTOS)
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as rest:
        await rest.register("ana@example.com")
        await long_orders(rest, place, ORDERS)
        seen: list[str] = []
        path, pages = "/orders?limit=200", 0
        while path:
            answer = (await rest.get(path)).must(200)
            assert len(answer.body) < 1.2 * 1024 * 1024
            seen += [one["id"] for one in answer.json["items"]]
            following = answer.json["next"]
            path = f"/orders?limit=200&before={following}" if following else ""
            pages += 1
        assert len(seen) == len(set(seen)) == ORDERS
        assert pages > 1


async def test_pictures_that_nobody_reads_take_little_memory(start_server: StartServer) -> None:
    server = start_server(env=NO_PHOTOS)
    async with Rest(server.url) as rest:
        await rest.register("ana@example.com")
        photo = picture(PICTURE_BYTES)
        path = f"/uploads/{await sent(rest, photo)}/original"
        assert (await rest.get(path)).must(200).body == photo
        before = memory(server)
        route = "/api/v1/uploads/{id}/original"
        known = await answered(rest, route)

        async def all_answered() -> bool:
            return await answered(rest, route) >= known + READERS

        async with unread(rest, path, READERS):
            await wait_until(all_answered)
            grown = memory(server) - before
        assert grown < 80, f"{grown:.0f} MB for {READERS} pictures of 4 MiB"


async def test_a_client_that_does_not_read_its_answer_is_cut_off(start_server: StartServer) -> None:
    server = start_server(env={"TIFFIN_WRITE_SECONDS": "0.5"} | NO_PHOTOS)
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as rest:
        await rest.register("ana@example.com")
        await long_orders(rest, place, 30)
        path = f"/uploads/{await sent(rest, picture(PICTURE_BYTES))}/original"
        async with (
            unread(rest, "/orders?limit=200", 3),
            unread(rest, path, 3),
            idle_reader(rest, f"/restaurants/{place.id}"),
        ):
            for route, number in (
                ("/api/v1/orders", 3),
                ("/api/v1/uploads/{id}/original", 3),
                ("/api/v1/restaurants/{id}", 1),
            ):

                async def made(route: str = route, number: int = number) -> bool:
                    return await answered(rest, route) == number

                await wait_until(made)
            # What fits into the kernel's buffers has been sent, and does not hold a request up.
            await wait_until(lambda: connections(server) == 1)
        words = "did not take its answer in time"
        await wait_until(lambda: server.log_tail(50_000).count(words) == 6)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"]
)
async def test_a_connection_without_a_request_is_closed(
    start_server: StartServer, sent: bytes
) -> None:
    server = start_server(env={"TIFFIN_HEAD_SECONDS": "0.5"} | NO_PHOTOS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


async def test_a_head_sent_byte_by_byte_times_out(start_server: StartServer) -> None:
    server = start_server(env={"TIFFIN_HEAD_SECONDS": "0.5"} | NO_PHOTOS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    ended = asyncio.create_task(reader.read())
    writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
    async with asyncio.timeout(PATIENCE):
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait({ended}, timeout=0.05)
    with suppress(ConnectionResetError):  # what a byte after the end is answered by
        assert await ended == b""
    writer.close()


async def test_a_head_has_a_maximum_size(start_server: StartServer) -> None:
    server = start_server(env={"TIFFIN_HEAD_KB": "16"} | NO_PHOTOS)
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(15))
    for more, status in ((b"\r\n", b"200"), (lines, b"431")):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + lines)
        await writer.drain()
        writer.write(more)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read(12)).split()[1] == status
        writer.close()


async def test_an_idle_connection_is_closed_and_a_held_one_is_not(
    start_server: StartServer,
) -> None:
    server = start_server(
        env={"TIFFIN_HEAD_SECONDS": "0.5", "TIFFIN_IDLE_SECONDS": "1"} | NO_PHOTOS
    )
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as rest:
        await rest.register("ana@example.com")
        order = (await rest.post("/orders", place.basket())).must(201).json
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            poll = rest.get(f"/orders/{order['id']}/status?last_status=placed&timeout=2")
            held, answer = await asyncio.gather(poll, reader.read())
        assert answer.startswith(b"HTTP/1.1 200")
        held.must(204)
        writer.close()


def connected(server: ServerProcess, host: str) -> socket.socket:
    """A connection from that address, which is the loopback's too."""
    connection = socket.socket()
    connection.settimeout(10)
    connection.bind((host, 0))
    connection.connect(("127.0.0.1", server.port))
    return connection


def served(server: ServerProcess, host: str) -> bytes:
    """The answer to a request from that address."""
    with closing(connected(server, host)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


@pytest.mark.parametrize("gunicorn", [False, True], ids=["alone", "gunicorn"])
def test_silent_connections_do_not_shut_others_out(
    start_server: StartServer, gunicorn: bool
) -> None:
    server = start_server(
        gunicorn=gunicorn,
        files=256,
        env={"TIFFIN_MAX_SOCKETS_PER_ADDRESS": "1000", "TIFFIN_HEAD_SECONDS": "60"} | NO_PHOTOS,
    )
    raise_file_limit(1024)
    silent = [connected(server, "127.0.0.1") for _ in range(300)]
    try:
        # The first that are refused are told why; those beyond are reset, which costs less.
        refused = select.select(silent, [], [], PATIENCE)[0][0].recv(4096)
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: " in refused
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["status"] == 429
        assert served(server, "127.0.0.2").startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in silent:
            connection.close()
    wait_for(lambda: "connections refused" in server.log_tail(50_000))
    log = server.log_tail(50_000)
    assert "TIFFIN_MAX_CONNECTIONS" in log
    assert log.count("connections refused") <= 3


def test_an_address_that_connects_too_often_has_to_wait(start_server: StartServer) -> None:
    server = start_server(env={"TIFFIN_CONNECTIONS_PER_MINUTE": "100"} | NO_PHOTOS)  # ten at once
    answers = [served(server, "127.0.0.3")]
    while answers[-1].startswith(b"HTTP/1.1 200 ") and len(answers) < 100:
        answers.append(served(server, "127.0.0.3"))
    assert len(answers) > 10
    assert answers[-1].startswith(b"HTTP/1.1 429 ")
    assert served(server, "127.0.0.2").startswith(b"HTTP/1.1 200 ")


def test_a_process_has_a_limit_and_proxies_are_not_counted_by_address(
    start_server: StartServer,
) -> None:
    server = start_server(
        env={
            "TIFFIN_MAX_SOCKETS": "20",
            "TIFFIN_MAX_SOCKETS_PER_ADDRESS": "3",
            "TIFFIN_TRUSTED_PROXIES": "127.0.0.2",
        }
        | NO_PHOTOS
    )
    own = [connected(server, "127.0.0.3") for _ in range(3)]  # nobody has asked from there yet
    assert served(server, "127.0.0.3").startswith(b"HTTP/1.1 429 ")
    proxy = [connected(server, "127.0.0.2") for _ in range(10)]
    assert served(server, "127.0.0.2").startswith(b"HTTP/1.1 200 ")
    proxy += [connected(server, "127.0.0.2") for _ in range(7)]
    assert served(server, "127.0.0.2").startswith(b"HTTP/1.1 503 ")
    for connection in own + proxy:
        connection.close()


async def test_requests_in_flight_are_limited_by_account(start_server: StartServer) -> None:
    server = start_server(
        env={"TIFFIN_REQUESTS_PER_ACCOUNT": "2", "TIFFIN_READS_AT_ONCE": "1"} | NO_PHOTOS
    )
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as rest, rest.another() as other:
        await rest.register("ana@example.com")
        await other.register("bram@example.com")
        await long_orders(rest, place, 30)
        order = (await rest.post("/orders", place.basket())).must(201).json
        held = []
        for number in range(1, 4):
            poll = rest.get(f"/orders/{order['id']}/status?last_status=placed")
            held.append(asyncio.create_task(poll))

            async def waits(number: int = number) -> bool:
                return await figure(rest, "held_polls") == number

            await wait_until(waits)

        async def admitted() -> bool:
            return (await rest.get("/me")).status == 200

        async with AsyncExitStack() as stack:
            for number in range(1, 3):
                await stack.enter_async_context(idle_reader(rest, "/orders?limit=200"))

                async def made(number: int = number) -> bool:
                    return await answered(rest, "/api/v1/orders") == number

                await wait_until(made)
            refused = (await rest.get("/me")).must(429)
            assert int(refused.headers["Retry-After"]) >= 1
            assert "under way" in refused.json["detail"]
            (await other.get("/me")).must(200)
        await wait_until(admitted, what="a place is free again")
        (await rest.post(f"/orders/{order['id']}/cancel", {})).must(200)
        for one in await asyncio.gather(*held):
            one.must(200)


async def begun(server: ServerProcess, head: str, body: bytes) -> Any:
    """A request whose head has been read and whose body has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST /api/v1{head}\r\nHost: x\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(body)
    return reader, writer


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, str, Any]:
    """Status, head and body of the response, up to the connection's end."""
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head.decode(), json.loads(body)


@pytest.mark.parametrize("gunicorn", [False, True], ids=["alone", "gunicorn"])
async def test_requests_in_progress_are_finished_or_refused_when_the_server_stops(
    start_server: StartServer, gunicorn: bool
) -> None:
    server = start_server(gunicorn=gunicorn, env={"TIFFIN_SHUTDOWN_SECONDS": "4"} | NO_PHOTOS)
    # Not one that takes long, as to register does while the machine is busy: 4 s are left.
    subject = json.dumps({"subject": "Where is my order?"}).encode()
    json_head = " HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
    async with Rest(server.url) as rest, asyncio.timeout(60):
        await rest.register("ana@example.com")
        head = f"/chats{json_head}{len(subject)}\r\nAuthorization: Bearer {rest.token}"
        finishing = await begun(server, head, subject[:20])
        stuck = await begun(server, f"/auth/register{json_head}{len(BODY)}", BODY[:20])
        form = (
            f"/uploads HTTP/1.1\r\nAuthorization: Bearer {rest.token}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000"
        )
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        upload = await begun(server, form, part + picture(0))
        stream = await RawRequest.send(server.port, "/announcements/stream", rest.token)
        assert (await stream.head()).status == 200
        assert server.process is not None
        server.process.terminate()

        async def closed() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:
                return True
            writer.close()
            return False

        await wait_until(closed, what="the server takes no more connections")
        with pytest.raises(EOFError):
            await stream.event()  # its last chunk has come
        finishing[1].write(subject[20:])
        status, head, body = await answer_of(finishing[0])
        assert status == 201, body
        assert "Connection: close" in head
        for reader, _ in (stuck, upload):
            status, head, body = await answer_of(reader)
            assert (status, body["status"]) == (503, 503)
            assert "Retry-After: 1" in head
            assert "shutting down" in body["detail"]
        assert await asyncio.to_thread(server.process.wait, PATIENCE) == 0
    assert '"ERROR"' not in server.log_tail(50_000)


@asynccontextmanager
async def served_here(
    folder: Path, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[int]:
    """The port of a server in this process, which answers POST / with that application."""
    app = web.Application()
    app.router.add_post("/", handler)
    app[SERVICES] = Services(BodyDeadlines(), Metrics())
    runner = Runner(app, settings_for(folder))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_what_has_been_sent_to_a_server_that_stops_is_answered(tmp_path: Path) -> None:
    """Otherwise a proxy would not send it again: it cannot know that a POST was not received."""

    async def take(request: web.Request) -> web.Response:
        answer = web.Response(status=201)
        if await request.read() == b"[]":
            answer.force_close()
        return answer

    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    with ExitStack() as stack:
        async with served_here(tmp_path, take) as port:

            def connect() -> socket.socket:
                one = socket.create_connection(("127.0.0.1", port), PATIENCE)
                return stack.enter_context(one)

            kept = connect()
            kept.sendall(head + b"{}")
            assert b" 201 " in await asyncio.to_thread(kept.recv, 4096)
            new = [connect() for _ in range(20)]  # the loop has had no time to accept them
            for one in new:
                one.sendall(head)
            for one in (kept, *new):
                rest = b"[]" if one in new else head + b"[]"
                asyncio.get_running_loop().call_later(0.02, one.sendall, rest)
        for one in (kept, *new):
            assert b" 201 " in one.recv(4096)


async def test_connections_do_not_wait_for_the_end_of_a_server_that_stops(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle one is closed, so that a proxy sends nothing more over it. One that is made just then
    is answered, and closed if it is silent: its task has not begun."""
    made = Connection.connection_made

    def stop_then(self: Connection, transport: asyncio.BaseTransport) -> None:
        made(self, transport)
        self.drain()

    monkeypatch.setattr(connection_module, "NEW_SECONDS", 0.05)
    settings = settings_for(data_dir, photo_workers=0)
    async with running_server(settings) as server, asyncio.timeout(PATIENCE):
        idle, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await idle.readline()).startswith(b"HTTP/1.1 200 ")
        assert isinstance(server.runner.server, Server)
        server.runner.server.pre_shutdown()
        await idle.read()
        monkeypatch.setattr(Connection, "connection_made", stop_then)
        silent, _ = await asyncio.open_connection("127.0.0.1", server.port)
        assert await silent.read() == b""
        async with Rest(server.url) as rest:
            monkeypatch.setattr(connection_module, "NEW_SECONDS", 3600)
            (await rest.get("//healthz")).must(200)


async def test_a_large_read_is_parsed_in_parts(tmp_path: Path) -> None:
    """Otherwise a body of small chunks would delay everybody while one read of it is parsed."""
    largest = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal largest
        found = hashlib.sha256()
        async for part in request.content.iter_any():
            found.update(part)
            largest = max(largest, len(part))
        return web.Response(text=found.hexdigest())

    body = os.urandom(4 * 1024 * 1024)

    async def small() -> AsyncIterator[bytes]:
        for at in range(0, 20_000, 16):
            yield body[at : at + 16]

    async with (
        served_here(tmp_path, take) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        for sent, content in ((body, body), (small(), body[:20_000])):
            async with http.post("/", data=sent) as answer:
                assert await answer.text() == hashlib.sha256(content).hexdigest()
    assert largest <= 2 * BODY_BUFFER + TURN


@pytest.mark.parametrize("addresses", [1, 200])
async def test_a_crowd_does_not_delay_known_addresses(tmp_path: Path, addresses: int) -> None:
    """Two hundred requests from one address or many, and then one from an address with a valid
    token, are read at once."""
    answered: list[str | None] = []

    async def note(request: web.Request) -> web.Response:
        answered.append(request.remote)
        if request.remote == known:
            request[IDENTITY] = Identity(
                account_id="acc_1",
                session_id="ses_1",
                expires=0,
                name="Ana",
                role="customer",
                restaurant_id=None,
            )
        return web.Response()

    known = "127.0.0.3"
    crowd = [f"127.0.1.{at % addresses + 1}" for at in range(200)]
    async with served_here(tmp_path, note) as port:
        for hosts in ([known], [*crowd, known]):
            answered.clear()
            with ExitStack() as stack:
                connections = []
                for host in hosts:
                    connection = stack.enter_context(socket.socket())
                    connection.bind((host, 0))
                    connection.connect(("127.0.0.1", port))
                    connections.append(connection)
                    await asyncio.sleep(0)
                for connection in connections:
                    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
                await wait_until(lambda hosts=hosts: len(answered) == len(hosts))
    assert answered.index(known) < 40


class Part:
    """A part that a connection of that address has read."""

    queued = False

    def __init__(self, address: str, parsed: list[str]) -> None:
        self.address_key = address
        self._parsed = parsed

    def parse_next(self) -> None:
        self._parsed.append(self.address_key)


async def test_a_crowd_waits_while_connections_are_accepted() -> None:
    """One of them may be that of a known address, which has to be accepted before it is known."""
    queue = ParseQueue(asyncio.get_running_loop())
    queue.mark_known("known")
    parsed: list[str] = []
    for at in range(200):
        queue.add(Part(f"stranger {at}", parsed))
    began = time.monotonic()
    for _ in range(200):
        queue.mark_accepted()
        await asyncio.sleep(0)  # a turn
    turns_of_strangers = (time.monotonic() - began) / ACCEPTING_SECONDS + 2
    assert len(parsed) <= turns_of_strangers
    queue.mark_accepted()
    queue.add(Part("known", parsed))
    await asyncio.sleep(0)
    assert "known" in parsed[-2:]
    begun = len(parsed)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(parsed) - begun <= 20  # one of them a turn
    await wait_until(lambda: len(parsed) == 201)


LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def told(server: ServerProcess, sent: bytes) -> tuple[int, str, Any]:
    """Status, head and body of the answer to those bytes, after which the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(PATIENCE):
            return await answer_of(reader)
    finally:
        writer.transport.abort()


async def test_unreadable_requests_are_answered_and_take_no_memory(
    start_server: StartServer,
) -> None:
    server = start_server(env=NO_PHOTOS)
    nonsense = (b"\0" * 60_000, b"BAD\r\n\r\n" + b"x" * 200_000)
    lines = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"
    expects = b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n"
    for sent_bytes, expected in (
        (nonsense[0], 400),
        (nonsense[1], 400),
        (lines, 400),
        (expects, 417),
    ):
        status, head, body = await told(server, sent_bytes)
        assert head.startswith("HTTP/1.1 ")
        assert "Content-Type: application/problem+json" in head
        assert (status, body["status"]) == (expected, expected)
        assert body["request_id"] in head
        assert "x00" not in body["detail"]
        assert "yyy" not in body["detail"]

    async def flood() -> None:
        for number in range(20):
            await told(server, nonsense[number % 2])

    await asyncio.gather(*(flood() for _ in range(5)))
    before = memory(server)
    await asyncio.gather(*(flood() for _ in range(10)))
    grown = memory(server) - before
    assert grown < 20, f"{grown:.0f} MB for 200 requests that cannot be read"
    await wait_until(lambda: "not HTTP, from a client: " in server.log_tail(50_000))
    assert "Traceback" not in server.log_tail(500_000)


async def test_requests_before_an_unreadable_one_are_answered(
    start_server: StartServer,
) -> None:
    server = start_server(env=NO_PHOTOS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"BAD\r\n\r\n")
        assert b"HTTP/1.1 400 " in await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 10_000, "too small"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"a" * 60_000, "too small"),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xyz\r\n" + b"x" * 2000, ""),
        (b"Content-Encoding: gzip\r\nContent-Length: 2000\r\n\r\n" + b"{" * 1000, "announce"),
    ],
    ids=["tiny chunks", "chunk extension", "broken chunks", "no gzip"],
)
async def test_a_body_that_cannot_be_read_is_refused(
    start_server: StartServer, body: bytes, words: str
) -> None:
    server = start_server(env=NO_PHOTOS)
    status, _, problem = await told(server, LOGIN + body)
    assert status == 400
    assert words in problem["detail"]
    assert "Traceback" not in server.log_tail(50_000)


@pytest.mark.parametrize(
    "head",
    [
        LOGIN + b"Content-Length: 10000000000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n",
    ],
    ids=["too large", "not wanted", "no such path"],
)
@pytest.mark.parametrize("piece", [1000, 65_536], ids=["slow", "fast"])
async def test_an_endless_body_is_cut_off_after_the_answer(
    start_server: StartServer, head: bytes, piece: int
) -> None:
    server = start_server(env=NO_PHOTOS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    answered = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    sent_bytes, began = 0, 0.0

    async def cut_off() -> bool:
        nonlocal sent_bytes, began
        if answered.done() and not began:
            sent_bytes, began = 0, time.monotonic()
        if not writer.is_closing() and writer.transport.get_write_buffer_size() < 100_000:
            writer.write(b" " * piece)
            sent_bytes += piece
        return bool(began) and not connections(server)

    await wait_until(cut_off, every=0.002)
    assert b"HTTP/1.1 " in await answered
    assert time.monotonic() - began < 20  # 2 s, and time for a machine that is busy
    assert sent_bytes < 30_000_000  # most of them wait in the kernel's buffers
    writer.transport.abort()
