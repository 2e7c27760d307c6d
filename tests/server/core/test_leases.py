"""A lease of two processes on one database."""

import asyncio

from server.core import leases
from server.core.clock import to_text
from server.core.database import Database
from server.core.leases import Lease
from support.waiting import wait_until


async def test_one_process_holds_a_lease_and_gives_it_up_when_it_closes(
    database: Database,
) -> None:
    first, second = (Lease(database, "upkeep", 600) for _ in range(2))
    other = Lease(database, "something else", 600)
    for lease in (first, second, other):
        await lease.open()
    assert (first.held, second.held, other.held) == (True, False, True)
    await first.wait()
    waiting = asyncio.create_task(second.wait())
    await first._renew()
    await second._renew()
    assert (first.held, second.held, waiting.done()) == (True, False, False)
    await first.close()
    await second._renew()
    await waiting
    assert (first.held, second.held) == (False, True)
    for lease in (second, other):
        await lease.close()


async def test_of_many_that_want_a_free_lease_at_once_one_gets_it(database: Database) -> None:
    every = [Lease(database, "upkeep", 600) for _ in range(12)]
    await asyncio.gather(*(lease._renew() for lease in every))
    assert [lease.held for lease in every].count(True) == 1


async def test_the_lease_of_a_killed_process_is_taken_over_once_it_has_expired(
    database: Database,
) -> None:
    killed, other = Lease(database, "upkeep", 0.5), Lease(database, "upkeep", 600)
    await killed._renew()  # and never again
    assert killed.held
    await other.open()

    async def until() -> str:
        row = await database.look_up(lambda tx: leases._queries.lease(tx, name="upkeep"))
        assert row is not None
        return str(row["until"])

    expired = await until()
    await wait_until(lambda: other.held, what="the other one holds it")
    assert not killed.held
    assert to_text(leases.now()) >= expired
    await other.close()
