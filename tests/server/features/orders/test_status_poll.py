"""The long poll of an order's status."""

import asyncio
import time

from server.realtime.hub import Hub
from server.transports.connections import Connections
from support.cast import Cast
from support.live_server import LiveServer
from support.waiting import PATIENCE, wait_until


def held(server: LiveServer) -> int:

    return server.services[Connections].held


async def test_a_status_poll_answers_at_once_where_the_status_differs(cast: Cast) -> None:
    order = await cast.order()
    path = f"/orders/{order['id']}/status"
    for params in ({}, {"last_status": "accepted"}, {"last_status": "delivered"}):
        answer = (await cast.customer.get(path, params=params)).must(200).json
        assert answer == {
            "order_id": order["id"],
            "status": "placed",
            "version": 1,
            "terminal": False,
            "logged_at": order["timeline"][0]["at"],
        }


async def test_a_status_poll_holds_until_the_status_changes(
    cast: Cast, live_server: LiveServer
) -> None:
    order = await cast.order()
    path = f"/orders/{order['id']}/status"
    polls = [
        asyncio.create_task(caller.get(path, params={"last_status": "placed"}))
        for caller in (cast.customer, cast.employee, cast.customer)
    ]
    await wait_until(lambda: held(live_server) == 3)
    await cast.step(order["id"], "placed", driver_id=cast.place.drivers[0])
    await cast.step(order["id"], "placed", eta_minutes=20)
    assert held(live_server) == 3
    assert not any(poll.done() for poll in polls)
    await cast.step(order["id"], "accepted")
    for poll in polls:
        answer = (await asyncio.wait_for(poll, PATIENCE)).must(200).json
        assert (answer["status"], answer["version"]) == ("accepted", 3)
        assert answer["eta"]
    assert held(live_server) == 0


async def test_a_status_poll_never_answers_with_an_earlier_status(
    cast: Cast, live_server: LiveServer
) -> None:
    """An event from another process may come after its client has learned of a later one."""
    order, hub = await cast.order(), live_server.services[Hub]
    order_id, topic = str(order["id"]), await hub.topic(f"restaurant:{cast.place.id}")
    [placed] = (await hub.log.read(topic.name, 0, 1)).events
    await cast.step(order_id, "accepted")
    params = {"last_status": "accepted"}
    poll = asyncio.create_task(cast.customer.get(f"/orders/{order_id}/status", params=params))
    await wait_until(lambda: held(live_server) == 1)
    topic.waiters[order_id].wake(placed)
    await wait_until(lambda: poll.done() or order_id in topic.waiters)
    await cast.step(order_id, "preparing")
    assert (await asyncio.wait_for(poll, PATIENCE)).must(200).json["status"] == "preparing"


async def test_a_status_poll_gives_204_at_the_timeout(cast: Cast) -> None:
    order = await cast.order()
    started = time.monotonic()
    params = {"last_status": "placed", "timeout": "1"}
    answer = await cast.customer.get(f"/orders/{order['id']}/status", params=params)
    assert answer.must(204).body == b""
    assert 0.9 < time.monotonic() - started < PATIENCE


async def test_the_last_status_is_answered_at_once(cast: Cast) -> None:
    for status in ("delivered", "cancelled"):
        order = await cast.order_at(status)
        params = {"last_status": status}
        answer = await cast.customer.get(f"/orders/{order['id']}/status", params=params)
        assert answer.must(200).json["terminal"] is True


async def test_invalid_status_polls_are_refused(cast: Cast) -> None:
    order = await cast.order()
    path = f"/orders/{order['id']}/status"
    for params in ({"timeout": "0"}, {"timeout": "61"}, {"timeout": "x"}, {"last_status": "x"}):
        (await cast.customer.get(path, params=params)).must(422)
    (await cast.stranger.get(path)).must(404)
    (await cast.outsider.get(path)).must(404)
    (await cast.nobody.get(path)).must(401)
    (await cast.customer.get("/orders/ord_none/status")).must(404)


async def test_a_client_that_disconnects_frees_its_connection(
    cast: Cast, live_server: LiveServer
) -> None:
    order = await cast.order()
    path = f"/orders/{order['id']}/status"
    poll = asyncio.create_task(cast.customer.get(path, params={"last_status": "placed"}))
    await wait_until(lambda: held(live_server) == 1)
    poll.cancel()
    await wait_until(lambda: held(live_server) == 0)


async def test_logging_out_ends_the_session(cast: Cast, live_server: LiveServer) -> None:
    order = await cast.order()
    path = f"/orders/{order['id']}/status"
    poll = asyncio.create_task(cast.customer.get(path, params={"last_status": "placed"}))
    await wait_until(lambda: held(live_server) == 1)
    grant = {"refresh_token": cast.customer.grant["refresh_token"]}
    (await cast.customer.post("/auth/logout", grant)).must(204)
    assert (await asyncio.wait_for(poll, PATIENCE)).status == 401
