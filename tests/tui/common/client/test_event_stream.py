"""Streams of events: cut, stalled, repeated, refused, ended; nothing lost, nothing twice."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from faulty_server import FaultyServer, Handler, after, event, for_ever, open_stream, problem

from support.waiting import PATIENCE, wait_until
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.retry import Backoff
from tui.common.client.session import ApiError, ResetStream, Session, SignedOut
from tui.common.client.sse import EventStream, ServerSentEvent

PATH = "/restaurants/r/orders/stream"


@pytest.fixture
def meter(wire: Wire) -> Meter:
    return wire.meter("kitchen", Pattern.SSE)


@pytest.fixture
async def stream(session: Session, meter: Meter) -> AsyncIterator[EventStream]:
    """A stream that comes back quickly."""
    async with EventStream(session, PATH, meter, "c-0", backoff=Backoff(0.02, 0.1)) as stream:
        yield stream


def one_at_a_time(faulty: FaultyServer) -> Handler:
    """Answers each connection with the event after its cursor, and then with silence."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(after(request) + 1))
        await for_ever()
        return response

    return serve


async def take(stream: EventStream, count: int) -> list[int]:
    """The numbers of the next events."""
    numbers = []
    async with asyncio.timeout(PATIENCE):
        while len(numbers) < count:
            numbers.append(int((await anext(stream)).last_event_id.removeprefix("c-")))
    return numbers


async def test_events_come_with_their_cursor_and_are_metered(
    faulty: FaultyServer, stream: EventStream, meter: Meter, wire: Wire
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(b"retry: 700\n\n" + event(1, "order.placed") + b": keep-alive\n\n")
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    async with asyncio.timeout(PATIENCE):
        first = await anext(stream)
    assert first == ServerSentEvent("order.placed", '{"n": 1}', "c-1")
    assert stream.cursor == "c-1"
    assert faulty.last_event_ids == ["c-0"]
    assert (meter.state, meter.connections, meter.reconnects) == (State.LIVE, 1, 0)
    assert (meter.events, meter.replayed, len(meter.latencies)) == (1, 0, 1)
    assert [frame.size for frame in wire.frames if frame.what == "order.placed"] == [
        len(event(1, "order.placed"))
    ]
    assert stream._backoff.floor == 0.7
    await stream.aclose()
    assert (meter.state, meter.connections) == (State.IDLE, 0)
    await wait_until(lambda: faulty.open_now == 0)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_connection_cut_anywhere_loses_and_repeats_nothing(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    """The server breaks off after a random number of bytes, in the middle of whatever it is."""
    total, chance = 300, random.Random(7)

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        rest = b"".join(event(number) for number in range(after(request) + 1, total + 1))
        await response.write(rest[: chance.randint(1, 2500)])
        await asyncio.sleep(0.01)
        assert request.transport is not None
        request.transport.abort()
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, total) == list(range(1, total + 1))
    assert stream.cursor == f"c-{total}"
    assert meter.reconnects > 5
    assert meter.events == total


async def test_a_server_that_repeats_itself_is_heard_once(
    faulty: FaultyServer, stream: EventStream
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        known = after(request)
        for number in range(max(1, known - 3), known + 4):
            await response.write(event(number) * 2)
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 20) == list(range(1, 21))


async def test_events_without_an_id_of_their_own_are_never_taken_for_repeats(
    faulty: FaultyServer, stream: EventStream
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(1) + b"data: a\n\ndata: b\n\n")
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    async with asyncio.timeout(PATIENCE):
        assert [(await anext(stream)).data for _ in range(3)] == ['{"n": 1}', "a", "b"]
    assert stream.cursor == "c-1"


async def test_an_id_alone_moves_the_place_to_come_back_to(
    faulty: FaultyServer, stream: EventStream
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        known = after(request)
        await response.write(event(known + 1) + f"id: c-{known + 5}\n\n".encode())
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 2) == [1, 6]
    assert faulty.last_event_ids == ["c-0", "c-5"]


async def test_the_end_by_the_server_is_answered_at_once(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(after(request) + 1))
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 3) == [1, 2, 3]
    assert faulty.last_event_ids == ["c-0", "c-1", "c-2"]
    assert meter.reconnects == 2


async def test_a_server_that_ends_every_stream_at_once_is_not_hammered(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    """Whatever it sends first."""
    bodies = (b"", b": heartbeat\n\n", b"retry: 0\n\n", event(1), b"id: c-1\n\n")

    async def stream_of(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(bodies[int(request.query["body"])] or b"\n")
        return response

    faulty.on("GET", "/brief", stream_of)

    async def read(body: int) -> None:
        meter = wire.meter(f"brief {body}", Pattern.SSE)
        async with EventStream(session, f"/brief?body={body}", meter, "c-0") as stream:
            async for _ in stream:
                pass

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            await asyncio.gather(*(read(body) for body in range(len(bodies))))
    assert 0 < faulty.count("GET", "/brief") <= len(bodies) * 5


async def test_cutting_brings_back_what_was_missed_and_counts_it_however_slowly_it_comes(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    head = 1

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        for number in range(after(request) + 1, head + 1):
            await response.write(event(number))
            if after(request):
                await asyncio.sleep(0.3)
        if after(request):
            # in one piece: an id without an event, and the next event
            await response.write(b"id: c-%d\n\n" % head + event(head + 1))
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    head = 3
    reading = asyncio.create_task(take(stream, 3))
    await wait_until(lambda: faulty.open_now == 1)
    stream.drop_connection()
    assert await reading == [2, 3, 4]
    assert (meter.reconnects, meter.replayed) == (1, 2), "the last one was not missed"
    assert faulty.last_event_ids == ["c-0", "c-1"]


async def test_cutting_while_it_connects_or_waits_is_harmless(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    stream.drop_connection()
    slow = True

    async def serve(request: web.Request) -> web.StreamResponse:
        if slow:
            await for_ever()
        response = await open_stream(faulty, request)
        await response.write(event(1))
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    reading = asyncio.create_task(take(stream, 1))
    await wait_until(lambda: faulty.open_now == 1)
    slow = False
    stream.drop_connection()
    stream.drop_connection()
    assert await reading == [1]
    assert "cut by you" not in meter.detail


async def test_silence_is_taken_for_death_and_heartbeats_for_life(
    faulty: FaultyServer, session: Session, meter: Meter, wire: Wire
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        known = after(request)
        if known == 0:
            for _ in range(6):
                await response.write(b": keep-alive\n\n")
                await asyncio.sleep(0.4)
            await response.write(event(1))
        elif len(faulty.last_event_ids) > 2:
            await response.write(event(known + 1))
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    async with EventStream(session, PATH, meter, silence=2, backoff=Backoff(0.02, 0.1)) as stream:
        assert await take(stream, 1) == [1]
        assert meter.reconnects == 0
        assert sum(frame.heartbeats for frame in wire.frames) == 6
        assert await take(stream, 1) == [2]
    assert faulty.last_event_ids == [None, "c-1", "c-1"]


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_temporary_errors_are_tried_again(
    faulty: FaultyServer, stream: EventStream, meter: Meter, status: int
) -> None:
    details = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        if faulty.count("GET", PATH) < 4:
            details.add(meter.detail)
            return problem(status)
        response = await open_stream(faulty, request)
        await response.write(event(1))
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    assert f"HTTP {status}: status {status}" in details
    assert (meter.state, meter.detail) == (State.LIVE, "")


async def test_retry_after_is_honoured(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    times = []

    async def serve(request: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            return problem(503, **{"Retry-After": "1"})
        response = await open_stream(faulty, request)
        await response.write(event(1))
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    assert 1.0 <= times[1] - times[0] < PATIENCE


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
async def test_final_errors_end_it(
    faulty: FaultyServer, stream: EventStream, meter: Meter, status: int
) -> None:
    async def serve(_: web.Request) -> web.StreamResponse:
        return problem(status)

    faulty.on("GET", PATH, serve)
    with pytest.raises(ApiError) as caught:
        await anext(stream)
    assert caught.value.status == status
    assert (meter.state, meter.connections) == (State.DOWN, 0)
    assert str(status) in meter.detail
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await stream.aclose()
    assert meter.state is State.DOWN
    assert faulty.count("GET", PATH) == 1


async def test_another_content_type_is_not_read(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    details = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        details.add(meter.detail)
        if faulty.count("GET", PATH) < 3:
            return web.Response(text="id: c-9\ndata: x\n\n", content_type="text/html")
        response = await open_stream(faulty, request)
        await response.write(event(1))
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    assert "not a stream (text/html)" in details
    assert faulty.last_event_ids == ["c-0"]


@pytest.mark.parametrize("status", [201, 202, 205, 206, 210, 226, 299])
async def test_another_success_than_200_is_no_stream(
    faulty: FaultyServer, stream: EventStream, meter: Meter, status: int
) -> None:
    details = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        details.add(meter.detail)
        if faulty.count("GET", PATH) == 1:
            return web.Response(
                status=status, body=b"id: c-9\ndata: x\n\n", content_type="text/event-stream"
            )
        response = await open_stream(faulty, request)
        await response.write(event(1))
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    assert f"not a stream (HTTP {status})" in details
    assert faulty.last_event_ids == ["c-0"]


async def test_an_emptied_id_is_not_sent(faulty: FaultyServer, stream: EventStream) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(len(faulty.last_event_ids)))
        if len(faulty.last_event_ids) == 1:
            await response.write(b"id:\ndata: x\n\n")
        return response

    faulty.on("GET", PATH, serve)
    async with asyncio.timeout(PATIENCE):
        assert [(await anext(stream)).last_event_id for _ in range(3)] == ["c-1", "", "c-2"]
    assert faulty.last_event_ids == ["c-0", None]


async def test_retry_holds_at_a_clean_end_too(faulty: FaultyServer, stream: EventStream) -> None:
    times = []

    async def serve(request: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        response = await open_stream(faulty, request)
        await response.write(b"retry: 600\n\n" + event(after(request) + 1))
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 2) == [1, 2]
    assert 0.6 <= times[1] - times[0] < PATIENCE


async def test_a_204_means_that_nothing_more_comes(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    faulty.on("GET", PATH, serve)
    assert [event async for event in stream] == []
    assert (meter.state, meter.connections) == (State.IDLE, 0)


async def test_a_reset_is_raised_after_what_came_before_it(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(1) + b"event: reset\ndata: {}\n\n")
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    with pytest.raises(ResetStream):
        await anext(stream)
    assert faulty.count("GET", PATH) == 1
    assert meter.connections == 0


async def test_an_end_event_is_the_last(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(1, "location") + b"event: end\ndata: {}\n\n")
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    async with asyncio.timeout(PATIENCE):
        assert [event.type async for event in stream] == ["location", "end"]
    assert meter.state is State.IDLE
    await wait_until(lambda: faulty.open_now == 0)


async def test_twenty_streams_that_end_with_the_token_renew_it_once(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    expired = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(after(request) + 1))
        await (for_ever() if expired.is_set() else expired.wait())
        return response

    faulty.on("GET", PATH, serve)
    streams = [
        EventStream(session, PATH, wire.meter(f"s{number}", Pattern.SSE)) for number in range(20)
    ]
    assert await asyncio.gather(*(take(stream, 1) for stream in streams)) == [[1]] * 20
    faulty.revoke_access()
    expired.set()
    assert await asyncio.gather(*(take(stream, 1) for stream in streams)) == [[2]] * 20
    assert (faulty.refreshes, faulty.used_twice) == (1, 0)
    for stream in streams:
        await stream.aclose()
    await wait_until(lambda: faulty.open_now == 0)


async def test_streams_end_when_the_sign_in_is_refused(
    faulty: FaultyServer, stream: EventStream, session: Session, meter: Meter
) -> None:
    words: list[str] = []
    session.on_signed_out = words.append
    faulty.revoke_all()
    with pytest.raises(SignedOut):
        await anext(stream)
    assert meter.state is State.DOWN
    await wait_until(lambda: words)


async def test_a_stream_of_one_account_does_not_go_on_as_another(
    faulty: FaultyServer, stream: EventStream, session: Session
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await response.write(event(after(request) + 1))
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, 1) == [1]
    await session.forget()
    await session.log_in("ben@example.com", "correct horse")
    with pytest.raises(SignedOut):
        await take(stream, 1)


async def test_cancelling_the_reader_closes_the_connection_and_keeps_the_place(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    faulty.on("GET", PATH, one_at_a_time(faulty))
    assert await take(stream, 1) == [1]
    reading = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await wait_until(lambda: faulty.open_now == 0)
    assert (meter.connections, meter.state) == (0, State.IDLE)
    assert await take(stream, 1) == [2]


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_connection_is_closed_in_whichever_tick_its_reader_ends(
    faulty: FaultyServer, session: Session, how: str
) -> None:
    """Also in the one in which it opens."""

    async def stream_of(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        await for_ever()
        return response

    faulty.on("GET", "/ticks", stream_of)
    opened = 0
    ticks = 0
    while opened < 3:
        ticks += 1
        meter = Wire().meter("ticks", Pattern.SSE)
        stream = EventStream(session, "/ticks", meter)
        reader = asyncio.ensure_future(anext(stream))
        for _ in range(ticks):
            await asyncio.sleep(0)
        opened += meter.state is State.LIVE
        if how == "cancel":
            reader.cancel()
        else:
            await stream.aclose()
        await wait_until(lambda: reader.done() and faulty.open_now == 0)  # noqa: B023
        assert meter.connections == 0
        with pytest.raises((asyncio.CancelledError, StopAsyncIteration)):
            reader.result()


async def test_closing_from_elsewhere_ends_the_reader(
    faulty: FaultyServer, stream: EventStream
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        if faulty.count("GET", PATH) == 1:
            response = await open_stream(faulty, request)
            await response.write(event(1))
        await for_ever()
        raise AssertionError

    faulty.on("GET", PATH, serve)

    async def all_of_it() -> list[str]:
        return [event.last_event_id async for event in stream]

    reading = asyncio.create_task(all_of_it())
    await wait_until(lambda: stream.cursor == "c-1")
    await stream.aclose()
    assert await asyncio.wait_for(reading, PATIENCE) == ["c-1"]
    await wait_until(lambda: faulty.open_now == 0)


async def test_a_server_that_goes_and_returns(
    faulty: FaultyServer, session: Session, meter: Meter
) -> None:
    faulty.on("GET", PATH, one_at_a_time(faulty))
    async with EventStream(session, PATH, meter, backoff=Backoff(0.02, 0.2)) as stream:
        assert await take(stream, 1) == [1]
        reading = asyncio.create_task(take(stream, 1))
        await faulty.stop()
        await wait_until(
            lambda: meter.state is State.RETRY and meter.detail == "connection refused"
        )
        assert meter.retry_at is not None
        await faulty.start()
        assert await asyncio.wait_for(reading, PATIENCE) == [2]
    assert meter.reconnects == 1


async def test_a_thousand_events_a_second_cost_little(
    faulty: FaultyServer, stream: EventStream, meter: Meter
) -> None:
    """A burst is read as fast as it comes, in order."""
    total = 5000

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        for number in range(after(request) + 1, total + 1):
            await response.write(event(number))
        await for_ever()
        return response

    faulty.on("GET", PATH, serve)
    assert await take(stream, total) == list(range(1, total + 1))
    assert (meter.events, meter.reconnects) == (total, 0)
