"""Where a driver is, by long polling."""

import asyncio
import time
from typing import Any

import pytest

from server.realtime.hub import Hub
from server.realtime.state_topic import STATE
from server.transports.connections import Connections
from support.cast import Cast
from support.live_server import LiveServer
from support.rest import Answer, Rest
from support.waiting import PATIENCE, wait_until


async def put(cast: Cast, lat: float) -> None:
    path = f"/drivers/{cast.place.drivers[0]}/location"
    (await cast.employee.put(path, {"lat": lat, "lng": 2.36})).must(204)


async def poll(cast: Cast, who: Rest | None = None, **params: Any) -> Answer:
    path = f"/drivers/{cast.place.drivers[0]}/location"
    return await (who or cast.employee).get(
        path, params={name: str(value) for name, value in params.items()}
    )


async def held(server: LiveServer, number: int = 1) -> None:
    await wait_until(lambda: server.services[Connections].polls == number, what=f"{number} held")


async def test_a_location_the_client_has_not_seen_is_answered_at_once(cast: Cast) -> None:
    await put(cast, 48.0)
    await put(cast, 48.001)
    for params in ({}, {"after": 0}, {"after": 1}):
        answer = await asyncio.wait_for(poll(cast, **params), PATIENCE)
        assert answer.must(200).json["lat"] == 48.001
        assert answer.json["seq"] == 2


async def test_a_poll_is_held_until_the_driver_moves(cast: Cast, live_server: LiveServer) -> None:
    waiting = asyncio.create_task(poll(cast))  # this driver has not reported a location yet
    await held(live_server)
    await put(cast, 48.0)
    assert (await asyncio.wait_for(waiting, PATIENCE)).must(200).json["seq"] == 1
    waiting = asyncio.create_task(poll(cast, after=1))
    await held(live_server)
    await put(cast, 48.0)  # no change
    await put(cast, 48.001)
    assert (await asyncio.wait_for(waiting, PATIENCE)).must(200).json["seq"] == 2


async def test_a_poll_never_answers_with_an_earlier_location(
    cast: Cast, live_server: LiveServer
) -> None:
    """An event from another process may come after its client has learned of a later one."""
    hub = live_server.services[Hub]
    topic = await hub.topic(f"{STATE}driver:{cast.place.drivers[0]}")
    await put(cast, 48.0)
    first = await hub.states.read(topic.name)
    await put(cast, 48.001)
    waiting = asyncio.create_task(poll(cast, after=2))
    await held(live_server)
    topic.waiters[""].wake(first)
    await wait_until(lambda: waiting.done() or "" in topic.waiters)
    await put(cast, 48.002)
    assert (await asyncio.wait_for(waiting, PATIENCE)).must(200).json["seq"] == 3


async def test_no_change_is_204_at_the_timeout(cast: Cast) -> None:
    await put(cast, 48.0)
    started = time.monotonic()
    answer = await poll(cast, after=1, timeout=1)
    assert answer.must(204).body == b""
    assert 0.95 < time.monotonic() - started < PATIENCE


async def test_a_cursor_from_before_a_restored_backup_gets_the_newest(cast: Cast) -> None:
    await put(cast, 48.0)
    answer = await asyncio.wait_for(poll(cast, after=900), PATIENCE)
    assert answer.must(200).json["seq"] == 1


async def test_a_cursor_from_the_future_is_not_held_for_ever(
    cast: Cast, live_server: LiveServer
) -> None:
    waiting = asyncio.create_task(poll(cast, after=900))
    await held(live_server)
    await put(cast, 48.0)
    assert (await asyncio.wait_for(waiting, PATIENCE)).must(200).json["seq"] == 1


async def test_an_invalid_seq_or_timeout_is_422(cast: Cast) -> None:
    for after in ("-1", "1.5", "x", "", "9" * 30):
        (await poll(cast, after=after)).must(422)
    for timeout in ("0", "61", "x"):
        (await poll(cast, timeout=timeout)).must(422)


@pytest.mark.parametrize("ending", ["delivered", "cancelled", "another driver"])
async def test_a_customers_poll_ends_with_404_when_the_delivery_does(
    cast: Cast, live_server: LiveServer, ending: str
) -> None:
    order = await cast.order_at("out_for_delivery")
    await put(cast, 48.0)
    assert (await poll(cast, cast.customer)).must(200).json["lat"] == 48.0
    waiting = asyncio.create_task(poll(cast, cast.customer, after=1))
    await held(live_server)
    employees = asyncio.create_task(poll(cast, after=1))
    await held(live_server, 2)
    if ending == "another driver":
        await cast.step(order["id"], "out_for_delivery", driver_id=cast.place.drivers[1])
    else:
        await cast.step(order["id"], ending)
    (await asyncio.wait_for(waiting, PATIENCE)).must(404)
    (await poll(cast, cast.customer, after=1)).must(404)
    assert not employees.done(), "an employee's poll goes on"
    await put(cast, 48.001)
    (await asyncio.wait_for(employees, PATIENCE)).must(200)
    await held(live_server, 0)
