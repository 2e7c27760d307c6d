"""A room: what its members are sent."""

import gc
import json
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from server.features.chat.frame_schemas import CloseCode, CloseReason, read_server_frame
from server.features.chat.messages import FRAME_COST
from server.features.chat.rooms import Participant
from server.realtime.hub import Hub
from server.realtime.log_topic import LogTopic
from server.transports import outbox
from server.transports.connections import DRAINED_RETRY_MS
from server.transports.websocket import WebSocket
from support.cast import Cast, cast_of
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.room import Room, history, open_chat, room
from support.socketio_client import socketio_client
from support.tokens import expiring
from support.waiting import wait_until


async def test_a_message_reaches_everybody_including_its_sender(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.say("Hello", "one")
        mine, theirs = await ana.next("message"), await desk.next("message")
    assert mine == theirs
    assert mine["text"] == "Hello"
    assert mine["client_id"] == "one"
    assert mine["chat_id"] == chat_id
    assert mine["sender"]["name"] == "Ana"
    assert mine["sender"]["role"] == "customer"
    assert await history(cast.customer, chat_id) == [mine]


async def test_what_is_closed_is_freed_without_a_collection(cast: Cast) -> None:
    """The collector runs seldom: a crowd's memory would stay until then."""
    chat_id = await open_chat(cast.customer)
    gc.collect()
    gc.disable()
    try:
        async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
            await ana.say("Hello")
            await desk.next("message")
        await wait_until(
            lambda: not any(isinstance(one, WebSocket | Participant) for one in gc.get_objects()),
            what="both are freed",
        )
    finally:
        gc.enable()


async def test_both_sides_see_the_order_of_the_history(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        for number in range(20):
            await ana.say(f"a{number}")
            await desk.say(f"d{number}")
        seen = [[await one.next("message") for _ in range(40)] for one in (ana, desk)]
    assert seen[0] == seen[1] == await history(cast.employee, chat_id, limit=7)
    for prefix in "ad":
        texts = [one["text"] for one in seen[0] if one["text"].startswith(prefix)]
        assert texts == [f"{prefix}{number}" for number in range(20)]


async def test_history_and_its_cursor_leave_no_gap(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana:
        await ana.say("before")
        await ana.next("message")
        page = (await cast.employee.get(f"/chats/{chat_id}/messages")).must(200).json
        await ana.say("after")
        await ana.next("message")
    assert [one["text"] for one in page["items"]] == ["before"]
    async with room(cast.employee, chat_id, after=page["cursor"]) as desk:
        await desk.say("now")
        assert [(await desk.next("message"))["text"] for _ in range(2)] == ["after", "now"]
    last = page["items"][0]["cursor"]
    async with room(cast.employee, chat_id, after=last, settled=False) as desk:
        assert (await desk.next("message"))["text"] == "after"


async def test_without_a_cursor_a_room_begins_now(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana:
        await ana.say("before")
        await ana.next("message")
        async with room(cast.employee, chat_id) as desk:
            await ana.say("after")
            assert (await desk.next("message"))["text"] == "after"


@pytest.mark.parametrize("wrong", ["nonsense", "x" * 2000, "another room", "the future"])
async def test_an_invalid_cursor_is_reset_and_the_end(cast: Cast, wrong: str) -> None:
    from server.realtime.event import Cursor

    chat_id, other = await open_chat(cast.customer), await open_chat(cast.customer)
    page = (await cast.customer.get(f"/chats/{chat_id}/messages")).must(200).json
    here = Cursor.parse(page["cursor"])
    assert here
    after = {
        "another room": str(Cursor(here.epoch, f"chat:{other}", 0)),
        "the future": str(Cursor(here.epoch, here.topic, here.seq + 1)),
    }.get(wrong, wrong)
    async with room(cast.customer, chat_id, after=after, settled=False) as ana:
        assert await ana.next("reset") == {"type": "reset", "chat_id": chat_id}
        closed = await ana.closed()
    assert closed.code == CloseCode.NORMAL
    assert closed.reason == {"reason": "reset"}


async def test_the_same_client_id_twice_is_one_message(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.say("Hello", "one")
        first = await ana.next("message")
        await ana.say("Hello", "one")
        assert await ana.next("message") == first | {"again": True}
        await desk.say("its own", "one")  # the same id from another sender is another message
        assert (await ana.next("message"))["text"] == "its own"
        assert [(await desk.next("message"))["text"] for _ in range(2)] == ["Hello", "its own"]
    assert [one["text"] for one in await history(cast.customer, chat_id)] == ["Hello", "its own"]


async def test_a_message_sent_again_before_it_was_seen_arrives_once(cast: Cast) -> None:
    """Its event is on its way to this connection; a repetition before it would take its place in
    the order."""
    chat_id = await open_chat(cast.customer)
    start = (await cast.customer.get(f"/chats/{chat_id}/messages")).json["cursor"]
    async with room(cast.customer, chat_id) as ana:
        for number in range(300):  # more than the ring holds, so that it has to be read
            await ana.say(f"m{number}")
            await ana.next("message")
    async with room(cast.customer, chat_id, after=start, settled=False) as ana:
        await ana.say("m299")
        seen = [await ana.next("message") for _ in range(300)]
        assert [one["text"] for one in seen] == [f"m{number}" for number in range(300)]
        await ana.say("end")
        rest = [await ana.next("message")]
        while rest[-1]["text"] != "end":
            rest.append(await ana.next("message"))
    # Asked for while it was being read, it may be repeated at the end, marked as such.
    assert all(one.get("again") for one in rest[:-1])


async def test_typing_reaches_the_others_and_is_stored_nowhere(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.send(type="typing")
        typing = await desk.next("typing")
        assert typing["sender"]["name"] == "Ana"
        await ana.say("done")
        frames = [await ana.next()]
        while frames[-1]["type"] != "message":
            frames.append(await ana.next())
        assert "typing" not in [frame["type"] for frame in frames]
    async with room(cast.employee, chat_id) as late:
        await late.say("x")
        kinds = [await late.next()]
        while kinds[-1]["type"] != "message":
            kinds.append(await late.next())
        assert "typing" not in [frame["type"] for frame in kinds]


async def present(member: Room, *names: str) -> None:
    """Return once presence names exactly these members."""
    found: list[str] = []
    while sorted(found) != sorted(names):
        frame = await member.next("presence")
        found = [one["name"] for one in frame["present"]]


async def test_presence_says_who_is_in_the_room(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    desk_name, other_name = "saffron1", "harbour-grill1"
    async with room(cast.customer, chat_id, settled=False) as ana:
        await present(ana, "Ana")
        async with (
            room(cast.employee, chat_id, settled=False) as desk,
            room(cast.outsider, chat_id, settled=False),
            room(cast.outsider, chat_id, settled=False),  # connected twice counts once
        ):
            await present(desk, "Ana", desk_name, other_name)
            await present(ana, "Ana", desk_name, other_name)
        await present(ana, "Ana")


async def test_a_new_name_shows_at_once_over_both_transports(cast: Cast) -> None:
    """In messages, in typing and in presence; and permanently in what is stored."""
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, socketio_client(cast.employee) as desk:
        await desk.call("join", chat_id=chat_id)
        while len((await ana.next("presence"))["present"]) < 2:
            pass
        (await cast.customer.patch("/me", {"name": "Anna"})).must(200)
        (await cast.employee.patch("/me", {"name": "Desk"})).must(200)
        await ana.send(type="typing")
        assert (await desk.next("typing"))["sender"]["name"] == "Anna"
        await desk.client.emit("typing", {"chat_id": chat_id})
        typing, present = "", set[str]()
        while not (typing and present == {"Anna", "Desk"}):  # in either order
            frame = await ana.next("typing", "presence")
            if frame["type"] == "typing":
                typing = frame["sender"]["name"]
            else:
                present = {one["name"] for one in frame["present"]}
        assert typing == "Desk"
        await ana.say("Hello")
        assert (await ana.next("message"))["sender"]["name"] == "Anna"
        await desk.call("message", chat_id=chat_id, client_id="d", text="Yes?")
        seen = await ana.next("message")
        assert seen["sender"]["name"] == "Desk"
        await ana.send(type="read", cursor=seen["cursor"])
        assert (await ana.next("read"))["reads"][0]["reader"]["name"] == "Anna"
    chat = (await cast.employee.post(f"/chats/{chat_id}/take")).must(200).json
    assert chat["customer"]["name"] == "Anna"
    assert chat["employee"]["name"] == "Desk"
    assert [one["sender"]["name"] for one in await history(cast.customer, chat_id)] == [
        "Anna",
        "Desk",
    ]
    order = await cast.order()
    steps = (await cast.step(order["id"], "accepted"))["timeline"]
    assert [step["by"]["name"] for step in steps] == ["Anna", "Desk"]  # type: ignore[attr-defined]


async def test_read_marks_are_sent_and_never_go_back(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.say("one")
        one = await desk.next("message")
        await ana.say("two")
        two = await desk.next("message")
        await desk.send(type="read", cursor=two["cursor"])
        frame = await ana.next("read")
        while not frame["reads"]:
            frame = await ana.next("read")
        (mark,) = frame["reads"]
        assert (mark["reader"]["role"], mark["cursor"]) == ("employee", two["cursor"])
        await desk.send(type="read", cursor=one["cursor"])
        await ana.send(type="read", cursor=one["cursor"])
        frame = await ana.next("read")
        assert {m["reader"]["role"]: m["cursor"] for m in frame["reads"]} == {
            "employee": two["cursor"],
            "customer": one["cursor"],
        }
    async with room(cast.customer, chat_id, settled=False) as late:
        assert (await late.next("read"))["reads"] == frame["reads"]


async def test_claiming_closing_and_reopening_are_sent(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana:
        for step, kind in (("take", "taken"), ("close", "closed"), ("reopen", "reopened")):
            (await cast.employee.post(f"/chats/{chat_id}/{step}")).must(200)
            frame = await ana.next("taken", "closed", "reopened")
            assert frame["type"] == kind
            assert frame["by"]["role"] == "employee"
            assert read_server_frame(json.dumps(frame))


async def test_a_closed_chat_refuses_messages_and_says_so(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana:
        (await cast.customer.post(f"/chats/{chat_id}/close")).must(200)
        await ana.say("too late", "late")
        error = await ana.next("error")
        assert (error["code"], error["client_id"]) == ("chat_closed", "late")
        (await cast.customer.post(f"/chats/{chat_id}/reopen")).must(200)
        await ana.say("too late", "late")
        assert (await ana.next("message"))["client_id"] == "late"


async def test_only_the_employee_who_has_claimed_it_answers(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.employee, chat_id) as desk, room(cast.outsider, chat_id) as other:
        await other.say("before anybody has it")
        await other.next("message")
        (await cast.employee.post(f"/chats/{chat_id}/take")).must(200)
        await other.say("and after")
        error = await other.next("error")
        assert error["code"] == "taken"
        assert "saffron1" in error["detail"]
        await desk.say("mine")
        assert (await other.next("message"))["text"] == "mine"


BAD = {
    "broken JSON": ('{"type":', "bad_json", None),
    "no JSON": ("hello", "bad_json", None),
    "half a character": ('{"type":"message","client_id":"c","text":"\\ud800"}', "bad_json", "c"),
    "a list": ("[]", "invalid", None),
    "a number": ("1", "invalid", None),
    "no type": ("{}", "unknown_type", None),
    "an unknown type": ('{"type":"shout","client_id":"c"}', "unknown_type", "c"),
    "a server's type": ('{"type":"closed"}', "unknown_type", None),
    "no text": ('{"type":"message","client_id":"c"}', "invalid", "c"),
    "an empty text": ('{"type":"message","client_id":"c","text":""}', "invalid", "c"),
    "a blank text": ('{"type":"message","client_id":"c","text":" \\n"}', "invalid", "c"),
    "4,001 characters": (
        json.dumps({"type": "message", "client_id": "c", "text": "é" * 4001}),
        "invalid",
        "c",
    ),
    "an escape": ('{"type":"message","client_id":"c","text":"\\u001b[2J"}', "invalid", "c"),
    "a C1 escape": ('{"type":"message","client_id":"c","text":"\\u009b2J"}', "invalid", "c"),
    "a NUL": ('{"type":"message","client_id":"c","text":"a\\u0000"}', "invalid", "c"),
    "an override": ('{"type":"message","client_id":"c","text":"a\\u202eb"}', "invalid", "c"),
    "nothing to see": ('{"type":"message","client_id":"c","text":"\\u200b"}', "invalid", "c"),
    "no client_id": ('{"type":"message","text":"x"}', "invalid", None),
    "a long client_id": (
        json.dumps({"type": "message", "client_id": "c" * 65, "text": "x"}),
        "invalid",
        None,
    ),
    "an escape as client_id": (
        '{"type":"message","client_id":"\\u001b[2J","text":"x"}',
        "invalid",
        None,
    ),
    "text of another kind": ('{"type":"message","client_id":"c","text":1}', "invalid", "c"),
    "a read of nothing": ('{"type":"read","cursor":"nonsense"}', "invalid", None),
    "deep": ("[" * 5000, "bad_json", None),
}


async def test_an_invalid_frame_gets_a_clear_error_and_disturbs_nobody(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        for name, (text, code, client_id) in BAD.items():
            await ana.ws.send_str(text)
            error = await ana.next("error", "message")
            assert error.get("code") == code, name
            assert error["detail"], name
            assert error.get("client_id") == client_id, name
            assert "\x1b" not in json.dumps(error, ensure_ascii=False), name
            await ana.say("still here", name)
            assert (await desk.next("message", "error"))["client_id"] == name
            assert (await ana.next("message", "error"))["client_id"] == name
    assert len(await history(cast.customer, chat_id)) == len(BAD)


async def test_text_is_stored_as_it_was_written(cast: Cast) -> None:
    texts = [
        "é" * 4000,
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 مرحبا \U0001fadb",
        "a\n\n\tb ",
        '\u2028{"}\\',
    ]
    chat_id = await open_chat(cast.customer)
    async with room(cast.customer, chat_id) as ana:
        for number, text in enumerate([*texts, "one\r\ntwo\rthree"]):
            await ana.say(text, str(number))
            await ana.next("message")
    found = [one["text"] for one in await history(cast.employee, chat_id)]
    assert found == [*texts, "one\ntwo\nthree"]


async def test_too_large_binary_and_too_many_frames_are_refused(data_dir: Path) -> None:
    settings = settings_for(data_dir, frames_per_second=20, sockets_at_full_pace=3)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with room(cast.employee, chat_id) as desk:
            async with room(cast.customer, chat_id) as ana:
                await ana.ws.send_bytes(b"\x00\x01")
                assert (await ana.next("error"))["code"] == "binary"
                await ana.ws.send_str(json.dumps({"type": "typing", "more": "x" * 66_000}))
                assert (await ana.next("error"))["code"] == "too_large"
                closed = await ana.closed()
                assert closed.code == CloseCode.TOO_LARGE
            async with room(cast.customer, chat_id) as ana:
                for number in range(200):
                    await ana.say(f"m{number}")
                refused, taken = [], []
                while len(refused) + len(taken) < 200:
                    frame = await ana.next("message", "error")
                    (taken if frame["type"] == "message" else refused).append(frame)
                assert len(taken) >= 100
                assert {one["code"] for one in refused} == {"rate_limited"}
                assert all(one["retry_after_ms"] > 0 for one in refused)
                names = [one["client_id"] for one in (*taken, *refused)]
                assert sorted(names) == sorted(f"m{number}" for number in range(200))
                first = {frame["client_id"]: frame for frame in taken}
                assert [(await desk.next("message"))["client_id"] for _ in first] == [*first]
                for number in range(1000):  # and it does not stop
                    await ana.send(type="typing", n=number)
                assert (await ana.closed(15)).code == CloseCode.POLICY
            await desk.say("not disturbed")
            assert (await desk.next("message"))["text"] == "not disturbed"


async def test_bytes_are_counted_by_account_over_all_its_sockets(
    data_dir: Path,
) -> None:
    settings = settings_for(data_dir, chat_bytes_per_minute=9500)
    async with running_server(settings) as server, cast_of(server) as cast:
        chats = [await open_chat(cast.customer, subject) for subject in ("one", "two")]
        async with (
            room(cast.customer, chats[0]) as first,
            room(cast.customer, chats[1]) as second,
            socketio_client(cast.customer) as third,
            room(cast.employee, chats[0]) as desk,
        ):
            assert "code" not in await third.call("join", chat_id=chats[0])
            await first.say("w" * 4000)
            await first.next("message")
            await second.say("x" * 4000)
            await second.next("message")
            await second.say("y" * 4000, "late")
            bowls = {"chat_id": chats[0], "text": "\N{STEAMING BOWL}" * 1000, "client_id": "late"}
            for refused in (await second.next("error"), await third.call("message", **bowls)):
                assert (refused["code"], refused["client_id"]) == ("rate_limited", "late")
                assert 20_000 < refused["retry_after_ms"] <= 60_000
                assert "at most 9500 a minute" in refused["detail"]
            await desk.say("of another account")
            assert (await desk.next("message"))["text"] == "w" * 4000
            assert (await desk.next("message"))["text"] == "of another account"


async def test_memory_kept_of_a_flood_is_bounded_by_its_bytes(data_dir: Path) -> None:
    """Whatever both transports have encoded of it: that took five times the text."""
    settings = settings_for(data_dir, topic_memory_kb=256, sweep_seconds=0.05)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with (
            room(cast.customer, chat_id) as ana,
            socketio_client(cast.employee) as desk,
        ):
            assert "code" not in await desk.call("join", chat_id=chat_id)
            for number in range(40):
                await ana.say(f"{number:04}" + "\N{STEAMING BOWL}" * 3996)
                await ana.next("message")
                await desk.next("message")
        hub = server.services[Hub]
        topic = hub._topics[f"chat:{chat_id}"]
        assert isinstance(topic, LogTopic)
        await wait_until(lambda: kept(topic._ring) <= 256 * 1024, what="it has shrunk")
        assert len(topic._ring) > 1
        first = (await history(cast.customer, chat_id))[0]
        async with room(cast.customer, chat_id, after=first["cursor"], settled=False) as ana:
            for number in range(1, 40):  # most of them are not kept any more
                assert (await ana.next("message"))["text"].startswith(f"{number:04}")


def kept(value: object) -> int:
    """Bytes of an object and everything it refers to."""
    found, waiting = {id(value): value}, [value]
    while waiting:
        for one in gc.get_referents(waiting.pop()):
            if id(one) not in found and not isinstance(one, type | ModuleType | FunctionType):
                found[id(one)] = one
                waiting.append(one)
    return sum(map(sys.getsizeof, found.values()))


@pytest.mark.usefixtures("at_one_moment")
async def test_typing_and_read_frames_are_counted_too(data_dir: Path) -> None:
    settings = settings_for(data_dir, chat_bytes_per_minute=5 * FRAME_COST)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with room(cast.customer, chat_id) as ana, room(cast.customer, chat_id) as twin:
            for _ in range(2):
                await ana.send(type="typing")
                await twin.send(type="read", cursor="nonsense")
                assert (await twin.next("error"))["code"] == "invalid"
            await twin.send(type="read", cursor="nonsense")
            await ana.send(type="typing")
            for member in (ana, twin):
                assert (await member.next("error"))["code"] == "rate_limited"


@pytest.mark.usefixtures("at_one_moment")
async def test_messages_count_as_an_accounts_writes(data_dir: Path) -> None:
    settings = settings_for(data_dir, rate_per_minute=6)
    async with running_server(settings) as server, cast_of(server) as cast:
        chats = [await open_chat(cast.customer, subject) for subject in ("one", "two")]
        async with (
            room(cast.customer, chats[0]) as first,
            room(cast.customer, chats[1]) as second,
            socketio_client(cast.customer) as third,
        ):
            assert "code" not in await third.call("join", chat_id=chats[0])
            for member in (first, second, first):
                await member.say("taken")
                await member.next("message")
            sent = {"chat_id": chats[0], "text": "taken"}
            assert "cursor" in await third.call("message", client_id="taken", **sent)
            refused = await third.call("message", client_id="late", **sent)
            assert (refused["code"], refused["client_id"]) == ("rate_limited", "late")
            assert 0 < refused["retry_after_ms"] <= 11_000
            await second.say("late")
            assert (await second.next("error"))["client_id"] == "late"
            (await cast.customer.post("/chats", {"subject": "three"})).must(429)


async def test_a_revoked_or_expired_token_ends_the_connection(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        cast.employee.token = expiring(cast.employee.token)
        async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
            token = cast.customer.grant["refresh_token"]
            (await cast.customer.post("/auth/logout", {"refresh_token": token})).must(204)
            closed = await ana.closed()
            assert (closed.code, closed.reason["reason"]) == (4401, "session-ended")
            closed = await desk.closed()
            assert (closed.code, closed.reason["reason"]) == (4401, "token-expired")
        for rest in (cast.customer, cast.employee):
            async with room(rest, chat_id, settled=False) as again:
                assert (await again.closed()).code == 4401


async def test_a_stopping_server_says_when_to_come_back(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with room(cast.customer, chat_id) as ana:
            await server.app.shutdown()
            closed = await ana.closed()
    assert closed.code == CloseCode.GOING_AWAY
    reason = CloseReason.model_validate(closed.reason)
    assert reason.retry_after_ms == DRAINED_RETRY_MS


async def test_an_invalid_handshake_is_refused(cast: Cast, rest: Rest) -> None:
    chat_id = await open_chat(cast.customer)
    answer = (await cast.customer.get(f"/chats/{chat_id}/ws")).must(426)
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.json["status"] == 426
    (await cast.stranger.get(f"/chats/{chat_id}/ws")).must(404)
    half = {"Upgrade": "websocket", "Connection": "Upgrade"}
    answer = (await cast.customer.get(f"/chats/{chat_id}/ws", headers=half)).must(426)
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    (await cast.stranger.get(f"/chats/{chat_id}/ws", headers=half)).must(404)


async def test_a_full_server_says_to_try_again(data_dir: Path) -> None:
    settings = settings_for(data_dir, max_streams_per_account=1)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        async with (
            room(cast.customer, chat_id),
            room(cast.customer, chat_id, settled=False) as second,
        ):
            closed = await second.closed()
        assert closed.code == CloseCode.TRY_AGAIN_LATER
        assert closed.reason["retry_after_ms"] >= 1000
        await wait_until(lambda: enters(cast.customer, chat_id), what="the place is free again")


async def enters(rest: Rest, chat_id: str) -> bool:
    async with room(rest, chat_id, settled=False) as entered:
        try:
            await entered.next("presence")
        except Exception:
            return False
        return True


def test_the_close_codes_are_those_of_the_transport() -> None:
    for name, code in vars(outbox.CloseCode).items():
        if name.isupper():
            assert getattr(CloseCode, name) == code
