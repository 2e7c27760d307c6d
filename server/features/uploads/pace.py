"""How long the queue really is, in seconds: what `Retry-After` says."""

import math
import time

from server.core.clock import now
from server.core.database import Transaction
from server.features.uploads import store
from server.features.uploads.schemas import UploadStatus
from server.features.uploads.store import StoredUpload

AT_FIRST = 3.0
"""Seconds a photo takes, before any was measured: a worker has to start, too."""
MEASURED = 20
"""Photos whose time is averaged, the newest."""
FRESH_SECONDS = 2.0
AT_MOST = 60.0


class Pace:
    """Estimates from the photos that are ahead, those that work on them, and what the last took.

    `workers` is how many this process has; if others are at work as well, that shows in the table.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._seconds = AT_FIRST
        self._at_work = 0
        self._read_at = -math.inf

    async def left(self, tx: Transaction, upload: StoredUpload) -> int:
        """Whole seconds until that upload will probably be final; 0 where it is."""
        if upload.status.final:
            return 0
        await self._refresh(tx)
        if upload.status is UploadStatus.PROCESSING and upload.started_at is not None:
            seconds = self._seconds - (now() - upload.started_at).total_seconds()
        else:
            lanes = max(1, self._workers, self._at_work)
            rounds = math.ceil((1 + await store.ahead(tx, upload)) / lanes)
            seconds = rounds * self._seconds
            if upload.due_at is not None:  # another attempt, which has to wait a little
                seconds = max(seconds, (upload.due_at - now()).total_seconds() + self._seconds)
        return math.ceil(min(AT_MOST, max(1.0, seconds)))

    async def all(self, tx: Transaction) -> int:
        """Whole seconds until everything that is queued now will probably be final."""
        await self._refresh(tx)
        rounds = math.ceil((1 + await store.queued(tx)) / max(1, self._workers, self._at_work))
        return math.ceil(min(AT_MOST, max(1.0, rounds * self._seconds)))

    async def _refresh(self, tx: Transaction) -> None:
        if time.monotonic() - self._read_at < FRESH_SECONDS:
            return
        self._read_at = time.monotonic()
        taken = await store.recent_seconds(tx, MEASURED)
        if taken:
            # A clock that was set meanwhile makes nonsense of one of them.
            self._seconds = sum(min(AT_MOST, max(0.1, one)) for one in taken) / len(taken)
        self._at_work = len(await store.at_work(tx))
