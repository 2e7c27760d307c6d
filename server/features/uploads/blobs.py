"""The blob port: what a store of files has to do, whichever it is."""

import logging
import math
import re
import time
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

URL_SECONDS = 300
"""How long a signed URL is valid."""
OUTAGE_SECONDS = 300.0
"""A store that fails again within this time is still in the same outage. Whatever waits for a
store retries more often."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,40}){0,4}")


class BlobError(Exception):
    """The store cannot be reached or refuses; the message says why."""


class BlobNotFound(Exception):
    """There is no blob of that name."""


class OutageLog:
    """Logs an outage of the store once, however many calls fail until it is back."""

    def __init__(self) -> None:
        self._failed_at = -math.inf

    def report(self, reason: str) -> None:
        """A call has failed, for that reason, which only the operator reads."""
        if time.monotonic() - self._failed_at > OUTAGE_SECONDS:
            logger.warning("photos: the blob store cannot be used, so they wait: %s", reason)
        self._failed_at = time.monotonic()


class Blobs(Protocol):
    """Files by name. Names are the server's own, never a client's. Every call may raise BlobError,
    which `outage` reports to the operator."""

    outage: OutageLog

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Store a copy of the file, replacing a blob of that name. It is on disk when this
        returns."""
        ...

    async def fetch(self, name: str, path: Path) -> None:
        """Write the blob into the file. Raises BlobNotFound."""
        ...

    async def remove(self, name: str) -> None:
        """Remove the blob, if it exists."""
        ...

    async def state(self) -> str:
        """`ok`, or what is wrong."""
        ...

    async def check_space(self) -> None:
        """Raises BlobError where there is too little space for a new blob."""
        ...

    async def sweep(self) -> None:
        """Remove the unfinished blobs of processes that were killed."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    def local_path(self, name: str) -> Path | None:
        """The blob's file on this machine; None where the store is elsewhere."""
        ...

    def signed_url(self, name: str, media_type: str) -> str | None:
        """A URL by which anyone can read the blob for URL_SECONDS; None where the server itself
        serves blobs."""
        ...


def checked_name(name: str) -> str:
    """The name, if no store can mistake it for a path. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name for a blob")
    return name
