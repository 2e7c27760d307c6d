"""Streams whose events come faster than they are worth a read each."""

import asyncio

import pytest
from aiohttp import web
from faulty_server import FaultyServer, after, event, open_stream

from support.waiting import PATIENCE
from tui.common.client.meter import Pattern, Wire
from tui.common.client.request import RequestContext
from tui.common.client.retry import Backoff
from tui.common.client.session import Session
from tui.common.client.sse import EventStream

PATH = "/restaurants/r/orders/stream"
TOTAL = 400


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every read."""
    sizes: list[int] = []
    read = RequestContext.chunk

    async def counted(self: RequestContext) -> bytes:
        chunk = await read(self)
        sizes.append(len(chunk))
        return chunk

    monkeypatch.setattr(RequestContext, "chunk", counted)
    return sizes


def hurry(faulty: FaultyServer, *, ends_after: int = TOTAL) -> None:
    """Serve events a millisecond apart; the connection breaks after every so many."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = await open_stream(faulty, request)
        first = after(request) + 1
        for number in range(first, min(first + ends_after, TOTAL + 1)):
            await response.write(event(number))
            await asyncio.sleep(0.001)
        if first + ends_after <= TOTAL:
            assert request.transport is not None
            request.transport.abort()
        else:
            await asyncio.Event().wait()
        return response

    faulty.on("GET", PATH, serve)


async def taken(session: Session, wire: Wire, *, cut_at: int = 0) -> list[int]:
    """The numbers of all events, as they come."""
    numbers: list[int] = []
    meter = wire.meter("kitchen", Pattern.SSE)
    async with (
        asyncio.timeout(PATIENCE),
        EventStream(session, PATH, meter, "c-0", backoff=Backoff(0.02, 0.1)) as stream,
    ):
        while len(numbers) < TOTAL:
            numbers.append(int((await anext(stream)).last_event_id.removeprefix("c-")))
            if len(numbers) == cut_at:
                stream.drop_connection()
    return numbers


async def test_a_rush_is_read_in_few_gulps(
    faulty: FaultyServer, session: Session, wire: Wire, reads: list[int]
) -> None:
    hurry(faulty)
    assert await taken(session, wire) == list(range(1, TOTAL + 1))
    assert len(reads) < TOTAL / 4


@pytest.mark.parametrize("ends_after", [20, 90])
async def test_a_rush_that_breaks_off_loses_and_repeats_nothing(
    faulty: FaultyServer, session: Session, wire: Wire, ends_after: int
) -> None:
    hurry(faulty, ends_after=ends_after)
    assert await taken(session, wire) == list(range(1, TOTAL + 1))


async def test_a_rush_that_is_cut_goes_on_where_it_was(
    faulty: FaultyServer, session: Session, wire: Wire
) -> None:
    hurry(faulty)
    assert await taken(session, wire, cut_at=150) == list(range(1, TOTAL + 1))
    assert wire.meter("kitchen", Pattern.SSE).reconnects == 1
    assert wire.meter("kitchen", Pattern.SSE).connections == 0
