"""The queue of photos: claims, leases and ends of jobs. The table of uploads is the queue.

Accounts take turns. A claim counts the attempt, and everything after it names that attempt, so a
worker that has outlived its lease changes nothing: the job is not its own any more. Leases depend
on no clock that processes would have to agree on or that may be set: a worker increments the beat
of its job, and a process that sees no new beat for the time of a lease takes the job. A
`core.leases.Lease`, which one process holds for all, expires by the database's clock.
"""

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from server.core.clock import now
from server.core.database import Database, Transaction
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import store
from server.features.uploads.schemas import UploadPurpose
from server.features.uploads.service import result_path
from server.features.uploads.store import ActiveAttempt, ProcessedPhoto, StoredUpload

MAX_ATTEMPTS = 3
MAX_TOTAL_ATTEMPTS = 10
"""Including those that are excused, so that there is an end."""
MAX_PAUSE = timedelta(seconds=60)
"""Between two attempts."""
MIN_WAIT, MAX_WAIT = timedelta(seconds=1), timedelta(seconds=30)
"""How long a photo is postponed while the store is away. Others go first, in case only this photo's
file cannot be read or written."""
ABANDONED_AFTER = timedelta(minutes=10)
"""When the blobs of an attempt that has not succeeded are removed; no attempt takes this long."""
_ABANDONED = (
    "The photo could not be processed here: the server that worked on it was lost each time."
    " The photo may be fine: send it again later."
)


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one upload."""

    upload: StoredUpload

    @property
    def id(self) -> str:
        """The upload's id."""
        return self.upload.id

    @property
    def attempt(self) -> int:
        """From 1."""
        return self.upload.attempts

    @property
    def blobs(self) -> tuple[str, str]:
        """The names of this attempt's blobs: the picture without its metadata, and the result."""
        return f"{self.id}.{self.attempt}.original", f"{self.id}.{self.attempt}.result"

    def is_last(self, *, excused: bool) -> bool:
        """Whether there will be no other attempt; an `excused` one does not count."""
        tried = self.upload.tried
        counted = tried - self.upload.excused
        return tried >= MAX_TOTAL_ATTEMPTS or (counted >= MAX_ATTEMPTS and not excused)


class JobQueue:
    """Hands out jobs and records how they end, each in one transaction.

    An attempt belongs to its worker for `lease` unless it is renewed.
    """

    def __init__(
        self,
        database: Database,
        accounts: AccountService,
        restaurants: RestaurantService,
        lease: timedelta,
    ) -> None:
        self.lease = lease
        self._database = database
        self._accounts = accounts
        self._restaurants = restaurants
        self._beats: dict[ActiveAttempt, float] = {}
        """Since when this process has seen each attempt at that beat."""
        self._own_attempts: set[tuple[str, int]] = set()
        self._unclaimed_since: float | None = None

    async def claim(self, *, last_resort: bool = False) -> Job | None:
        """Claim the job whose turn it is, of those without a worker or whose worker was lost; None
        where there is none.

        As a `last_resort` only where jobs have waited for the time of a lease while no other
        process worked on any.
        """
        active, due = await self._database.read(self._read)
        lost = self._lost(active)
        unclaimed = self._unclaimed_seconds(active, due)
        if last_resort and unclaimed < self.lease.total_seconds():
            return None
        if not (lost or due):
            return None

        async def fn(tx: Transaction) -> Job | None:
            at = now()
            for attempt in lost:
                await store.reclaim(tx, attempt, MAX_ATTEMPTS, MAX_TOTAL_ATTEMPTS, _ABANDONED, at)
            await store.end_pauses(tx, at, at + MAX_PAUSE)
            found = await store.claim(tx, at)
            if found is None:
                return None
            job = Job(found)
            await store.schedule_removal(tx, job.blobs, at + ABANDONED_AFTER)
            return job

        job = await self._database.write(fn)
        if job is not None:
            self._own_attempts.add((job.id, job.attempt))
        return job

    async def any_paused(self) -> bool:
        """Whether a photo waits for its next attempt, in any process."""
        return await self._database.read(store.any_paused)

    async def _read(self, tx: Transaction) -> tuple[list[ActiveAttempt], bool]:
        at = now()
        return await store.active_attempts(tx), await store.any_due(tx, at, at + MAX_PAUSE)

    def _lost(self, active: list[ActiveAttempt]) -> list[ActiveAttempt]:
        """Those without a new beat for the time of a lease."""
        at = monotonic()
        self._beats = {attempt: self._beats.get(attempt, at) for attempt in active}
        lease = self.lease.total_seconds()
        return [attempt for attempt, since in self._beats.items() if at - since >= lease]

    def _unclaimed_seconds(self, active: list[ActiveAttempt], due: bool) -> float:
        """For how long jobs have waited while no other process worked on any."""
        attempts = {(attempt.id, attempt.number) for attempt in active}
        self._own_attempts &= attempts
        if attempts - self._own_attempts or not due:
            self._unclaimed_since = None
            return 0
        if self._unclaimed_since is None:
            self._unclaimed_since = monotonic()
        return monotonic() - self._unclaimed_since

    async def renew(self, job: Job) -> bool:
        """Renew the lease; False where it is lost."""
        return await self._database.write(lambda tx: store.renew(tx, job.id, job.attempt))

    async def finish(self, job: Job, photo: ProcessedPhoto) -> bool:
        """The job is done: the dish or the account gets its picture in the same transaction.

        False where the job does not belong to this attempt any more, whose blobs are then removed,
        or where its blobs are gone already, and the job then goes back into the queue.
        """

        async def fn(tx: Transaction) -> bool:
            complete = await store.cancel_removal(tx, job.blobs)
            if not complete:  # the clock was set forward, and the janitor has removed them
                await store.requeue(tx, job.id, job.attempt, None, now(), excused=True)
            if not complete or not await store.finish(tx, job.id, job.attempt, photo, now()):
                found = await store.upload(tx, job.id)
                kept = found.blobs if found else []
                unused = [name for name in job.blobs if name not in kept]
                await store.schedule_removal(tx, unused, now())
                return False
            await store.schedule_removal(tx, [job.upload.original_blob], now())
            await self._set_shown(tx, job.upload)
            return True

        return await self._database.write(fn)

    async def fail(self, job: Job, error: str) -> bool:
        """The job has failed, for that reason; False where it is not this attempt's any more."""
        return await self._database.write(
            lambda tx: store.fail(tx, job.id, job.attempt, error, now())
        )

    async def retry(
        self, job: Job, error: str | None, delay: timedelta, *, excused: bool = False
    ) -> bool:
        """Leave the job to another attempt, after `delay`; after the last one it fails.

        An attempt is `excused`, and not counted, where the photo was not the reason of its end.
        """
        if job.is_last(excused=excused):
            return await self.fail(
                job, error or "The server was shut down each time. Send the photo again."
            )
        due_at = now() + min(delay, MAX_PAUSE)
        return await self._database.write(
            lambda tx: store.requeue(tx, job.id, job.attempt, error, due_at, excused=excused)
        )

    async def postpone(self, job: Job, longest: timedelta) -> bool:
        """Put the job back because the store is away, as if it had not been tried, for a time that
        grows with its age. False where it has waited for `longest` (0: no limit)."""
        at = now()
        age = at - job.upload.created_at
        if longest and age > longest:
            return False
        due_at = at + min(max(age / 4, MIN_WAIT), MAX_WAIT)
        await self._database.write(
            lambda tx: store.requeue(tx, job.id, job.attempt, None, due_at, waits=True)
        )
        return True

    async def _set_shown(self, tx: Transaction, upload: StoredUpload) -> None:
        """Show the photo, unless a newer one is shown already or its dish was removed."""
        if upload.menu_item_id is not None and not await self._restaurants.dish_of(
            tx, upload.restaurant_id or "", upload.menu_item_id
        ):
            return
        hidden = await store.set_shown(tx, upload)
        if hidden is None:
            return
        url = result_path(upload.id)
        if upload.purpose is UploadPurpose.AVATAR:
            assert upload.account_id is not None
            await self._accounts.set_avatar(tx, upload.account_id, url)
        else:
            assert upload.restaurant_id is not None
            assert upload.menu_item_id is not None
            await self._restaurants.set_photo(tx, upload.restaurant_id, upload.menu_item_id, url)
        for other in hidden:
            if other.account_id is None:  # it was kept for the dish alone
                await store.delete(tx, other.id)
                await store.schedule_removal(tx, other.blobs, now())
