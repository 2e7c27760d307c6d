"""Long polling of an order's status: held, let go, lost, refused."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from faulty_server import FaultyServer, for_ever, problem

from server.features.orders.schemas import STEPS, OrderStatus
from support.waiting import PATIENCE, wait_until
from tui.common.client import retry
from tui.common.client.long_polling import EventPoll, OrdersPoll, StatusPoll
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.retry import Backoff
from tui.common.client.session import ApiError, Session

PATH = "/orders/o-1/status"


class Order:
    """An order that answers as the API says."""

    def __init__(self, faulty: FaultyServer) -> None:
        self.status = OrderStatus.PLACED
        self.version = 1
        self.changed = asyncio.Condition()
        self.asked: list[tuple[str | None, str]] = []
        self.faults: list[web.Response] = []
        faulty.on("GET", PATH, self.answer)

    async def step(self, status: OrderStatus) -> None:
        async with self.changed:
            self.status, self.version = status, self.version + 1
            self.changed.notify_all()

    async def answer(self, request: web.Request) -> web.Response:
        last = request.query.get("last_status")
        self.asked.append((last, request.query["timeout"]))
        if self.faults:
            return self.faults.pop(0)
        try:
            async with asyncio.timeout(float(request.query["timeout"])), self.changed:
                await self.changed.wait_for(lambda: self.status != last or self.status.terminal)
        except TimeoutError:
            return web.Response(status=204)
        return web.json_response(
            {
                "order_id": "o-1",
                "status": self.status,
                "version": self.version,
                "terminal": self.status.terminal,
            }
        )


@pytest.fixture
def meter(wire: Wire) -> Meter:
    return wire.meter("orders", Pattern.LONG_POLL)


@pytest.fixture
def order(faulty: FaultyServer) -> Order:
    return Order(faulty)


@pytest.fixture
async def poll(session: Session, meter: Meter) -> AsyncIterator[StatusPoll]:
    async with StatusPoll(session, "o-1", meter, backoff=Backoff(0.02, 0.1)) as poll:
        yield poll


async def statuses(poll: StatusPoll) -> list[OrderStatus]:
    async with asyncio.timeout(PATIENCE):
        return [news.status async for news in poll]


async def test_an_orders_whole_life(
    order: Order, poll: StatusPoll, meter: Meter, faulty: FaultyServer
) -> None:
    reading = asyncio.create_task(statuses(poll))
    for step in STEPS[1:]:
        await wait_until(lambda: poll.last_status is order.status and faulty.open_now == 1)
        assert (meter.state, meter.connections) == (State.WAITING, 1)
        await order.step(step)
    assert await reading == list(STEPS)
    assert order.asked == [(None, "45"), *((step.value, "45") for step in STEPS[:-1])]
    assert (meter.requests, meter.events, meter.reconnects) == (6, 6, 0)
    assert (meter.state, meter.connections) == (State.IDLE, 0)
    # Only the first answer was immediate by its nature; the others were held.
    assert len(meter.latencies) == 1


async def test_a_known_status_is_not_told_again(
    order: Order, session: Session, meter: Meter, faulty: FaultyServer
) -> None:
    async with StatusPoll(session, "o-1", meter, OrderStatus.PLACED) as poll:
        reading = asyncio.create_task(statuses(poll))
        await wait_until(lambda: faulty.open_now == 1)
        await order.step(OrderStatus.CANCELLED)
        assert await reading == [OrderStatus.CANCELLED]
    assert not meter.latencies


async def test_nothing_follows_a_terminal_status(
    order: Order, session: Session, meter: Meter
) -> None:
    async with StatusPoll(session, "o-1", meter, OrderStatus.DELIVERED) as poll:
        assert await statuses(poll) == []
    assert order.asked == []


async def test_a_timeout_is_asked_again_at_once(
    order: Order, session: Session, meter: Meter
) -> None:
    async with StatusPoll(session, "o-1", meter, hold=1) as poll:
        reading = asyncio.create_task(statuses(poll))
        await wait_until(lambda: len(order.asked) >= 3)
        await order.step(OrderStatus.CANCELLED)
        assert await reading == [OrderStatus.PLACED, OrderStatus.CANCELLED]
    assert meter.events == 2
    assert meter.reconnects == 0


async def test_being_let_go_early_is_not_a_loss(
    order: Order, poll: StatusPoll, meter: Meter
) -> None:
    order.faults = [web.Response(status=204, headers={"Retry-After": "1"})]
    async with asyncio.timeout(PATIENCE):
        reading = asyncio.create_task(statuses(poll))
        await wait_until(lambda: "busy" in meter.detail)
        assert len(order.asked) == 1
        await order.step(OrderStatus.DELIVERED)
        assert await reading == [OrderStatus.DELIVERED]
    assert meter.reconnects == 0


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}])
async def test_a_server_that_does_not_hold_is_not_hammered(
    order: Order, poll: StatusPoll, meter: Meter, headers: dict[str, str]
) -> None:
    order.faults = [web.Response(status=204, headers=headers) for _ in range(200)]
    reading = asyncio.create_task(statuses(poll))
    # The words are there between two requests: at any one moment there may be one under way.
    found = asyncio.create_task(wait_until(lambda: "does not hold" in meter.detail, every=0.002))
    await asyncio.sleep(1)
    assert len(order.asked) < 60
    await found
    reading.cancel()


async def test_pages_with_nothing_on_them_are_not_asked_for_again_at_once(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    pages = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal pages
        pages += 1
        return web.json_response({"events": [], "items": [], "next": None, "cursor": f"c-{pages}"})

    faulty.on("GET", "/log/events", answer)
    faulty.on("GET", "/orders", answer)
    events = EventPoll(session, "/log/events", wire.meter("log", Pattern.LONG_POLL), "c-0")
    orders = OrdersPoll(session, wire.meter("orders", Pattern.LONG_POLL), "c-0")
    for poll in (events, orders):
        pages = 0
        async with poll:
            reading = asyncio.create_task(anext(poll))  # type: ignore[arg-type]
            await wait_until(lambda: pages)  # noqa: B023
            await asyncio.sleep(0.5)
            assert pages < 5
            reading.cancel()


async def test_faults_are_survived(order: Order, poll: StatusPoll, meter: Meter) -> None:
    order.faults = [
        problem(502),
        web.Response(text="<html>", content_type="text/html"),
        web.json_response({"order_id": "o-1"}),
        problem(503),
    ]
    async with asyncio.timeout(PATIENCE):
        assert (await anext(poll)).status is OrderStatus.PLACED
    assert len(order.asked) == 5
    assert meter.detail == ""


@pytest.mark.parametrize("status", [403, 404, 410, 422])
async def test_final_errors_end_it(
    order: Order, poll: StatusPoll, meter: Meter, status: int
) -> None:
    order.faults = [problem(status)]
    with pytest.raises(ApiError):
        await anext(poll)
    assert (meter.state, meter.connections) == (State.DOWN, 0)
    assert await statuses(poll) == []


async def test_a_request_nobody_answers_is_given_up(
    faulty: FaultyServer, session: Session, meter: Meter
) -> None:
    async def never(_: web.Request) -> web.Response:
        await for_ever()
        raise AssertionError

    faulty.on("GET", PATH, never)
    poll = StatusPoll(session, "o-1", meter, hold=1, grace=0.1, backoff=Backoff(0.02, 0.1))
    async with poll:
        reading = asyncio.create_task(statuses(poll))
        await wait_until(lambda: faulty.count("GET", PATH) >= 2)
        assert meter.reconnects == faulty.count("GET", PATH) - 1
        reading.cancel()


@pytest.mark.parametrize("how", ["stopped", "asleep"])
async def test_a_held_request_is_sent_again_after_a_suspend(
    order: Order, poll: StatusPoll, meter: Meter, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The process was stopped, or the machine slept: then the event loop's clock stood still."""
    monkeypatch.setattr(retry, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(retry, "SUSPEND_SECONDS", 2)
    reading = asyncio.create_task(anext(poll))
    await reading
    reading = asyncio.create_task(anext(poll))
    await wait_until(lambda: len(order.asked) == 2)
    if how == "stopped":
        time.sleep(2.3)  # noqa: ASYNC251 nothing runs, as then
    else:
        clock = retry._clock
        monkeypatch.setattr(retry, "_clock", lambda: clock() + 3600)
    await wait_until(lambda: len(order.asked) == 3)
    assert meter.reconnects == 1
    await order.step(OrderStatus.ACCEPTED)
    assert await reading is not None
    assert poll.last_status is OrderStatus.ACCEPTED


async def test_cutting_a_held_request(
    order: Order, poll: StatusPoll, meter: Meter, faulty: FaultyServer
) -> None:
    reading = asyncio.create_task(statuses(poll))
    await wait_until(lambda: poll.last_status is OrderStatus.PLACED and faulty.open_now == 1)
    poll.drop_connection()
    await wait_until(lambda: meter.reconnects == 1 and faulty.open_now == 1)
    await order.step(OrderStatus.CANCELLED)
    assert await reading == [OrderStatus.PLACED, OrderStatus.CANCELLED]
    assert [last for last, _ in order.asked] == [None, "placed", "placed"]


async def test_a_change_while_the_server_was_away_is_seen(
    order: Order, poll: StatusPoll, meter: Meter, faulty: FaultyServer
) -> None:
    reading = asyncio.create_task(statuses(poll))
    await wait_until(lambda: poll.last_status is OrderStatus.PLACED and faulty.open_now == 1)
    await faulty.stop()
    await order.step(OrderStatus.DELIVERED)
    await wait_until(lambda: meter.state is State.RETRY)
    await faulty.start()
    assert await reading == [OrderStatus.PLACED, OrderStatus.DELIVERED]


async def test_a_token_that_expires_while_held(
    order: Order, poll: StatusPoll, faulty: FaultyServer
) -> None:
    assert (await anext(poll)).status is OrderStatus.PLACED
    faulty.revoke_access()
    await order.step(OrderStatus.DELIVERED)
    assert await statuses(poll) == [OrderStatus.DELIVERED]
    assert (faulty.refreshes, faulty.used_twice) == (1, 0)


async def test_cancelling_the_reader_frees_the_servers_place(
    order: Order, poll: StatusPoll, meter: Meter, faulty: FaultyServer
) -> None:
    reading = asyncio.create_task(statuses(poll))
    await wait_until(lambda: poll.last_status is OrderStatus.PLACED and faulty.open_now == 1)
    reading.cancel()
    await wait_until(lambda: faulty.open_now == 0)
    assert (meter.connections, meter.state) == (0, State.IDLE)
