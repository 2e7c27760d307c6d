"""Turns in writing for the processes that share a database file, and which processes these are."""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from pathlib import Path


class FileLock:
    """A lock that processes get in turns.

    SQLite lets a process that finds the database locked try again after growing pauses, which
    starves one of several for seconds. Here whoever is next holds the queue and waits for the lock,
    so that who has just released it cannot take it again before them.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the database's; the lock's two files are beside it."""
        self._queue, self._lock = (
            os.open(f"{path}-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for name in ("queue", "lock")
        )
        self._mutex = threading.Lock()
        self._acquired = threading.Semaphore(0)
        self._waiting = self._wanted = self._closed = False

    def acquire(self, seconds: float) -> None:
        """Wait for the lock. Raises sqlite3.OperationalError where it does not come in time."""
        with self._mutex:
            if not self._waiting and self._try():
                return
            self._wanted = True
            if not self._waiting:
                # No system call waits for a lock for a limited time, so a thread does.
                self._waiting = True
                threading.Thread(target=self._wait, name="file lock", daemon=True).start()
        if self._acquired.acquire(timeout=seconds):
            return
        with self._mutex:
            if not self._acquired.acquire(blocking=False):  # it may just have come
                self._wanted = False
                raise sqlite3.OperationalError("another process keeps the database locked")

    def release(self) -> None:
        """Let the next process write."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files, which releases the lock; where a thread still waits, once it has it."""
        with self._mutex:
            self._closed = True
            if not self._waiting:
                self._close_files()

    def _try(self) -> bool:
        try:
            fcntl.flock(self._queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._queue, fcntl.LOCK_UN)
        return True

    def _wait(self) -> None:
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fcntl.flock(self._queue, fcntl.LOCK_UN)
        with self._mutex:
            self._waiting = False
            if self._closed:
                self._close_files()
            elif self._wanted:
                self._wanted = False
                self._acquired.release()
            else:
                self.release()  # it came too late, and others wait for it

    def _close_files(self) -> None:
        os.close(self._queue)
        os.close(self._lock)


class UseLock:
    """Which processes use a database file: they hold this lock together, and who replaces the file
    holds it alone.

    The lock's file holds the database's instance, see `Database.instance`.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the database's; the lock's file is beside it."""
        self._file = os.open(f"{path}-users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def join(self) -> str | None:
        """Hold it with others; returns the instance, a new one where there are no others.

        None where another process holds it alone: for a moment, or while it replaces the file.
        """
        if self.alone():
            self._write(secrets.token_hex(8))
        try:
            # Whoever comes between, as the lock is given up for a moment, writes another instance.
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return os.pread(self._file, 64, 0).decode(errors="replace") or secrets.token_hex(8)

    def alone(self) -> bool:
        """Hold it alone; False where another process holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Release it."""
        os.close(self._file)

    def _write(self, instance: str) -> None:
        with contextlib.suppress(OSError):  # a full disk: each process then has an instance
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, instance.encode(), 0)
