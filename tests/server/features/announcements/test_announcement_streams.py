"""Announcements as a stream, and who may see which."""

import asyncio

import pytest
from newsroom import announce, history, stream, titles

from server.core.audit import AuditActor
from server.core.database import Database, Transaction
from server.features.accounts.service import AccountService
from server.features.accounts.sessions import Cause
from server.realtime.event import Cursor
from support.cast import Cast
from support.live_server import LiveServer
from support.server_process import ON_POSTGRES
from support.town import PASSWORD

AUDIENCES = ("employees", "customers", "everyone")


def beginning(cursor: str) -> str:
    """The same topic's cursor before its first event."""
    found = Cursor.parse(cursor)
    assert found is not None
    return str(Cursor(found.epoch, found.topic, 0))


async def test_snapshot_and_stream_leave_no_gap(cast: Cast) -> None:
    await announce(cast.employee, title="before")
    cursor = (await history(cast.customer))["cursor"]
    missed = await announce(cast.employee, title="after")
    async with stream(cast.customer, cursor) as events:
        first = await events.next()
        assert (first.type, first.data) == ("announcement", missed)
        (await cast.employee.delete(f"/announcements/{missed['id']}")).must(204)
        (await cast.employee.delete(f"/announcements/{missed['id']}")).must(204)
        second = await events.next()
        assert (second.type, second.data["id"]) == ("announcement.withdrawn", missed["id"])
        assert set(second.data) == {"id", "withdrawn_at"}
        made = await announce(cast.employee)
        assert (await events.next()).data == made, "withdrawn once, told once"
    async with stream(cast.customer, **{"Last-Event-ID": first.cursor}) as events:
        assert (await events.next()).data["id"] == missed["id"]
        assert (await events.next()).data["id"] == made["id"]


async def test_only_its_audience_learns_of_an_announcement(cast: Cast) -> None:
    """Neither live, nor in a replay, nor by a gap in the numbers."""
    cursors = {
        who: (await history(getattr(cast, who)))["cursor"] for who in ("customer", "employee")
    }
    async with stream(cast.customer) as customer, stream(cast.employee) as employee:
        made = {}
        for audience in AUDIENCES:
            made[audience] = await announce(cast.employee, title=audience, audience=audience)
        for one in made.values():
            (await cast.employee.delete(f"/announcements/{one['id']}")).must(204)
        live = {
            "customer": [await customer.next() for _ in range(4)],
            "employee": [await employee.next() for _ in range(4)],
        }
    for who, foreign in (("customer", "employees"), ("employee", "customers")):
        assert made[foreign]["id"] not in [event.data["id"] for event in live[who]]
        places = [Cursor.parse(event.cursor) for event in live[who]]
        assert [place and place.seq for place in places] == [1, 2, 3, 4]
        async with stream(getattr(cast, who), cursors[who]) as events:
            assert [await events.next() for _ in range(4)] == live[who]


async def test_another_audiences_cursor_gives_access_to_nothing(cast: Cast) -> None:
    await announce(cast.employee, audience="employees")
    theirs = beginning((await history(cast.employee))["cursor"])
    everything = beginning((await history(cast.employee, "?scope=all"))["cursor"])
    for cursor in (theirs, everything, "garbage"):
        async with stream(cast.customer, cursor) as events:
            assert (await events.next()).type == "reset"
            await events.over()
    async with stream(cast.customer, query="?scope=all") as events:
        assert events.answer.status == 403


async def test_employees_may_follow_everything(cast: Cast) -> None:
    cursor = (await history(cast.employee, "?scope=all"))["cursor"]
    async with stream(cast.employee, cursor, "?scope=all") as events:
        for audience in AUDIENCES:
            made = await announce(cast.outsider, audience=audience)
            assert (await events.next()).data == made, "each once, also what is for everyone"


@pytest.mark.parametrize("into", ["customer", "employee"])
async def test_a_role_change_during_a_stream_shows_nothing_of_the_other_audience(
    cast: Cast, live_server: LiveServer, into: str
) -> None:
    """Changed as an administrator would: the row, and with it every session of the account.

    An announcement right after it is not delivered, and the old cursor is invalid in the new role.
    """
    email, password = "ana@example.com", "correct horse"
    if into == "customer":
        email, password = cast.place.employees[1], PASSWORD
    who = await cast.nobody.another().log_in(email, password)
    account_id = who.grant["account"]["id"]
    services = live_server.services
    accounts, database = services[AccountService], services[Database]
    left = "employees" if into == "customer" else "customers"
    cursor = (await history(who))["cursor"]

    async def change(tx: Transaction) -> None:
        sql = "UPDATE accounts SET role = :role WHERE id = :id"
        await tx.execute(sql, {"role": into, "id": account_id})
        await accounts.sessions.end_all(tx, account_id, Cause("test", AuditActor("test")))

    async with stream(who) as events:
        seen = await announce(cast.employee, title="seen", audience=left)
        assert (await events.next()).data == seen
        changed = asyncio.ensure_future(database.write(change))
        if ON_POSTGRES:  # where two transactions at once may commit in either order
            await changed
        await asyncio.gather(changed, announce(cast.employee, title="secret", audience=left))
        await events.over()
    (await who.get("/announcements")).must(401)
    (await who.post(f"/announcements/{seen['id']}/ack")).must(401)
    async with stream(who, cursor) as events:
        assert events.answer.status == 401
    again = await who.another().log_in(email, password)
    assert again.grant["account"]["role"] == into
    assert await titles(again) == []
    async with stream(again, cursor) as events:
        assert (await events.next()).type == "reset"
