"""Backups of an SQLite database, and putting one back."""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from server.core.clock import now, to_text
from server.core.file_lock import UseLock
from server.core.migrate import BUSY_SECONDS, check_version

NEW_EPOCH = "UPDATE meta SET value = :epoch WHERE name = 'epoch'"


class CopyError(Exception):
    """Why a database is not backed up, restored or moved, and what to do."""


def new_epoch() -> str:
    """The name of an event log: cursors of another one are not honoured."""
    return secrets.token_hex(6)


def back_up(path: Path, target: Path) -> int:
    """Write what is committed in that database to a new file, also while servers write; returns its
    bytes. Raises CopyError."""
    if not path.exists():
        raise CopyError(f"there is no database at {path}")
    if target.exists():
        raise CopyError(f"{target} is there already, and is not overwritten")
    with _errors(target), _staged(target) as staged:
        # In one step: it is one snapshot, and no writer waits for it or makes it begin again.
        with closing(_connect(path)) as source, closing(_connect(staged)) as copied:
            source.backup(copied)
            _finish(copied, path)
        _sync(staged)
        os.link(staged, target)
    return target.stat().st_size


def restore(path: Path, file: Path) -> Path | None:
    """Put a backup in place of that database, with a new epoch; returns where that is now, if there
    was one. Raises CopyError, MigrationError where a newer version has made the backup."""
    if not file.is_file():
        raise CopyError(f"there is no file {file}")
    with _errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        use = UseLock(path)
    try:
        if not use.alone():
            raise CopyError(f"a server uses {path}: stop all its processes first")
        with _errors(path), _staged(path) as staged:
            _unpack(file, staged)
            check_unused(path)
            aside = _keep(path)
            os.replace(staged, path)
            _sync(path.parent)
    finally:
        use.close()
    return aside


def _unpack(file: Path, staged: Path) -> None:
    """A copy of the backup, checked, and with a new epoch.

    It is not migrated: the server that starts on it may be an older one.
    """
    try:
        with closing(_connect(file)) as source, closing(_connect(staged)) as copied:
            source.backup(copied)
            _finish(copied, file)
            tables = copied.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'migrations'")
            if tables.fetchone() != (1,):
                raise CopyError(f"{file} is not a backup of a Tiffin server")
            check_version(copied)
            copied.execute(NEW_EPOCH, {"epoch": new_epoch()})
            copied.execute("DELETE FROM meta WHERE name = 'moved_to'")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # such as a full disk
            raise
        raise CopyError(f"{file} is not a backup: {error}") from error
    _sync(staged)


def _finish(copied: sqlite3.Connection, path: Path) -> None:
    """Make it one file, and check it."""
    copied.execute("PRAGMA journal_mode=DELETE")
    [found] = copied.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise CopyError(f"{path} is damaged: {found}")


def check_unused(path: Path) -> None:
    """Raises CopyError where somebody has the database open, such as a server of a version that
    does not hold `UseLock`. It then is one file. A damaged one is left as it is."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as present:
        try:
            present.execute("PRAGMA locking_mode=EXCLUSIVE")
            present.execute("BEGIN EXCLUSIVE")
            present.execute("COMMIT")
            present.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return
            raise CopyError(f"another program has {path} open: end it first") from error
        except sqlite3.DatabaseError:
            return


def _keep(path: Path) -> Path | None:
    """Give the present files another name, where they can be put back from; the database itself
    keeps its own too, until the new one replaces it."""
    if not path.exists():
        return None
    at = to_text(now()).replace(":", "").replace("-", "").replace(".", "")
    aside = path.with_name(f"{path.name}.before-restore-{at}")
    os.link(path, aside)
    for end in ("-wal", "-shm"):  # of a damaged one: SQLite would apply them to the new one
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{end}", f"{aside}{end}")
    return aside


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)


@contextlib.contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """An empty file beside it that others cannot read, which is gone afterwards."""
    staged = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    os.close(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield staged
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{staged}{end}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise CopyError(f"{path}: {error}") from error
