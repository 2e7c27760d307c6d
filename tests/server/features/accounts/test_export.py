"""`GET /me/export`: everything that is stored of an account, and nothing of others."""

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp
import pytest

from server.core import audit
from server.core.auth import Identity
from server.features.accounts.service import AccountService
from support.cast import Cast
from support.live_server import LiveServer
from support.news import announce
from support.rest import Rest
from support.room import open_chat
from support.uploads import sent
from support.waiting import PATIENCE

pytestmark = pytest.mark.server_settings(photo_workers=0, exports_per_hour=3)


async def exported(rest: Rest) -> dict[str, Any]:
    """The account's data."""
    found: dict[str, Any] = (await rest.get("/me/export")).must(200).json
    return found


async def say(rest: Rest, chat: str, text: str) -> None:
    """Write in a chat."""
    message = {"client_id": text, "text": text}
    (await rest.post(f"/chats/{chat}/messages", message)).must(201)


async def test_an_export_holds_what_is_the_accounts_own(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 1)
    orders = [(await cast.order())["id"] for _ in range(3)]
    chats = [await open_chat(cast.customer), await open_chat(cast.stranger)]
    for chat, customer in zip(chats, (cast.customer, cast.stranger), strict=True):
        await say(customer, chat, "Where is it?")
        await say(cast.employee, chat, "On its way.")
    news = (await announce(cast.employee, title='Rain "and" snow'))["id"]
    for rest in (cast.customer, cast.employee):
        (await rest.post(f"/announcements/{news}/ack")).must(204)
    upload = await sent(cast.customer)

    mine = await exported(cast.customer)
    account = mine.pop("account")
    assert account == (await cast.customer.get("/me")).json
    assert mine.pop("exported_at")
    (session,) = mine.pop("sessions")
    assert session["current"]
    assert [one["id"] for one in mine["orders"]] == orders[::-1]
    assert mine["orders"] == (await cast.customer.get("/orders")).json["items"]
    assert [one["id"] for one in mine["chats"]] == chats[:1]
    assert [one["text"] for one in mine["messages"]] == ["On its way.", "Where is it?"]
    assert {one["chat_id"] for one in mine["messages"]} == {chats[0]}
    (ack,) = mine["acknowledgements"]
    assert (ack["id"], ack["title"]) == (news, 'Rain "and" snow')
    assert [one["id"] for one in mine["uploads"]] == [upload]
    assert [(one["action"], one["by"]) for one in mine["audit"]] == [
        ("login", "account"),
        ("account.created", "account"),
    ]
    assert {one["address"] for one in mine["audit"]} == {"127.0.0.1"}

    staff = await exported(cast.employee)
    assert {one["chat_id"] for one in staff["messages"]} == set(chats)
    assert {one["text"] for one in staff["messages"]} == {"On its way."}
    assert [staff[name] for name in ("orders", "chats", "uploads")] == [[], [], []]
    assert staff["audit"][-1]["by"] == "operator"

    left: list[AsyncGenerator[object]] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=left.append)  # asked for one that nobody has closed
    try:
        async with cast.customer.http.head(
            cast.customer.url("/me/export"), headers=cast.customer.headers
        ) as head:
            assert (head.status, await head.read()) == (200, b"")
        await exported(cast.customer)
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert not left
    refused = (await cast.customer.get("/me/export")).must(429)
    assert int(refused.headers["Retry-After"]) > 60


async def test_an_export_ends_with_its_session(cast: Cast, live_server: LiveServer) -> None:
    """It breaks off: nobody takes half of it for the whole."""
    began, more = asyncio.Event(), asyncio.Event()

    async def slow(who: Identity) -> AsyncGenerator[Sequence[str]]:
        yield ['"first"']
        began.set()
        await more.wait()
        yield ['"second"']
        yield ['"third"']

    live_server.services[AccountService].exports["slow"] = slow
    customer = cast.customer
    async with customer.http.get(customer.url("/me/export"), headers=customer.headers) as answer:
        assert answer.status == 200
        await began.wait()
        busy = (await customer.get("/me/export")).must(429)
        assert "under way" in busy.json["detail"]
        (
            await customer.post("/auth/logout", {"refresh_token": customer.grant["refresh_token"]})
        ).must(204)
        more.set()
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
            async with asyncio.timeout(PATIENCE):
                await answer.read()
