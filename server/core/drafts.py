"""Files that are being made: locked while their process lives, and removed once it is gone."""

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
"""One that is younger may not be locked yet: that comes right after it is made."""


def hold(descriptor: int) -> None:
    """Keep others from removing that file or folder until the descriptor is closed.

    The system lets go of the lock when the process ends, however that happens. Where it cannot
    lock, nothing there is ever swept.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder there, which is removed with all that is in it when the block ends."""
    name = tempfile.mkdtemp(dir=parent, prefix=prefix)
    descriptor = os.open(name, os.O_RDONLY)
    try:
        hold(descriptor)
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        os.close(descriptor)


def sweep(folder: Path, pattern: str = "*") -> int:
    """Remove what processes that have ended left there; gives how many files and folders."""
    return sum(_swept(path) for path in folder.glob(pattern))


def _swept(path: Path) -> bool:
    try:
        if abs(time.time() - path.lstat().st_mtime) < YOUNG_SECONDS:
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # another process was quicker
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:  # its process lives
        return False
    finally:
        os.close(descriptor)
    return True


def check_room(folder: Path, reserve: int) -> None:
    """Raises OSError where fewer than `reserve` bytes are free on that folder's disk."""
    if reserve and shutil.disk_usage(folder).free < reserve:
        raise OSError(errno.ENOSPC, "The disk is nearly full")
