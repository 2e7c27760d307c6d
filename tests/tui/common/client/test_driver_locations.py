"""A driver's locations at a real server: who may watch, how it ends, what is let go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from driver_scene import Scene, scene_of, stream_in, watching

from support.live_server import running_server, settings_for
from support.town import PASSWORD
from support.waiting import PATIENCE, wait_until
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.session import ApiError, Session, SignedOut

HEARTBEAT = 0.1


@pytest.fixture
async def scene(data_dir: Path) -> AsyncIterator[Scene]:
    """With a very quick heartbeat."""
    async with (
        running_server(settings_for(data_dir, heartbeat_seconds=HEARTBEAT)) as server,
        scene_of(server) as scene,
    ):
        yield scene


@pytest.fixture
async def customer(scene: Scene) -> AsyncIterator[Session]:
    """Somebody who orders, behind the same proxy."""
    session = Session(scene.proxy.url, Wire())
    await session.log_in("ana@example.com", "correct horse")
    yield session
    await session.close()


async def on_the_way(scene: Scene) -> object:
    """The customer's order, in the driver's hands; its id."""
    return (await scene.cast.order_at("out_for_delivery"))["id"]


def all_closed(session: Session) -> bool:
    return all(meter.connections == 0 for meter in session.wire.meters.values())


@pytest.mark.parametrize("status", ["delivered", "cancelled"])
async def test_it_ends_with_the_order_and_says_how(
    scene: Scene, customer: Session, status: str
) -> None:
    order_id = await on_the_way(scene)
    await scene.move()
    async with watching(stream_in(scene, customer, first_sound=PATIENCE)) as watcher:
        await watcher.sees(1)
        await scene.cast.step(order_id, status)
        await wait_until(lambda: watcher.stream.ended == status)
        await wait_until(lambda: watcher.stream.meter.state is State.IDLE)
        assert all_closed(customer)
        with pytest.raises(StopAsyncIteration):
            await anext(watcher.stream)
    assert scene.asked == (1, 0)


async def test_it_ends_when_another_driver_takes_over(scene: Scene, customer: Session) -> None:
    order_id = await on_the_way(scene)
    await scene.move()
    async with watching(stream_in(scene, customer)) as watcher:
        await watcher.sees(1)
        other = scene.cast.place.drivers[1]
        answer = await scene.cast.employee.post(
            f"/orders/{order_id}/status", {"status": "out_for_delivery", "driver_id": other}
        )
        answer.must(200)
        await wait_until(lambda: watcher.stream.ended == "reassigned")


async def test_it_ends_where_only_the_poll_comes_through(scene: Scene, customer: Session) -> None:
    scene.proxy.buffering()
    order_id = await on_the_way(scene)
    await scene.move()
    async with watching(stream_in(scene, customer, first_sound=0.2)) as watcher:
        await watcher.sees(1)
        await scene.cast.step(order_id, "delivered")
        # The stream's end sets free what was held back of it: either may be first.
        await wait_until(lambda: watcher.stream.ended in ("over", "delivered"))
        await wait_until(lambda: all_closed(customer))
        assert watcher.stream.meter.state is State.IDLE


async def test_access_that_ended_while_the_line_was_cut_is_an_end_and_no_fault(
    scene: Scene, customer: Session
) -> None:
    order_id = await on_the_way(scene)
    await scene.move()
    async with watching(stream_in(scene, customer)) as watcher:
        await watcher.sees(1)
        scene.proxy.failing(every=1)
        scene.proxy.cut()
        await wait_until(lambda: scene.proxy.refused >= 2)
        await scene.cast.step(order_id, "delivered")
        scene.proxy.passing()
        await wait_until(lambda: watcher.stream.ended is not None)


async def test_who_may_not_watch_is_refused_at_once_and_for_good(
    scene: Scene, customer: Session
) -> None:
    async with stream_in(scene, customer) as stream:
        with pytest.raises(ApiError) as refused:
            await anext(stream)
        assert refused.value.status == 404
        assert stream.ended is None
        assert (stream.meter.state, stream.meter.detail) == (State.DOWN, "HTTP 404: Not Found")
        asked = scene.asked
        assert all_closed(customer)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert stream.meter.state is State.DOWN
    assert asked == scene.asked == (1, 1)


@pytest.mark.parametrize("buffered", [False, True], ids=["streaming", "polling"])
async def test_a_session_that_is_ended_ends_it(scene: Scene, buffered: bool) -> None:
    if buffered:
        scene.proxy.buffering()
    await scene.move()
    async with stream_in(scene, first_sound=0.2) as stream:
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        elsewhere = await scene.cast.nobody.another().log_in(
            scene.cast.place.employees[0], PASSWORD
        )
        new = {"current_password": PASSWORD, "new_password": "another horse battery"}
        (await elsewhere.put("/me/password", new)).must(204)
        scene.proxy.passing()
        with pytest.raises(SignedOut):
            await asyncio.wait_for(reading, PATIENCE)
        assert stream.meter.state is State.DOWN
        assert all_closed(scene.session)


async def test_a_driver_who_stands_still_causes_nothing_but_heartbeats(scene: Scene) -> None:
    """Also one who has never said where they are."""
    stream = stream_in(scene, silence=PATIENCE, first_sound=PATIENCE, late=2)
    async with watching(stream) as watcher:
        for seen in (0, 1):
            beats = scene.session.wire.meters["Driver"].bytes
            await wait_until(
                lambda beats=beats: stream.meter.bytes >= beats + 30 * len(": keep-alive\n\n")
            )
            assert len(watcher.seen) == seen
            await scene.move()
            await watcher.sees(seen + 1)
    assert watcher.carriers == [Pattern.SSE]
    assert scene.asked == (1, 0)


async def test_a_server_that_goes_away_is_not_stormed_and_found_again(
    scene: Scene, data_dir: Path
) -> None:
    """Its successor is there first: streams that it ends go on there at once."""
    await scene.move()
    stream = stream_in(scene, first_sound=PATIENCE)
    async with watching(stream) as watcher, AsyncExitStack() as stack:
        await watcher.sees(1)
        changes = {"heartbeat_seconds": HEARTBEAT}
        successor = await stack.enter_async_context(
            running_server(settings_for(data_dir, **changes))
        )
        scene.proxy.target = successor.url
        await scene.server.runner.cleanup()
        await wait_until(lambda: scene.asked[0] == 2 and watcher.stream.meter.state is State.LIVE)
        assert scene.asked == (2, 0)
        assert watcher.carriers == [Pattern.SSE]
        await stack.aclose()
        before = sum(scene.asked)
        await asyncio.sleep(3)
        assert sum(scene.asked) - before <= 14
        await wait_until(lambda: sum(scene.asked) >= before + 2)
        # Between two attempts, and for a moment in the middle of one.
        await wait_until(lambda: watcher.stream.meter.state is State.RETRY)
        third = await stack.enter_async_context(running_server(settings_for(data_dir, **changes)))
        scene.proxy.target = third.url
        scene.cast.employee.base_url = third.url
        await scene.move()
        await watcher.sees(2)
        await watcher.carried_by(Pattern.SSE)
    assert watcher.seqs == [1, 2]


async def test_cancelling_the_reader_closes_both_and_reading_on_opens_them(scene: Scene) -> None:
    scene.proxy.buffering()
    await scene.move()
    async with stream_in(scene, first_sound=1) as stream:
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await wait_until(lambda: scene.asked == (1, 2))
        reading.cancel()
        await asyncio.wait({reading})
        assert all_closed(scene.session)
        meters = scene.session.wire.meters
        assert {meters[name].state for name in ("Driver", "Driver (poll)")} == {State.IDLE}
        scene.proxy.passing()
        await scene.move()
        assert (await asyncio.wait_for(anext(stream), PATIENCE)).seq == 2
        assert stream.carrier is Pattern.SSE
    assert all_closed(scene.session)


async def test_what_carries_is_cut_and_comes_back(scene: Scene) -> None:
    stream = stream_in(scene, first_sound=0.3)
    await scene.move()
    async with watching(stream) as watcher:
        stream.drop_connection()  # there is nothing to cut yet
        await watcher.sees(1)
        stream.drop_connection()
        await watcher.carried_by(Pattern.LONG_POLL)
        await wait_until(lambda: stream.meter.detail == "no stream: cut by you")
        await watcher.carried_by(Pattern.SSE)
        scene.proxy.buffering()
        scene.proxy.cut()
        await watcher.carried_by(Pattern.LONG_POLL)
        poll = stream.meter
        await wait_until(lambda: poll.state is State.WAITING)
        back = poll.reconnects
        stream.drop_connection()
        await wait_until(lambda: poll.reconnects == back + 1)
        await scene.move()
        await watcher.sees(2)
    assert watcher.seqs == [1, 2]


async def test_a_reader_that_is_slow_gets_the_newest_and_no_backlog(scene: Scene) -> None:
    await scene.move()
    async with stream_in(scene) as stream:
        assert (await anext(stream)).seq == 1
        for _ in range(30):
            await scene.move()
        await wait_until(lambda: stream._newest is not None and stream._newest.seq == 31)
        assert (await anext(stream)).seq == 31
