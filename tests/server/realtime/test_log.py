import pytest
from hub_node import TOPIC, Node, OpenNode
from hypothesis import given
from hypothesis import strategies as st

from server.core.clock import now, to_text
from server.core.database import Transaction
from server.realtime.event import Cursor, Event
from server.realtime.log import CHANGES_AT_ONCE
from server.realtime.state_topic import STATE


@given(
    epoch=st.text("0123456789abcdef", min_size=12, max_size=12),
    topic=st.text(st.characters(codec="utf-8"), max_size=40),
    seq=st.integers(0, 2**63 - 1),
)
def test_a_cursor_is_opaque_and_survives_encoding(epoch: str, topic: str, seq: int) -> None:
    cursor = Cursor(epoch, topic, seq)
    assert Cursor.parse(str(cursor)) == cursor
    assert str(cursor).isascii()
    assert not set(str(cursor)) & set(" \r\n\0&?=#+/")
    longer = Cursor(epoch, topic, seq, "123456789")
    assert Cursor.parse(str(longer)) is None, "a read mark's is stored and told to the room"


@given(st.text())
def test_parsing_a_cursor_never_raises(text: str) -> None:
    parsed = Cursor.parse(text)
    assert parsed is None or 0 <= parsed.seq < 2**63


@given(st.builds(Event, *[st.text(), st.integers(1, 2**62), *[st.text()] * 4]))
def test_an_event_survives_its_message(event: Event) -> None:
    message = event.to_message()
    assert "\n" not in message
    again = Event.from_message(message)
    assert again.to_message() == message


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"null", b'["t",1,"x"]', b'["t","1","x","","{}",""]', b"\xff", b"["]
)
def test_another_message_is_no_event(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Event.from_message(text)


async def test_seq_has_no_gaps_and_belongs_to_its_topic(node: Node) -> None:
    await node.append(count=2)
    await node.append("auth", count=3)

    async def fails(tx: Transaction) -> None:
        await node.log.append(tx, TOPIC, "changed", "{}")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await node.database.write(fails)
    assert (await node.append())[0].seq == 3
    assert (await node.append("auth"))[0].seq == 4
    _, heads = await node.log.changes(None, [TOPIC, "auth", "nobody"])
    assert heads == {TOPIC: 3, "auth": 4}


async def test_what_has_changed_since_is_asked_for_whatever_there_is(node: Node) -> None:
    names = [f"restaurant:{number}" for number in range(CHANGES_AT_ONCE + 1)]
    states = [f"{STATE}driver:{number}" for number in range(3)]
    start, heads = await node.log.changes(None, [])
    assert heads == {}

    async def fn(tx: Transaction) -> None:
        for name in names[1:]:
            await node.log.append(tx, name, "changed", "{}")
        for state in states:
            await node.hub.states.put(tx, state, "moved", "{}")

    await node.database.write(fn)
    # Too many: only those that are asked for.
    before, heads = await node.log.changes(start, names)
    assert heads == dict.fromkeys(names[1:], 1)
    assert (await node.log.changes(None, [*names, states[0]]))[1] == heads | {states[0]: 1}
    assert await node.log.changes(before, names) == (before, {})
    await node.append(names[0], count=2)
    await node.append(names[5])
    await node.database.write(lambda tx: node.hub.states.put(tx, states[1], "moved", "{}"))
    assert (await node.log.changes(before, []))[1] == {names[0]: 2, names[5]: 2, states[1]: 2}


async def test_a_deleted_state_hides_no_later_change(node: Node) -> None:
    """Deleted after the one with the highest number."""
    kept, gone = f"{STATE}kept", f"{STATE}gone"
    for name in (kept, gone):
        await node.database.write(lambda tx, name=name: node.hub.states.put(tx, name, "x", "{}"))
    known, _ = await node.log.changes(None, [])
    await node.database.write(lambda tx: node.hub.states.drop(tx, gone))
    await node.database.write(lambda tx: node.hub.states.put(tx, kept, "x", "{}"))
    assert (await node.log.changes(known, []))[1][kept] == 2


async def test_the_epoch_belongs_to_the_database_and_stays(open_node: OpenNode) -> None:
    first, second = await open_node(), await open_node()
    other = await open_node(name="other")
    assert first.log.epoch == second.log.epoch != other.log.epoch


async def test_a_page_has_head_and_trim_mark(node: Node) -> None:
    nothing = await node.log.read(TOPIC, 0, 10)
    assert (nothing.head, nothing.trimmed, list(nothing.events)) == (0, 0, [])
    await node.append(count=5)
    page = await node.log.read(TOPIC, 1, 2)
    assert (page.head, page.trimmed, [event.seq for event in page.events]) == (5, 0, [2, 3])
    assert await node.log.trim(to_text(now().replace(year=2000))) == 0
    assert await node.log.trim("9999-01-01T00:00:00.000Z") == 1
    page = await node.log.read(TOPIC, 1, 2)
    assert (page.head, page.trimmed, list(page.events)) == (5, 5, [])
    newest = await node.log.newest(TOPIC, 3)
    assert (newest.head, newest.trimmed, list(newest.events)) == (5, 5, [])
    assert (await node.append())[0].seq == 6
    assert await node.log.trim("9999-01-01T00:00:00.000Z") == 1, "found by its new first event"


async def test_a_page_continues_if_nothing_is_missing(node: Node) -> None:
    await node.append(count=4)
    page = await node.log.read(TOPIC, 0, 2)
    assert [page.continues(seq) for seq in range(6)] == [True, True, False, False, True, False]


async def test_rewriting_reaches_every_event_about_a_subject(node: Node) -> None:
    for topic in (TOPIC, "everyone"):
        for subject in ("ord_1", "ord_2"):
            await node.append(topic, subject=subject, data='{"name":"Z\u00fc"}')

    async def scrub(tx: Transaction) -> None:
        await node.log.rewrite(tx, "ord_1", lambda data: data.replace("Z", "X"))
        await node.log.rewrite(tx, "ord_9", lambda data: "null")

    await node.database.write(scrub)
    for topic in (TOPIC, "everyone"):
        events = (await node.log.read(topic, 0, 10)).events
        assert [event.data for event in events] == ['{"name":"X\u00fc"}', '{"name":"Z\u00fc"}']


async def test_a_clock_set_back_for_a_moment_deletes_nothing_young(node: Node) -> None:
    await node.append(count=3)
    await node.append(count=1)
    old = "1970-01-01T00:00:00.000Z"

    async def age(seq: int) -> None:
        async def fn(tx: Transaction) -> None:
            where = {"at": old, "seq": seq}
            await tx.execute("UPDATE events SET at = :at WHERE seq = :seq", where)
            first = "SELECT at FROM events ORDER BY seq LIMIT 1"
            await tx.execute(f"UPDATE topics SET oldest = ({first})", {})

        await node.database.write(fn)

    await age(3)
    assert await node.log.trim(to_text(now().replace(year=2000))) == 0
    page = await node.log.read(TOPIC, 0, 10)
    assert (page.trimmed, [event.seq for event in page.events]) == (0, [1, 2, 3, 4])
    await age(1)
    assert await node.log.trim(to_text(now().replace(year=2000))) == 1
    page = await node.log.read(TOPIC, 1, 10)
    assert (page.trimmed, [event.seq for event in page.events]) == (1, [2, 3, 4])
    await age(2)
    assert await node.log.trim(to_text(now().replace(year=2000))) == 1
    page = await node.log.read(TOPIC, 3, 10)
    assert (page.trimmed, [event.seq for event in page.events]) == (3, [4])
