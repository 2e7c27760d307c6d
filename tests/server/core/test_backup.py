"""Backups of the SQLite file, and putting one back."""

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server.__main__ import main
from server.core import migrate as migrate_module
from server.core.backup import CopyError, back_up, restore
from server.core.database import Database, Transaction
from server.core.databases import migrate
from server.core.migrate import MigrationError, migrations
from server.realtime.log import EventLog
from support.live_server import sqlite_only
from support.waiting import wait_until

pytestmark = sqlite_only

Command = Callable[..., int]


@pytest.fixture
def command(database_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs the server's command line for that database."""
    for name in os.environ:
        if name.startswith("TIFFIN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TIFFIN_DATA_DIR", str(database_path.parent))
    mask = os.umask(0o022)
    yield lambda *words: main([str(word) for word in words])
    os.umask(mask)


def rows(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def append(database: Database, count: int = 1) -> None:
    log = EventLog(database)

    async def fn(tx: Transaction) -> None:
        for _ in range(count):
            await log.append(tx, "topic", "changed", "{}", "x" * 500)

    await database.write(fn)


async def test_a_backup_under_load_has_every_write_acknowledged_before_it(
    open_database: Callable[[], Awaitable[Database]], database_path: Path, tmp_path: Path
) -> None:
    databases = [await open_database() for _ in range(2)]
    written, stop = 0, asyncio.Event()

    async def keep_writing(database: Database) -> None:
        nonlocal written
        while not stop.is_set():
            await append(database)
            written += 1

    async with asyncio.TaskGroup() as group:
        writers = [
            group.create_task(keep_writing(database)) for database in databases for _ in range(8)
        ]
        await wait_until(lambda: written > 0)
        for number in range(5):
            known = written
            target = tmp_path / f"backup{number}"
            await asyncio.to_thread(back_up, database_path, target)
            [(stored,)] = rows(target, "SELECT COUNT(*) FROM events")
            assert stored >= known
            assert rows(target, "SELECT seq FROM topics") == [(stored,)]
            assert rows(target, "PRAGMA integrity_check") == [("ok",)]
            assert mode(target) == 0o600
            assert not any(writer.done() for writer in writers)
            await wait_until(lambda known=written: written > known)  # type: ignore[misc]
        stop.set()
    own = [f"{database_path.name}{end}" for end in ("-lock", "-queue", "-shm", "-users", "-wal")]
    assert names(tmp_path) == sorted([database_path.name, *own, *(f"backup{n}" for n in range(5))])


async def test_a_backup_is_put_back_with_a_new_epoch(
    database: Database,
    database_path: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, file = EventLog(database), tmp_path / "kept"
    await log.open()
    await append(database, 3)
    assert command("backup", file) == 0
    assert "TIFFIN_JWT_SECRET are not in it" in capsys.readouterr().out
    assert command("backup", file) == 2
    assert "is not overwritten" in capsys.readouterr().err
    await append(database, 2)
    assert command("restore", file) == 2
    assert "a server uses" in capsys.readouterr().err
    await database.close()
    with closing(sqlite3.connect(database_path)) as other:  # of a version that knows no lock
        other.execute("SELECT * FROM meta").fetchall()
        assert command("restore", file) == 2
    assert "another program has" in capsys.readouterr().err
    assert command("restore", file) == 0
    assert "Every client reads its lists again" in capsys.readouterr().out
    assert rows(database_path, "SELECT seq FROM topics") == [(3,)]
    [aside] = [name for name in names(tmp_path) if "before-restore" in name]
    assert rows(tmp_path / aside, "SELECT seq FROM topics") == [(5,)]
    assert mode(database_path) == 0o600
    await database.open()
    again = EventLog(database)
    await again.open()
    assert again.epoch not in ("", log.epoch)
    assert not [name for name in names(tmp_path) if name.startswith(".")]


async def test_a_backup_of_an_earlier_version_stays_of_that_version(
    database_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, file = migrations(), tmp_path / "kept"
    with monkeypatch.context() as patch:
        patch.setattr(migrate_module, "migrations", lambda: everything[:-3])
        await migrate(file)
    assert restore(database_path, file) is None
    assert await migrate(database_path) == [name for _, name, _ in everything[-3:]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no database at all, but long enough to look like one" * 100, "is not a backup"),
        (b"", "not a backup of a Tiffin server"),
        ("INSERT INTO migrations VALUES (9999, '9999_later.sql', '')", "newer Tiffin"),
        ("damaged", "is damaged|is not a backup|malformed"),
        (None, "there is no file"),
    ],
    ids=["no database", "empty", "newer", "damaged", "missing"],
)
async def test_what_is_no_backup_is_refused_and_nothing_is_changed(
    database: Database, database_path: Path, tmp_path: Path, content: Any, words: str
) -> None:
    await append(database, 200)
    await database.close()
    file = tmp_path / "kept"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        shutil.copy(database_path, file)
        if content == "damaged":
            with file.open("r+b") as opened:
                opened.seek(4096 * 40)
                opened.write(os.urandom(4096 * 20))
        else:
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(content)
    before = content_of(database_path)
    there = names(tmp_path)
    with pytest.raises((CopyError, MigrationError), match=words):
        restore(database_path, file)
    assert content_of(database_path) == before
    assert names(tmp_path) == there


async def test_a_damaged_database_is_replaced(
    database: Database, database_path: Path, tmp_path: Path
) -> None:
    await append(database, 3)
    file = tmp_path / "kept"
    back_up(database_path, file)
    await database.close()
    write(database_path, b"damaged" * 1000)
    write(Path(f"{database_path}-wal"), b"and its log" * 1000)
    aside = restore(database_path, file)
    assert aside is not None
    assert content_of(aside) == b"damaged" * 1000
    assert rows(database_path, "SELECT seq FROM topics") == [(3,)]


@pytest.mark.parametrize(("name", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgresql_has_tools_of_its_own(
    command: Command,
    name: str,
    tool: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TIFFIN_DATABASE_URL", "postgresql://somebody:secret@127.0.0.1:1/tiffin")
    assert command(name, tmp_path / "kept") == 2
    said = capsys.readouterr().err
    assert tool in said
    assert "secret" not in said
