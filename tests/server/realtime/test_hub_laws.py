"""The law of the log, for any interleaving: every reader gets the events of its topic after its
opening cursor, each once and in order, or a reset."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hub_node import ListSink, Node
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.core.database import Transaction
from server.core.databases import database_at
from server.realtime import log_topic, topic
from server.realtime.event import Cursor, Event
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.realtime.topic import Subscription
from support.server_process import new_database
from support.waiting import wait_until

SIZE = Event("", 1, "changed", "", "{}", "").size
INFINITE = 2**63
FAR_FUTURE = "9999-01-01T00:00:00.000Z"


class WildBroker:
    """Carries what another process has published: lost, repeated, late and in any order."""

    state = "ok"
    tasks = ()

    def __init__(self) -> None:
        self.deliver: Any = None
        self.reconnected: Any = None
        self.in_flight: list[Event] = []

    async def open(self, epoch: str) -> None: ...

    async def close(self) -> None: ...

    def publish(self, events: Sequence[Event]) -> None: ...

    async def subscribe(self, topic: str) -> None:
        await asyncio.sleep(0)

    async def unsubscribe(self, topic: str) -> None: ...

    def carry(self, which: int, fate: str) -> None:
        if not self.in_flight:
            return
        event = self.in_flight[which % len(self.in_flight)]
        if fate != "repeat":
            self.in_flight.remove(event)
        if fate != "lose":
            self.deliver(Event.from_message(event.to_message()))


class World:
    """Two processes on one file: one that writes, one that listens."""

    def __init__(self, path: Path) -> None:
        self.runner = asyncio.Runner()
        self.path = path
        self.numbers = itertools.count()
        self.runner.run(self._open())

    async def _open(self) -> None:
        where = new_database(self.path)
        self.writing = database_at(where)
        await self.writing.open()
        self.log = EventLog(self.writing)
        await self.log.open()
        self.listening = database_at(where)
        await self.listening.open()
        self.listening_log = EventLog(self.listening)
        await self.listening_log.open()

    async def _close(self) -> None:
        await self.listening.close()
        await self.writing.close()

    def close(self) -> None:
        self.runner.run(self._close())
        self.runner.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("laws") / "tiffin.sqlite3")
    yield world
    world.close()


@pytest.fixture(autouse=True, params=[100, 1], ids=["at once", "in slices"])
def small_scale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few events reach behind the ring, and few readers are a crowd."""
    monkeypatch.setattr(log_topic, "RING", 4)
    monkeypatch.setattr(log_topic, "PAGE", 3)
    monkeypatch.setattr(topic, "DIRECT_READERS", request.param)
    monkeypatch.setattr(topic, "SLICE_SECONDS", 0.0)


class Reader:
    """A subscription, its opening cursor, and what it got."""

    def __init__(self, name: str, opening: int | None, room: int | None) -> None:
        self.name = name
        self.opening = opening  # None: an invalid cursor
        self.sink = ListSink(room)
        self.subscription: Subscription | None = None
        self.closed = False


class Run:
    """One example."""

    def __init__(self, world: World, bounds: tuple[int, int]) -> None:
        self.world = world
        self.max_per_topic, self.most = bounds
        self.ring_memory = log_topic.RingMemory(*bounds)
        number = next(world.numbers)
        self.topics = [f"restaurant:{number}a", f"restaurant:{number}b"]
        self.heads = dict.fromkeys(self.topics, 0)
        self.trimmed = dict.fromkeys(self.topics, 0)
        self.readers: list[Reader] = []
        self.broker = WildBroker()
        world.writing.publish = self.broker.in_flight.extend
        self.hub = Hub(world.listening, world.listening_log, self.broker, 0.02, self.ring_memory)

    async def append(self, which: int, count: int, fails: bool) -> None:
        name = self.topics[which]

        async def fn(tx: Transaction) -> None:
            for _ in range(count):
                event = await self.world.log.append(tx, name, "changed", "{}")
                assert event.seq == self.heads[name] + 1 + _
            if fails:
                raise ZeroDivisionError

        try:
            await self.world.writing.write(fn)
        except ZeroDivisionError:
            return
        self.heads[name] += count

    async def subscribe(self, which: int, where: str, place: int, room: int | None) -> None:
        name = self.topics[which]
        head = self.heads[name]
        epoch = self.world.log.epoch
        after: str | None = str(Cursor(epoch, name, place % (head + 1)))
        opening: int | None = place % (head + 1)
        match where:
            case "now":
                after = None
            case "future":
                after, opening = str(Cursor(epoch, name, head + 10_000)), None
            case "epoch":
                after, opening = str(Cursor("0" * 12, name, 0)), None
            case "topic":
                after, opening = str(Cursor(epoch, "auth", 0)), None
            case "garbage":
                after, opening = "gar*bage", None
        reader = Reader(name, opening, room)
        self.readers.append(reader)
        reader.subscription = await self.hub.subscribe(name, after, reader.sink)
        if after is None:
            reader.opening = reader.subscription.topic.head

    def unsubscribe(self, which: int) -> None:
        if self.readers:
            reader = self.readers[which % len(self.readers)]
            assert reader.subscription
            reader.subscription.close()
            reader.closed = True

    async def trim(self) -> None:
        await self.world.log.trim(FAR_FUTURE)
        self.trimmed = dict(self.heads)

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("append", which, count, fails):
                await self.append(which, count, fails)
            case ("carry", which, fate):
                self.broker.carry(which, fate)
            case ("subscribe", which, where, place, room):
                await self.subscribe(which, where, place, room)
            case ("room", which, room) if self.readers:
                self.readers[which % len(self.readers)].sink.give(room)
            case ("unsubscribe", which):
                self.unsubscribe(which)
            case ("trim",):
                await self.trim()
            case ("sweep",):
                self.hub.request_sweep()
            case ("drop", which):
                self.hub.drop_ring(self.topics[which])
            case ("turn", turns):  # less than a round of slices takes
                for _ in range(turns):
                    await asyncio.sleep(0)
            case ("let run", ticks):
                for _ in range(ticks):
                    await asyncio.sleep(0.0005)

    def check_rings(self) -> None:
        """What is kept is counted and within limits; a topic's newest event may exceed its own."""
        rings = [
            [event.size for event in topic._ring]
            for topic in self.hub._topics.values()
            if isinstance(topic, log_topic.LogTopic)
        ]
        assert self.ring_memory.bytes == sum(map(sum, rings))
        assert self.ring_memory.bytes <= (self.most or INFINITE)
        for ring in rings:
            assert len(ring) <= log_topic.RING
            assert sum(ring) <= (self.max_per_topic or INFINITE) or len(ring) == 1

    def settled(self, reader: Reader) -> bool:
        if reader.closed or reader.sink.resets:
            return True
        assert reader.subscription
        return reader.subscription.cursor == self.heads[reader.name] and reader.subscription.live

    def check(self, reader: Reader) -> None:
        sink = reader.sink
        assert not sink.failures
        if reader.opening is None:
            assert sink.events == []
            assert sink.resets == 1 or (reader.closed and sink.resets == 0)
            return
        first = reader.opening + 1
        assert sink.seqs == list(range(first, first + len(sink.events)))
        assert {event.topic for event in sink.events} <= {reader.name}
        if sink.resets:
            assert sink.resets == 1
            assert reader.opening + len(sink.events) < self.trimmed[reader.name], "no reason"

    async def play(self, steps: Sequence[tuple[Any, ...]]) -> None:
        await self.hub.open()
        try:
            for step in steps:
                await self.do(step)
                self.check_rings()
            for reader in self.readers:
                reader.sink.give(None)
            await wait_until(
                lambda: all(map(self.settled, self.readers)), what="every reader has settled"
            )
            for reader in self.readers:
                self.check(reader)
            self.check_rings()
        finally:
            for reader in self.readers:
                if reader.subscription:
                    reader.subscription.close()
            await self.hub.close()
            assert self.ring_memory.bytes == 0


OPENINGS = ("cursor", "cursor", "cursor", "now", "future", "epoch", "topic", "garbage")
which = st.integers(0, 1)
step = st.one_of(
    st.tuples(st.just("append"), which, st.integers(1, 6), st.sampled_from([False, False, True])),
    st.tuples(st.just("carry"), st.integers(0, 20), st.sampled_from(["deliver", "repeat", "lose"])),
    st.tuples(
        st.just("subscribe"),
        which,
        st.sampled_from(OPENINGS),
        st.integers(0, 40),
        st.sampled_from([None, None, 0, 1, 3]),
    ),
    st.tuples(st.just("room"), st.integers(0, 10), st.sampled_from([None, 0, 1, 2, 5])),
    st.tuples(st.just("unsubscribe"), st.integers(0, 10)),
    st.tuples(st.just("let run"), st.integers(1, 4)),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.sampled_from([("sweep",), ("trim",), ("drop", 0), ("forget", 1)]),
)


@pytest.mark.timeout(600)  # where it fails: to shrink the example
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(step, min_size=3, max_size=40),
    bounds=st.sampled_from([(0, 0), (2 * SIZE, 0), (0, 3 * SIZE), (3 * SIZE, 4 * SIZE), (1, 1)]),
)
def test_every_reader_gets_its_events_once_and_in_order(
    world: World, steps: list[tuple[Any, ...]], bounds: tuple[int, int]
) -> None:
    world.runner.run(Run(world, bounds).play(steps))


async def test_ten_who_write_at_once_leave_no_gap(tmp_path: Path) -> None:
    nodes = [await Node(tmp_path / "tiffin.sqlite3").open() for _ in range(3)]
    sink = ListSink()
    await nodes[0].hub.subscribe("restaurant:res_1", nodes[0].cursor(0), sink)

    async def writer(node: Node, number: int) -> None:
        for turn in range(8):

            async def fn(tx: Transaction, turn: int = turn) -> None:
                await node.log.append(tx, "restaurant:res_1", "changed", "{}")
                if (number + turn) % 3 == 0:
                    raise ZeroDivisionError

            try:
                await node.database.write(fn)
            except ZeroDivisionError:
                continue

    await asyncio.gather(*(writer(nodes[n % 3], n) for n in range(10)))
    stretch = await nodes[0].log.read("restaurant:res_1", 0, 1000)
    assert [event.seq for event in stretch.events] == list(range(1, stretch.head + 1))
    assert 40 <= stretch.head < 80
    await wait_until(lambda: sink.seqs == list(range(1, stretch.head + 1)))
    for node in nodes:
        await node.close()
