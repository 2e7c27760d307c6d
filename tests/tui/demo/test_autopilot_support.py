"""The autopilot at the support desk: it says what it is, knows the order, and makes room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.features.accounts.schemas import Credentials
from server.features.chat.schemas import Chat, ChatOrder, ChatStatus, LastMessage, Unread
from server.features.orders.schemas import Order, OrderStatus
from server.features.shared.schemas import Actor
from support.live_server import LiveServer
from support.rest import Rest
from support.town import PASSWORD, Place, open_restaurant
from support.waiting import wait_until
from tui.common.chat.session import ChatSession
from tui.common.client.api import Api
from tui.common.client.meter import State, Wire
from tui.common.client.session import Session
from tui.demo.autopilot.__main__ import work
from tui.demo.autopilot.support import answer, greeting, needs_answer

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
QUICK = 0.03


@asynccontextmanager
async def driver_bots(url: str, *emails: str) -> AsyncIterator[None]:
    """Autopilots of one process, who stand at the desk too."""
    accounts = [Credentials(email=email, password=PASSWORD) for email in emails]
    job = asyncio.create_task(work(url, accounts, QUICK))
    try:
        yield
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


@asynccontextmanager
async def talking(url: str, email: str, chat: dict[str, Any]) -> AsyncIterator[ChatSession]:
    """Somebody in that chat, with the client library."""
    session = Session(url, Wire())
    await session.log_in(email, PASSWORD)
    chat_session = ChatSession(session, Api(session), Chat.model_validate(chat))
    job = asyncio.create_task(chat_session.run())
    try:
        await wait_until(lambda: chat_session.meter.state is State.LIVE, what="the room to be live")
        yield chat_session
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job
        await session.close()


@pytest.fixture
async def place(live_server: LiveServer, data_dir: Path) -> Place:
    """A kitchen with two accounts for autopilots and one for a person."""
    return await open_restaurant(data_dir, live_server.url, employees=3)


@pytest.fixture
async def guest(rest: Rest) -> Rest:
    """Somebody who has ordered."""
    return await rest.register("ada@example.com", PASSWORD)


async def asked(guest: Rest, place: Place) -> dict[str, Any]:
    """A chat about an order."""
    order = (await guest.post("/orders", place.basket())).must(201).json
    new = {"subject": "Where is it?", "order_id": order["id"]}
    chat: dict[str, Any] = (await guest.post("/chats", new)).must(201).json
    return chat


def said(chat_session: ChatSession) -> list[tuple[str, str]]:
    return [(one.sender.role, one.text) for one in chat_session.conversation.messages]


async def heard(chat_session: ChatSession, count: int) -> None:
    await wait_until(
        lambda: len(said(chat_session)) >= count, what=f"{count} messages: {said(chat_session)}"
    )


async def test_one_of_several_assistants_answers_and_says_what_it_is(
    live_server: LiveServer, guest: Rest, place: Place
) -> None:
    chat = await asked(guest, place)
    async with (
        driver_bots(live_server.url, *place.employees[:2]),
        talking(live_server.url, "ada@example.com", chat) as chat_session,
    ):
        await heard(chat_session, 1)
        role, text = said(chat_session)[0]
        assert role == "employee"
        assert "automatic assistant, not a person" in text
        assert f"#{chat['order']['number']:04d}" in text
        chat_session.send("thank you! and where is my order now?")
        await heard(chat_session, 3)
        assert "Your order" in said(chat_session)[2][1]
        # Nobody has it: it waits in the queue for a person all the while.
        now = (await guest.get(f"/chats/{chat['id']}")).must(200).json
        assert "employee" not in now
        assert now["waiting_since"]
        chat_session.send("are you a person?")
        await heard(chat_session, 5)
        senders = {one.sender.id for one in chat_session.conversation.messages} - {
            chat_session.chat.customer.id
        }
        assert len(senders) == 1, "more than one autopilot answered"
        assert [role for role, _ in said(chat_session)] == [
            "employee",
            "customer",
            "employee",
            "customer",
            "employee",
        ]


async def test_the_assistant_leaves_when_a_person_claims_the_chat(
    live_server: LiveServer, guest: Rest, place: Place
) -> None:
    chat = await asked(guest, place)
    person = await guest.another().log_in(place.employees[2], PASSWORD)
    async with (
        driver_bots(live_server.url, place.employees[0]),
        talking(live_server.url, "ada@example.com", chat) as chat_session,
    ):
        await heard(chat_session, 1)
        taken = (await person.post(f"/chats/{chat['id']}/take")).must(200).json
        async with talking(live_server.url, place.employees[2], taken) as other:
            chat_session.send("where is my order?")
            await heard(other, 2)
            other.send("Kim here, I look into it.")
            await heard(chat_session, 3)
            await wait_until(
                lambda: [who.id for who in other.others] == [chat_session.chat.customer.id],
                what="the autopilot to have left the room",
            )
            assert [role for role, _ in said(chat_session)] == ["employee", "customer", "employee"]


async def test_a_chat_in_which_a_person_wrote_is_left_alone(
    live_server: LiveServer, guest: Rest, place: Place
) -> None:
    first, second = await asked(guest, place), await asked(guest, place)
    person = await guest.another().log_in(place.employees[2], PASSWORD)
    (await person.post(f"/chats/{first['id']}/take")).must(200)
    async with (
        driver_bots(live_server.url, place.employees[0]),
        talking(live_server.url, "ada@example.com", first) as taken,
        talking(live_server.url, "ada@example.com", second) as free,
    ):
        taken.send("hello?")
        await heard(free, 1)
        await heard(taken, 1)
        assert said(taken) == [("customer", "hello?")]


# -- what it says


def order_at(status: OrderStatus, **changes: Any) -> Order:
    entry = {"status": status, "at": NOW, "by": {"id": "p", "name": "Kim", "role": "employee"}}
    return Order.model_validate(
        {
            "id": "ord_1",
            "number": 1042,
            "restaurant": {"id": "r", "name": "Thai Basil", "lat": 48, "lng": 2},
            "customer": {"id": "ada", "name": "Ada", "phone": None},
            "items": [],
            "total_cents": 0,
            "status": status,
            "version": 1,
            "timeline": [entry],
            "address": {"text": "x", "lat": 48, "lng": 2},
            "note": "",
        }
        | changes
    )


def chat_of(**changes: Any) -> Chat:
    fields: dict[str, Any] = {
        "id": "cht_1",
        "subject": "Where is it?",
        "status": ChatStatus.OPEN,
        "customer": Actor(id="ada", name="Ada Lovelace", role="customer"),
        "opened_at": NOW,
        "unread": Unread(customer=0, support=0),
    }
    return Chat(**(fields | changes))


DRIVER = {"id": "d", "name": "Ken", "vehicle": "bike"}


@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_status_has_an_answer(status: OrderStatus) -> None:
    words = greeting(chat_of(), order_at(status), NOW)
    assert words.startswith("Hello Ada, I am the automatic assistant, not a person.")
    assert "#1042" in words


def test_the_answer_names_driver_and_time() -> None:
    on_its_way = order_at(
        OrderStatus.OUT_FOR_DELIVERY, driver=DRIVER, eta=NOW + timedelta(minutes=6)
    )
    assert "on its way with Ken" in answer("when will it arrive?", on_its_way, NOW)
    assert "about 6 minutes" in answer("when will it arrive?", on_its_way, NOW)
    late = on_its_way.model_copy(update={"eta": NOW - timedelta(minutes=20)})
    assert "later than promised" in answer("so late!", late, NOW)
    assert answer("who is my driver?", on_its_way, NOW).startswith("Ken is bringing your order")
    assert "No driver has" in answer("my driver?", order_at(OrderStatus.PREPARING), NOW)


def test_the_answer_promises_nothing() -> None:
    assert "press c" in answer("please cancel it", order_at(OrderStatus.PLACED), NOW)
    cooking = answer("cancel", order_at(OrderStatus.PREPARING), NOW)
    assert "cannot be cancelled" in cooking
    assert "My colleague" in cooking
    assert "automatic assistant" in answer("qwertz", order_at(OrderStatus.PLACED), NOW)
    assert "automatic assistant" in answer("a real person please", None, NOW)
    assert answer("thanks!", None, NOW) == "You are welcome."
    about = ChatOrder(id="ord_1", number=1042, restaurant="Elsewhere")
    assert "cannot look into that order" in greeting(chat_of(order=about), None, NOW)


def test_only_unclaimed_chats_whose_customer_wrote_last_need_an_answer() -> None:
    ada, kim = (
        Actor(id="ada", name="Ada", role="customer"),
        Actor(id="kim", name="Kim", role="employee"),
    )
    assert needs_answer(chat_of())
    assert needs_answer(chat_of(last_message=LastMessage(sender=ada, text="?", sent_at=NOW)))
    assert not needs_answer(chat_of(last_message=LastMessage(sender=kim, text=".", sent_at=NOW)))
    assert not needs_answer(chat_of(employee=kim))
    assert not needs_answer(chat_of(status=ChatStatus.CLOSED))
