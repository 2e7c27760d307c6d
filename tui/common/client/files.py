"""Reading files that anything may stand in the place of."""

import errno
import os
import stat
from pathlib import Path

PATH_LONG = 100
"""Characters of a path in a sentence: of one that is longer its end."""


def read_regular(path: Path, most: int) -> bytes:
    """At most so many bytes of a regular file.

    Raises OSError, also for a pipe, a device or whatever else might let one wait for ever or give
    bytes without end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(handle)


def in_short(path: Path) -> str:
    """A path in a sentence, which must not be pushed out of sight by it."""
    text = str(path)
    return text if len(text) <= PATH_LONG else f"…{text[1 - PATH_LONG :]}"


def home() -> Path:
    """The user's home; the root folder for a user that the system does not know."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")
