"""Who has acknowledged an announcement."""

import asyncio

from newsroom import announce, history, stream

from server.core.database import Database, Transaction
from support.cast import Cast
from support.event_stream import event_stream
from support.live_server import LiveServer
from support.rest import Rest


async def ack(who: Rest, made: dict[str, object], status: int = 204) -> None:
    (await who.post(f"/announcements/{made['id']}/ack")).must(status)


async def counted(who: Rest, made: dict[str, object]) -> tuple[int, int]:
    """The number of acknowledgements, and of the audience."""
    answer = (await who.get(f"/announcements/{made['id']}/acks")).must(200).json
    audiences = (await who.get("/announcements/audiences")).must(200).json
    assert audiences[made["audience"]] == answer["audience_size"]
    assert audiences["everyone"] == audiences["customers"] + audiences["employees"]
    assert list(answer) == ["acknowledged", "audience_size"]
    return answer["acknowledged"], answer["audience_size"]


async def test_a_thousand_acknowledgements_of_one_account_count_once(cast: Cast) -> None:
    made = await announce(cast.employee)
    for _ in range(10):  # a hundred at once: each waits for the ones before it
        await asyncio.gather(*(ack(cast.customer, made) for _ in range(100)))
    assert (await counted(cast.employee, made))[0] == 1
    path = f"/announcements/{made['id']}/acks/stream"
    async with event_stream(cast.employee, path) as events:
        first = await events.next()
        assert first.data["acknowledged"] == 1
        await ack(cast.customer, made)
        await ack(cast.stranger, made)
        second = await events.next()
        assert second.data["acknowledged"] == 2, "what changed nothing is no event"


async def test_each_reader_has_their_own_acknowledgements(cast: Cast) -> None:
    made = await announce(cast.employee)
    await ack(cast.customer, made)
    assert (await history(cast.customer))["items"][0]["acknowledged"] is True
    assert (await history(cast.stranger))["items"][0]["acknowledged"] is False


async def test_the_audience_is_everybody_with_an_account_of_the_role(cast: Cast) -> None:
    sizes = {}
    for audience in ("everyone", "customers", "employees"):
        made = await announce(cast.employee, audience=audience)
        sizes[audience] = await counted(cast.employee, made)
    assert sizes == {"everyone": (0, 5), "customers": (0, 2), "employees": (0, 3)}
    (await cast.stranger.delete_account()).must(204)
    await cast.nobody.another().register("chiara@example.com")
    await cast.nobody.another().register("dan@example.com")
    made = await announce(cast.employee)
    assert await counted(cast.employee, made) == (0, 6)


async def test_nobody_acknowledges_what_is_for_others(cast: Cast) -> None:
    ours = await announce(cast.employee, audience="employees")
    theirs = await announce(cast.employee, audience="customers")
    await ack(cast.customer, ours, 404)
    await ack(cast.employee, theirs, 404)
    await ack(cast.customer, {"id": "ann_none"}, 404)
    assert (await counted(cast.employee, ours))[0] == 0
    assert (await counted(cast.employee, theirs))[0] == 0
    await ack(cast.outsider, ours)
    await ack(cast.customer, theirs)
    assert (await counted(cast.employee, ours))[0] == 1
    assert (await counted(cast.employee, theirs))[0] == 1


async def test_counts_are_streamed_from_the_first_on(cast: Cast) -> None:
    made = await announce(cast.employee, audience="customers")
    path = f"/announcements/{made['id']}/acks/stream"
    async with event_stream(cast.outsider, path) as events:
        first = await events.next()
        assert (first.type, first.data) == ("acks", {"acknowledged": 0, "audience_size": 2})
        await ack(cast.customer, made)
        assert (await events.next()).data == {"acknowledged": 1, "audience_size": 2}
        (await cast.customer.delete_account()).must(204)
        assert (await events.next()).data == {"acknowledged": 0, "audience_size": 1}


async def test_counts_are_for_employees(cast: Cast) -> None:
    made = await announce(cast.employee)
    for path in (f"/announcements/{made['id']}/acks", f"/announcements/{made['id']}/acks/stream"):
        (await cast.customer.get(path)).must(403)
    (await cast.employee.get("/announcements/ann_none/acks")).must(404)
    (await cast.employee.get("/announcements/ann_none/acks/stream")).must(404)


async def test_only_the_accounts_other_window_is_told(cast: Cast) -> None:
    made = await announce(cast.employee)
    cursor = (await history(cast.customer))["cursor"]
    async with (
        stream(cast.customer, cursor) as own,
        stream(cast.stranger) as stranger,
        stream(cast.employee, query="?scope=all") as employee,
    ):
        for who in (cast.customer, cast.customer):
            await ack(who, made)
        told = await own.next()
        assert (told.cursor, told.type) == ("", "announcement.acknowledged")
        assert told.data == {"id": made["id"]}
        second = await announce(cast.employee)
        found = [await one.next() for one in (own, stranger, employee)]
        assert [one.data for one in found] == [second] * 3, "once, and to its account alone"
    async with stream(cast.customer, cursor) as late:  # as between a snapshot and its stream
        assert {(await late.next()).type, (await late.next()).data["id"]} == {
            "announcement.acknowledged",
            second["id"],
        }


async def test_acknowledgements_of_a_deleted_account_are_in_no_event(
    cast: Cast, live_server: LiveServer
) -> None:
    made = await announce(cast.employee)
    await ack(cast.customer, made)
    database = live_server.services[Database]

    async def marks(tx: Transaction) -> list[str]:
        rows = await tx.fetch("SELECT data FROM events WHERE topic = 'announcements:read'", {})
        return [row["data"] for row in rows]

    assert await database.read(marks) == [f'{{"id":"{made["id"]}"}}']
    (await cast.customer.delete_account()).must(204)
    assert await database.read(marks) == ["{}"]
