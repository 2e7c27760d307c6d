"""A driver's locations from a server with faults to order: refused, ended, reset, repeated."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from driver_scene import Watcher, watching
from faulty_server import FaultyServer, for_ever, open_stream, problem

from support.waiting import PATIENCE, wait_until
from tui.common.client.locations import LocationStream
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.monitored import Timeouts
from tui.common.client.session import ApiError, Session

STREAM = "/drivers/d-1/location/stream"
POLL = "/drivers/d-1/location"
QUICK = Timeouts(first_sound=5, again=0.4)


def location(seq: int, minute: int | None = None) -> dict[str, object]:
    return {
        "driver_id": "d-1",
        "lat": 48.86,
        "lng": 2.36,
        "heading": None,
        "speed_mps": None,
        "seq": seq,
        "at": f"2026-01-31T12:{seq if minute is None else minute:02}:00.000Z",
        "pace_mps": 6.0,
    }


def sse(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class Driver:
    """Whose location is asked for: each answer is the next of a list, and then the last again."""

    def __init__(self, faulty: FaultyServer) -> None:
        self._faulty = faulty
        self.streams: list[bytes | web.Response] = []
        """What a stream brings before it falls silent; or what answers in its place."""
        self.polls: list[web.Response | dict[str, object] | None] = [None]
        """None is held."""
        self.afters: list[str | None] = []
        self.close_streams = False
        self._ending = asyncio.Event()
        faulty.on("GET", STREAM, self.stream)
        faulty.on("GET", POLL, self.poll)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        said = self.streams.pop(0) if len(self.streams) > 1 else self.streams[0]
        if isinstance(said, web.Response):
            return _copy(said)
        response = await open_stream(self._faulty, request)
        await response.write(said)
        if not self.close_streams:
            await self._ending.wait()
        return response

    def end_all(self) -> None:
        """End every stream properly, as a server does that drains or whose token ran out."""
        ending, self._ending = self._ending, asyncio.Event()
        ending.set()

    async def poll(self, request: web.Request) -> web.StreamResponse:
        self.afters.append(request.query.get("after"))
        said = self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
        if said is None:
            await for_ever()
        return _copy(said) if isinstance(said, web.Response) else web.json_response(said)


def _copy(response: web.Response) -> web.Response:
    return web.Response(body=response.body, status=response.status, headers=response.headers)


@pytest.fixture
def driver(faulty: FaultyServer) -> Driver:
    return Driver(faulty)


@pytest.fixture
async def watcher(session: Session) -> AsyncIterator[Watcher]:
    """Somebody who reads, quick to doubt."""
    async with watching(LocationStream(session, "d-1", "Driver", timeouts=QUICK)) as watcher:
        yield watcher


REFUSALS = {
    "HTTP 405: status 405": problem(405),
    "HTTP 404: Not Found": web.Response(status=404, text="<html>", content_type="text/html"),
    "HTTP 503: status 503": problem(503),
    "not a stream (text/html)": web.Response(text="<html>", content_type="text/html"),
    "no more events": web.Response(status=204),
    "redirected (HTTP 302)": web.Response(status=302, headers={"Location": "http://x.example/"}),
}


@pytest.mark.parametrize("words", REFUSALS)
async def test_whatever_answers_in_the_streams_place_the_poll_carries(
    driver: Driver, session: Session, words: str
) -> None:
    driver.streams = [REFUSALS[words]]
    driver.polls = [location(1), location(2), None]
    stream = LocationStream(session, "d-1", "Driver", timeouts=Timeouts(first_sound=30))
    async with watching(stream) as watcher:
        await watcher.sees(2)  # at once, and not after the time for the first sound
        assert watcher.carriers == [Pattern.SSE, Pattern.LONG_POLL]
        await wait_until(lambda: stream.meter.state is State.WAITING and len(driver.afters) == 3)
        assert stream.meter.detail == f"no stream: {words}"
    assert driver.afters == [None, "1", "2"]
    assert watcher.seqs == [1, 2]


async def test_a_stream_that_is_refused_is_tried_again_after_a_while_each_time_a_longer_one(
    driver: Driver, watcher: Watcher, faulty: FaultyServer, wire: Wire
) -> None:
    driver.streams = [problem(405)]
    driver.polls = [location(1), None]
    await watcher.sees(1)
    await asyncio.sleep(3)
    # 0.2 to 0.4 s, then twice as long each time
    assert faulty.count("GET", STREAM) <= 5
    await wait_until(lambda: faulty.count("GET", STREAM) >= 3)
    states = (State.RETRY, State.WAITING)
    await wait_until(lambda: (wire.meters["Driver"].state, watcher.stream.meter.state) == states)
    driver.streams = [sse("location", location(2))]
    await watcher.sees(2)
    assert watcher.stream.carrier is Pattern.SSE


async def test_a_stream_that_ends_by_itself_is_opened_again_without_a_poll(
    driver: Driver, watcher: Watcher, faulty: FaultyServer
) -> None:
    driver.streams = [sse("location", location(1))]
    await watcher.sees(1)
    driver.streams = [sse("location", location(2))]
    driver.end_all()
    await watcher.sees(2)
    assert watcher.carriers == [Pattern.SSE]
    assert (faulty.count("GET", STREAM), driver.afters) == (2, [])


async def test_a_stream_that_always_ends_at_once_is_not_stormed(
    driver: Driver, session: Session, faulty: FaultyServer
) -> None:
    driver.streams = [sse("location", location(1))]
    driver.close_streams = True
    driver.polls = [location(2), None]
    timeouts = Timeouts(first_sound=0.5, again=0.4)
    async with watching(LocationStream(session, "d-1", "Driver", timeouts=timeouts)) as watcher:
        await asyncio.sleep(2.5)
        assert faulty.count("GET", STREAM) <= 6
        await wait_until(lambda: watcher.seqs == [1, 2])


async def test_an_expired_token_is_renewed_and_the_stream_goes_on(
    driver: Driver, watcher: Watcher, faulty: FaultyServer
) -> None:
    driver.streams = [sse("location", location(1))]
    await watcher.sees(1)
    faulty.revoke_access()
    driver.streams = [sse("location", location(2))]
    driver.end_all()
    await watcher.sees(2)
    assert (faulty.refreshes, driver.afters, watcher.carriers) == (1, [], [Pattern.SSE])


async def test_what_both_bring_is_handed_out_once(
    driver: Driver, watcher: Watcher, faulty: FaultyServer
) -> None:
    driver.streams = [problem(405)]
    driver.polls = [location(5), None]
    await watcher.sees(5)
    driver.streams = [b"".join(sse("location", location(seq)) for seq in (4, 5, 5, 6, 3, 6))]
    await watcher.sees(6)
    await watcher.carried_by(Pattern.SSE)
    assert watcher.seqs == [5, 6]


async def test_a_poll_that_is_told_old_news_does_not_spin(
    driver: Driver, watcher: Watcher, faulty: FaultyServer
) -> None:
    driver.streams = [problem(405)]
    driver.polls = [location(5), location(4), location(5)]
    await wait_until(lambda: len(driver.afters) >= 4)
    await asyncio.sleep(1)
    assert len(driver.afters) <= 8
    assert watcher.seqs == [5]


async def test_a_count_that_begins_anew_is_followed(
    driver: Driver, watcher: Watcher, faulty: FaultyServer
) -> None:
    """A database that was restored: the server says so, and its times are later."""
    driver.streams = [sse("location", location(50))]
    await watcher.sees(50)
    driver.streams = [b"event: reset\ndata: {}\n\n", sse("location", location(7, minute=55))]
    driver.end_all()
    await wait_until(lambda: watcher.seqs == [50, 7])
    await watcher.carried_by(Pattern.SSE)
    assert faulty.last_event_ids == [None, None, None]


@pytest.mark.parametrize(
    ("data", "ended"),
    [
        ({"order_id": "o", "status": "delivered"}, "delivered"),
        ({"order_id": "o", "status": "cancelled"}, "cancelled"),
        ({"order_id": "o", "status": "out_for_delivery"}, "reassigned"),
        ({"order_id": "o", "status": "eaten"}, "over"),
        ([], "over"),
    ],
)
async def test_the_last_event_says_why(
    driver: Driver, watcher: Watcher, data: object, ended: str
) -> None:
    """And what came in the same breath is handed out first."""
    driver.streams = [sse("location", location(1)) + sse("end", data)]
    await wait_until(lambda: watcher.stream.ended)
    await wait_until(lambda: watcher.seqs == [1])
    assert watcher.stream.ended == ended
    assert (watcher.stream.meter.state, watcher.stream.meter.connections) == (State.IDLE, 0)


async def test_a_404_after_access_is_an_end(driver: Driver, watcher: Watcher) -> None:
    driver.streams = [sse("location", location(1)), problem(404)]
    driver.polls = [problem(404)]
    await watcher.sees(1)
    driver.end_all()
    await wait_until(lambda: watcher.stream.ended == "over")
    await wait_until(lambda: watcher.stream.meter.state is State.IDLE)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_what_both_refuse_at_first_is_a_refusal(
    driver: Driver, session: Session, faulty: FaultyServer, status: int
) -> None:
    driver.streams, driver.polls = [problem(status)], [problem(status)]
    async with LocationStream(session, "d-1", "Driver", timeouts=QUICK) as stream:
        with pytest.raises(ApiError):
            await asyncio.wait_for(anext(stream), PATIENCE)
        assert stream.meter.state is State.DOWN
    assert (faulty.count("GET", STREAM), len(driver.afters), faulty.open_now) == (1, 1, 0)


async def test_a_403_after_access_is_a_fault(driver: Driver, session: Session) -> None:
    driver.streams = [sse("location", location(1)), problem(403)]
    driver.polls = [problem(403)]
    async with LocationStream(session, "d-1", "Driver", timeouts=QUICK) as stream:
        assert (await anext(stream)).seq == 1
        driver.end_all()
        with pytest.raises(ApiError):
            await asyncio.wait_for(anext(stream), PATIENCE)


async def test_events_of_a_newer_server_are_passed_over(driver: Driver, watcher: Watcher) -> None:
    driver.streams = [
        sse("location", {"lat": "north"})
        + sse("weather", {"rain": True})
        + sse("location", location(1))
    ]
    await watcher.sees(1)
    assert watcher.carriers == [Pattern.SSE]


async def test_a_callback_that_fails_is_the_readers_trouble(
    driver: Driver, session: Session, faulty: FaultyServer
) -> None:
    """It must not leave a reader waiting for ever."""
    driver.streams = [problem(405)]

    def fail() -> None:
        raise LookupError("no such panel")

    stream = LocationStream(session, "d-1", "Driver", on_carrier=fail, timeouts=QUICK)
    async with stream:
        with pytest.raises(LookupError):
            await asyncio.wait_for(anext(stream), PATIENCE)
    await wait_until(lambda: faulty.open_now == 0)
