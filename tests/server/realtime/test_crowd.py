"""A topic with so many readers that an event is delivered in slices."""

import asyncio
import time

import pytest
from hub_node import TOPIC, ListSink, Node, OpenNode

from server.core.database import Transaction
from server.realtime import topic
from server.realtime.event import Event
from server.realtime.topic import Subscription
from support.waiting import wait_until

CROWD = 3 * topic.DIRECT_READERS


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reader a slice, so that other tasks run between any two."""
    monkeypatch.setattr(topic, "SLICE_SECONDS", 0.0)


async def gather(node: Node, number: int = CROWD) -> list[tuple[ListSink, Subscription]]:
    """That many live readers."""
    sinks = [ListSink() for _ in range(number)]
    return [(sink, await node.hub.subscribe(TOPIC, node.cursor(0), sink)) for sink in sinks]


async def all_have(crowd: list[tuple[ListSink, Subscription]], seqs: list[int]) -> None:
    await wait_until(lambda: all(sink.seqs == seqs for sink, _ in crowd))
    assert all(subscription.live for _, subscription in crowd)


class Interfering(ListSink):
    """A reader that runs a callback when it gets an event."""

    def __init__(self) -> None:
        super().__init__()
        self.happens = lambda: None

    def write(self, event: Event) -> bool:
        self.happens, happens = lambda: None, self.happens
        happens()
        return super().write(event)


async def unpublished(node: Node) -> Event:
    """An event that the broker does not announce."""
    publish, node.database.publish = node.database.publish, lambda events: None
    (event,) = await node.append()
    node.database.publish = publish
    return event


async def test_every_reader_gets_everything_in_order(open_node: OpenNode) -> None:
    node = await open_node()
    crowd = await gather(node)
    for _ in range(10):
        await node.append(count=2)
    await all_have(crowd, list(range(1, 21)))


async def test_an_event_during_delivery_reaches_readers_already_served(
    open_node: OpenNode,
) -> None:
    node = await open_node(sweep_seconds=3600)
    crowd = await gather(node, CROWD // 2)
    middle = Interfering()
    await node.hub.subscribe(TOPIC, node.cursor(0), middle)
    crowd += await gather(node, CROWD // 2)
    first, second = await unpublished(node), await unpublished(node)
    middle.happens = lambda: node.broker.deliver(second)
    node.broker.deliver(first)
    await all_have(crowd, [1, 2])
    assert middle.seqs == [1, 2]


async def test_readers_come_and_go_during_delivery(open_node: OpenNode) -> None:
    node = await open_node(sweep_seconds=3600)
    middle = Interfering()
    await node.hub.subscribe(TOPIC, node.cursor(0), middle)
    crowd = await gather(node)
    left, kept = crowd[: CROWD // 2], crowd[CROWD // 2 :]
    late = ListSink()
    joining: list[asyncio.Task[Subscription]] = []

    def happens() -> None:
        for _, subscription in left:
            subscription.close()
        node.hub.drop_ring(TOPIC)
        joining.append(asyncio.create_task(node.hub.subscribe(TOPIC, node.cursor(0), late)))

    middle.happens = happens
    await node.append()
    await all_have(kept, [1])
    await asyncio.gather(*joining)
    await wait_until(lambda: late.seqs == [1])
    await node.append()
    await all_have(kept, [1, 2])
    assert [sink.seqs for sink, _ in left] == [[]] * len(left)
    await wait_until(lambda: late.seqs == [1, 2])


async def test_a_full_or_failing_reader_delays_nobody(open_node: OpenNode) -> None:
    node = await open_node()
    full, failing = ListSink(room=0), Interfering()

    def happens() -> None:
        raise ZeroDivisionError

    failing.happens = happens
    for sink in (full, failing):
        await node.hub.subscribe(TOPIC, node.cursor(0), sink)
    crowd = await gather(node)
    await node.append(count=3)
    await all_have(crowd, [1, 2, 3])
    assert failing.failures == 1
    assert full.seqs == []
    full.give(None)
    await wait_until(lambda: full.seqs == [1, 2, 3])


async def test_other_tasks_run_during_delivery(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic, "SLICE_SECONDS", 0.001)

    class Slow(ListSink):
        def write(self, event: Event) -> bool:
            until = time.perf_counter() + 0.0005
            while time.perf_counter() < until:
                pass
            return super().write(event)

    node = await open_node()
    sinks = [Slow() for _ in range(CROWD)]
    for sink in sinks:
        await node.hub.subscribe(TOPIC, node.cursor(0), sink)
    await node.append()
    turns = 0
    while sinks[-1].seqs != [1]:
        await asyncio.sleep(0)
        turns += 1
    assert turns > CROWD / 10


async def test_a_returning_crowd_is_served_from_memory(open_node: OpenNode) -> None:
    node = await open_node()
    await node.append(count=20)
    crowd = await gather(node)
    await all_have(crowd, list(range(1, 21)))
    reads = node.log.reads
    for _, subscription in crowd:
        subscription.close()
    await node.append(count=20)
    again = [ListSink() for _ in crowd]
    await asyncio.gather(*(node.hub.subscribe(TOPIC, node.cursor(20), sink) for sink in again))
    await wait_until(lambda: all(sink.seqs == list(range(21, 41)) for sink in again))
    assert node.log.reads == reads


async def test_after_a_restart_one_read_serves_the_whole_crowd(open_node: OpenNode) -> None:
    before = await open_node()
    await before.append(count=40)
    await before.close()
    node = await open_node()
    sinks = [ListSink() for _ in range(CROWD)]

    async def come(sink: ListSink, cursor: int) -> None:
        await node.hub.subscribe(TOPIC, node.cursor(cursor), sink)

    await asyncio.gather(*(come(sink, number % 40) for number, sink in enumerate(sinks)))
    await wait_until(lambda: all(sink.seqs[-1:] == [40] for sink in sinks))
    assert [sink.seqs[0] for sink in sinks] == [1 + number % 40 for number in range(CROWD)]
    assert node.log.reads == 1


async def test_the_readers_of_a_state_topic_get_the_newest(open_node: OpenNode) -> None:
    node = await open_node()
    name = "state/acks:ann_1"
    sinks = [ListSink() for _ in range(CROWD)]
    for sink in sinks:
        await node.hub.subscribe(name, None, sink)

    async def put(tx: Transaction) -> None:
        await node.hub.states.put(tx, name, "acks", lambda seq: f"{seq}")

    for _ in range(10):
        await node.database.write(put)
    await wait_until(lambda: all(sink.seqs[-1:] == [10] for sink in sinks))
    for sink in sinks:
        assert sink.seqs == sorted(set(sink.seqs))
