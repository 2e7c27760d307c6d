"""How long queued photos will take, in seconds: the value of `Retry-After`."""

import math
import time

from server.core.clock import now
from server.core.database import Transaction
from server.features.uploads import store
from server.features.uploads.schemas import UploadStatus
from server.features.uploads.store import StoredUpload

INITIAL_SECONDS = 3.0
"""Assumed for one photo before any was measured; a worker has to start, too."""
SAMPLE_SIZE = 20
"""The newest photos, whose processing times are averaged."""
REFRESH_SECONDS = 2.0
MAX_SECONDS = 60.0


class WaitEstimate:
    """Estimates from the photos ahead, the workers, and how long recent photos took.

    `workers` is the number in this process; the table shows whether others are working as well.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._active = 0
        self._seconds_per_photo = INITIAL_SECONDS
        self._refreshed_at = -math.inf

    async def for_upload(self, tx: Transaction, upload: StoredUpload) -> int:
        """Whole seconds until the upload will probably be final; 0 where it is."""
        if upload.status.final:
            return 0
        await self._refresh(tx)
        if upload.status is UploadStatus.PROCESSING and upload.started_at is not None:
            seconds = self._seconds_per_photo - (now() - upload.started_at).total_seconds()
        else:
            seconds = self._seconds_for(1 + await store.count_ahead(tx, upload))
            if upload.due_at is not None:  # it has to wait for its next attempt
                pause = (upload.due_at - now()).total_seconds()
                seconds = max(seconds, pause + self._seconds_per_photo)
        return _whole(seconds)

    async def for_queue(self, tx: Transaction) -> int:
        """Whole seconds until everything that is queued now will probably be final."""
        await self._refresh(tx)
        return _whole(self._seconds_for(1 + await store.count_queued(tx)))

    def _seconds_for(self, photos: int) -> float:
        rounds = math.ceil(photos / max(1, self._workers, self._active))
        return rounds * self._seconds_per_photo

    async def _refresh(self, tx: Transaction) -> None:
        if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return
        self._refreshed_at = time.monotonic()
        durations = await store.recent_durations(tx, SAMPLE_SIZE)
        if durations:
            # A clock that was set during one of them makes it meaningless.
            usable = [min(MAX_SECONDS, max(0.1, seconds)) for seconds in durations]
            self._seconds_per_photo = sum(usable) / len(usable)
        self._active = len(await store.active_attempts(tx))


def _whole(seconds: float) -> int:
    return math.ceil(min(MAX_SECONDS, max(1.0, seconds)))
