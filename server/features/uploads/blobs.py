"""The blob port: what a store of files has to do, whichever it is."""

import logging
import math
import re
import time
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

LINK_SECONDS = 300
"""How long a signed URL holds."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,40}){0,4}")


class BlobTrouble(Exception):
    """The store cannot be reached or does not do it now, in words."""


class BlobMissing(Exception):
    """There is no blob of that name."""


OVER_SECONDS = 300.0
"""After which trouble is news again; who waits for a store tries more often than that."""


class Outage:
    """Tells of a store that is away once, however often it is met until it is back."""

    def __init__(self) -> None:
        self._met_at = -math.inf

    def met(self, words: str) -> None:
        """The store cannot be used, for that reason, which only the operator reads."""
        if time.monotonic() - self._met_at > OVER_SECONDS:
            logger.warning("photos: the blob store cannot be used, so they wait: %s", words)
        self._met_at = time.monotonic()


class Blobs(Protocol):
    """Files by name. Names are ours, never a client's. Every call may raise BlobTrouble, of which
    `outage` tells the operator."""

    outage: Outage

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Store a copy of that file, safely on disk when this returns; one that is there is
        replaced."""
        ...

    async def fetch(self, name: str, path: Path) -> None:
        """Write the blob into that file. Raises BlobMissing."""
        ...

    async def remove(self, name: str) -> None:
        """Remove it, if it is there."""
        ...

    async def state(self) -> str:
        """`ok`, or what is wrong, in words."""
        ...

    async def check_room(self) -> None:
        """Raises BlobTrouble where nothing new is to be stored, as there is hardly room."""
        ...

    async def sweep(self) -> None:
        """Remove what processes that were killed have left of blobs half written."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    def file(self, name: str) -> Path | None:
        """Where it lies on this machine; None where the store is elsewhere."""
        ...

    def link(self, name: str, media_type: str) -> str | None:
        """A URL that gives it to anybody for LINK_SECONDS; None where the server does that."""
        ...


def checked(name: str) -> str:
    """The name, if no store can take it for a path or anything else."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a blob")
    return name
