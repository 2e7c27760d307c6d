"""What an account has asked for just before it was deleted is refused after it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.core.database import Database
from server.features.accounts.administration import add_employee
from support.cast import Cast
from support.live_server import LiveServer
from support.rest import Answer, Rest
from support.room import open_chat
from support.town import PASSWORD
from support.uploads import send
from support.waiting import wait_until

NAME = "Zed who goes"
TABLES = (
    *("accounts", "announcement_acks", "announcements", "chat_messages", "chat_reads"),
    *("chat_staff", "chats", "events", "idempotency", "order_staff", "orders", "presence"),
    *("sessions", "states", "uploads"),
)
NEWS = {"title": "Closed", "body": "on Monday", "severity": "info", "audience": "everyone"}
Act = Callable[[], Awaitable[Answer]]


async def of_an_employee(cast: Cast, zed: Rest) -> list[Act]:
    """Requests of an employee of `cast.place`; each would be answered with success."""
    chats = [await open_chat(cast.customer) for _ in range(4)]
    order = await cast.order()
    say = {"text": "hello", "client_id": "1"}
    posted = (await cast.customer.post(f"/chats/{chats[0]}/messages", say)).must(201).json
    return [
        lambda: zed.post(f"/orders/{order['id']}/status", {"status": "accepted"}),
        lambda: zed.post(f"/chats/{chats[0]}/read", {"cursor": posted["cursor"]}),
        lambda: zed.post(f"/chats/{chats[1]}/messages", say),
        lambda: zed.post(f"/chats/{chats[2]}/take"),
        lambda: zed.post(f"/chats/{chats[3]}/close"),
        lambda: zed.post("/announcements", NEWS),
        lambda: send(zed, dish=cast.place.dishes[0]),
    ]


async def of_a_customer(cast: Cast, zed: Rest) -> list[Act]:
    """Requests of a customer; each would be answered with success."""
    news = (await cast.employee.post("/announcements", NEWS)).must(201).json["id"]
    chat, closed = await open_chat(zed), await open_chat(zed)
    (await zed.post(f"/chats/{closed}/close")).must(200)
    key = {"Idempotency-Key": "k"}
    return [
        lambda: zed.post("/orders", cast.place.basket(), headers=key),
        lambda: zed.post("/chats", {"subject": NAME}, headers=key),
        lambda: zed.post(f"/chats/{chat}/messages", {"text": NAME, "client_id": "1"}),
        lambda: zed.post(f"/chats/{closed}/reopen"),
        lambda: zed.post(f"/announcements/{news}/ack"),
        lambda: zed.patch("/me", {"name": NAME}),
        lambda: send(zed, key="k"),
    ]


@pytest.mark.parametrize("acts_of", [of_an_employee, of_a_customer])
async def test_nothing_of_a_deleted_account_comes_after_it(
    cast: Cast,
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    acts_of: Callable[[Cast, Rest], Awaitable[list[Act]]],
) -> None:
    database = live_server.services[Database]
    zed = cast.nobody.another()
    if acts_of is of_an_employee:
        await add_employee(database, "zed@example.org", PASSWORD, NAME, cast.place.id)
        await zed.log_in("zed@example.org", PASSWORD)
    else:
        await zed.register("zed@example.org", PASSWORD, NAME)
    acts = await acts_of(cast, zed)
    write, waiting, gone = database.write, [], asyncio.Event()

    async def late(fn: Any) -> Any:
        waiting.append(fn)
        await gone.wait()
        return await write(fn)

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", late)
        asked = [asyncio.create_task(act()) for act in acts]
        await wait_until(lambda: len(waiting) >= len(acts), what="each was let in")
    (await zed.delete_account()).must(204)
    gone.set()
    assert [answer.status for answer in await asyncio.gather(*asked)] == [401] * len(acts)
    for table in TABLES:
        sql = f"SELECT * FROM {table}"
        rows = await database.read(lambda tx, sql=sql: tx.fetch(sql, {}))
        assert NAME not in repr([dict(row) for row in rows]), table
