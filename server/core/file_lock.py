"""Whose turn it is to write, of the processes that share a database file."""

import fcntl
import os
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
        self._acquired = threading.Semaphore(0)
        self._waiting = self._closed = False

    def acquire(self, seconds: float) -> None:
        """Wait for the lock. Raises sqlite3.OperationalError where it does not come in time."""
        if not self._waiting:
            try:
                fcntl.flock(self._queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # No system call waits for a lock for a limited time, so a thread does. What it gets
                # too late is for the next call.
                self._waiting = True
                threading.Thread(target=self._wait, name="file lock", daemon=True).start()
            else:
                fcntl.flock(self._queue, fcntl.LOCK_UN)
                return
        if not self._acquired.acquire(timeout=seconds):
            raise sqlite3.OperationalError("another process keeps the database locked")
        self._waiting = False

    def release(self) -> None:
        """Let the next process write."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files, which releases the lock; where a thread still waits, once it has it."""
        self._closed = True
        if not self._waiting:
            self._close_files()

    def _close_files(self) -> None:
        os.close(self._queue)
        os.close(self._lock)

    def _wait(self) -> None:
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fcntl.flock(self._queue, fcntl.LOCK_UN)
        self._acquired.release()
        if self._closed:
            self._close_files()
