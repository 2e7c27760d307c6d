"""One session against a server that expires, refuses, breaks and vanishes."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from faulty_server import FaultyServer, for_ever, open_stream, problem

from server.features.accounts.schemas import ProfileChange
from support.waiting import wait_until
from tui.common.client import http
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.session import ApiError, Session, SignedOut, Unreachable
from tui.common.client.sse import EventStream
from tui.common.client.token_store import TokenStore

HELLO = b'{"hello": "there"}'


@pytest.fixture(autouse=True)
def thing(faulty: FaultyServer) -> None:
    """Something to ask for."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=HELLO, content_type="application/json")

    faulty.on("GET", "/thing", answer)


async def test_a_request_is_answered_and_metered(session: Session, wire: Wire) -> None:
    meter = wire.meter("mine", Pattern.REST)
    reply = await session.request("GET", "/thing", params={"limit": 5}, meter=meter)
    assert (reply.status, reply.body) == (200, HELLO)
    assert reply.headers["content-type"].startswith("application/json")
    assert (meter.requests, meter.events, meter.connections) == (1, 1, 0)
    assert meter.state is State.IDLE
    assert 0 < meter.latencies[-1] < 5000
    out, answer = [frame for frame in wire.frames if frame.meter == "mine"]
    assert (out.direction, out.what) == ("out", "GET /thing?limit=5")
    assert (answer.direction, answer.what) == ("in", "200 GET /thing")
    assert answer.size == meter.bytes > len(HELLO)


async def test_sizes_are_those_on_the_wire(wire: Wire) -> None:
    """Against a bare socket that counts."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull"
    login = (
        b'{"access_token": "a", "expires_in": 900, "refresh_token": "r", "account": '
        b'{"id": "1", "email": "a@b.c", "name": "A", "role": "customer"}}'
    )
    heard: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
            body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
            heard.append(len(head) + len(body))
            if b"/auth/login" in head:
                top = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(login)
                writer.write(top + login)
            else:
                writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    session = Session(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", wire)
    await session.log_in("a@b.c", "ü" * 10)
    meter = wire.meter("mine", Pattern.REST)
    await session.request("PATCH", "/me", json=ProfileChange(name="Zoë"), meter=meter)
    await session.request("GET", "/thing", params={"a": "b c", "d": 1}, meter=meter)
    assert meter.bytes_sent == sum(heard[1:])
    assert meter.bytes == 2 * len(answer)
    await session.close()
    server.close()


async def test_requests_that_are_sent_together_share_two_connections(
    faulty: FaultyServer, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams have their own; and two that are stuck hold up nobody for long."""
    monkeypatch.setattr(http, "SHARE_SECONDS", 30.0)
    stuck, connections = asyncio.Event(), set[object]()

    async def stream_of(request: web.Request) -> web.StreamResponse:
        connections.add(request.transport)
        response = await open_stream(faulty, request)
        await for_ever()
        return response

    async def answer(request: web.Request) -> web.StreamResponse:
        connections.add(request.transport)
        await asyncio.sleep(0.02)
        return web.json_response({})

    async def wait(_: web.Request) -> web.StreamResponse:
        await stuck.wait()
        return web.json_response({})

    for path, handler in (("/stream", stream_of), ("/quick", answer), ("/stuck", wait)):
        faulty.on("GET", path, handler)
    session = Session(faulty.url, wire)
    await session.log_in("ana@example.com", "correct horse")
    streams = [EventStream(session, "/stream", Wire().meter("s", Pattern.SSE)) for _ in range(2)]
    readers = [asyncio.create_task(anext(stream)) for stream in streams]
    await asyncio.gather(*(session.request("GET", "/quick") for _ in range(12)))
    await wait_until(lambda: faulty.count("GET", "/stream") == 2)
    assert len(connections) <= 4

    slow = [asyncio.create_task(session.request("GET", "/stuck")) for _ in range(2)]
    await wait_until(lambda: faulty.count("GET", "/stuck") == 2)
    monkeypatch.setattr(http, "SHARE_SECONDS", 0.05)
    assert (await session.request("GET", "/quick")).status == 200
    stuck.set()
    await asyncio.gather(*slow)
    for reader in readers:
        reader.cancel()
    await session.close()


async def test_only_the_fields_that_were_set_travel(faulty: FaultyServer, session: Session) -> None:
    bodies = []

    async def change(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({})

    faulty.on("PATCH", "/me", change)
    await session.request("PATCH", "/me", json=ProfileChange(phone=None))
    assert bodies == [{"phone": None}]


async def test_twenty_that_get_a_401_renew_once(faulty: FaultyServer, session: Session) -> None:
    faulty.revoke_access()
    replies = await asyncio.gather(*(session.request("GET", "/thing") for _ in range(20)))
    assert [reply.status for reply in replies] == [200] * 20
    assert (faulty.refreshes, faulty.used_twice) == (1, 0)


async def test_a_late_401_for_an_old_token_does_not_renew_again(
    faulty: FaultyServer, session: Session
) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()
    first = True

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal first
        if first:
            first = False
            arrived.set()
            await go.wait()
            return problem(401)
        return web.json_response({})

    faulty.on("GET", "/slow", slow)
    late = asyncio.create_task(session.request("GET", "/slow"))
    await arrived.wait()
    faulty.revoke_access()
    await session.request("GET", "/thing")
    go.set()
    assert (await late).status == 200
    assert faulty.refreshes == 1


async def test_a_token_is_renewed_shortly_before_it_expires(
    faulty: FaultyServer, wire: Wire
) -> None:
    faulty.expires_in = 20
    session = Session(faulty.url, wire)
    await session.log_in("ana@example.com", "correct horse")
    await session.request("GET", "/thing")
    assert faulty.refreshes == 0
    # As if so much time had passed that it is good for two seconds more.
    grant = session._tokens
    passed = grant._expires_at - time.monotonic() - 2
    grant._expires_at -= passed
    grant._early_at -= passed
    await session.request("GET", "/thing")
    assert faulty.refreshes == 1
    # Nobody ever saw a 401.
    assert faulty.count("GET", "/thing") == 2
    await session.close()


async def test_renewing_early_may_fail_while_the_token_holds(
    faulty: FaultyServer, wire: Wire
) -> None:
    faulty.expires_in = 20
    session = Session(faulty.url, wire)
    await session.log_in("ana@example.com", "correct horse")
    # As if sixteen of the twenty seconds had passed.
    session._tokens._early_at = time.monotonic()

    async def broken() -> None:
        raise web.HTTPBadGateway

    faulty.before_refresh = broken
    assert (await session.request("GET", "/thing")).status == 200
    assert (await session.request("GET", "/thing")).status == 200
    assert faulty.count("POST", "/auth/refresh") == 1
    await session.close()


async def test_a_refused_renewal_signs_out_once(faulty: FaultyServer, session: Session) -> None:
    words: list[str] = []
    session.on_signed_out = words.append
    faulty.revoke_all()
    results = await asyncio.gather(
        *(session.request("GET", "/thing") for _ in range(10)), return_exceptions=True
    )
    assert {type(result) for result in results} == {SignedOut}
    await wait_until(lambda: words)
    assert len(words) == 1
    assert "log in again" in words[0]
    assert session.account is None
    assert faulty.count("POST", "/auth/refresh") == 1
    with pytest.raises(SignedOut):
        await session.request("GET", "/thing")


async def test_a_401_that_a_new_token_does_not_cure_is_the_answer(
    faulty: FaultyServer, session: Session
) -> None:
    async def never(_: web.Request) -> web.Response:
        return problem(401)

    faulty.on("GET", "/never", never)
    with pytest.raises(ApiError) as caught:
        await session.request("GET", "/never")
    assert caught.value.status == 401
    assert faulty.refreshes == 1


async def test_a_lost_answer_to_a_renewal_is_asked_for_again_with_the_same_key(
    faulty: FaultyServer, session: Session
) -> None:
    async def lose_it() -> None:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})

    faulty.after_refresh = lose_it
    faulty.revoke_access()
    with pytest.raises(ApiError) as caught:
        await session.request("GET", "/thing")
    assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
    faulty.after_refresh = None
    assert (await session.request("GET", "/thing")).status == 200
    assert (faulty.refreshes, faulty.used_twice) == (1, 0)


async def test_one_cancelled_caller_does_not_take_the_renewal_along(
    faulty: FaultyServer, session: Session
) -> None:
    go = asyncio.Event()

    async def wait() -> None:
        await go.wait()

    faulty.before_refresh = wait
    faulty.revoke_access()
    first, second = (asyncio.create_task(session.request("GET", "/thing")) for _ in range(2))
    await wait_until(lambda: faulty.count("POST", "/auth/refresh"))
    first.cancel()
    go.set()
    assert (await second).status == 200
    assert first.cancelled()
    assert faulty.refreshes == 1


async def test_what_one_account_began_is_not_finished_by_another(
    faulty: FaultyServer, session: Session
) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await go.wait()
        return problem(401)

    faulty.on("POST", "/orders", slow)
    order = asyncio.create_task(session.request("POST", "/orders"))
    await arrived.wait()
    await session.forget()
    await session.log_in("ben@example.com", "correct horse")
    go.set()
    with pytest.raises(SignedOut):
        await order
    assert faulty.count("POST", "/orders") == 1


async def test_a_wrong_password_is_no_reason_to_renew(faulty: FaultyServer, wire: Wire) -> None:
    session = Session(faulty.url, wire)
    with pytest.raises(SignedOut, match="not logged in"):
        await session.request("GET", "/thing")

    original = faulty.grant
    faulty.grant = lambda: (_ for _ in ()).throw(web.HTTPUnauthorized)  # type: ignore[method-assign]
    with pytest.raises(ApiError) as caught:
        await session.log_in("ana@example.com", "wrong")
    assert caught.value.status == 401
    assert faulty.count("POST", "/auth/refresh") == 0
    faulty.grant = original  # type: ignore[method-assign]
    await session.close()


async def test_a_registration_whose_answer_was_lost_is_finished_by_logging_in(
    faulty: FaultyServer, wire: Wire
) -> None:
    async def lose() -> None:
        await faulty.stop()

    session = Session(faulty.url, wire)
    faulty.after_register = lose
    with pytest.raises(Unreachable):
        await session.register("new@example.com", "correct horse", "New")
    await faulty.start()
    with pytest.raises(ApiError) as taken:
        await session.register("new@example.com", "another's password", "New")
    assert taken.value.status == 409
    assert (await session.register("new@example.com", "correct horse", "New")).id == "acc-1"
    await session.close()

    # One whose answer was not lost is told that there is an account.
    session = Session(faulty.url, wire)
    with pytest.raises(ApiError) as taken:
        await session.register("new@example.com", "correct horse", "New")
    assert taken.value.status == 409
    assert faulty.count("POST", "/auth/login") == 2
    await session.close()


async def test_problems_come_whole(faulty: FaultyServer, session: Session) -> None:
    async def conflict(_: web.Request) -> web.Response:
        body = {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": "It is already accepted.",
            "request_id": "r-1",
            "order": {"id": "o"},
            "errors": [{"loc": ["items", 0], "msg": "sold out"}],
        }
        return web.json_response(body, status=409, content_type="application/problem+json")

    faulty.on("POST", "/x", conflict)
    with pytest.raises(ApiError) as caught:
        await session.request("POST", "/x")
    error = caught.value
    assert (error.status, error.problem.request_id) == (409, "r-1")
    assert error.problem.model_extra == {"order": {"id": "o"}}
    assert error.message == "It is already accepted. (items.0: sold out)"


@pytest.mark.parametrize(("status", "body"), [(502, "<html>bad"), (503, ""), (418, "null")])
async def test_errors_that_are_no_problem_details_get_words(
    faulty: FaultyServer, session: Session, status: int, body: str
) -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="text/html")

    faulty.on("GET", "/x", proxy)
    with pytest.raises(ApiError) as caught:
        await session.request("GET", "/x")
    assert caught.value.status == status
    assert f"HTTP {status}" in caught.value.message


async def test_after_an_outage_any_answer_shows_that_the_server_is_back(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    await faulty.stop()
    with pytest.raises(Unreachable):
        await session.request("GET", "/thing")
    assert wire.meters["requests"].state is State.DOWN
    await faulty.start()
    stream = await session.open_request("GET", "/thing", meter=wire.meter("s", Pattern.SSE))
    stream.close()
    assert wire.meters["requests"].state is State.IDLE


async def test_an_unreachable_server_is_reported(wire: Wire) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        session = Session(f"http://127.0.0.1:{taken.getsockname()[1]}", wire)
        with pytest.raises(Unreachable) as caught:
            await session.log_in("ana@example.com", "x")
    assert "does not answer (connection refused)" in caught.value.message
    assert session.base_url in caught.value.message
    meter = wire.meters["requests"]
    assert (meter.state, meter.detail) == (State.DOWN, "connection refused")
    assert (meter.requests, meter.connections) == (0, 0)
    await session.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://localhost:99999", "is not an address"),
        ("ftp://localhost", "is not an address"),
        ("http://", "is not an address"),
        ("http://name.invalid", "cannot be looked up"),
    ],
)
async def test_addresses_that_lead_nowhere(wire: Wire, address: str, words: str) -> None:
    session = Session(address, wire)
    with pytest.raises(Unreachable, match=words):
        await session.log_in("ana@example.com", "x")
    await session.close()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.close()


async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    writer.close()


async def other_json(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")


async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(
        b"HTTP/1.1 308 P\r\nLocation: https://tiffin.example/\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (not_http, "not a Tiffin server"),
        (hang_up, "was lost"),
        (cut_short, "was lost"),
        (other_json, "not a Tiffin server"),
        (elsewhere, "redirects to https://tiffin.example/"),
    ],
)
async def test_what_does_not_speak_our_language(wire: Wire, talk: Talk, words: str) -> None:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    session = Session(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", wire)
    with pytest.raises(Unreachable, match=words):
        await session.log_in("ana@example.com", "x")
    assert wire.meters["requests"].connections == 0
    await session.close()
    server.close()


async def test_a_server_that_is_silent_is_given_up(faulty: FaultyServer, session: Session) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    faulty.on("GET", "/silent", silent)
    with pytest.raises(Unreachable, match="gone silent"):
        await session.request("GET", "/silent", total=0.2)
    await wait_until(lambda: faulty.open_now == 0)


async def test_logging_out_tells_the_server_and_forgets(
    faulty: FaultyServer, wire: Wire, tmp_path: Path
) -> None:
    told = []

    async def log_out(request: web.Request) -> web.Response:
        told.append((await request.json())["refresh_token"])
        return web.Response(status=204)

    faulty.on("POST", "/auth/logout", log_out)
    store = TokenStore(tmp_path / "tokens.json")
    session = Session(faulty.url, wire, store)
    signed_out: list[str] = []
    session.on_signed_out = signed_out.append
    await session.log_in("ana@example.com", "correct horse")
    stored = await store.read()
    assert stored is not None
    assert await session.log_out() == ""
    assert told == [stored.refresh_token]
    assert await store.read() is None
    assert session.account is None
    assert signed_out == []
    with pytest.raises(SignedOut):
        await session.request("GET", "/thing")
    await session.close()


async def test_logging_out_works_without_the_server(
    faulty: FaultyServer, wire: Wire, tmp_path: Path
) -> None:
    store = TokenStore(tmp_path / "tokens.json")
    session = Session(faulty.url, wire, store)
    await session.log_in("ana@example.com", "correct horse")
    await faulty.stop()
    assert "the server was not told" in await session.log_out()
    assert await store.read() is None
    assert session.account is None
    await session.close()


async def test_logging_out_with_an_expired_token_renews_it_first(
    faulty: FaultyServer, wire: Wire, tmp_path: Path
) -> None:
    told = []

    async def log_out(request: web.Request) -> web.Response:
        told.append((await request.json())["refresh_token"])
        return web.Response(status=204)

    faulty.on("POST", "/auth/logout", log_out)
    session = Session(faulty.url, wire, TokenStore(tmp_path / "tokens.json"))
    await session.log_in("ana@example.com", "correct horse")
    session._tokens._early_at = session._tokens._expires_at = time.monotonic()
    assert await session.log_out() == ""
    assert len(told) == 1
    assert told[0] in faulty.refreshable
    await session.close()


async def test_a_closed_session_says_so(faulty: FaultyServer, wire: Wire) -> None:
    session = Session(faulty.url, wire)
    await session.log_in("ana@example.com", "correct horse")
    await session.close()
    with pytest.raises(Unreachable, match="closed"):
        await session.request("GET", "/thing")


async def test_tokens_and_passwords_are_in_no_frame(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    faulty.revoke_access()
    await session.request("GET", "/thing")
    shown = " ".join(frame.what for frame in wire.frames)
    for secret in (*faulty.access, *faulty.refreshable, "correct horse"):
        assert secret not in shown
