"""The law of a state topic, for any interleaving: the newest always arrives, nothing twice or out
of order, and a slow reader gets no backlog."""

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
from server.realtime.event import Event
from server.realtime.state_topic import STATE
from server.realtime.topic import Subscription
from support.waiting import wait_until


class World:
    """Two processes on one file, which learn of each other's events only by the sweep."""

    def __init__(self, path: Path) -> None:
        self.runner = asyncio.Runner()
        self.numbers = itertools.count()
        self.nodes = [Node(path, sweep_seconds=0.01) for _ in range(2)]
        for node in self.nodes:
            self.runner.run(node.open())

    def close(self) -> None:
        for node in self.nodes:
            self.runner.run(node.close())
        self.runner.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("states") / "tiffin.sqlite3")
    yield world
    world.close()


async def put(node: Node, topic: str, fails: bool = False) -> Event:
    """One more state; where it fails, everything is rolled back."""

    async def fn(tx: Transaction) -> Event:
        event = await node.hub.states.put(tx, topic, "moved", lambda seq: f'{{"seq": {seq}}}')
        if fails:
            raise ZeroDivisionError
        return event

    return await node.database.write(fn)


class Run:
    """One example."""

    def __init__(self, world: World) -> None:
        self.nodes = world.nodes
        self.topic = f"{STATE}driver:{next(world.numbers)}"
        self.head = 0
        self.readers: list[tuple[int, ListSink, Subscription]] = []
        """Each reader's first state, the states it got, and its subscription."""

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("put", which, fails):
                try:
                    event = await put(self.nodes[which], self.topic, fails)
                except ZeroDivisionError:
                    return
                self.head += 1
                assert event.seq == self.head
            case ("subscribe", which, place, room):
                node, sink = self.nodes[which], ListSink(room)
                known = None if place is None else place % (self.head + 1)
                after = None if known is None else node.cursor(known, self.topic)
                found = await node.hub.subscribe(self.topic, after, sink)
                self.readers.append((known or 0, sink, found))
            case ("room", which, room) if self.readers:
                self.readers[which % len(self.readers)][1].give(room)
            case ("let run", ticks):
                for _ in range(ticks):
                    await asyncio.sleep(0.002)

    async def play(self, steps: Sequence[tuple[Any, ...]]) -> None:
        try:
            for step in steps:
                await self.do(step)
            for _, sink, _ in self.readers:
                sink.give(None)
            await wait_until(
                lambda: all(found.cursor == self.head and found.live for *_, found in self.readers),
                what="every reader knows the newest",
            )
            for known, sink, _ in self.readers:
                assert not sink.failures
                assert not sink.resets
                assert sink.seqs == sorted(set(sink.seqs))
                assert all(seq > known for seq in sink.seqs)
                if self.head > known:
                    assert sink.seqs[-1] == self.head
                    assert sink.events[-1].data == f'{{"seq": {self.head}}}'
        finally:
            for *_, found in self.readers:
                found.close()


which = st.integers(0, 1)
step = st.one_of(
    st.tuples(st.just("put"), which, st.sampled_from([False, False, True])),
    st.tuples(
        st.just("subscribe"),
        which,
        st.none() | st.integers(0, 20),
        st.sampled_from([None, None, 0, 1, 3]),
    ),
    st.tuples(st.just("room"), st.integers(0, 10), st.sampled_from([None, 0, 1, 2])),
    st.tuples(st.just("let run"), st.integers(1, 4)),
)


@pytest.mark.timeout(600)  # where it fails: to shrink the example
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(step, min_size=3, max_size=25))
def test_every_reader_ends_with_the_newest(world: World, steps: list[tuple[Any, ...]]) -> None:
    world.runner.run(Run(world).play(steps))


async def test_a_slow_reader_gets_the_newest_and_nothing_before_it(tmp_path: Path) -> None:
    node = await Node(tmp_path / "tiffin.sqlite3").open()
    topic, sink = f"{STATE}driver:1", ListSink(0)
    subscription = await node.hub.subscribe(topic, None, sink)
    for _ in range(100):
        await put(node, topic)
    sink.give(None)
    await wait_until(lambda: sink.seqs[-1:] == [100])
    assert len(sink.seqs) <= 2  # one may have been on its way already
    subscription.close()
    await node.close()
