"""Typed calls: what they send, what they make of the answer, when they ask again."""

import pytest
from aiohttp import web
from faulty_server import FaultyServer, problem

from server.features.orders.schemas import OrderedItem, PlaceOrder
from server.features.shared.schemas import Address
from tui.common.client.api import Api
from tui.common.client.session import ApiError, Session, Unreachable

ORDER = {
    "id": "o-1",
    "number": 1001,
    "restaurant": {"id": "r", "name": "Thai Basil", "lat": 47.0, "lng": 15.0},
    "customer": {"id": "acc-1", "name": "Ana"},
    "items": [],
    "total_cents": 0,
    "status": "placed",
    "version": 1,
    "timeline": [
        {
            "status": "placed",
            "at": "2026-01-31T12:00:00.000Z",
            "by": {"id": "c", "name": "C", "role": "customer"},
        }
    ],
    "address": {"text": "Here 1", "lat": 47.0, "lng": 15.0},
}
BASKET = PlaceOrder(
    restaurant_id="r",
    items=[OrderedItem(menu_item_id="m", quantity=1)],
    address=Address(text="Here 1", lat=47.0, lng=15.0),
)


@pytest.fixture
def api(session: Session) -> Api:
    return Api(session)


def restaurant(number: int) -> dict[str, object]:
    return {
        "id": f"r-{number}",
        "name": "Thai Basil",
        "cuisine": "Thai",
        "description": "",
        "address": "Here 1",
        "lat": 47.0,
        "lng": 15.0,
        "preparation_minutes": 20,
    }


async def test_a_list_is_read_to_its_end(faulty: FaultyServer, api: Api) -> None:
    async def page(request: web.Request) -> web.Response:
        number = int(request.query.get("before", "1"))
        following = str(number + 1) if number < 3 else None
        return web.json_response({"items": [restaurant(number)], "next": following})

    faulty.on("GET", "/restaurants", page)
    assert [found.id for found in await api.restaurants()] == ["r-1", "r-2", "r-3"]


async def test_a_lost_answer_to_an_order_is_asked_for_again_with_its_key(
    faulty: FaultyServer, api: Api
) -> None:
    keys = []

    async def place(request: web.Request) -> web.StreamResponse:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            assert request.transport is not None
            request.transport.abort()
        if len(keys) == 2:
            return problem(409, **{"Retry-After": "0"})
        return web.json_response(ORDER, status=201)

    faulty.on("POST", "/orders", place)
    assert (await api.place_order(BASKET, "key-1")).number == 1001
    assert keys == ["key-1"] * 3


async def test_a_refused_order_is_not_sent_again(faulty: FaultyServer, api: Api) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return problem(409)

    faulty.on("POST", "/orders", refuse)
    with pytest.raises(ApiError):
        await api.place_order(BASKET, "key-1")
    assert faulty.count("POST", "/orders") == 1


async def test_an_order_is_not_tried_for_ever(faulty: FaultyServer, api: Api) -> None:
    async def broken(_: web.Request) -> web.Response:
        return problem(502)

    faulty.on("POST", "/orders", broken)
    with pytest.raises(ApiError):
        await api.place_order(BASKET, "key-1")
    assert faulty.count("POST", "/orders") == 4


async def test_an_answer_of_another_version_gets_words(faulty: FaultyServer, api: Api) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.json_response({**ORDER, "status": "teleported"})

    faulty.on("GET", "/orders/o-1", other)
    with pytest.raises(Unreachable, match="same version"):
        await api.order("o-1")


async def test_the_sessions_account_follows(
    faulty: FaultyServer, api: Api, session: Session
) -> None:
    async def me(_: web.Request) -> web.Response:
        account = {"id": "acc-1", "email": "a@b.c", "name": "Zoe", "role": "customer"}
        return web.json_response(account)

    async def delete(_: web.Request) -> web.Response:
        return web.Response(status=204)

    faulty.on("GET", "/me", me)
    faulty.on("DELETE", "/me", delete)
    await api.me()
    assert session.account is not None
    assert session.account.name == "Zoe"
    await api.delete_account("the password")
    assert session.account is None
