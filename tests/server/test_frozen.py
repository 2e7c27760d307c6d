"""What earlier versions have stored is read by this one: rows, events, answers, cursors, tokens."""

import asyncio
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from server.features.chat.schemas import Chat, ChatMessage
from server.features.chat.service import StepData
from server.features.orders.schemas import Order
from server.features.shared.schemas import Wire
from server.realtime.event import Cursor
from server.realtime.log import EventLog
from support.cast import Cast, cast_of
from support.frozen import freeze, newest_migration, thaw
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.room import history
from support.server_process import ON_POSTGRES
from support.town import PASSWORD
from support.uploads import done, sent

FOLDER = Path(__file__).with_name("frozen")
FROZEN = {file.stem: json.loads(file.read_text("utf-8")) for file in FOLDER.glob("*.json")}
KEY = {"Idempotency-Key": "frozen"}
SUBJECT = {"subject": "Where is it?"}
NEWS = {"title": "Closed", "body": "on Monday", "severity": "info", "audience": "everyone"}
MODELS: dict[str, type[Wire]] = {
    "order.placed": Order,
    "order.updated": Order,
    "chat.opened": Chat,
    "chat.updated": Chat,
    "chat.closed": Chat,
    "message": ChatMessage,
    "taken": StepData,
    "closed": StepData,
    "reopened": StepData,
}
"""What the data of events is to those who read them."""


async def play(cast: Cast) -> dict[str, Any]:
    """Let something of every kind be stored; returns what is known of it."""
    ana, robin, place = cast.customer, cast.employee, cast.place
    start = (await robin.get("/orders")).must(200).json["cursor"]
    first = (await ana.post("/orders", place.basket(), headers=KEY)).must(201).json
    for status in ("delivered", "cancelled", "out_for_delivery"):
        await cast.order_at(status)
    position = {"lat": 48.86, "lng": 2.36}
    (await robin.put(f"/drivers/{place.drivers[0]}/location", position)).must(204)
    opened = (await ana.post("/chats", SUBJECT, headers=KEY)).must(201).json
    chat = f"/chats/{opened['id']}"
    for who, text in ((ana, "Hello?"), (robin, "Soon.")):
        message = {"client_id": "1", "text": text}
        said = (await who.post(f"{chat}/messages", message)).must(201).json
    (await ana.post(f"{chat}/read", {"cursor": said["cursor"]})).must(204)
    for step in ("take", "close", "reopen"):
        (await robin.post(f"{chat}/{step}")).must(200)
    published = [(await robin.post("/announcements", NEWS)).must(201).json for _ in range(2)]
    (await ana.post(f"/announcements/{published[0]['id']}/ack")).must(204)
    (await robin.delete(f"/announcements/{published[1]['id']}")).must(204)
    (await ana.patch("/me", {"name": "Ana Lovelace", "phone": "123"})).must(200)
    other = await ana.another().log_in("ana@example.com", ana.password)
    (await other.post("/auth/logout", {"refresh_token": other.grant["refresh_token"]})).must(204)
    photo = await sent(ana)
    await done(ana, photo)
    return {
        "place": place.id,
        "basket": place.basket(),
        "order": first,
        "chat": opened,
        "cursor": start,
        "photo": photo,
        "refresh_token": ana.grant["refresh_token"],
        "password": ana.password,
        "employee": place.employees[0],
    }


@pytest.mark.skipif(
    ON_POSTGRES or "TIFFIN_FREEZE" not in os.environ, reason="writes this version's rows"
)
async def test_freeze(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        known = await play(cast)
    text = await freeze(data_dir / "tiffin.sqlite3", known)
    file = FOLDER / f"{newest_migration():04}.json"
    await asyncio.to_thread(file.write_text, text, encoding="utf-8")


@pytest.mark.parametrize("version", sorted(FROZEN))
async def test_what_a_version_has_stored_is_read(
    version: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = FROZEN[version]
    known = frozen["known"]
    await thaw(frozen, data_dir, monkeypatch)
    settings = settings_for(data_dir, event_days=36_500, session_days=0)
    async with running_server(settings) as server, Rest(server.url) as ana:
        # Tokens, passwords, and answers that were lost.
        grant = {"refresh_token": known["refresh_token"]}
        ana.token = (await ana.post("/auth/refresh", grant)).must(200).json["access_token"]
        robin = await ana.another().log_in(known["employee"], PASSWORD)
        again = (await ana.post("/orders", known["basket"], headers=KEY)).must(201).json
        assert again == known["order"]
        chat = (await ana.post("/chats", SUBJECT, headers=KEY)).must(201).json
        assert chat.items() >= known["chat"].items()
        # Rows.
        orders = (await robin.get("/orders")).must(200).json["items"]
        assert {Order.model_validate(one).status for one in orders} == {
            *("placed", "delivered", "cancelled", "out_for_delivery"),
        }
        assert [one["text"] for one in await history(ana, chat["id"])] == ["Hello?", "Soon."]
        assert (await ana.get("/me")).must(200).json["name"] == "Ana Lovelace"
        assert (await ana.get(f"/uploads/{known['photo']}")).must(200).json["status"] == "done"
        [news] = (await ana.get("/announcements")).must(200).json["items"]
        assert news["acknowledged"]
        # Events, from a cursor on, and what they say.
        path = f"/restaurants/{known['place']}/orders/events"
        page = (await robin.get(path, params={"after": known["cursor"]})).must(200).json
        topics = {row["topic"] for row in frozen["rows"]["events"]}
        logged = await events(server.services[EventLog], topics)
        topic = Cursor.parse(known["cursor"])
        assert topic is not None
        assert [one["data"] for one in page["events"]] == [
            data for name, _, data in logged if name == topic.topic
        ]
        read = set()
        for _, type, data in logged:
            if type in MODELS:
                # A message's cursor is added as it is sent.
                MODELS[type].model_validate(data | ({"cursor": ""} if type == "message" else {}))
                read.add(type)
        assert read == set(MODELS)
        # And nothing stays of who goes, wherever it was.
        for order in (await ana.get("/orders", params={"open": "true"})).json["items"]:
            if order["status"] == "placed":
                (await ana.post(f"/orders/{order['id']}/cancel", {})).must(200)
            else:
                step = {"status": "delivered"}
                (await robin.post(f"/orders/{order['id']}/status", step)).must(200)
        (await ana.delete("/me", {"password": known["password"]})).must(204)
        text = json.dumps(await events(server.services[EventLog], topics))
        assert "Ana Lovelace" not in text
        assert "Hello?" not in text


async def events(log: EventLog, topics: Collection[str]) -> list[tuple[str, str, Any]]:
    """The topic, the type and the data of every event of those topics."""
    return [
        (topic, event.type, json.loads(event.data))
        for topic in sorted(topics)
        for event in (await log.read(topic, 0, 1000)).events
    ]
