"""What PostgreSQL does otherwise than SQLite: transactions at once, on connections that break."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from server.core.clock import now, set_ahead, to_text
from server.core.database import Database, Transaction
from server.core.databases import database_at
from server.core.errors import Problem
from server.core.postgres import ATTEMPTS
from server.realtime.log import EventLog
from support.server_process import ON_POSTGRES, where_for
from support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.skipif(not ON_POSTGRES, reason="needs TIFFIN_TEST_DATABASE=postgresql")

READ = "SELECT value FROM meta WHERE name = :name"
LOCK = f"{READ} /*+ FOR NO KEY UPDATE */"
LOCK_FIRST = f"{READ} /*+ FIRST SELECT 1 FROM meta WHERE name = :name FOR NO KEY UPDATE */"
UPDATE = "UPDATE meta SET value = :value WHERE name = :name"
INSERT = "INSERT INTO meta (name, value) VALUES (:name, :value)"


async def run(database: Database, sql: str, **parameters: object) -> list[dict[str, Any]]:
    """The rows of one statement, in a write."""
    rows = await database.write(lambda tx: tx.fetch(sql, parameters))
    return [dict(row) for row in rows]


@pytest.mark.parametrize("lock", [LOCK, LOCK_FIRST])
async def test_a_lock_makes_a_change_see_those_it_has_waited_for(
    database: Database, lock: str
) -> None:
    await run(database, INSERT, name="n", value="0")

    async def count(tx: Transaction) -> None:
        [row] = await tx.fetch(lock, {"name": "n"})
        await tx.fetch(UPDATE, {"name": "n", "value": str(int(row["value"]) + 1)})

    await asyncio.gather(*(database.write(count) for _ in range(30)))
    for read in (database.read, database.look_up):  # which take no locks
        assert [dict(row) for row in await read(lambda tx: tx.fetch(lock, {"name": "n"}))] == [
            {"value": "30"}
        ]


async def test_a_trim_waits_for_nobody_whom_its_own_locks_keep_waiting(database: Database) -> None:
    """It would be a deadlock with whoever writes to two topics."""
    log = EventLog(database)

    async def append(*topics: str) -> None:
        async def fn(tx: Transaction) -> None:
            for topic in topics:
                await log.append(tx, topic, "changed", "{}", at="2026-01-01T00:00:00.000Z")

        await database.write(fn)

    await append("a", "b")
    locked, trimmed = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await log.append(tx, "a", "changed", "{}")
        locked.set()
        await trimmed.wait()
        await log.append(tx, "b", "changed", "{}")

    holding = asyncio.create_task(database.write(hold))
    await locked.wait()
    try:
        async with asyncio.timeout(PATIENCE):
            assert await log.trim(to_text(now())) == 1
    finally:
        trimmed.set()
        await holding
    assert (await log.read("a", 0, 9)).trimmed == 0
    assert (await log.read("b", 0, 9)).trimmed == 1


async def test_a_deadlock_is_tried_again(database: Database) -> None:
    for name in ("a", "b"):
        await run(database, INSERT, name=name, value="")
    locked = asyncio.Barrier(2)
    runs = 0

    async def change(tx: Transaction, first: str, second: str) -> None:
        nonlocal runs
        runs += 1
        await tx.fetch(f"{UPDATE} RETURNING value", {"name": first, "value": second})
        if runs <= 2:
            await locked.wait()
        await tx.fetch(f"{UPDATE} RETURNING value", {"name": second, "value": first})

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            database.write(lambda tx: change(tx, "a", "b")),
            database.write(lambda tx: change(tx, "b", "a")),
        )
    assert runs == 3


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_serialization_failure_is_tried_again_and_at_last_refused(
    database: Database, isolation: str
) -> None:
    """Another one changes the row, after it was read, in each attempt but the last; or in each."""
    await run(database, INSERT, name="n", value="0")
    read, changed = asyncio.Event(), asyncio.Event()
    runs, spared = 0, 3

    async def change(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await tx.fetch(f"SET TRANSACTION ISOLATION LEVEL {isolation}", {})
        [row] = await tx.fetch(READ, {"name": "n"})
        if runs != spared:
            read.set()
            await changed.wait()
            changed.clear()
        await tx.fetch(UPDATE, {"name": "n", "value": f"{row['value']}+"})

    async def rival() -> None:
        number = 0
        while True:
            await read.wait()
            read.clear()
            number += 1
            await run(database, UPDATE, name="n", value=str(number))
            changed.set()

    changing = asyncio.create_task(rival())
    try:
        async with asyncio.timeout(PATIENCE):
            await database.write(change)
            assert (runs, await run(database, READ, name="n")) == (3, [{"value": "2+"}])
            runs, spared = 0, 0
            with pytest.raises(Problem, match="Nothing was changed") as refused:
                await database.write(change)
    finally:
        changing.cancel()
    assert (runs, refused.value.status) == (ATTEMPTS, 503)
    assert await run(database, READ, name="n") == [{"value": str(ATTEMPTS + 2)}]


async def test_a_row_that_another_has_inserted_meanwhile_is_found_by_another_try(
    database: Database,
) -> None:
    looked = asyncio.Barrier(2)
    runs = 0

    async def insert(tx: Transaction) -> str:
        nonlocal runs
        runs += 1
        found = await tx.fetch(READ, {"name": "n"})
        if runs <= 2:
            await looked.wait()
        if found:
            return "found"
        await tx.fetch(INSERT, {"name": "n", "value": ""})
        return "made"

    outcomes = await asyncio.gather(database.write(insert), database.write(insert))
    assert sorted(outcomes) == ["found", "made"]


async def test_a_row_that_is_always_missing_is_a_503_and_no_500(database: Database) -> None:
    await run(database, "CREATE TABLE parts (name TEXT REFERENCES meta (name))")
    with pytest.raises(Problem) as refused:
        await run(database, "INSERT INTO parts (name) VALUES ('nobody')")
    assert refused.value.status == 503


async def test_a_nul_is_refused_in_words(database: Database) -> None:
    for call in (database.read, database.look_up, database.write):
        with pytest.raises(Problem, match="NUL") as refused:
            await call(lambda tx: tx.fetch(READ, {"name": "a\0b"}))
        assert refused.value.status == 422


async def test_a_connection_lost_during_the_commit_leaves_its_outcome_open(
    database: Database,
) -> None:
    published: list[object] = []
    database.publish = published.extend
    for statement in (
        "CREATE TABLE doomed (name TEXT)",
        "CREATE FUNCTION cut() RETURNS trigger AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
        " LANGUAGE plpgsql",
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON doomed"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()",
    ):
        await run(database, statement)

    async def doomed(tx: Transaction) -> None:
        await tx.fetch("INSERT INTO doomed (name) VALUES ('x')", {})
        tx.announce("x")

    with pytest.raises(Problem, match="was is not") as lost:
        await database.write(doomed)
    assert lost.value.status == 503
    assert not published
    assert await database.state() == "ok"
    assert await run(database, "SELECT 1 AS one") == [{"one": 1}]


async def test_a_connection_lost_before_the_commit_has_changed_nothing(database: Database) -> None:
    async def cut(tx: Transaction) -> None:
        await tx.fetch(INSERT, {"name": "n", "value": ""})
        await tx.fetch("SELECT pg_terminate_backend(pg_backend_pid())", {})

    with pytest.raises(Problem, match="Nothing was changed"):
        await database.write(cut)
    assert await run(database, READ, name="n") == []


async def test_a_transaction_that_stands_still_lets_go_of_its_locks(
    database: Database, database_path: Path
) -> None:
    """As that of a process which is frozen, or cut off from PostgreSQL."""
    await run(database, INSERT, name="n", value="")
    impatient = database_at(where_for(database_path), seconds=0.5)
    await impatient.open()
    held, going_on = asyncio.Event(), asyncio.Event()

    async def stand_still(tx: Transaction) -> None:
        await tx.fetch(UPDATE, {"name": "n", "value": "never"})
        held.set()
        await going_on.wait()
        await tx.fetch(READ, {"name": "n"})

    standing = asyncio.create_task(impatient.write(stand_still))
    await held.wait()
    await run(database, UPDATE, name="n", value="mine")
    going_on.set()
    with pytest.raises(Problem, match="Nothing was changed"):
        await standing
    assert await run(database, READ, name="n") == [{"value": "mine"}]

    async def wait(tx: Transaction) -> None:
        await tx.fetch("SELECT pg_sleep(60)", {})

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Problem, match="Nothing was changed"):
            await impatient.write(wait)
        await impatient.close()


async def test_a_cancelled_caller_does_not_cancel_its_write(database: Database) -> None:
    began = asyncio.Event()

    async def slow(tx: Transaction) -> None:
        began.set()
        await tx.fetch("SELECT pg_sleep(0.1)", {})
        await tx.fetch(INSERT, {"name": "n", "value": ""})

    task = asyncio.create_task(database.write(slow))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def stored() -> bool:
        return bool(await run(database, READ, name="n"))

    await wait_until(stored)


async def test_the_time_is_that_of_the_databases_clock(
    open_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour before this machine's."""
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3600)
    try:
        database: Database = await open_database()
        [row] = await run(database, "SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8 AS at")
        assert abs(now().timestamp() - row["at"]) < 60
    finally:
        set_ahead(0)


async def test_who_has_lost_all_connections_learns_what_happened_meanwhile(
    open_database: Any,
) -> None:
    """Another process may have claimed an instance, or the rows may have been moved."""
    database: Database = await open_database()

    async def cut(sql: str, **values: str) -> None:
        async def fn(tx: Transaction) -> None:
            await tx.fetch(sql, values)

        await database.write(fn)
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        with pytest.raises(Problem):
            await run(database, f"{end} WHERE datname = current_database()")

    await cut(UPDATE, name="instance", value="another")

    async def learned() -> bool:
        await database.state()
        return database.instance == "another"

    await wait_until(learned)
    await cut(INSERT, name="moved_to", value="elsewhere")

    async def refused() -> bool:
        return "was moved to elsewhere" in await database.state()

    await wait_until(refused)
    with pytest.raises(Problem, match="Nothing was changed"):
        await run(database, "SELECT 1")
