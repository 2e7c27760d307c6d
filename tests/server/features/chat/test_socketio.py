"""The same rooms over Socket.IO."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import socketio

from server.features.chat.frame_schemas import GoodbyeFrame
from server.realtime.hub import Hub
from server.transports import outlet, socketio_engine
from server.transports import socketio as transport
from server.transports.connections import DRAINED_RETRY_MS, Connections
from support.cast import Cast, cast_of
from support.live_server import LiveServer, running_server, settings_for
from support.raw_websocket import RawWebSocket, raw_websocket
from support.rest import Rest
from support.room import history, open_chat, room
from support.socketio_client import connected, socketio_client
from support.tokens import expiring
from support.waiting import PATIENCE, wait_until

TRANSPORTS = [("websocket",), ("polling",), ("polling", "websocket")]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
async def test_both_transports_lead_to_one_room(cast: Cast, transports: tuple[str, ...]) -> None:
    chat_id = await open_chat(cast.customer)
    async with (
        socketio_client(cast.customer, transports) as ana,
        room(cast.employee, chat_id) as desk,
    ):
        begins = await ana.call("join", chat_id=chat_id)
        for number in range(10):
            taken = await ana.call(
                "message", chat_id=chat_id, client_id=f"a{number}", text=f"a{number}"
            )
            assert (await desk.next("message"))["cursor"] == taken["cursor"]
            await desk.say(f"d{number}")
            await desk.next("message")
        seen = [await ana.next("message") for _ in range(20)]
        assert seen == await history(cast.employee, chat_id)
        await desk.send(type="typing")
        assert (await ana.next("typing"))["sender"]["role"] == "employee"
        assert await ana.call("typing", chat_id=chat_id) == {}
        assert (await desk.next("typing"))["sender"]["name"] == "Ana"
        assert await ana.call("read", chat_id=chat_id, cursor=seen[-1]["cursor"]) == {}
        frame = await desk.next("read")
        while not frame["reads"]:
            frame = await desk.next("read")
        assert frame["reads"][0]["cursor"] == seen[-1]["cursor"]
        (await cast.employee.post(f"/chats/{chat_id}/take")).must(200)
        assert (await ana.next("taken"))["by"]["role"] == "employee"
        assert await ana.call("leave", chat_id=chat_id) == {}
        await desk.say("behind her back")
        await desk.next("message")
        # Joined again from where she began, she gets everything again, and what she missed.
        await ana.call("join", chat_id=chat_id, after=begins["cursor"])
        again = [await ana.next("message") for _ in range(21)]
        assert again == await history(cast.customer, chat_id)


async def test_the_same_client_id_is_one_message_over_either_transport(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with socketio_client(cast.customer) as ana, room(cast.customer, chat_id) as also_ana:
        sent = {"chat_id": chat_id, "client_id": "one", "text": "Hello"}
        # Stock clients send what they have buffered before anything else.
        first = await ana.call("message", **sent)
        refused = await ana.call("typing", chat_id=chat_id)
        assert (refused["code"], refused["detail"]) == ("not_found", "Join this chat first.")
        await ana.call("join", chat_id=chat_id)
        assert await ana.call("message", **sent) == first
        await also_ana.say("Hello", "one")
        assert (await also_ana.next("message"))["cursor"] == first["cursor"]
        async with socketio_client(cast.stranger) as stranger:
            assert (await stranger.call("message", **sent))["code"] == "not_found"
    assert len(await history(cast.customer, chat_id)) == 1


@pytest.mark.parametrize("auth", [None, {}, {"token": None}, {"token": "nonsense"}, "token", []])
async def test_an_unauthenticated_client_is_refused(live_server: LiveServer, auth: object) -> None:
    client = socketio.AsyncClient(reconnection=False)
    told: list[object] = []
    client.on("connect_error", told.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(live_server.url, auth=auth, transports=["websocket"], wait_timeout=30)
    await client.shutdown()
    (refusal,) = told
    assert isinstance(refusal, dict)
    assert refusal["data"]["code"] == 4401
    assert "token" in refusal["message"]
    held = live_server.services[Connections]
    await wait_until(lambda: held.held == 0, what="it takes no place")


async def test_the_end_of_a_session_ends_its_connection(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        cast.employee.token = expiring(cast.employee.token)
        async with socketio_client(cast.customer) as ana, socketio_client(cast.employee) as desk:
            for one in (ana, desk):
                await one.call("join", chat_id=chat_id)
            token = cast.customer.grant["refresh_token"]
            (await cast.customer.post("/auth/logout", {"refresh_token": token})).must(204)
            goodbye = await ana.next("goodbye")
            assert (goodbye["code"], goodbye["reason"]) == (4401, "session-ended")
            goodbye = await desk.next("goodbye")
            assert (goodbye["code"], goodbye["reason"]) == (4401, "token-expired")
            for one in (ana, desk):
                await wait_until(lambda one=one: not one.client.connected, what="it is cut off")
        for rest in (cast.customer, cast.employee):
            with pytest.raises(socketio.exceptions.ConnectionError):
                await connected(rest)
        await wait_until(lambda: server.services[Connections].held == 0, what="the places are free")


@pytest.mark.parametrize("transports", TRANSPORTS[:2], ids="+".join)
async def test_a_stopping_server_says_when_to_come_back(
    data_dir: Path, transports: tuple[str, ...]
) -> None:
    async with (
        running_server(settings_for(data_dir)) as server,
        cast_of(server) as cast,
        socketio_client(cast.customer, transports) as ana,
    ):
        await server.app.shutdown()
        goodbye = GoodbyeFrame.model_validate(await ana.next("goodbye"))
        assert goodbye.code == 1001
        assert goodbye.retry_after_ms == DRAINED_RETRY_MS
        await wait_until(lambda: not ana.client.connected, what="it is cut off")


BAD: dict[str, tuple[str, object, str]] = {
    "no object": ("message", "Hello", "invalid"),
    "nothing": ("message", None, "invalid"),
    "no chat": ("message", {"client_id": "c", "text": "x"}, "invalid"),
    "another chat": ("message", {"chat_id": "x", "client_id": "c", "text": "x"}, "not_found"),
    "no text": ("message", {"chat_id": "C", "client_id": "c"}, "invalid"),
    "4,001 characters": (
        "message",
        {"chat_id": "C", "client_id": "c", "text": "x" * 4001},
        "invalid",
    ),
    "an escape": ("message", {"chat_id": "C", "client_id": "c", "text": "\x1b[2J"}, "invalid"),
    "half a character": (
        "message",
        {"chat_id": "C", "client_id": "c", "text": "\ud800"},
        "invalid",
    ),
    "bytes": ("message", {"chat_id": "C", "client_id": "c", "text": b"x"}, "binary"),
    "a wrong cursor": ("read", {"chat_id": "C", "cursor": "x"}, "invalid"),
    "an unknown event": ("shout", {"chat_id": "C"}, "unknown_type"),
    "a chat that is not there": ("join", {"chat_id": "cht_nobodys"}, "not_found"),
}


async def test_an_invalid_event_gets_a_clear_error_and_disturbs_nobody(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with socketio_client(cast.customer) as ana, room(cast.employee, chat_id) as desk:
        await ana.call("join", chat_id=chat_id)
        for name, (event, sent, code) in BAD.items():
            if isinstance(sent, dict) and sent.get("chat_id") == "C":
                sent = sent | {"chat_id": chat_id}
            await ana.client.emit(event, sent)
            error = await ana.next("error")
            assert error["code"] == code, name
            assert error["detail"], name
            assert "instance of" not in error["detail"], name
            assert "\x1b" not in json.dumps(error, ensure_ascii=False), name
            if isinstance(sent, dict) and code != "binary":
                assert error.get("client_id") == sent.get("client_id"), name
        answer = await ana.call("message", chat_id=chat_id, client_id="c", text="")
        assert (answer["type"], answer["code"], answer["client_id"]) == ("error", "invalid", "c")
        await ana.call("message", chat_id=chat_id, client_id="c", text="still here")
        assert (await desk.next("message", "error"))["text"] == "still here"
    assert len(await history(cast.customer, chat_id)) == 1


RAW = {
    "no packet": "x",
    "nothing": "",
    "an unknown packet": "9",
    "a server's packet": '0{"sid":"x"}',
    "no Socket.IO": "4x",
    "an empty event": "42[]",
    "an event that is an object": '42{"a":1}',
    "an event without a name": "42[[]]",
    "broken JSON": '42["message",',
    "deep": "42" + "[" * 20_000,
    "deep without an event": "4" + "[" * 20_000,
    "deep in an answer to a ping": "3" + "[" * 20_000,
    "an acknowledgement of nothing": "4399[]",
    "an unknown kind": "49",
    "another connect": "40{}",
    "an attachment announced": '451-["message",{"_placeholder":true,"num":0}]',
}


async def test_no_packet_is_an_error_of_the_server(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    url = cast.customer.url("//socket.io/?EIO=4&transport=websocket")
    for name, text in RAW.items():
        async with cast.nobody.http.ws_connect(url) as ws:
            await ws.receive_str()
            await ws.send_str("40" + json.dumps({"token": cast.customer.token}))
            assert (await ws.receive_str()).startswith("40"), name
            await ws.send_str(text)
            await ws.send_bytes(b"\x00")
            await ws.send_str('421["leave",{"chat_id":"x"}]')
            answers = [await asyncio.wait_for(ws.receive_str(), PATIENCE)]
            while not answers[-1].startswith("431"):
                answers.append(await asyncio.wait_for(ws.receive_str(), PATIENCE))
            assert answers[-1] == "431[{}]", name
            assert any('"code":"binary"' in answer for answer in answers), name
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id):
        pass


async def test_junk_over_polling_is_an_error_of_the_client(cast: Cast) -> None:
    url = cast.nobody.url("//socket.io/")
    for query in (
        "",
        "?EIO=3&transport=polling",
        "?EIO=4&transport=carrier",
        "?EIO=4&transport=polling&sid=nobodys",
        "?EIO=4&transport=polling&j=x",
        "?EIO=4&transport=websocket",
    ):
        async with cast.nobody.http.get(url + query) as answer:
            assert answer.status == 400, query
    async with cast.nobody.http.get(url + "?EIO=4&transport=polling") as answer:
        opened = await answer.text()
    sid = json.loads(opened[1:])["sid"]
    for body in (b"", b"\xff", b"x" * 70_000, b"4" + b"\x1e4" * 50, b"bAAAA"):
        async with cast.nobody.http.post(
            f"{url}?EIO=4&transport=polling&sid={sid}", data=body
        ) as answer:
            assert answer.status < 500, body


async def test_too_large_frames_and_floods_are_refused(data_dir: Path) -> None:
    settings = settings_for(data_dir, frames_per_second=20, sockets_at_full_pace=3)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with room(cast.employee, chat_id) as desk:
            async with socketio_client(cast.customer) as ana:
                await ana.call("join", chat_id=chat_id)
                await ana.client.emit("typing", {"chat_id": chat_id, "more": "x" * 66_000})
                assert (await ana.next("error"))["code"] == "too_large"
                assert (await ana.next("goodbye"))["code"] == 1009
            async with socketio_client(cast.customer) as ana:
                await ana.call("join", chat_id=chat_id)
                for number in range(200):
                    sent = {"chat_id": chat_id, "client_id": f"m{number}", "text": f"m{number}"}
                    await ana.client.emit("message", sent)
                names = []
                while len(names) < 200:
                    frame = await ana.next("message", "error")
                    assert frame.get("code", "rate_limited") == "rate_limited"
                    names.append(frame["client_id"])
                assert sorted(names) == sorted(f"m{number}" for number in range(200))
                for _ in range(1000):
                    await ana.client.emit("typing", {"chat_id": chat_id})
                assert (await ana.next("goodbye"))["code"] == 1008
            await desk.say("not disturbed")
            while (await desk.next("message"))["text"] != "not disturbed":
                pass


async def test_a_client_that_never_authenticates_is_disconnected(data_dir: Path) -> None:
    async with (
        running_server(settings_for(data_dir, identify_seconds=0.2)) as server,
        raw_websocket(server.port, "/socket.io/?EIO=4&transport=websocket") as ws,
    ):
        assert (await ws.end())[0] == 4401


class Member:
    """A client in a room that reads nothing until told to."""

    def __init__(self, ws: RawWebSocket, sid: str) -> None:
        self._ws = ws
        self._sid = sid

    def queue(self, server: LiveServer) -> socketio_engine.MeasuredQueue:
        """The packets that engineio keeps for it."""
        (door,) = (
            route.handler.__self__  # type: ignore[attr-defined]
            for route in server.app.router.routes()
            if route.method == "GET" and "socket.io" in str(route.get_info())
        )
        found: socketio_engine.MeasuredQueue = door._server.eio.sockets[self._sid].queue
        return found

    async def read(self, count: int) -> list[str]:
        """The `client_id`s of that many messages."""
        found: list[str] = []
        while len(found) < count:
            text = await self._ws.text()
            if text == "2":
                await self._ws.send("3")
            elif text.startswith('42["message",'):
                found.append(json.loads(text[2:])[1]["client_id"])
        return found


@asynccontextmanager
async def raw_member(rest: Rest, chat_id: str, port: int) -> AsyncIterator[Member]:
    """Connect with a small buffer, and join."""
    async with raw_websocket(port, "/socket.io/?EIO=4&transport=websocket") as ws:
        sid = json.loads((await ws.text())[1:])["sid"]
        await ws.send("40" + json.dumps({"token": rest.token}))
        assert (await ws.text()).startswith("40")
        await ws.send(f"421{json.dumps(['join', {'chat_id': chat_id}])}")
        while not (await ws.text()).startswith("431"):
            pass
        yield Member(ws, sid)


async def test_a_slow_member_costs_bounded_memory_and_gets_everything(
    data_dir: Path,
) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with (
            raw_member(cast.customer, chat_id, server.port) as member,
            room(cast.employee, chat_id) as desk,
        ):
            text = "x" * 4000
            for number in range(300):
                await desk.say(text, str(number))
                await desk.next("message")
            queue = member.queue(server)
            assert queue.bytes <= outlet.BUFFER + 8192
            assert queue.bytes > outlet.BUFFER / 2, "nothing has piled up"
            names = await member.read(300)
            assert names == [str(number) for number in range(300)]
            await desk.say("live again", "live")
            assert await member.read(1) == ["live"]


async def test_a_stalled_member_is_dropped_and_complete_when_it_is_back(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CLOSE_SECONDS", 0.3)
    settings = settings_for(data_dir, stalled_reader_seconds=0.5, heartbeat_seconds=0.2)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        start = (await cast.customer.get(f"/chats/{chat_id}/messages")).json["cursor"]
        async with raw_member(cast.customer, chat_id, server.port):
            async with room(cast.employee, chat_id) as desk:
                for number in range(150):
                    await desk.say("x" * 4000, str(number))
                    await desk.next("message")
            held = server.services[Connections]
            await wait_until(lambda: held.held == 0, what="the one that stalls is dropped")
        async with room(cast.employee, chat_id) as desk:
            await desk.say("end")
            await desk.next("message")
        async with socketio_client(cast.customer) as ana:
            await ana.call("join", chat_id=chat_id, after=start)
            seen = [await ana.next("message") for _ in range(151)]
        assert seen == await history(cast.employee, chat_id)
        hub = server.services[Hub]
        await wait_until(lambda: not hub._topics[f"chat:{chat_id}"].subscriptions)
