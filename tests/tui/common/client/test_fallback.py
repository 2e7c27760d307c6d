"""The fallback of a log: whatever carries it and however that changes, each event comes once."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from faulty_server import FaultyServer, after, event, open_stream, problem

from support.waiting import PATIENCE, wait_until
from tui.common.client import retry
from tui.common.client.errors import ApiError, NoStream, ResetStream
from tui.common.client.fallback import LogStream
from tui.common.client.meter import Pattern, State
from tui.common.client.monitored import Timeouts
from tui.common.client.session import Session

STREAM, POLL = "/log/stream", "/log/events"
QUICK = Timeouts(
    first_sound=0.3, prompt=0.2, silence=0.4, settled=0.02, again=0.05, again_at_most=0.1
)
BEAT = 0.1
PAGE = 7


@dataclass
class Log:
    """A log that grows, by a stream and by polls with faults to order.

    `way` is what happens to a stream: `passes`, `refused`, `held` (nothing comes through), `lumps`
    (what there is comes through when it ends), `cut` in the middle of anything.
    """

    faulty: FaultyServer
    head: int = 0
    way: str = "passes"
    polls: bool = True
    reset: bool = False
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    afters: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.faulty.on("GET", STREAM, self.stream)
        self.faulty.on("GET", POLL, self.poll)

    def grow(self, count: int = 1) -> None:
        self.head += count
        self.turn(self.way)

    def turn(self, way: str) -> None:
        self.way = way
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if self.way == "refused":
            return problem(405)
        known = int((request.headers.get("Last-Event-ID") or f"c-{self.head}")[2:])
        response = await open_stream(self.faulty, request)
        held = b": hello\n\n"
        opened = self.way
        while True:
            while known < self.head:
                known += 1
                held += event(known)
            if self.way == "cut":
                await response.write(held[: random.randint(0, len(held))])
                await asyncio.sleep(0.01)
                assert request.transport is not None
                request.transport.abort()
                return response
            if self.way == "passes" and opened != "held":
                await response.write(held)
                held = b""
            elif self.way == "lumps" and opened == "lumps":
                await asyncio.sleep(random.uniform(0, 0.3))
                await response.write(held)
                return response
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self.grown.wait()
            if self.way == "passes":
                held += b": beat\n\n"

    async def poll(self, request: web.Request) -> web.StreamResponse:
        asked = request.query.get("after")
        self.afters.append(asked)
        if not self.polls:
            return problem(404)
        if self.reset:
            return problem(410)
        if asked is None:
            return web.json_response({"events": [], "cursor": f"c-{self.head}"})
        known = int(asked[2:])
        async with asyncio.timeout(PATIENCE):
            while known >= self.head:
                await self.grown.wait()
        last = min(self.head, known + PAGE)
        events = [{"type": "order.updated", "data": {"n": n}} for n in range(known + 1, last + 1)]
        return web.json_response({"events": events, "cursor": f"c-{last}"})


@pytest.fixture
def log(faulty: FaultyServer) -> Log:
    return Log(faulty)


Make = Callable[..., LogStream]


@pytest.fixture
def make(session: Session) -> Make:
    """A reader of it, quick to doubt."""

    def make(timeouts: Timeouts = QUICK) -> LogStream:
        return LogStream(session, STREAM, POLL, "Log", "c-0", timeouts=timeouts)

    return make


async def read(stream: LogStream, seen: list[int]) -> None:
    async with stream:
        async for one in stream:
            number: int = json.loads(one.data)["n"]
            seen.append(number)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_repeated_whatever_happens_on_the_way(
    log: Log, make: Make, seed: int
) -> None:
    chance, stream, seen = random.Random(seed), make(), list[int]()
    carriers = {stream.carrier}
    reading = asyncio.create_task(read(stream, seen))
    for _ in range(40):
        log.turn(chance.choice(["passes", "refused", "held", "lumps", "cut", "passes"]))
        for _ in range(chance.randint(1, 6)):
            log.grow(chance.randint(1, 5))
            await asyncio.sleep(chance.choice([0, 0.01, 0.05]))
            carriers.add(stream.carrier)
    await wait_until(lambda: len(seen) >= log.head, what="everything")
    assert seen == list(range(1, log.head + 1))
    assert carriers == {Pattern.SSE, Pattern.LONG_POLL}
    log.turn("passes")
    await wait_until(lambda: stream.carrier is Pattern.SSE)
    log.grow()
    await wait_until(lambda: len(seen) >= log.head)
    assert seen == list(range(1, log.head + 1))
    await wait_until(lambda: (stream.meter.state, stream.meter.detail) == (State.LIVE, ""))
    reading.cancel()
    await asyncio.wait({reading})
    assert all(one.connections == 0 for one in stream._session.wire.meters.values())


async def test_a_probe_that_the_poll_has_overtaken_goes_on_from_where_that_is(
    log: Log, make: Make, faulty: FaultyServer
) -> None:
    """What both bring is handed out once, whichever is first."""
    stream, seen = make(replace(QUICK, silence=PATIENCE)), list[int]()
    log.turn("refused")
    reading = asyncio.create_task(read(stream, seen))
    await wait_until(lambda: stream.carrier is Pattern.LONG_POLL)
    probed, overtaken = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        """Its first byte comes too late to be believed at once."""
        known = after(request)
        response = await open_stream(faulty, request)
        if not probed.is_set():
            await asyncio.sleep(QUICK.prompt + 0.1)
            known += 1
            await response.write(event(known))
            probed.set()
            await overtaken.wait()
        await response.write(b": hello\n\n")
        while True:
            while known < log.head:
                known += 1
                await response.write(event(known))
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await log.grown.wait()
            await response.write(b": beat\n\n")  # proves the stream if the hello came too soon

    faulty.on("GET", STREAM, late)
    log.head = 1
    log.grow(2)
    await wait_until(lambda: probed.is_set() and seen == [1, 2, 3])
    log.grow(2)
    await wait_until(lambda: seen == [1, 2, 3, 4, 5])
    overtaken.set()
    await wait_until(lambda: stream.carrier is Pattern.SSE)
    log.grow(2)
    await wait_until(lambda: len(seen) >= 7)
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert faulty.last_event_ids[-1] == "c-5"
    reading.cancel()
    await asyncio.wait({reading})


async def test_reading_on_after_a_cancel_goes_on_from_there(log: Log, make: Make) -> None:
    log.head = 3
    async with make() as stream:
        for way in ("passes", "refused", "passes"):
            log.turn(way)
            one = await asyncio.wait_for(anext(stream), PATIENCE)
            reading = asyncio.ensure_future(anext(stream))
            await asyncio.wait({reading}, timeout=0.3)
            log.grow(2)
            last = await asyncio.wait_for(asyncio.shield(reading), PATIENCE)
            assert one.data != last.data
            reading = asyncio.ensure_future(_drain(stream))
            await asyncio.wait({reading}, timeout=0.3)
            reading.cancel()
            await asyncio.wait({reading})
            log.grow(1)
    assert stream.cursor is not None


async def _drain(stream: LogStream) -> None:
    async for _ in stream:
        pass


async def test_a_cursor_that_is_refused_is_a_reset(log: Log, make: Make) -> None:
    log.way, log.reset = "refused", True
    async with make() as stream:
        with pytest.raises(ResetStream):
            await asyncio.wait_for(anext(stream), PATIENCE)
        assert stream.meter.state is State.CONNECTING


async def test_a_server_without_the_fallback_is_waited_for(log: Log, make: Make) -> None:
    """Its 404 is no last word, unless the stream is refused as well."""
    stream, seen = make(), list[int]()
    log.polls = False
    log.turn("held")
    reading = asyncio.create_task(read(stream, seen))
    await wait_until(lambda: len(log.afters) == 1)
    await wait_until(lambda: stream.carrier is Pattern.SSE)
    log.turn("cut")
    log.turn("passes")
    log.grow(2)
    await wait_until(lambda: seen == [1, 2])
    assert len(log.afters) == 1
    log.turn("cut")
    log.turn("refused")
    with pytest.raises(ApiError) as refused:
        await asyncio.wait_for(reading, PATIENCE)
    assert refused.value.status == 405


async def test_a_stream_without_more_events_ends_where_there_is_no_fallback(
    log: Log, make: Make
) -> None:
    """Nothing would ever come: the reader has to start over."""
    log.polls = False

    async def no_more(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    log.faulty.on("GET", STREAM, no_more)
    async with make() as stream:
        with pytest.raises(NoStream):
            await asyncio.wait_for(anext(stream), PATIENCE)


async def test_what_comes_late_has_to_be_heard_once_more(log: Log, make: Make) -> None:
    """An answer that is held back until there is enough of it may pass its first bytes on in
    time."""
    stream, seen = make(Timeouts(first_sound=0.8, prompt=0.1, again=30)), list[int]()

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(log.faulty, request)
        await asyncio.sleep(0.3)
        await response.write(b": hello\n\n" + event(1))
        await asyncio.Event().wait()
        return response

    log.faulty.on("GET", STREAM, serve)
    log.head = 1
    reading = asyncio.create_task(read(stream, seen))
    await wait_until(lambda: seen == [1])
    await wait_until(lambda: stream.carrier is Pattern.LONG_POLL)
    log.grow()
    await wait_until(lambda: seen == [1, 2])
    assert log.afters[0] == "c-1"
    reading.cancel()
    await asyncio.wait({reading})


async def test_a_suspend_is_not_taken_for_a_stream_that_is_held_back(
    log: Log, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(retry, "SUSPEND_SECONDS", 2)
    stream, seen = make(Timeouts(silence=2, first_sound=PATIENCE)), list[int]()
    reading = asyncio.create_task(read(stream, seen))
    log.grow()
    await wait_until(lambda: seen == [1])
    time.sleep(2.5)  # noqa: ASYNC251 as if this process had been stopped
    await wait_until(lambda: stream.meter.reconnects == 1)
    log.grow()
    await wait_until(lambda: seen == [1, 2])
    assert not log.afters
    reading.cancel()


async def test_a_far_server_has_four_round_trips(log: Log, make: Make, session: Session) -> None:
    for _ in range(40):
        session._rest_meter().measured(250.0)
    stream, seen = make(Timeouts(first_sound=0.1)), list[int]()
    log.turn("held")
    began = asyncio.get_running_loop().time()
    reading = asyncio.create_task(read(stream, seen))
    await wait_until(lambda: stream.carrier is Pattern.LONG_POLL)
    assert 0.95 < asyncio.get_running_loop().time() - began < PATIENCE
    assert stream.meter.detail.startswith("no stream: nothing came for ")
    reading.cancel()
    await asyncio.wait({reading})
