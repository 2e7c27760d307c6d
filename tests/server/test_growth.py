"""What is stored makes nothing dearer: queries by their plans, operations by what they cost with
200 rows and with 20,000."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.core.clock import now, to_text
from server.core.database import Database, opened_database
from server.core.migrate import migrate
from server.realtime.log import TRIMMED_AT_ONCE, EventLog
from support.steps import steps_of

FEW, MANY = 200, 20_000
MORE = 1.2
"""How many times as many steps it may take with MANY rows: an index is a level higher."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A new database."""
    path = tmp_path / "growth.sqlite3"
    await migrate(path)
    async with opened_database(path) as found:
        yield found


async def fill(database: Database, count: int, insert: str, start: int = 0) -> None:
    """Run an insert that selects from `n`, whose `i` goes from `start` + 1 to `count`."""
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT :start + 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
    )
    where = {"start": start, "count": count}
    await database.write(lambda tx: tx.execute(f"{numbers} {insert}", where))


EVENTS = (
    "INSERT INTO events SELECT 'chat:' || (i % 50), i, 'message', 'cht_' || i, '{}',"
    " strftime('%Y-%m-%dT%H:%M:%fZ', 1600000000 + i, 'unixepoch') FROM n"
)
OLD = to_text(now().replace(year=2000))


async def test_trimming_looks_at_what_has_expired_only(database: Database) -> None:
    log, steps, done = EventLog(database), [], 0
    for count in (FEW, MANY):
        await fill(database, count, EVENTS, start=done)
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
