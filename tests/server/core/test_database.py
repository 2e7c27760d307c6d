import asyncio
import fcntl
import io
import json
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from server.core import sqlite as sqlite_module
from server.core.database import Database, Transaction, public_request
from server.core.databases import database_at
from server.core.errors import Problem
from server.core.file_lock import FileLock
from server.core.sqlite import SqliteDatabase
from support.live_server import sqlite_only
from support.server_process import new_database
from support.waiting import PATIENCE, wait_until

pytestmark = sqlite_only
Fn = Callable[[Transaction], Awaitable[str]]


def keep(name: str, value: str = "x") -> Fn:
    async def fn(tx: Transaction) -> str:
        sql = "INSERT INTO meta (name, value) VALUES (:name, :value)"
        await tx.execute(sql, {"name": name, "value": value})
        tx.announce(name)
        return name

    return fn


def stored(path: Path) -> dict[str, str]:
    """What another reader sees in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, value FROM meta"))


async def trace(database: Database) -> list[str]:
    statements: list[str] = []
    assert database._writer is not None
    await database._writer.set_trace_callback(statements.append)
    return statements


async def test_writers_that_wait_together_share_a_commit(database: Database) -> None:
    statements = await trace(database)
    names = [f"n{i}" for i in range(200)]
    assert await asyncio.gather(*(database.write(keep(name)) for name in names)) == names
    assert set(names) <= set(stored(database.path))
    assert statements.count("COMMIT") == 4  # 64 at a time
    assert statements.count("BEGIN IMMEDIATE") == 4


async def test_writes_that_come_quickly_share_a_commit(database_path: Path) -> None:
    database = database_at(database_path, commit_interval=3600)
    new_database(database_path)
    await database.open()
    commits: list[Sequence[str]] = []
    database.publish = commits.append
    try:
        await database.write(keep("at once"))
        waiting = [asyncio.create_task(database.write(keep(name))) for name in "ab"]
        await asyncio.sleep(0.02)
        assert commits == [["at once"]]
        assert not {"a", "b"} & stored(database_path).keys()
        rest = [f"n{number}" for number in range(sqlite_module.BATCH - 1)]
        waiting += [asyncio.create_task(database.write(keep(name))) for name in rest]
        async with asyncio.timeout(PATIENCE):  # a full batch does not wait, though it fills up late
            await asyncio.gather(*waiting[:-1])
        assert commits[1:] == [["a", "b", *rest[:-1]]]
        assert not waiting[-1].done()
    finally:
        await database.close()  # nor does a server that stops
    assert await waiting[-1] == rest[-1]
    assert commits[2:] == [rest[-1:]]


async def test_one_failure_undoes_only_its_own_part(database: Database) -> None:
    published: list[str] = []
    database.publish = published.extend
    statements = await trace(database)

    async def fails(tx: Transaction) -> None:
        await keep("half")(tx)
        raise Problem(409, "no")

    async def wrong_sql(tx: Transaction) -> None:
        await keep("other half")(tx)
        await tx.fetch("SELECT * FROM nowhere", {})

    async def duplicate(tx: Transaction) -> None:
        await keep("a third")(tx)
        await keep("a third")(tx)

    outcomes = await asyncio.gather(
        database.write(keep("first")),
        database.write(fails),
        database.write(keep("second")),
        database.write(wrong_sql),
        database.write(duplicate),
        database.write(keep("third")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        str,
        Problem,
        str,
        Problem,
        sqlite3.IntegrityError,
        str,
    ]
    assert [outcome.status for outcome in outcomes if isinstance(outcome, Problem)] == [409, 503]
    assert set(stored(database.path)) == {"first", "second", "third"}
    assert published == ["first", "second", "third"]
    assert statements.count("COMMIT") == 1


async def test_a_failure_that_has_changed_nothing_costs_the_others_nothing(
    database: Database,
) -> None:
    runs: list[str] = []
    statements = await trace(database)

    def counted(name: str, fn: Fn) -> Fn:
        async def run(tx: Transaction) -> str:
            runs.append(name)
            return await fn(tx)

        return run

    async def refuses(tx: Transaction) -> str:
        await tx.fetch("SELECT 1 AS one", {})
        raise Problem(409, "no")

    async def half(tx: Transaction) -> str:
        await keep("half")(tx)
        return await refuses(tx)

    for failing, expected in ((refuses, ["one", "no", "two"]), (half, ["one", "no"] * 2 + ["two"])):
        runs.clear()
        statements.clear()
        outcomes = await asyncio.gather(
            database.write(counted("one", keep(f"one beside {failing.__name__}"))),
            database.write(counted("no", failing)),
            database.write(counted("two", keep(f"two beside {failing.__name__}"))),
            return_exceptions=True,
        )
        assert [getattr(outcome, "status", None) for outcome in outcomes] == [None, 409, None]
        assert runs == expected
        assert statements.count("COMMIT") == 1
        assert statements.count("SAVEPOINT one") == (3 if failing is half else 0)
    assert len(stored(database.path)) == 4


async def test_a_cancelled_caller_neither_splits_nor_loses_a_write(database: Database) -> None:
    """The measured failure of a shared connection: an acknowledged INSERT that vanished."""
    chance = random.Random(5)
    acknowledged: set[int] = set()

    async def pair(number: int) -> None:
        async def fn(tx: Transaction) -> None:
            await keep(f"{number}a")(tx)
            await keep(f"{number}b")(tx)

        await database.write(fn)
        acknowledged.add(number)

    tasks = [asyncio.create_task(pair(number)) for number in range(120)]
    for task in chance.sample(tasks, 60):
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(tasks)
    await database.close()
    names = set(stored(database.path))
    for number in range(120):
        halves = {f"{number}a", f"{number}b"} & names
        assert len(halves) in (0, 2), "a write was split"
        assert number not in acknowledged or len(halves) == 2, "an acknowledged write was lost"
    assert len(acknowledged) >= 60


def cancelled_from_within() -> Fn:
    future = asyncio.get_running_loop().create_future()
    future.cancel()

    async def fn(tx: Transaction) -> str:
        await tx.fetch("SELECT 1 AS one", {})
        return str(await future)

    return fn


async def test_a_cancellation_inside_a_write_undoes_only_that_write(
    database: Database,
) -> None:
    published: list[str] = []
    database.publish = published.extend
    fails = cancelled_from_within()

    async def cut_short(tx: Transaction) -> None:
        await keep("cut short")(tx)
        await fails(tx)

    outcomes = await asyncio.gather(
        database.write(keep("first")),
        database.write(cut_short),
        database.write(keep("second")),
        return_exceptions=True,
    )
    assert [getattr(outcome, "status", outcome) for outcome in outcomes] == ["first", 503, "second"]
    assert await database.write(keep("third")) == "third"
    assert set(stored(database.path)) == {"first", "second", "third"}
    assert published == ["first", "second", "third"]
    assert await database.state() == "ok"


async def test_a_cancellation_inside_a_read_does_not_cancel_its_caller(
    database: Database,
) -> None:
    for read in (database.read, database.look_up):
        for _ in range(2 * sqlite_module.READERS):
            with pytest.raises(Problem):
                await read(cancelled_from_within())
    await database.read(lambda tx: tx.fetch("SELECT 1 AS one", {}))


async def test_a_transaction_that_awaits_something_else_is_refused_and_undone(
    database: Database,
) -> None:
    async def fn(tx: Transaction) -> None:
        await asyncio.sleep(0)

    async def writes(tx: Transaction) -> None:
        await keep("half")(tx)
        await fn(tx)

    for outcome in await asyncio.gather(
        database.write(writes), database.read(fn), database.look_up(fn), return_exceptions=True
    ):
        assert isinstance(outcome, RuntimeError)
        assert "awaits nothing but itself" in str(outcome)
    assert await database.write(keep("after")) == "after"
    assert set(stored(database.path)) == {"after"}


async def test_a_failing_database_says_so_until_a_commit_succeeds(
    database: Database, logged: io.StringIO
) -> None:
    await database.write(keep("before"))
    assert database._writer is not None
    rows: Any = await database._writer.execute_fetchall("PRAGMA page_count")
    await database._writer.execute_fetchall(f"PRAGMA max_page_count={rows[0][0]}")
    for _ in range(3):
        with pytest.raises(Problem):
            await database.write(keep("large", "x" * 1_000_000))
    assert "the last commit failed" in await database.state()
    await database._writer.execute_fetchall("PRAGMA max_page_count=1000000")

    async def well() -> bool:  # though nobody else writes
        return await database.state() == "ok"

    await wait_until(well)
    told = [json.loads(line) for line in logged.getvalue().splitlines()]
    # Once an outage, and not with each write of it.
    assert [one["level"] for one in told if one["logger"].endswith(("sqlite", "transaction"))] == [
        "ERROR",
        "INFO",
    ]


async def test_a_transaction_inside_a_transaction_raises(database: Database) -> None:
    outer = (database.write, database.read, database.look_up)
    inner = (
        lambda: database.write(keep("inner")),
        lambda: database.read(keep("inner")),
        lambda: database.look_up(keep("inner")),
    )
    for run in outer:
        for call in inner:

            async def fn(tx: Transaction, call: Callable[[], Awaitable[str]] = call) -> None:
                await call()

            with pytest.raises(RuntimeError, match="inside a transaction"):
                await run(fn)
    assert await database.write(keep("after")) == "after"


async def test_a_task_started_by_publishing_may_write(database: Database) -> None:
    started: list[asyncio.Task[str]] = []

    def publish(events: Sequence[Any]) -> None:
        if not started:
            started.append(asyncio.create_task(database.write(keep("consequence"))))

    database.publish = publish
    await database.write(keep("cause"))
    assert await started[0] == "consequence"


async def test_publishes_after_the_commit_in_its_order_and_before_the_answer(
    database: Database,
) -> None:
    published: list[str] = []
    answered: list[str] = []

    def publish(events: Sequence[str]) -> None:
        assert set(events) <= set(stored(database.path))
        assert not set(events) & set(answered)
        published.extend(events)

    database.publish = publish

    async def write(name: str) -> None:
        answered.append(await database.write(keep(name)))

    names = [f"n{i}" for i in range(150)]
    await asyncio.gather(*map(write, names))
    assert published == names


async def test_a_failing_publisher_does_not_fail_writes(database: Database) -> None:
    def publish(events: Sequence[Any]) -> None:
        raise ValueError("broken")

    database.publish = publish
    assert await database.write(keep("one")) == "one"
    assert await database.write(keep("two")) == "two"


async def test_a_read_is_one_snapshot(database: Database) -> None:
    async def fn(tx: Transaction) -> tuple[int, int]:
        sql = "SELECT COUNT(*) AS n FROM meta"
        before = (await tx.fetch(sql, {}))[0]["n"]
        with closing(sqlite3.connect(database.path)) as other, other:
            other.execute("INSERT INTO meta (name, value) VALUES (?, '')", (str(before),))
        return before, (await tx.fetch(sql, {}))[0]["n"]

    before, after = await database.read(fn)
    assert before == after
    assert str(before) in stored(database.path)


async def test_a_look_up_is_one_statement_on_the_event_loop(database: Database) -> None:
    await database.write(keep("here"))

    async def fn(tx: Transaction) -> Sequence[Any]:
        assert threading.current_thread() is threading.main_thread()
        return await tx.fetch("SELECT name FROM meta WHERE name = :name", {"name": "here"})

    assert await database.look_up(fn) == [{"name": "here"}]

    async def twice(tx: Transaction) -> None:
        await fn(tx)
        await fn(tx)

    with pytest.raises(RuntimeError, match="use `read`"):
        await database.look_up(twice)


async def test_a_cancelled_read_returns_its_connection(database: Database) -> None:
    entered = threading.Event()

    async def fn(tx: Transaction) -> int:
        entered.set()
        sql = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)"
        return int((await tx.fetch(sql + " SELECT COUNT(*) AS n FROM c", {}))[0]["n"])

    for _ in range(2 * sqlite_module.READERS):
        entered.clear()
        task = asyncio.create_task(database.read(fn))
        await wait_until(entered.is_set)
        task.cancel()
        await asyncio.wait({task})
    assert await asyncio.wait_for(database.read(fn), PATIENCE) == 20_000


async def test_a_waiting_read_of_a_cancelled_caller_is_not_run(database: Database) -> None:
    released = threading.Event()
    began: list[str] = []

    async def wait(name: str) -> None:
        began.append(name)
        released.wait(10)

    holding = [
        asyncio.create_task(database.read(lambda tx: wait("holds")))
        for _ in range(sqlite_module.READERS)
    ]
    await wait_until(lambda: len(began) == sqlite_module.READERS)
    left = asyncio.create_task(database.read(lambda tx: wait("left")))
    stays = asyncio.create_task(database.read(lambda tx: wait("stays")))
    await asyncio.sleep(0)  # both are in line
    left.cancel()
    await asyncio.wait({left})
    released.set()
    await asyncio.gather(*holding, stays)
    assert began == ["holds"] * sqlite_module.READERS + ["stays"]


async def test_reads_without_a_token_do_not_delay_others(database_path: Path) -> None:
    public_reads = sqlite_module.READERS - 1
    new_database(database_path)
    database = SqliteDatabase(database_path, public_reads)
    await database.open()
    began: list[str] = []
    free = threading.Event()

    async def read(name: str, public: bool) -> None:
        async def fn(tx: Transaction) -> None:
            began.append(name)
            if public:
                free.wait(10)

        public_request.set(public)
        await database.read(fn)

    crowd = [asyncio.create_task(read("public", True)) for _ in range(50)]
    try:
        await wait_until(lambda: len(began) == public_reads)
        async with asyncio.timeout(PATIENCE):
            await read("known", False)
        assert began == ["public"] * public_reads + ["known"]
    finally:
        free.set()
        await asyncio.gather(*crowd)
        await database.close()
    assert len(began) == 51


async def test_a_read_cannot_write(database: Database) -> None:
    for read in (database.read, database.look_up):
        with pytest.raises(Problem):
            await read(keep("nothing"))
    assert stored(database.path) == {}


async def test_a_lock_held_elsewhere_is_a_503_within_its_bound(
    database_path: Path, open_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 1.0)
    database: Database = await open_database()
    holder = subprocess.Popen(  # noqa: ASYNC220
        [
            sys.executable,
            "-c",
            "import sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "connection.execute('BEGIN IMMEDIATE')\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n",
            str(database_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin
    assert holder.stdout
    try:
        assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
        writes = [asyncio.create_task(database.write(keep(f"n{i}"))) for i in range(5)]
        await asyncio.sleep(0)
        # Readiness answers while the writer still waits.
        assert await database.state() == "ok"
        assert not any(write.done() for write in writes)
        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert "locked" in await database.state()
        assert [getattr(outcome, "status", None) for outcome in outcomes] == [503] * 5
        assert len({id(outcome) for outcome in outcomes}) == 5
        # Readers don't mind a writer.
        await database.read(lambda tx: tx.fetch("SELECT 1 AS one", {}))
    finally:
        holder.stdin.close()
        holder.wait(timeout=PATIENCE)
        holder.stdout.close()
    assert await database.write(keep("afterwards")) == "afterwards"
    assert set(stored(database_path)) == {"afterwards"}


async def test_a_process_that_keeps_the_turn_to_write_is_a_503_within_the_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.2)
    other = FileLock(database.path)
    other.acquire(1)
    for _ in range(2):
        with pytest.raises(Problem):
            await database.write(keep("late"))
    assert "another process" in await database.state()
    other.release()
    other.acquire(10)  # what came too late is given back, though nobody writes
    other.release()
    for name in ("one", "two"):
        assert await database.write(keep(name)) == name
        other.acquire(1)
        other.release()
    other.close()
    assert set(stored(database.path)) == {"one", "two"}


async def test_who_has_released_the_lock_does_not_get_it_before_who_waits(tmp_path: Path) -> None:
    """As processes: each opens the files by itself. SQLite's own waiting lets dozens pass."""
    path = tmp_path / "tiffin.sqlite3"
    ours, other = FileLock(path), FileLock(path)
    order: list[str] = []

    def acquire(lock: FileLock, name: str) -> None:
        lock.acquire(10)
        order.append(name)

    def is_queued() -> bool:
        with open(f"{path}-queue", "r+b") as queue:
            try:
                fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    ours.acquire(10)
    for _ in range(20):
        waiting = asyncio.create_task(asyncio.to_thread(acquire, other, "other"))
        await wait_until(is_queued)
        ours.release()
        again = asyncio.create_task(asyncio.to_thread(acquire, ours, "ours"))
        await waiting
        other.release()
        await again
    ours.release()
    assert order == ["other", "ours"] * 20
    ours.close()
    other.close()


async def test_a_full_disk_fails_the_whole_batch_and_nothing_hangs(database: Database) -> None:
    published: list[str] = []
    database.publish = published.extend
    await database.write(keep("before"))
    assert database._writer is not None
    rows: Any = await database._writer.execute_fetchall("PRAGMA page_count")
    await database._writer.execute_fetchall(f"PRAGMA max_page_count={rows[0][0] + 4}")
    outcomes = await asyncio.wait_for(
        asyncio.gather(
            database.write(keep("small")),
            database.write(keep("large", "x" * 1_000_000)),
            database.write(keep("small too")),
            return_exceptions=True,
        ),
        PATIENCE,
    )
    kept = set(stored(database.path))
    for name, outcome in zip(("small", "large", "small too"), outcomes, strict=True):
        assert (name in kept) == (outcome == name), "an answer is not what is stored"
        assert outcome == name or getattr(outcome, "status", None) == 503
    assert getattr(outcomes[1], "status", None) == 503
    assert set(published) == kept
    await database._writer.execute_fetchall("PRAGMA max_page_count=1000000")
    assert await database.write(keep("room again")) == "room again"


async def test_a_batch_that_the_database_rolls_back_fails_as_a_whole(database: Database) -> None:
    """Some errors (a full disk, out of memory) end the transaction without our ROLLBACK."""
    published: list[str] = []
    database.publish = published.extend

    async def loses_the_transaction(tx: Transaction) -> None:
        await keep("lost")(tx)
        await tx.execute("ROLLBACK", {})
        raise sqlite3.OperationalError("database or disk is full")

    async def hides_it(tx: Transaction) -> None:
        await tx.execute("ROLLBACK", {})

    for culprit in (loses_the_transaction, hides_it):
        outcomes = await asyncio.gather(
            database.write(keep("first")),
            database.write(culprit),
            database.write(keep("last")),
            return_exceptions=True,
        )
        assert [getattr(outcome, "status", None) for outcome in outcomes] == [503] * 3
    assert stored(database.path) == {}
    assert published == []
    assert await database.write(keep("fine")) == "fine"


async def test_close_finishes_accepted_writes_and_refuses_others(database: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    async def first(tx: Transaction) -> str:
        entered.set()
        go_on.wait(10)
        return await keep("first")(tx)

    tasks = [asyncio.create_task(database.write(first))]
    await wait_until(entered.is_set)  # its batch is being written, and no longer in the queue
    tasks += [asyncio.create_task(database.write(keep(f"n{i}"))) for i in range(200)]
    await asyncio.sleep(0)
    closing_it = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await database.write(keep("too late"))
    assert refused.value.status == 503
    go_on.set()
    await asyncio.wait_for(closing_it, PATIENCE)
    assert [task.result() for task in tasks] == ["first", *(f"n{i}" for i in range(200))]
    assert len(stored(database.path)) == 201
    with pytest.raises(Problem):
        await database.read(lambda tx: tx.fetch("SELECT 1 AS one", {}))


async def test_close_waits_for_a_batch_in_flight_alone(database: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    async def fn(tx: Transaction) -> str:
        entered.set()
        go_on.wait(10)
        return await keep("in flight")(tx)

    task = asyncio.create_task(database.write(fn))
    await wait_until(entered.is_set)
    closing_it = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    await asyncio.wait_for(closing_it, PATIENCE)
    assert await task == "in flight"
    assert set(stored(database.path)) == {"in flight"}


async def test_data_version_changes_only_with_others_commits(
    database: Database, open_database: Any
) -> None:
    other: Database = await open_database()
    before = await database.data_version()
    await database.write(keep("ours"))
    assert await database.data_version() == before
    await other.write(keep("theirs"))
    assert await database.data_version() != before


async def test_a_failed_opening_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remaining thread would keep the process from ending."""
    before = threading.active_count()
    connect, calls = aiosqlite.connect, 0

    def third_fails(*arguments: Any, **more: Any) -> aiosqlite.Connection:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(*arguments, **more)

    monkeypatch.setattr(aiosqlite, "connect", third_fails)
    with pytest.raises(sqlite3.OperationalError):
        await SqliteDatabase(tmp_path / "tiffin.sqlite3").open()
    await wait_until(lambda: threading.active_count() <= before)
