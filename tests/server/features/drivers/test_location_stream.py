"""Where a driver is, as a stream."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from server.core.database import Transaction
from server.transports.connections import Connections
from support.cast import Cast
from support.event_stream import EventStream, event_stream
from support.live_server import LiveServer
from support.rest import Rest
from support.town import database_in
from support.waiting import PATIENCE, wait_until


def stream(
    cast: Cast, who: Rest, after: str | None = None, **headers: str
) -> AbstractAsyncContextManager[EventStream]:
    return event_stream(who, f"/drivers/{cast.place.drivers[0]}/location/stream", after, **headers)


async def put(cast: Cast, lat: float, driver: int = 0) -> None:
    path = f"/drivers/{cast.place.drivers[driver]}/location"
    (await cast.employee.put(path, {"lat": lat, "lng": 2.36})).must(204)


async def test_a_stream_sends_the_newest_location_then_each_change(cast: Cast) -> None:
    await put(cast, 48.0)
    await put(cast, 48.0001)
    async with stream(cast, cast.employee) as events:
        assert events.answer.headers["Content-Type"].startswith("text/event-stream")
        first = await events.next()
        assert first.type == "location"
        assert list(first.data)[:7] == [
            "driver_id",
            "lat",
            "lng",
            "heading",
            "speed_mps",
            "seq",
            "at",
        ]
        assert (first.data["lat"], first.data["seq"]) == (48.0001, 2)
        await put(cast, 48.0001)  # no change
        await put(cast, 48.0002)
        second = await events.next()
        assert (second.data["lat"], second.data["seq"]) == (48.0002, 3)


async def test_a_stream_resumes_after_a_cursor_in_the_header_or_the_query(cast: Cast) -> None:
    await put(cast, 48.0)
    async with stream(cast, cast.employee) as events:
        cursor = (await events.next()).cursor
    for number, header in ((2, True), (3, False)):
        await put(cast, 48.0 + number / 1000)
        after = {"Last-Event-ID": cursor} if header else {}
        async with stream(cast, cast.employee, None if header else cursor, **after) as events:
            news = await events.next()
            assert news.data["seq"] == number
        cursor = news.cursor
        after = {"Last-Event-ID": cursor} if header else {}
        async with stream(cast, cast.employee, None if header else cursor, **after) as events:
            with pytest.raises(TimeoutError):
                await events.next(0.2)  # it has been sent already


@pytest.mark.parametrize("ending", ["delivered", "cancelled"])
async def test_a_customer_watches_while_their_order_is_on_its_way(cast: Cast, ending: str) -> None:
    order = await cast.order_at("ready")
    await put(cast, 48.0)
    async with stream(cast, cast.customer) as events:
        assert events.answer.status == 404
    await cast.step(order["id"], "out_for_delivery")
    async with stream(cast, cast.customer) as events, stream(cast, cast.employee) as kitchen:
        assert (await events.next()).data["lat"] == 48.0
        assert (await kitchen.next()).data["lat"] == 48.0
        await put(cast, 48.001)
        assert (await events.next()).data["lat"] == 48.001
        await cast.step(order["id"], "out_for_delivery", eta_minutes=9)
        await cast.step(order["id"], ending)
        end = await events.next(2)
        assert (end.type, end.data) == ("end", {"order_id": order["id"], "status": ending})
        await events.over()
        assert (await kitchen.next()).data["lat"] == 48.001
        await put(cast, 48.002)
        assert (await kitchen.next()).data["lat"] == 48.002, "an employee's stream goes on"
    async with stream(cast, cast.customer) as events:
        assert events.answer.status == 404
    path = f"/drivers/{cast.place.drivers[0]}/location"
    (await cast.customer.get(path)).must(404)


async def test_assigning_another_driver_ends_the_stream(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    async with stream(cast, cast.customer) as events:
        await put(cast, 48.0)
        await events.next()
        await cast.step(order["id"], "out_for_delivery", driver_id=cast.place.drivers[1])
        end = await events.next(2)
        assert (end.type, end.data["status"]) == ("end", "out_for_delivery")
        await events.over()
    (await cast.customer.get(f"/drivers/{cast.place.drivers[0]}/location")).must(404)
    await put(cast, 48.0, driver=1)
    (await cast.customer.get(f"/drivers/{cast.place.drivers[1]}/location")).must(200)


async def test_the_stream_ends_with_the_last_of_several_orders(cast: Cast) -> None:
    orders = [await cast.order_at("out_for_delivery") for _ in range(3)]
    async with stream(cast, cast.customer) as events:
        await cast.step(orders[1]["id"], "delivered")
        await cast.step(orders[0]["id"], "delivered")
        await put(cast, 48.0)
        assert (await events.next()).type == "location"
        await put(cast, 48.001)
        assert (await events.next()).type == "location"
        await cast.step(orders[2]["id"], "cancelled")
        end = await events.next(2)
        assert end.data == {"order_id": orders[2]["id"], "status": "cancelled"}
        await events.over()


async def test_a_delivery_while_the_stream_opens_ends_it(cast: Cast) -> None:
    """In either order, no stream stays open and none shows where the driver goes next."""
    for _ in range(8):
        order = await cast.order_at("out_for_delivery")

        async def watch() -> str | int:
            async with stream(cast, cast.customer) as events:
                if events.answer.status != 200:
                    return events.answer.status
                while (event := await events.next()).type != "end":
                    pass
                await events.over()
                return event.type

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        await cast.step(order["id"], "delivered")
        assert await asyncio.wait_for(watching, PATIENCE) in ("end", 404)


async def test_a_delivery_whose_event_was_trimmed_unread_ends_the_stream(
    cast: Cast, live_server: LiveServer
) -> None:
    order = await cast.order_at("out_for_delivery")
    await put(cast, 48.0)
    path = f"/drivers/{cast.place.drivers[0]}/location"

    async def delivered(tx: Transaction) -> None:
        """As another process does it, with the event trimmed before this one reads it."""
        topic = f"restaurant:{cast.place.id}"
        await tx.execute("UPDATE orders SET status = 'delivered', ended = 1 WHERE id = :id", order)
        await tx.execute(
            "UPDATE topics SET seq = seq + 1, trimmed = seq + 1,"
            " changed = (SELECT MAX(changed) + 1 FROM topics) WHERE name = :name",
            {"name": topic},
        )
        await tx.execute("DELETE FROM events WHERE topic = :name", {"name": topic})

    async with stream(cast, cast.customer) as events:
        await events.next()
        polling = asyncio.create_task(cast.customer.get(path, params={"after": "1"}))
        await wait_until(lambda: live_server.services[Connections].polls == 1, what="it is held")
        async with database_in(live_server.settings.data_dir) as other:
            await other.write(delivered)
        end = await events.next()
        assert (end.type, end.data) == ("end", {"order_id": order["id"], "status": "delivered"})
        await events.over()
        (await asyncio.wait_for(polling, PATIENCE)).must(404)


async def test_nobody_else_can_read_the_location(cast: Cast) -> None:
    await cast.order_at("out_for_delivery")
    await put(cast, 48.0)
    path = f"/drivers/{cast.place.drivers[0]}/location"
    other = f"/drivers/{cast.place.drivers[1]}/location"
    for who, status in ((cast.stranger, 404), (cast.outsider, 404), (cast.nobody, 401)):
        (await who.get(path)).must(status)
        async with stream(cast, who) as events:
            assert events.answer.status == status
    (await cast.customer.get(other)).must(404)


async def test_a_cursor_of_another_topic_is_reset(cast: Cast) -> None:
    await put(cast, 48.0)
    kitchen = (await cast.employee.get("/orders")).json["cursor"]
    for cursor in (kitchen, "garbage"):
        async with stream(cast, cast.employee, cursor) as events:
            assert (await events.next()).type == "reset"
            await events.over()
