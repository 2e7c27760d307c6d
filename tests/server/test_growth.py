"""What is stored makes nothing dearer: plans of queries, and costs with 2,000 and 20,000 rows."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.core.clock import now, to_text
from server.core.database import Database
from server.core.databases import opened_database
from server.core.retention import Retention
from server.core.sqlite_transaction import SqliteTransaction
from server.features.chat.store import unread_by_customer, unread_by_support
from server.features.kitchen import service as kitchen
from server.realtime.log import TRIMMED_AT_ONCE, EventLog
from support.cast import cast_of
from support.live_server import running_server, settings_for
from support.server_process import new_database
from support.steps import steps_of
from support.stored import REQUESTS, Stored, Users

FEW, MANY = 2_000, 20_000
MORE = 1.2
"""How many times as many steps it may take with MANY rows: an index is a level higher."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A new database."""
    async with opened_database(new_database(tmp_path / "growth.sqlite3")) as found:
        yield found


async def fill(database: Database, count: int, insert: str, start: int = 0) -> None:
    """Run an insert that selects from `n`, whose `i` goes from `start` + 1 to `count`."""
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT :start + 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
    )
    where = {"start": start, "count": count}
    await database.write(lambda tx: tx.execute(f"{numbers} {insert}", where))


SERVER = Path(__file__).resolve().parents[2] / "server"
SCANS = {
    "expired_leases": "a row a process",
    "next_arrival": "one row",
    "advance_turn": "one row",
    "last_changes": "one row",
    "any_account": "the first row",
    "restaurants": "restaurants are few",
    "restaurant_named": "restaurants are few",
    "insert_restaurant": "restaurants are few",
    "any_ready": "the first of the photos that wait",
    "claim": "the first of the photos that wait",
    "count_queued": "the photos that wait, up to a limit",
    "count_ahead": "the photos that wait, up to a limit",
    "active_attempts": "photos that a worker has",
    "open_chats_of": "up to a limit",
    "unread_by_customer": "up to a limit",
    "unread_by_support": "up to a limit",
    "history": "a page of each audience",
    "count_unread": "the newest announcements, up to a limit",
    "renew_demo_passwords": "at the start of a demo",
}
"""Queries that read a whole table, index or subquery, and why they may."""


async def test_no_query_reads_a_whole_table(database: Database) -> None:
    scanning: dict[str, list[str]] = {}
    for file in SERVER.rglob("*.sql"):
        if file.parent.name == "migrations":
            continue
        for query in re.split(r"^-- name: ", file.read_text(encoding="utf-8"), flags=re.M)[1:]:
            name, _, sql = query.partition("\n")
            explain = partial(
                SqliteTransaction.fetch,
                sql=f"EXPLAIN QUERY PLAN {sql}",
                parameters=dict.fromkeys(re.findall(r":(\w+)", sql)),
            )
            plan = [row["detail"] for row in await database.read(explain)]
            if scans := [step for step in plan if step.startswith("SCAN ")]:
                scanning[name.rstrip("^$!")] = scans
    assert {name: scans for name, scans in scanning.items() if name not in SCANS} == {}
    assert set(SCANS) == set(scanning), "an exception that is needed no more"


EVENTS = (
    "INSERT INTO events SELECT 'chat:' || (i % 50), i, 'message', 'cht_' || i, '{}',"
    " strftime('%Y-%m-%dT%H:%M:%fZ', 1600000000 + i, 'unixepoch') FROM n"
)
TOPICS = (
    "INSERT INTO topics (name, seq, oldest) SELECT 'chat:' || i, 1,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', 1600000000 + i, 'unixepoch') FROM n"
)
OLD = to_text(now().replace(year=2000))


async def test_trimming_looks_at_what_has_expired_only(database: Database) -> None:
    log, steps, done = EventLog(database), [], 0
    for count in (FEW, MANY):
        await fill(database, count, TOPICS, start=done)
        steps.append(await steps_of(database, lambda: log.trim(OLD)))
        done = count
    assert steps[1] <= steps[0] * MORE


async def test_trimming_drops_a_few_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where more events than are looked at together are kept by one younger one."""
    log = EventLog(database)
    await fill(database, 2000, EVENTS)
    await database.write(
        lambda tx: tx.execute(
            "INSERT INTO events SELECT 'kept', i, '', '', '{}', CASE i WHEN 1 THEN '2999' ELSE"
            " '2000' END FROM (SELECT seq AS i FROM events WHERE seq <= 3 * :many)",
            {"many": TRIMMED_AT_ONCE},
        )
    )
    await database.write(
        lambda tx: tx.execute(
            "INSERT INTO topics (name, seq, oldest)"
            " SELECT topic, MAX(seq), (SELECT at FROM events AS first"
            " WHERE first.topic = events.topic ORDER BY seq LIMIT 1) FROM events GROUP BY topic",
            {},
        )
    )

    async def stored() -> int:
        rows = await database.read(lambda tx: tx.fetch("SELECT COUNT(*) AS many FROM events", {}))
        return int(rows[0]["many"])

    counts = [await stored()]
    write = database.write

    async def counted(fn: Any) -> Any:
        found = await write(fn)
        counts.append(await stored())
        return found

    monkeypatch.setattr(database, "write", counted)
    assert await log.trim("2900") == 50
    assert counts[-1] == 3 * TRIMMED_AT_ONCE
    assert max(a - b for a, b in pairwise(counts)) <= TRIMMED_AT_ONCE


MESSAGES = (
    "INSERT INTO chat_messages SELECT 'cht', i, 'client' || i, 'acc', 'A', 'customer', 'Hello?', ''"
    " FROM n"
)


async def test_unread_messages_are_counted_up_to_a_limit(database: Database) -> None:
    await fill(
        database,
        1,
        "INSERT INTO accounts (id, email, password_hash, role, name, created_at)"
        " SELECT 'acc', '', '', 'customer', 'A', '' FROM n",
    )
    await fill(
        database,
        1,
        "INSERT INTO chats (id, subject, status, customer_id, customer_name,"
        " opened_at, customer_unread, support_unread, arrival)"
        " SELECT 'cht', '', 'open', 'acc', 'A', '', 0, 0, 1 FROM n",
    )
    steps = defaultdict(list)
    for start, many in ((0, FEW), (FEW, MANY)):
        await fill(database, many, MESSAGES, start=start)
        for count in (unread_by_customer, unread_by_support):
            read = partial(database.read, partial(count, chat_id="cht", seq=0))
            steps[count].append(await steps_of(database, read))
    assert all(many <= few * MORE for few, many in steps.values())


async def test_a_sweep_asks_for_what_is_new_only(database: Database) -> None:
    log, steps = EventLog(database), []
    for count in (FEW, MANY):
        topics = [f"chat:{number}" for number in range(count)]
        known, _ = await log.changes(None, topics)
        for name in topics[:5]:
            await database.write(lambda tx, name=name: log.append(tx, name, "message", "{}"))
        steps.append(await steps_of(database, partial(log.changes, known, topics)))
    assert steps[1] <= steps[0] * MORE


async def test_no_request_and_no_upkeep_costs_more_with_more_stored(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kitchen, "MOST_ORDERS", FEW // 2)
    settings = settings_for(
        data_dir,
        photo_workers=0,
        sweep_seconds=600,
        presence_seconds=3600,
        upkeep_lease_seconds=3600,
    )
    steps: dict[str, list[int]] = defaultdict(list)
    async with running_server(settings) as server, cast_of(server) as cast:
        database = server.services[Database]
        users = Users(cast.customer, cast.employee, cast.place)
        stored = Stored(database, users)
        retention = server.services[Retention]

        async def upkeep() -> None:
            for job in retention.jobs:
                await job(retention.now())

        for count in (FEW, MANY):
            await stored.fill(count)
            for name, prepare in REQUESTS.items():
                requests = [await prepare(users) for _ in range(3)]
                steps[name].append(min([await steps_of(database, one) for one in requests]))
            steps["upkeep"].append(await steps_of(database, upkeep))
    dearer = {name: (few, many) for name, (few, many) in steps.items() if many > few * MORE}
    assert not dearer, dearer
