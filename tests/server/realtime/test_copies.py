"""A database that somebody has copied by hand: the copy's events have the same numbers as others of
the original."""

import shutil
from pathlib import Path

import pytest
from hub_node import TOPIC, ListSink, Node, OpenNode

from server.core.database import Transaction
from server.realtime import state_topic
from server.realtime.event import Cursor, Event
from server.realtime.log_topic import RING
from server.realtime.redis_broker import RedisBroker
from server.realtime.state_topic import CHECKS, STATE
from support.waiting import wait_until

SHARED, HERE, THERE = (f"2026-01-31T12:00:0{second}.000Z" for second in (1, 2, 3))
LATER = "2026-02-28T12:00:00.000Z"


async def copied(node: Node) -> None:
    """Close the node, and copy its database as `copy`."""
    await node.close()
    path = node.path.with_stem("copy")
    if isinstance(node.where, Path):
        for file in files_of(node.where):
            shutil.copy(file, str(file).replace(str(node.path), str(path)))
        return
    from support.postgres import shared_server, url_for

    original, copy = (url.rpartition("/")[2] for url in (node.where, url_for(path)))
    for statement in (
        f"DROP DATABASE {copy}",
        f"CREATE DATABASE {copy} TEMPLATE {original} STRATEGY file_copy",
    ):
        await shared_server().execute(statement)


def files_of(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}*"))


async def append(node: Node, count: int, at: str) -> list[Event]:
    async def fn(tx: Transaction) -> list[Event]:
        return [await node.log.append(tx, TOPIC, "changed", "{}", at=at) for _ in range(count)]

    return await node.database.write(fn)


@pytest.mark.parametrize(
    ("own", "trimmed", "seen"),
    [(3, 0, 5), (3, 0, 6), (RING + 10, 0, 5), (3, 5, 5), (3, 6, 6)],
    ids=["recent", "the last", "not in memory", "the last of those trimmed", "all trimmed"],
)
async def test_a_cursor_of_another_copys_event_is_reset(
    node: Node, open_node: OpenNode, own: int, trimmed: int, seen: int
) -> None:
    shared = (await append(node, 3, SHARED))[-1]
    await copied(node)
    here, there = await open_node(), await open_node(name="copy")
    theirs = (await append(here, 3, HERE))[seen - 4]
    ours = (await append(there, own, THERE))[seen - 4]
    if trimmed:
        mark = f"UPDATE events SET at = '{LATER}' WHERE seq > {trimmed}"
        await there.database.write(lambda tx: tx.execute(mark, {}))
        await there.log.trim(LATER)
    reader = await open_node(name="copy")  # which has nothing in memory
    assert reader.log.epoch == here.log.epoch
    sinks = {name: ListSink() for name in ("theirs", "ours", "shared", "unchecked")}
    for name, cursor in (
        ("theirs", here.log.cursor_of(theirs)),
        ("ours", there.log.cursor_of(ours)),
        ("shared", there.log.cursor_of(shared)),
        ("unchecked", there.cursor(seen)),
    ):
        await reader.hub.subscribe(TOPIC, cursor, sinks[name])
    await append(there, 1, LATER)
    last = own + 4
    await wait_until(lambda: sinks["ours"].seqs == list(range(seen + 1, last + 1)))
    await wait_until(lambda: sinks["unchecked"].seqs == sinks["ours"].seqs)
    if trimmed:
        await wait_until(lambda: sinks["shared"].resets == 1)
    else:
        await wait_until(lambda: sinks["shared"].seqs == list(range(4, last + 1)))
    assert (sinks["theirs"].resets, sinks["theirs"].events) == (1, [])


async def test_every_cursor_has_the_check_of_its_event(node: Node, open_node: OpenNode) -> None:
    """Also of a topic whose events are trimmed, and of one that is read from now on."""
    [event] = await append(node, 1, HERE)
    expected = node.log.cursor_of(event)
    assert Cursor.parse(expected) == Cursor(node.log.epoch, TOPIC, 1, "00:02000")
    for _ in range(2):
        assert await node.database.read(lambda tx: node.log.cursor(tx, TOPIC)) == expected
        fresh = await open_node()
        reader = await fresh.hub.subscribe(TOPIC, None, ListSink())
        assert fresh.hub.cursor_of(reader) == expected
        await node.log.trim(LATER)
    [event] = await append(node, 1, LATER)
    await wait_until(lambda: reader.cursor == 2)
    assert fresh.hub.cursor_of(reader) == node.log.cursor_of(event)


async def test_a_cursor_of_another_copys_state_is_reset(
    node: Node, open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state has no history but the checks of its last changes."""
    topic = f"{STATE}customer:acc_1"
    moment = [SHARED]
    monkeypatch.setattr(state_topic, "to_text", lambda _: moment[0])

    async def put(node: Node, at: str) -> Event:
        moment[0] = at
        return await node.database.write(
            lambda tx: node.hub.states.put(tx, topic, "orders.changed", "{}")
        )

    await put(node, SHARED)
    await copied(node)
    here, there = await open_node(), await open_node(name="copy")
    theirs = here.log.cursor_of(await put(here, HERE))
    ours = there.log.cursor_of(await put(there, THERE))
    for cursor, resets in ((theirs, 1), (ours, 0)):
        sink = ListSink()
        await there.hub.subscribe(topic, cursor, sink)
        assert (sink.resets, sink.events) == (resets, [])
    for _ in range(CHECKS - 1):
        await put(there, THERE)
    known = []
    for _ in range(2):
        changes = await there.database.read(lambda tx: there.hub.states.changes(tx, topic))
        known.append(
            [
                parsed.fits(changes.check_at(parsed.seq))
                for parsed in map(Cursor.parse, (theirs, ours, there.cursor(2, topic)))
                if parsed is not None
            ]
        )
        await put(there, THERE)
    assert known == [[False, True, True], [False, False, True]]


async def test_a_copy_on_the_same_redis_is_not_heard(open_node: OpenNode, redis_url: str) -> None:
    secret = "a secret that the copy has too"

    async def opened(name: str) -> Node:
        return await open_node(RedisBroker(redis_url, secret), name=name, sweep_seconds=60)

    first = await open_node()
    await first.append()
    await copied(first)
    here, twin, there = [await opened(name) for name in ("tiffin", "tiffin", "copy")]
    sink, foreign = ListSink(), ListSink()
    await twin.hub.subscribe(TOPIC, None, sink)
    await there.hub.subscribe(TOPIC, None, foreign)
    assert here.log.epoch == twin.log.epoch == there.log.epoch
    await there.append(data='"theirs"')
    await wait_until(lambda: len(foreign.events) == 1)
    await here.append(data='"ours"')
    await wait_until(lambda: len(sink.events) == 1)
    assert [event.data for event in sink.events] == ['"ours"']
    for node in (here, twin):
        await node.be_another()
        node.hub.request_sweep()
        await wait_until(lambda node=node: node.broker._prefix.endswith(":another:"))  # type: ignore[misc]
    await wait_until(lambda: twin.broker._confirmed[TOPIC].is_set())  # type: ignore[attr-defined]
    await here.append(data='"renamed"')
    await wait_until(lambda: [event.data for event in sink.events] == ['"ours"', '"renamed"'])
