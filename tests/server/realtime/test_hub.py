import asyncio
import gc
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from hub_node import TOPIC, ListSink, Node, OpenNode

from server.core.database import Transaction
from server.core.errors import Problem
from server.realtime import hub as hub_module
from server.realtime import log_topic as topic_module
from server.realtime.event import Event
from server.realtime.log import LogPage, Position
from server.realtime.log_topic import LogTopic
from server.realtime.state_topic import STATE
from support.live_server import sqlite_only
from support.waiting import PATIENCE, wait_until


async def test_from_now_and_from_a_cursor(node: Node) -> None:
    await node.append(count=3)
    now, all_of_it, later = ListSink(), ListSink(), ListSink()
    await node.hub.subscribe(TOPIC, None, now)
    await node.hub.subscribe(TOPIC, node.cursor(0), all_of_it)
    await node.hub.subscribe(TOPIC, node.cursor(2), later)
    await node.append(count=2)
    assert now.seqs == [4, 5]
    assert all_of_it.seqs == [1, 2, 3, 4, 5]
    assert later.seqs == [3, 4, 5]


async def test_a_reader_whose_catching_up_is_cancelled_is_ended_and_reconnects(
    node: Node,
) -> None:
    """Otherwise heartbeats would keep it open, and it would never get an event again."""
    sink = ListSink(room=0)
    await node.hub.subscribe(TOPIC, None, sink)
    await node.append()
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == "catch-up"]
    await asyncio.sleep(0)
    task.cancel()
    await wait_until(lambda: sink.failures == 1)


async def test_a_gap_whose_filling_is_cancelled_is_filled_by_the_next_sweep(
    node: Node, open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await open_node()
    sink = ListSink()
    await other.hub.subscribe(TOPIC, None, sink)
    read, reads = other.log.read, 0

    async def cancelled_once(topic: str, after: int, limit: int) -> LogPage:
        nonlocal reads
        reads += 1
        if reads == 1:
            raise asyncio.CancelledError
        return await read(topic, after, limit)

    monkeypatch.setattr(other.log, "read", cancelled_once)
    await node.append()
    await wait_until(lambda: sink.seqs == [1])


async def test_a_snapshot_and_its_cursor_leave_no_gap(node: Node) -> None:
    """However the snapshot and the changes interleave."""

    async def append() -> None:
        for _ in range(30):
            await node.append()

    async def read_and_follow() -> None:
        async def fn(tx: Transaction) -> tuple[int, str]:
            rows = await tx.fetch("SELECT COUNT(*) AS n FROM events", {})
            return int(rows[0]["n"]), await node.log.cursor(tx, TOPIC)

        seen, cursor = await node.database.read(fn)
        sink = ListSink()
        await node.hub.subscribe(TOPIC, cursor, sink)
        await wait_until(lambda: seen + len(sink.events) == 30)
        assert sink.seqs == list(range(seen + 1, 31))

    await asyncio.gather(append(), *(read_and_follow() for _ in range(20)))


async def test_an_event_reveals_nothing_of_other_topics(node: Node) -> None:
    sink = ListSink()
    await node.hub.subscribe("restaurant:res_2", None, sink)
    await node.append()
    await node.append("restaurant:res_2")
    assert [(event.topic, event.seq) for event in sink.events] == [("restaurant:res_2", 1)]


@pytest.mark.parametrize("after", ["", "x", "!!", "\udcff", "a" * 5000, "LjEuMg", "\u0661"])
async def test_an_unreadable_cursor_is_a_reset(node: Node, after: str) -> None:
    sink = ListSink()
    subscription = await node.hub.subscribe(TOPIC, after, sink)
    assert sink.resets == 1
    await node.append()
    subscription.close()
    assert sink.events == []


async def test_a_cursor_from_before_the_logs_beginning_is_a_reset(
    node: Node, open_node: OpenNode
) -> None:
    await node.append(count=3)
    await node.log.trim("9999-01-01T00:00:00.000Z")
    await node.append(count=2)
    fresh = await open_node()
    trimmed, at_the_edge = ListSink(), ListSink()
    await fresh.hub.subscribe(TOPIC, node.cursor(2), trimmed)
    await fresh.hub.subscribe(TOPIC, node.cursor(3), at_the_edge)
    await wait_until(lambda: trimmed.resets and len(at_the_edge.events) == 2)
    assert trimmed.events == []
    assert at_the_edge.seqs == [4, 5]


async def test_a_process_away_for_longer_than_the_log_reaches_resets_its_readers(
    node: Node, open_node: OpenNode
) -> None:
    """Also where nothing more is appended that would reveal the gap."""
    other = await open_node(sweep_seconds=0.02)
    sink = ListSink()
    await other.hub.subscribe(TOPIC, None, sink)

    async def append_and_trim(tx: Transaction) -> None:
        for _ in range(3):
            await node.log.append(tx, TOPIC, "changed", "{}", "ord_1")
        await tx.execute("UPDATE topics SET trimmed = 3", {})
        await tx.execute("DELETE FROM events", {})

    async with other.hub.watch(TOPIC, "ord_1") as future:
        await node.database.write(append_and_trim)
        await wait_until(lambda: sink.resets == 1)
        assert future.result() is None  # a waiter has to read again
    assert sink.events == []


async def test_a_standby_that_has_taken_over_resets_those_who_have_seen_more(
    node: Node, open_node: OpenNode
) -> None:
    """It may lack what was delivered, and what comes next has the numbers of that. Readers of a
    topic of which it lacks nothing stay."""
    whole, state = "restaurant:res_2", f"{STATE}customer:acc_1"
    other = await open_node(sweep_seconds=60)

    async def put(tx: Transaction) -> None:
        await node.hub.states.put(tx, state, "orders.changed", "{}")

    sinks = {topic: ListSink() for topic in (TOPIC, whole, state)}
    for topic, sink in sinks.items():
        await other.hub.subscribe(topic, None, sink)
    await node.append(count=3)
    await node.append(whole)
    for _ in range(2):
        await node.database.write(put)
    other.hub.request_sweep()
    await wait_until(
        lambda: [sink.seqs[-1:] for sink in sinks.values()] == [[3], [1], [2]],
        what="all have everything",
    )

    async def take_over(tx: Transaction) -> None:
        await tx.execute("DELETE FROM events WHERE topic = :topic AND seq > 1", {"topic": TOPIC})
        await tx.execute("UPDATE topics SET seq = 1 WHERE name = :topic", {"topic": TOPIC})
        await tx.execute("UPDATE states SET seq = 1 WHERE topic = :topic", {"topic": state})
        for _ in range(3):
            await node.log.append(tx, TOPIC, "changed", '"new"', at="2026-01-01T00:00:00.123Z")

    async with other.hub.watch(TOPIC, "ord_1") as future:
        await node.database.write(take_over)
        await other.be_another()
        await other.append(TOPIC)  # its own event is no reason to go on either
        await other.append(whole)
        await wait_until(lambda: len(sinks[whole].events) == 2)
        assert future.result() is None
    assert [sink.resets for sink in sinks.values()] == [1, 0, 1]
    assert sinks[TOPIC].seqs == [1, 2, 3]
    fresh = ListSink()
    await other.hub.subscribe(TOPIC, node.cursor(0), fresh)
    await wait_until(lambda: fresh.seqs == [1, 2, 3, 4, 5])
    assert [event.data for event in fresh.events[1:4]] == ['"new"'] * 3


async def test_a_hole_in_the_log_is_a_reset_and_no_endless_search(
    node: Node, open_node: OpenNode
) -> None:
    await node.append(count=5)
    await node.database.write(lambda tx: tx.execute("DELETE FROM events WHERE seq IN (2, 5)", {}))
    fresh = await open_node()
    sinks = [ListSink() for _ in range(5)]
    for seq, sink in enumerate(sinks):
        await fresh.hub.subscribe(TOPIC, node.cursor(seq), sink)
    await wait_until(lambda: all(sink.resets for sink in sinks))
    reads = fresh.log.reads
    last = ListSink()
    await fresh.hub.subscribe(TOPIC, node.cursor(5), last)
    await node.append()
    await wait_until(lambda: last.seqs == [6])
    assert fresh.log.reads - reads <= 3


async def test_ten_thousand_returning_readers_cost_one_read(
    node: Node, open_node: OpenNode
) -> None:
    await node.append(count=200)
    fresh = await open_node()
    sinks = [ListSink() for _ in range(10_000)]
    gc.disable()
    try:
        await asyncio.gather(
            *(
                fresh.hub.subscribe(TOPIC, node.cursor(n % 200), sink)
                for n, sink in enumerate(sinks)
            )
        )
    finally:
        gc.enable()
    assert all(len(sink.events) == 200 - n % 200 for n, sink in enumerate(sinks))
    assert fresh.log.reads == 1


async def test_only_a_reader_that_is_behind_loads_the_recent_events(
    node: Node, open_node: OpenNode
) -> None:
    await node.append(count=5)
    fresh = await open_node()
    late, later, now = ListSink(), ListSink(), ListSink()
    async with fresh.hub.watch(TOPIC, "an order"):
        await fresh.hub.subscribe(TOPIC, None, now)
        assert fresh.hub.ring_memory.bytes == 0
        await fresh.append()
        reads = fresh.log.reads
        await asyncio.gather(
            fresh.hub.subscribe(TOPIC, node.cursor(2), late),
            fresh.hub.subscribe(TOPIC, node.cursor(3), later),
        )
    assert (late.seqs, later.seqs, now.seqs) == ([3, 4, 5, 6], [4, 5, 6], [6])
    assert fresh.log.reads == reads + 1


async def test_readers_further_back_than_the_ring_share_their_reads(
    node: Node, open_node: OpenNode
) -> None:
    await node.append(count=3 * topic_module.RING)
    fresh = await open_node()
    sinks = [ListSink() for _ in range(1000)]
    await asyncio.gather(
        *(fresh.hub.subscribe(TOPIC, node.cursor(n % 100), sink) for n, sink in enumerate(sinks))
    )
    await wait_until(lambda: all(sink.seqs[-1:] == [768] for sink in sinks))
    assert all(sink.seqs == list(range(n % 100 + 1, 769)) for n, sink in enumerate(sinks))
    assert fresh.log.reads <= 4


async def test_a_read_that_is_over_is_not_shared(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for it would let nothing else run: a reader who is ahead of the topic would read on
    for ever."""
    await node.append(count=3)
    topic = await node.hub.topic(TOPIC)
    read, reads = node.log.read, 0
    late: list[asyncio.Task[LogPage]] = []

    async def followed(name: str, after: int, limit: int) -> LogPage:
        nonlocal reads
        reads += 1
        page = await read(name, after, limit)
        if not late:  # begins after this read, and before those who wait for it
            late.append(asyncio.create_task(topic.load(0)))
        return page

    monkeypatch.setattr(node.log, "read", followed)
    assert isinstance(topic, LogTopic)
    await topic.load(0)
    await late[0]
    assert reads == 2


async def test_a_full_sink_is_left_alone_and_catches_up(node: Node) -> None:
    slow, quick = ListSink(room=2), ListSink()
    await node.hub.subscribe(TOPIC, None, slow)
    await node.hub.subscribe(TOPIC, None, quick)
    for _ in range(topic_module.RING + 50):
        await node.append()
    assert slow.seqs == [1, 2]
    assert len(quick.events) == topic_module.RING + 50
    slow.give(100)
    await wait_until(lambda: len(slow.events) == 102)
    slow.give(None)
    await wait_until(lambda: len(slow.events) == topic_module.RING + 50)
    assert slow.seqs == quick.seqs


class Impatient(ListSink):
    """Says at once that it is ready, and never has room."""

    async def ready(self) -> None:
        return


async def test_a_sink_that_is_ready_and_full_does_not_block_the_loop(node: Node) -> None:
    sink = Impatient(room=0)
    subscription = await node.hub.subscribe(TOPIC, None, sink)
    await node.append()
    async with asyncio.timeout(PATIENCE):
        for _ in range(100):
            await asyncio.sleep(0)
    subscription.close()


class Broken(ListSink):
    def write(self, event: Event) -> bool:
        raise RuntimeError("the handler is closed")  # as uvloop's transports do


class Gone(ListSink):
    async def ready(self) -> None:
        raise ConnectionResetError


async def test_a_broken_reader_does_not_affect_the_others(node: Node) -> None:
    sinks = [ListSink(), Broken(), ListSink(), Gone(room=0), ListSink()]
    for sink in sinks:
        await node.hub.subscribe(TOPIC, None, sink)
    await node.append()
    assert [sink.seqs for sink in sinks] == [[1], [], [1], [], [1]]
    await wait_until(lambda: sinks[1].failures == 1 and sinks[3].failures == 1)
    await node.append()
    assert [len(sink.events) for sink in sinks] == [2, 0, 2, 0, 2]
    assert sinks[1].failures == 1


async def test_a_reader_may_close_another_during_delivery(node: Node) -> None:
    second = ListSink()

    class Closing(ListSink):
        def write(self, event: Event) -> bool:
            subscription.close()
            return super().write(event)

    await node.hub.subscribe(TOPIC, None, Closing())
    subscription = await node.hub.subscribe(TOPIC, None, second)
    await node.append()
    assert second.events == []


async def test_a_closed_subscription_gets_nothing_more_and_leaves_no_task(node: Node) -> None:
    live, behind = ListSink(), ListSink(room=0)
    first = await node.hub.subscribe(TOPIC, None, live)
    second = await node.hub.subscribe(TOPIC, None, behind)
    await node.append()
    first.close()
    second.close()
    behind.give(None)
    await node.append()
    assert live.seqs == [1]
    assert behind.seqs == []
    await wait_until(
        lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "catch-up"]
    )
    assert node.hub.listeners == 0


class Gate:
    """Delays a read of the log after its snapshot was taken, until it is opened."""

    def __init__(self, node: Node) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.errors: list[Exception] = []
        self._read = node.log.read
        node.log.read = self.read  # type: ignore[method-assign]

    async def read(self, topic: str, after: int, limit: int) -> LogPage:
        if self.errors:
            self.reached.set()
            await self.opened.wait()
            raise self.errors.pop()
        stretch = await self._read(topic, after, limit)
        self.reached.set()
        await self.opened.wait()
        return stretch


async def test_a_hint_during_a_read_that_is_too_early_for_it_is_not_lost(
    open_node: OpenNode,
) -> None:
    """No sweep finds the process's own events: its commits do not change the version."""
    node = await open_node(sweep_seconds=60)
    sink = ListSink()
    await node.hub.subscribe(TOPIC, None, sink)
    events = []
    deliver = node.broker.deliver
    node.broker.deliver = events.append
    await node.append(count=2)
    node.broker.deliver = deliver
    gate = Gate(node)
    deliver(events[1])  # the first was lost: a gap, which is read
    await gate.reached.wait()
    (third,) = await node.append()
    assert third.seq == 3
    gate.opened.set()
    await wait_until(lambda: sink.seqs == [1, 2, 3])


async def test_a_gap_that_could_not_be_read_is_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a sweep finds nothing new, as with the process's own events."""

    async def nothing_new(*_: object) -> tuple[Position, dict[str, int]]:
        return Position(0, 0), {}

    monkeypatch.setattr(node.log, "changes", nothing_new)
    sink = ListSink()
    await node.hub.subscribe(TOPIC, None, sink)
    events: list[Event] = []
    deliver = node.broker.deliver
    node.broker.deliver = events.append
    await node.append(count=2)
    gate = Gate(node)
    gate.errors.append(Problem(503, "The database is busy."))
    deliver(events[1])
    await gate.reached.wait()
    await wait_until(lambda: not node.hub._touched, what="a sweep has looked while it was read")
    gate.opened.set()
    await wait_until(lambda: sink.seqs == [1, 2])


async def test_a_topic_opened_during_the_first_sweep_gets_what_is_lost_meanwhile(
    node: Node, open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That sweep may see the event, and is then the only one that does."""
    other = await open_node(sweep_seconds=60)
    begun, go_on = asyncio.Event(), asyncio.Event()
    read = other.database.read

    async def late(fn: Any) -> Any:
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        return await read(fn)

    monkeypatch.setattr(other.database, "read", late)
    other.hub.request_sweep()
    await begun.wait()
    sink = ListSink()
    await other.hub.subscribe(TOPIC, None, sink)
    await node.append()  # no broker tells the other process
    assert sink.seqs == []
    go_on.set()
    await wait_until(lambda: sink.seqs == [1])


async def test_a_failure_while_catching_up_ends_the_reader(node: Node) -> None:
    sink = ListSink(room=0)
    await node.hub.subscribe(TOPIC, None, sink)
    gate = Gate(node)
    gate.opened.set()
    gate.errors.append(Problem(503, "The database is busy."))
    await node.append()
    node.hub.drop_ring(TOPIC)
    sink.give(None)
    await wait_until(lambda: sink.failures == 1)


async def test_a_subscription_waits_for_a_topic_that_is_being_opened(node: Node) -> None:
    sinks = [ListSink() for _ in range(50)]
    tasks = [asyncio.create_task(node.hub.subscribe(TOPIC, node.cursor(0), sink)) for sink in sinks]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await node.append(count=2)
    await asyncio.wait(tasks)
    await wait_until(lambda: all(len(sink.events) == 2 for sink in sinks[1::2]))
    assert not any(sink.events for sink in sinks[::2])
    assert node.hub.topics == 1


async def test_a_topic_that_cannot_be_opened_is_a_503_and_works_later(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(topic: str, count: int) -> LogPage:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(node.log, "newest", no)
        with pytest.raises(Problem) as refused:
            await node.hub.subscribe(TOPIC, None, ListSink())
    assert refused.value.status == 503
    assert node.hub.topics == 0
    sink = ListSink()
    await node.hub.subscribe(TOPIC, None, sink)
    await node.append()
    assert sink.seqs == [1]


async def test_watch_is_registered_before_it_is_entered(node: Node) -> None:
    async with node.hub.watch(TOPIC, "ord_1") as future:
        await node.append(subject="ord_2")
        assert not future.done()
        await node.append(subject="ord_1")
        assert (await future).seq == 2
    assert node.hub.listeners == 0


async def test_processes_on_one_file_learn_of_each_others_events_by_the_sweep(
    node: Node, open_node: OpenNode
) -> None:
    other = await open_node()
    sink = ListSink()
    await other.hub.subscribe(TOPIC, None, sink)
    async with other.hub.watch(TOPIC, "ord_1") as future:
        await node.append(count=3, subject="ord_1")
        await asyncio.wait_for(future, PATIENCE)
    assert sink.seqs == [1, 2, 3]
    assert other.hub.gaps == 1


@sqlite_only  # which tells for nothing that nobody has committed
async def test_the_sweep_reads_nothing_while_nobody_else_commits(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.hub.subscribe(TOPIC, None, ListSink())
    asked = []
    changes = node.log.changes

    async def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        return await changes(*arguments)

    ticks = 0
    version = node.database.data_version

    async def data_version() -> int:
        nonlocal ticks
        ticks += 1
        return await version()

    monkeypatch.setattr(node.log, "changes", counted)
    monkeypatch.setattr(node.database, "data_version", data_version)
    await wait_until(lambda: ticks >= 2)
    settled = len(asked)
    await node.append(count=3)
    await wait_until(lambda: ticks >= 6)
    assert len(asked) == settled


async def test_the_sweep_survives_a_failing_database(
    node: Node, open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ListSink()
    await node.hub.subscribe(TOPIC, None, sink)
    failed = asyncio.Event()

    async def fails() -> int:
        failed.set()
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(node.database, "data_version", fails)
        await asyncio.wait_for(failed.wait(), PATIENCE)
    other = await open_node()
    await other.append()
    await wait_until(lambda: sink.seqs == [1])


async def test_a_topic_is_closed_a_while_after_its_last_reader(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []

    async def unsubscribe(topic: str) -> None:
        left.append(topic)
        await asyncio.sleep(3600)  # a broker that does not answer delays nothing

    monkeypatch.setattr(node.broker, "unsubscribe", unsubscribe)
    monkeypatch.setattr(hub_module, "LINGER_SECONDS", 0.1)
    kept = await node.hub.subscribe("restaurant:kept", None, ListSink())
    for number in range(3):
        (await node.hub.subscribe(f"restaurant:{number}", None, ListSink())).close()
    await wait_until(lambda: node.hub.topics == 1)
    await wait_until(lambda: len(left) == 3)
    sink = ListSink()
    await node.hub.subscribe("restaurant:1", None, sink)
    await node.append("restaurant:1")
    assert sink.seqs == [1]
    kept.close()


async def test_a_sweep_looks_only_at_topics_that_have_changed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("restaurant:changed", "restaurant:quiet"):
        await node.hub.subscribe(name, None, ListSink())
    await wait_until(lambda: not node.hub._touched)
    looked_at: list[str] = []
    monkeypatch.setattr(LogTopic, "drop_encoded", lambda topic: looked_at.append(topic.name))
    await node.append("restaurant:changed")
    await wait_until(lambda: not node.hub._touched)
    assert looked_at == ["restaurant:changed"]


async def test_rewritten_events_are_read_again(node: Node) -> None:
    await node.append(subject="ord_1", data='{"name":"Ada"}')
    await node.hub.subscribe(TOPIC, None, ListSink())

    async def scrub(tx: Transaction) -> None:
        await node.log.rewrite(tx, "ord_1", lambda data: '{"name":"gone"}')

    await node.database.write(scrub)
    node.hub.drop_ring(TOPIC)
    sink = ListSink()
    await node.hub.subscribe(TOPIC, node.cursor(0), sink)
    await wait_until(lambda: sink.seqs == [1])
    assert sink.events[0].data == '{"name":"gone"}'
    await node.append()
    assert sink.seqs == [1, 2]


async def test_the_sweep_makes_up_for_an_exception_of_the_broker(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ListSink()
    await node.hub.subscribe(TOPIC, None, sink)
    deliver: Callable[[Event], None] = node.broker.deliver

    def fails(event: Event) -> None:
        raise RuntimeError("broken")

    node.broker.deliver = fails
    await node.append()
    node.broker.deliver = deliver
    await wait_until(lambda: sink.seqs == [1])


async def test_ephemeral_events_are_delivered_now_and_stored_nowhere(node: Node) -> None:
    topic = "ephemeral/room"
    early, full, late = ListSink(), ListSink(room=1), ListSink()
    await node.hub.subscribe(topic, None, early)
    await node.hub.subscribe(topic, None, full)
    node.hub.broadcast(topic, "typing", '"one"', "ana")
    node.hub.broadcast(topic, "typing", '"two"')
    full.give(None)
    await wait_until(lambda: live(node, topic) == 2, what="the full one listens again")
    await node.hub.subscribe(topic, None, late)
    node.hub.broadcast(topic, "typing", '"three"')
    assert [event.data for event in early.events] == ['"one"', '"two"', '"three"']
    assert [event.data for event in full.events] == ['"one"', '"three"']
    assert [event.data for event in late.events] == ['"three"']
    assert (await node.log.changes(None, [topic]))[1] == {}


def live(node: Node, topic: str) -> int:
    return sum(one.live for one in node.hub._topics[topic].subscriptions)
