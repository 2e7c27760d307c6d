"""A database that is moved to another one, and the names that processes of one database share."""

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from server.core.backup import CopyError
from server.core.database import Database, Transaction
from server.core.databases import Where, migrate, opened_database
from server.core.migrate import MigrationError
from server.core.move import ROWS, move, unretire
from server.core.sqlite import SqliteDatabase
from server.realtime.log import EventLog
from support.live_server import sqlite_only
from support.server_process import where_for

OpenDatabase = Callable[[], Awaitable[Database]]


@pytest.fixture
def target(tmp_path: Path) -> Where:
    """An empty database of the kind under test."""
    return where_for(tmp_path / "target.sqlite3")


async def filled(path: Path) -> EventLog:
    """The log of a database with more rows than are read at a time, which is closed."""
    await migrate(path)
    async with opened_database(path) as database:
        log = EventLog(database)
        await log.open()

        async def fn(tx: Transaction) -> None:
            for number in range(ROWS + 5):
                await log.append(tx, f"topic {number % 3}", "changed", '{"text":"ü\\n"}')
            await tx.execute(
                "INSERT INTO restaurants (id, name, cuisine, description, address, lat, lng,"
                " preparation_minutes, last_number) VALUES ('res_1', 'Saffron', 'Indian', '',"
                " '2 Mill Lane', 48.1, -2.3000000000000003, 20, 0)",
                {},
            )
            await tx.execute(
                "INSERT INTO drivers (id, restaurant_id, name, vehicle)"
                " VALUES ('drv_1', 'res_1', 'Dee', 'bike')",
                {},
            )

        await database.write(fn)
    return log


async def test_every_row_and_the_epoch_are_moved_and_the_source_retires(
    tmp_path: Path, target: Where
) -> None:
    source, lines = tmp_path / "source.sqlite3", list[str]()
    before = await filled(source)
    await move(source, target, lines.append)
    assert any(line.startswith(f"events: {ROWS + 5:,} rows, checksum ") for line in lines)
    async with opened_database(target) as database:
        log = EventLog(database)
        await log.open()
        assert log.epoch == before.epoch
        page = await log.read("topic 1", 0, 1)
        assert (page.head, page.events[0].data) == ((ROWS + 5) // 3, '{"text":"ü\\n"}')
        [place] = await database.read(lambda tx: tx.fetch("SELECT lat, lng FROM restaurants", {}))
        assert dict(place) == {"lat": 48.1, "lng": -2.3000000000000003}
    with pytest.raises(MigrationError, match=r"was moved to .* unretire"):
        async with opened_database(source):
            pass
    with pytest.raises(CopyError, match="was moved to"):
        await move(source, tmp_path / "another", lines.append)
    with pytest.raises(CopyError, match="is not empty"):
        await move(target, source, lines.append)
    # And back, to an empty one of the other kind.
    back = tmp_path / "back.sqlite3"
    await move(target, back, lines.append)
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(back)) as other:
        sql = "SELECT * FROM events ORDER BY topic, seq"
        assert one.execute(sql).fetchall() == other.execute(sql).fetchall()
    await unretire(source)
    async with opened_database(source) as database:
        log = EventLog(database)
        await log.open()
        assert log.epoch not in ("", before.epoch)
    with pytest.raises(CopyError, match="was not moved"):
        await unretire(source)


async def test_a_row_that_arrives_otherwise_undoes_the_move(tmp_path: Path) -> None:
    source, target = tmp_path / "source.sqlite3", tmp_path / "target.sqlite3"
    before = await filled(source)
    await migrate(target)
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER other AFTER INSERT ON drivers BEGIN"
            " UPDATE drivers SET name = 'Ed' WHERE id = new.id; END"
        )
    with pytest.raises(CopyError, match="`drivers` is not the same"):
        await move(source, target, lambda line: None)
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM events").fetchall() == [(0,)]
        assert connection.execute("SELECT COUNT(*) FROM upload_turns").fetchall() == [(1,)]
    async with opened_database(source) as database:  # it is not retired
        log = EventLog(database)
        await log.open()
        assert log.epoch == before.epoch


async def test_a_database_in_use_is_not_moved(tmp_path: Path, target: Where) -> None:
    source = tmp_path / "source.sqlite3"
    await filled(source)
    async with opened_database(source):
        with pytest.raises(CopyError, match="stop all its processes"):
            await move(source, target, lambda line: None)
    await migrate(target)
    async with opened_database(target):
        with pytest.raises(CopyError, match="stop all its processes"):
            await move(source, target, lambda line: None)
    with pytest.raises(CopyError, match="the same database"):
        await move(source, source, lambda line: None)
    with pytest.raises(CopyError, match="there is no database"):
        await move(tmp_path / "nothing", target, lambda line: None)
    await move(source, target, lambda line: None)


async def test_processes_of_a_database_have_its_instance_in_common(
    open_database: OpenDatabase,
) -> None:
    one, other = await open_database(), await open_database()
    assert one.instance == other.instance != ""
    await one.close()
    joined = await open_database()
    assert joined.instance == other.instance
    for database in (other, joined):
        await database.close()
    assert (await open_database()).instance != other.instance


@sqlite_only
async def test_a_copy_of_the_files_has_another_instance(
    open_database: OpenDatabase, database_path: Path, tmp_path: Path
) -> None:
    """And a folder that is moved keeps its epoch, of course."""
    original = await open_database()
    folder = tmp_path / "copied"
    folder.mkdir()
    for end in ("", "-wal", "-shm", "-users", "-lock", "-queue"):
        shutil.copy(f"{database_path}{end}", folder)
    copy = SqliteDatabase(folder / database_path.name)
    await copy.open()
    assert copy.instance != original.instance
    await copy.close()
