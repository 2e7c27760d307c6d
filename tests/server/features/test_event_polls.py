"""The fallback routes: the events of streams and sockets by long polling, from the same cursors."""

import asyncio
import operator
from typing import Any

from server.transports.connections import Connections
from support.cast import Cast
from support.event_stream import event_stream
from support.live_server import LiveServer
from support.news import announce
from support.rest import Answer, Rest
from support.room import open_chat, room
from support.waiting import PATIENCE, wait_until


async def poll(rest: Rest, path: str, after: str | None = None, timeout: int = 1) -> Answer:
    params = {"timeout": str(timeout)} | ({} if after is None else {"after": after})
    async with asyncio.timeout(timeout + PATIENCE):
        return await rest.get(path, params=params)


async def all_of(rest: Rest, path: str, after: str) -> list[Any]:
    """Every event after the cursor, poll after poll, until there is none."""
    found = []
    while (answer := await poll(rest, path, after)).status == 200:
        found += answer.json["events"]
        after = answer.json["cursor"]
    answer.must(204)
    return found


async def test_the_kitchens_polls_return_what_its_stream_sends(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}/orders"
    start = (await poll(cast.employee, f"{path}/events")).must(200).json
    assert start["events"] == []
    held = asyncio.create_task(poll(cast.employee, f"{path}/events", start["cursor"], 20))
    order = await cast.order()
    first = (await held).must(200).json
    (event,) = first["events"]
    assert (event["type"], event["data"]) == ("order.placed", order)
    await cast.step(order["id"], "accepted")
    await cast.step(order["id"], "cancelled")
    polled = await all_of(cast.employee, f"{path}/events", start["cursor"])
    async with event_stream(cast.employee, f"{path}/stream", start["cursor"]) as stream:
        streamed = [await stream.next() for _ in range(3)]
    assert [(one["type"], one["data"]) for one in polled] == [
        (one.type, one.data) for one in streamed
    ]
    logged = [one["logged_at"] for one in polled]
    stepped = [one["data"]["timeline"][-1]["at"] for one in polled]
    assert all(map(operator.ge, logged, stepped)), "as text, these sort by time"
    assert logged == sorted(logged)
    # Each continues from the other's cursor.
    after = await all_of(cast.employee, f"{path}/events", streamed[0].cursor)
    assert after == polled[1:]
    async with event_stream(cast.employee, f"{path}/stream", first["cursor"]) as stream:
        assert (await stream.next()).data == polled[1]["data"]


async def test_the_queue_and_announcements_are_polled(cast: Cast, live_server: LiveServer) -> None:
    queue = (await cast.employee.get("/chats")).json["cursor"]
    news = (await cast.customer.get("/announcements")).json["cursor"]
    chat = await open_chat(cast.customer)
    (event,) = (await poll(cast.employee, "/chats/events", queue)).must(200).json["events"]
    assert (event["type"], event["data"]["id"]) == ("chat.opened", chat)
    await announce(cast.employee, audience="employees", title="Not for customers")
    told = await announce(cast.employee, audience="customers")
    events = await all_of(cast.customer, "/announcements/events", news)
    assert [(one["type"], one["data"]["id"]) for one in events] == [("announcement", told["id"])]
    (await cast.customer.get("/announcements/events?scope=all")).must(403)
    # An acknowledgement in the account's other window is reported while a request is held.
    window, path = cast.customer, "/announcements/events"
    now = (await poll(window, path)).must(200).json["cursor"]
    held = asyncio.create_task(poll(window, path, now, 20))
    await wait_until(lambda: live_server.services[Connections].polls == 1)
    (await window.post(f"/announcements/{told['id']}/ack")).must(204)
    mark = {"type": "announcement.acknowledged", "data": {"id": told["id"]}}
    assert (await held).must(200).json == {"events": [mark], "cursor": now}
    (await poll(window, path, now)).must(204)


async def test_a_room_works_by_polls_and_rest(cast: Cast) -> None:
    chat = await open_chat(cast.customer)
    path = f"/chats/{chat}/events"
    cursor = (await cast.customer.get(f"/chats/{chat}/messages")).json["cursor"]
    first = (await poll(cast.customer, path, cursor, 20)).must(200).json
    # A polling client counts as present.
    presence, read = (one["data"] for one in first["events"])
    assert ([one["name"] for one in presence["present"]], read["reads"]) == (["Ana"], [])
    sent = {"client_id": "one", "text": "Where is it?"}
    async with room(cast.employee, chat) as entered:
        message = (await cast.customer.post(f"/chats/{chat}/messages", sent)).must(201).json
        assert await entered.next("message") == message
        again = (await cast.customer.post(f"/chats/{chat}/messages", sent)).must(200).json
        assert again == message | {"again": True}
        await entered.say("On its way.")
        await entered.next("message")
    mark = {"cursor": message["cursor"]}
    (await cast.customer.post(f"/chats/{chat}/read", mark)).must(204)
    (await cast.employee.post(f"/chats/{chat}/close")).must(200)
    polled = await all_of(cast.customer, path, first["cursor"])
    kinds = [one["type"] for one in polled if one["type"] not in ("presence", "read")]
    assert kinds == ["message", "message", "closed"]
    assert all(one["type"] == one["data"]["type"] for one in polled)
    assert polled[[one["type"] for one in polled].index("message")]["data"] == message
    refused = (await cast.customer.post(f"/chats/{chat}/messages", sent | {"client_id": "3"})).must(
        409
    )
    assert refused.json["type"] == "urn:tiffin:problem:chat-closed"
    # Presence is reported as it is now, and again only when somebody joins or leaves.
    latest = (await poll(cast.customer, path, first["cursor"])).must(200).json
    (read,) = [one["data"] for one in latest["events"] if one["type"] == "read"][-1:]
    assert [one["cursor"] for one in read["reads"]] == [message["cursor"]]
    more = await all_of(cast.customer, path, latest["cursor"])
    assert {one["type"] for one in more} <= {"presence", "read"}
    # A socket continues from the cursor of a poll.
    async with room(cast.customer, chat, first["cursor"]) as entered:
        told = [await entered.next("message", "closed") for _ in range(3)]
    assert told == [one["data"] for one in polled if one["type"] in ("message", "closed")]


async def test_a_customers_orders_are_polled(cast: Cast) -> None:
    before = await cast.order()
    cursor = (await cast.customer.get("/orders")).json["cursor"]
    (await poll(cast.customer, "/orders", cursor)).must(204)
    held = asyncio.create_task(poll(cast.customer, "/orders", cursor, 20))
    placed = await cast.order()  # as from another window
    page = (await held).must(200).json
    assert (page["items"], page["next"]) == ([placed], None)
    accepted = await cast.step(before["id"], "accepted")
    for status in ("accepted", "preparing"):
        last = await cast.step(placed["id"], status)
    # An order that changed twice is reported once, as it is now; a page says where the next begins.
    first = (await poll(cast.customer, "/orders?limit=1", page["cursor"])).must(200).json
    second = (await poll(cast.customer, "/orders?limit=1", first["cursor"])).must(200).json
    assert (first["items"], second["items"]) == ([accepted], [last])
    (await poll(cast.customer, "/orders", second["cursor"])).must(204)
    assert (await cast.customer.get("/orders")).json["cursor"] == second["cursor"]
    whole = (await poll(cast.customer, "/orders", page["cursor"])).must(200).json
    assert whole == second | {"items": [accepted, last]}
    # Only the newest change's time is known.
    assert "logged_at" not in first
    assert whole["logged_at"] >= last["timeline"][-1]["at"]
    stranger = (await cast.stranger.get("/orders")).json["cursor"]
    (await poll(cast.stranger, "/orders", stranger)).must(204)
    for wrong in (stranger, "x", (await cast.employee.get("/orders")).json["cursor"]):
        problem = (await poll(cast.customer, "/orders", wrong)).must(410).json
        assert problem["type"] == "urn:tiffin:problem:reset"
    (await poll(cast.employee, "/orders", cursor)).must(403)
