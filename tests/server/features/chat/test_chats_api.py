"""Chats over REST: opened, claimed, closed, counted, deleted."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from server.core.database import Database, Transaction
from support.cast import Cast, cast_of
from support.event_stream import event_stream
from support.live_server import LiveServer, running_server, settings_for
from support.room import history, open_chat, room
from support.town import database_in
from support.waiting import wait_until


async def test_a_chat_is_opened_and_found(cast: Cast) -> None:
    answer = (await cast.customer.post("/chats", {"subject": "  Cold soup "})).must(201)
    chat = answer.json
    assert answer.headers["Location"] == f"/api/v1/chats/{chat['id']}"
    assert chat["subject"] == "Cold soup"
    assert chat["status"] == "open"
    assert chat["customer"]["name"] == "Ana"
    assert chat["unread"] == {"customer": 0, "support": 0}
    assert chat["waiting_since"] == chat["opened_at"]
    assert not {"employee", "order", "closed_at", "last_message"} & set(chat)
    for rest in (cast.customer, cast.employee, cast.outsider):
        assert (await rest.get(f"/chats/{chat['id']}")).must(200).json == chat
        assert chat in (await rest.get("/chats")).must(200).json["items"]
    (await cast.stranger.get(f"/chats/{chat['id']}")).must(404)
    assert (await cast.stranger.get("/chats")).must(200).json["items"] == []


async def test_a_chat_may_only_be_about_ones_own_order(cast: Cast) -> None:
    order = await cast.order()
    body = {"subject": "Where is it?", "order_id": order["id"]}
    chat = (await cast.customer.post("/chats", body)).must(201).json
    assert chat["order"] == {
        "id": order["id"],
        "number": order["number"],
        "restaurant": cast.place.name,
    }
    for rest, order_id in ((cast.stranger, order["id"]), (cast.customer, "ord_nobodys")):
        problem = (await rest.post("/chats", body | {"order_id": order_id})).must(422).json
        assert problem["errors"][0]["loc"] == ["order_id"]


async def test_an_account_has_a_limited_number_of_open_chats(data_dir: Path) -> None:
    settings = settings_for(data_dir, max_open_chats=2)
    async with running_server(settings) as server, cast_of(server) as cast:
        first, second = [await open_chat(cast.customer, subject) for subject in ("one", "two")]
        problem = (await cast.customer.post("/chats", {"subject": "three"})).must(409).json
        assert problem["type"] == "urn:tiffin:problem:too-many-chats"
        assert "Close one" in problem["detail"]
        await open_chat(cast.stranger)
        (await cast.customer.post(f"/chats/{first}/close")).must(200)
        key = {"Idempotency-Key": "three"}
        third = (await cast.customer.post("/chats", {"subject": "three"}, headers=key)).must(201)
        again = (await cast.customer.post("/chats", {"subject": "three"}, headers=key)).must(201)
        assert again.json == third.json
        for rest in (cast.customer, cast.employee):
            (await rest.post(f"/chats/{first}/reopen")).must(409)
            (await rest.post(f"/chats/{second}/reopen")).must(200)  # it is open already
        (await cast.customer.post(f"/chats/{second}/close")).must(200)
        (await cast.customer.post(f"/chats/{first}/reopen")).must(200)


async def test_an_account_opens_a_limited_number_of_chats_a_day(data_dir: Path) -> None:
    settings = settings_for(data_dir, max_chats_per_day=2)
    async with running_server(settings) as server, cast_of(server) as cast:
        first = await open_chat(cast.customer, "one")
        (await cast.customer.post(f"/chats/{first}/close")).must(200)
        await open_chat(cast.customer, "two")
        refused = (await cast.customer.post("/chats", {"subject": "three"})).must(429)
        assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
        await open_chat(cast.stranger)
        (await cast.customer.post(f"/chats/{first}/reopen")).must(200)

        async def a_day_passes(tx: Transaction) -> None:
            sql = "UPDATE chats SET opened_at = '2026-01-31T12:00:00.000Z' WHERE id = :id"
            await tx.execute(sql, {"id": first})

        async with database_in(data_dir) as database:
            await database.write(a_day_passes)
        await open_chat(cast.customer, "three")


async def test_only_customers_open_chats(cast: Cast) -> None:
    """So there is no chat between employees, or between customers."""
    customer = cast.stranger.grant["account"]["id"]
    for body in ({"subject": "x"}, {"subject": "x", "customer_id": customer}):
        (await cast.employee.post("/chats", body)).must(403)
    chat = (await cast.customer.post("/chats", {"subject": "x", "employee_id": customer})).json
    assert "employee" not in chat
    (await cast.stranger.post(f"/chats/{chat['id']}/take")).must(403)


@pytest.mark.parametrize(
    "body",
    [{}, {"subject": ""}, {"subject": "x" * 81}, {"subject": "\x1b[2J"}, {"subject": None}],
)
async def test_an_invalid_subject_is_refused(cast: Cast, body: object) -> None:
    (await cast.customer.post("/chats", body)).must(422)


async def test_the_same_key_opens_one_chat(cast: Cast) -> None:
    headers, body = {"Idempotency-Key": "one"}, {"subject": "Once"}
    first = (await cast.customer.post("/chats", body, headers=headers)).must(201).json
    again = (await cast.customer.post("/chats", body, headers=headers)).must(201).json
    assert again == first
    (await cast.customer.post("/chats", {"subject": "Two"}, headers=headers)).must(422)


async def test_any_employee_claims_a_chat_and_only_one_does(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    desks = [cast.employee, cast.outsider] * 3
    answers = await asyncio.gather(*(desk.post(f"/chats/{chat_id}/take") for desk in desks))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [409] * 3
    taken = next(answer.json for answer in answers if answer.status == 200)
    assert taken["taken_at"]
    for answer in answers:
        if answer.status == 409:
            assert answer.json["chat"] == taken
            assert taken["employee"]["name"] in answer.json["detail"]


async def test_a_chat_is_closed_and_reopened(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    (await cast.employee.post(f"/chats/{chat_id}/take")).must(200)
    closed = (await cast.customer.post(f"/chats/{chat_id}/close")).must(200).json
    assert closed["status"] == "closed"
    assert closed["closed_by"]["name"] == "Ana"
    assert "waiting_since" not in closed
    assert (await cast.employee.post(f"/chats/{chat_id}/close")).must(200).json == closed
    (await cast.outsider.post(f"/chats/{chat_id}/take")).must(409)
    opened = (await cast.employee.post(f"/chats/{chat_id}/reopen")).must(200).json
    assert opened["status"] == "open"
    assert opened["waiting_since"]
    assert not {"employee", "taken_at", "closed_at", "closed_by"} & set(opened)
    (await cast.outsider.post(f"/chats/{chat_id}/take")).must(200)


async def test_lists_are_paged_and_filtered_by_status(cast: Cast) -> None:
    ids = [await open_chat(cast.customer, f"Question {number}") for number in range(5)]
    (await cast.employee.post(f"/chats/{ids[1]}/close")).must(200)

    async def listed(rest: object, **params: str) -> list[str]:
        found, query = [], {"limit": "2"} | params
        while True:
            page = (await rest.get("/chats", params=query)).must(200).json  # type: ignore[attr-defined]
            found += [chat["id"] for chat in page["items"]]
            if page["next"] is None:
                return found
            query["before"] = page["next"]

    newest_first = ids[::-1]
    still_open = [one for one in newest_first if one != ids[1]]
    assert await listed(cast.customer) == newest_first
    assert await listed(cast.employee) == still_open
    assert await listed(cast.employee, status="closed") == [ids[1]]
    assert await listed(cast.customer, status="open") == still_open
    (await cast.customer.get("/chats", params={"status": "lost"})).must(422)
    for path in ("/chats", f"/chats/{ids[0]}/messages"):
        for before in ("x", "WyIiLCJ4Il0"):
            if path.endswith("messages") or before == "x":
                (await cast.customer.get(path, params={"before": before})).must(422)


async def test_unread_counts_and_waiting_times_are_shown(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)

    async def counted() -> tuple[int, int, bool]:
        chat = (await cast.customer.get(f"/chats/{chat_id}")).must(200).json
        return chat["unread"]["customer"], chat["unread"]["support"], "waiting_since" in chat

    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.say("one")
        one = await desk.next("message")
        await ana.say("two")
        await desk.next("message")
        assert await counted() == (0, 2, True)
        await desk.say("An answer of whoever came by")  # nobody has claimed it: the wait continues
        await desk.next("message")
        assert await counted() == (1, 2, True)
        for who, unread in ((cast.customer, 1), (cast.employee, 2)):
            page = (await who.get(f"/chats/{chat_id}/messages?limit=1")).must(200).json
            assert page["unread"] == unread
        (await cast.employee.post(f"/chats/{chat_id}/take")).must(200)
        await desk.send(type="read", cursor=one["cursor"])
        await wait_until(lambda: _is(counted, (1, 1, True)), what="one of two is read")
        await desk.say("An answer")
        answer = await ana.next("message")
        while answer["text"] != "An answer":
            answer = await ana.next("message")
        assert await counted() == (2, 1, False)
        await ana.send(type="read", cursor=answer["cursor"])
        await wait_until(lambda: _is(counted, (0, 1, False)), what="both answers are read")
        async with room(cast.outsider, chat_id) as other:
            # Peeking marks nothing as read.
            await other.send(type="read", cursor=answer["cursor"])
            await other.next("read")
            assert await counted() == (0, 1, False)
        chat = (await cast.employee.get(f"/chats/{chat_id}")).json
        assert chat["last_message"]["text"] == "An answer"
        await ana.say("x" * 4000)
        await ana.next("message")
        chat = (await cast.employee.get(f"/chats/{chat_id}")).json
        assert len(chat["last_message"]["text"]) == 160
        assert chat["waiting_since"] == chat["last_message"]["sent_at"]


async def _is(counted: object, wanted: object) -> bool:
    return await counted() == wanted  # type: ignore[operator, no-any-return]


async def test_the_queue_shows_a_message_as_the_chat_shows_it(cast: Cast) -> None:
    """Its event is put together as text, the chat's answer from its model."""
    order = await cast.order()
    cursor = (await cast.employee.get("/chats")).must(200).json["cursor"]
    body = {"subject": 'Where is "it"? é☃', "order_id": order["id"]}
    chat_id = (await cast.customer.post("/chats", body)).must(201).json["id"]
    sent = {"client_id": 'a "1"', "text": 'back\\slash, "quotes",\nlines\tand é☃ ' * 20}
    async with event_stream(cast.employee, "/chats/stream", cursor) as queue:
        await queue.next()
        for sender, taken in ((cast.customer, False), (cast.employee, True), (cast.customer, True)):
            if taken:
                (await cast.employee.post(f"/chats/{chat_id}/take")).must(200)
            message = (await sender.post(f"/chats/{chat_id}/messages", sent)).json
            assert (message["text"], message["client_id"]) == (sent["text"], sent["client_id"])
            chat = (await cast.employee.get(f"/chats/{chat_id}")).must(200).json
            while (await queue.next()).data != chat:
                pass
            sent["client_id"] += "x"
        assert chat["waiting_since"] == chat["last_message"]["sent_at"]


async def test_the_queue_is_a_snapshot_and_a_stream(cast: Cast) -> None:
    await open_chat(cast.customer, "before")
    cursor = (await cast.employee.get("/chats")).must(200).json["cursor"]
    assert "cursor" not in (await cast.customer.get("/chats")).json
    chat_id = await open_chat(cast.customer, "after")
    async with event_stream(cast.employee, "/chats/stream", cursor) as queue:
        opened = await queue.next()
        assert (opened.type, opened.data["id"]) == ("chat.opened", chat_id)
        async with room(cast.customer, chat_id) as ana:
            await ana.say("Hello")
            updated = await queue.next()
            assert updated.type == "chat.updated"
            assert updated.data["unread"] == {"customer": 0, "support": 1}
            assert updated.data["last_message"]["text"] == "Hello"
        for step, kind in (
            ("take", "chat.updated"),
            ("close", "chat.closed"),
            ("reopen", "chat.opened"),
        ):
            chat = (await cast.employee.post(f"/chats/{chat_id}/{step}")).must(200).json
            event = await queue.next()
            assert (event.type, event.data) == (kind, chat)


async def everything(server: LiveServer) -> str:
    """All rows of the tables of chats, events and states."""

    async def fn(tx: Transaction) -> list[Any]:
        tables = ("chats", "chat_messages", "chat_reads", "events", "states")
        return [await tx.fetch(f"SELECT * FROM {table}", {}) for table in tables]

    return json.dumps(await server.services[Database].read(fn), ensure_ascii=False)


async def conversation(cast: Cast) -> tuple[str, str]:
    """A chat in which both have written and read; returns its id and its last cursor."""
    chat_id = await open_chat(cast.customer, "Secret soup")
    (await cast.employee.post(f"/chats/{chat_id}/take")).must(200)
    async with room(cast.customer, chat_id) as ana, room(cast.employee, chat_id) as desk:
        await ana.say("My secret", "1")
        await desk.next("message")
        await desk.say("Our answer", "1")
        cursor = (await desk.next("message"))["cursor"]
        await ana.next("message")
        for one in (ana, desk):
            await one.send(type="read", cursor=cursor)
        frame = await ana.next("read")
        while len(frame["reads"]) < 2:
            frame = await ana.next("read")
    return chat_id, cursor


async def test_a_deleted_customer_leaves_no_text(cast: Cast, live_server: LiveServer) -> None:
    chat_id, _ = await conversation(cast)
    other = await open_chat(cast.stranger, "Untouched")
    page = (await cast.employee.get(f"/chats/{chat_id}/messages")).json
    (await cast.customer.delete_account()).must(204)
    left = await everything(live_server)
    for word in ("Ana", "My secret", "Our answer", "Secret soup"):
        assert f'"{word}' not in left.replace("\\", ""), word
    chat = (await cast.employee.get(f"/chats/{chat_id}")).must(200).json
    assert chat["status"] == "closed"
    assert chat["customer"]["name"] == "Deleted account"
    assert [one["text"] for one in await history(cast.employee, chat_id)] == ["(deleted)"] * 2
    async with room(cast.employee, chat_id, after=page["cursor"], settled=False) as desk:
        assert (await desk.next("closed"))["by"]["name"] == "Deleted account"
    assert (await cast.stranger.get(f"/chats/{other}")).json["subject"] == "Untouched"


async def test_a_deleted_employee_leaves_the_customers_text(
    cast: Cast, live_server: LiveServer
) -> None:
    chat_id, _ = await conversation(cast)
    async with room(cast.customer, chat_id) as ana:
        (await cast.employee.delete_account()).must(204)
        left = await everything(live_server)
        for word in ("saffron1", "Our answer"):
            assert f'"{word}' not in left.replace("\\", ""), word
        chat = (await cast.customer.get(f"/chats/{chat_id}")).must(200).json
        assert chat["status"] == "open"
        assert "employee" not in chat
        assert chat["waiting_since"]
        found = await history(cast.customer, chat_id)
        assert [one["text"] for one in found] == ["My secret", "(deleted)"]
        assert [one["sender"]["name"] for one in found] == ["Ana", "Deleted account"]
        await ana.say("Is anybody there?")
        await ana.next("message")
    (await cast.outsider.post(f"/chats/{chat_id}/take")).must(200)


async def test_a_deleted_employee_is_in_no_event_of_a_chat_they_have_left(
    cast: Cast, live_server: LiveServer
) -> None:
    """They only claimed and closed it, and it was opened again."""
    chat_id = await open_chat(cast.customer)
    for who, step in ((cast.outsider, "take"), (cast.outsider, "close"), (cast.customer, "reopen")):
        (await who.post(f"/chats/{chat_id}/{step}")).must(200)
    assert '"harbour-grill1' in (await everything(live_server)).replace("\\", "")
    (await cast.outsider.delete_account()).must(204)
    assert '"harbour-grill1' not in (await everything(live_server)).replace("\\", "")
