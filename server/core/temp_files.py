"""Temporary files: locked while their process lives, and removed once it has ended."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

YOUNG_SECONDS = 10.0
"""A younger file may not be locked yet: it is locked right after it is created."""


def lock(descriptor: int) -> None:
    """Keep `remove_abandoned` from removing that file or folder until the descriptor is closed.

    The system releases the lock when the process ends, however it ends. On a file system without
    locks nothing is ever removed.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent`, which is removed with its content when the block ends."""
    name = tempfile.mkdtemp(dir=parent, prefix=prefix)
    descriptor = os.open(name, os.O_RDONLY)
    try:
        lock(descriptor)
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(folder: Path, pattern: str = "*") -> int:
    """Remove what ended processes left in that folder; returns how many files and folders."""
    return sum(_removed(path) for path in folder.glob(pattern))


def _removed(path: Path) -> bool:
    try:
        if abs(time.time() - path.lstat().st_mtime) < YOUNG_SECONDS:
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # another process has removed it
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:  # its process is alive
        return False
    finally:
        os.close(descriptor)
    return True


def check_free_space(folder: Path, reserve: int) -> None:
    """Raises OSError where fewer than `reserve` bytes are free on that folder's disk."""
    if reserve and shutil.disk_usage(folder).free < reserve:
        raise OSError(errno.ENOSPC, "The disk is nearly full")
