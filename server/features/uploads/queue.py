"""The queue of photos, as workers see it: claims, leases, ends. The table of uploads is the queue.

Accounts take turns. A claim counts the attempt, and everything after it names that attempt: a
worker that has outlived its lease finds that the job is not its own any more, and changes nothing.
A lease goes by no clock that two processes would have to agree on, or that somebody sets: its
worker moves a beat, and whoever sees the beat stand still for as long as a lease takes the job.
"""

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from server.core.clock import now
from server.core.database import Database, Transaction
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import store
from server.features.uploads.paths import result_path
from server.features.uploads.schemas import UploadPurpose
from server.features.uploads.store import Held, Made, StoredUpload

ATTEMPTS = 3
MOST_ATTEMPTS = 10
"""With those that are excused: somewhere it has to end."""
LONGEST_PAUSE = timedelta(seconds=60)
"""Between two attempts."""
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(seconds=30)
"""Of a photo for its store: meanwhile others go first, should it be this photo's file alone that
cannot be read or written."""
LATE = timedelta(minutes=10)
"""After which the blobs of an attempt that has not ended well are removed: none takes so long."""
_GIVEN_UP = (
    "The photo could not be processed here: the server that had it was cut off, time and again."
    " The photo may be fine: send it again later."
)


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one upload."""

    upload: StoredUpload

    @property
    def id(self) -> str:
        """The upload's."""
        return self.upload.id

    @property
    def attempt(self) -> int:
        """From 1."""
        return self.upload.attempts

    @property
    def blobs(self) -> tuple[str, str]:
        """What it calls the picture without its metadata, and the result."""
        return f"{self.id}.{self.attempt}.original", f"{self.id}.{self.attempt}.result"

    def last(self, *, excused: bool) -> bool:
        """Whether there will be no other; one that is `excused` does not count."""
        tried = self.upload.tried
        counted = tried - self.upload.excused
        return tried >= MOST_ATTEMPTS or (counted >= ATTEMPTS and not excused)


class Queue:
    """Jobs out, ends in; each in one transaction. `lease` is how long an attempt is its worker's
    without being renewed."""

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
        self._seen: dict[Held, float] = {}
        """Since when each beat has stood still, as far as this process has looked."""
        self._own: set[tuple[str, int]] = set()
        self._untaken_since: float | None = None

    async def claim(self, *, last_resort: bool = False) -> Job | None:
        """The job whose turn it is, of those that nobody has or whose worker was lost; None where
        there is none.

        As a `last_resort` only where there were jobs for as long as a lease and nobody was at
        work: it seems that there is nobody else.
        """
        at_work, due = await self._database.read(self._look)
        lost = self._lost(at_work)
        untaken = self._untaken(at_work, due)
        if last_resort and untaken < self.lease.total_seconds():
            return None
        if not (lost or due):
            return None

        async def fn(tx: Transaction) -> Job | None:
            at = now()
            for held in lost:
                await store.take_back(tx, held, ATTEMPTS, MOST_ATTEMPTS, _GIVEN_UP, at)
            await store.end_pauses(tx, at, at + LONGEST_PAUSE)
            found = await store.claim(tx, at)
            if found is None:
                return None
            job = Job(found)
            await store.unneed(tx, job.blobs, at + LATE)
            return job

        job = await self._database.write(fn)
        if job is not None:
            self._own.add((job.id, job.attempt))
        return job

    async def any_paused(self) -> bool:
        """Whether a photo waits for its next attempt, here or elsewhere."""
        return await self._database.read(store.any_paused)

    async def _look(self, tx: Transaction) -> tuple[list[Held], bool]:
        at = now()
        return await store.at_work(tx), await store.due(tx, at, at + LONGEST_PAUSE)

    def _lost(self, at_work: list[Held]) -> list[Held]:
        """Those whose beat has stood still for as long as a lease."""
        at = monotonic()
        self._seen = {held: self._seen.get(held, at) for held in at_work}
        lease = self.lease.total_seconds()
        return [held for held, since in self._seen.items() if at - since >= lease]

    def _untaken(self, at_work: list[Held], due: bool) -> float:
        """For how many seconds there were jobs, and nobody else was at work."""
        attempts = {(held.id, held.attempts) for held in at_work}
        self._own &= attempts
        if attempts - self._own or not due:
            self._untaken_since = None
            return 0
        if self._untaken_since is None:
            self._untaken_since = monotonic()
        return monotonic() - self._untaken_since

    async def renew(self, job: Job) -> bool:
        """Keep it for another lease; False where it is lost."""
        return await self._database.write(lambda tx: store.renew(tx, job.id, job.attempt))

    async def finish(self, job: Job, made: Made) -> bool:
        """It is done: the dish or the account gets its picture in the same transaction.

        False where the job is not this attempt's any more, and what was made is then removed; or
        where that is gone already, and the job then goes back into the queue.
        """

        async def fn(tx: Transaction) -> bool:
            whole = await store.need(tx, job.blobs)
            if not whole:  # the clock was set forward, and the janitor took it for long over
                await store.requeue(tx, job.id, job.attempt, None, now(), excused=True)
            if not whole or not await store.finish(tx, job.id, job.attempt, made, now()):
                found = await store.upload(tx, job.id)
                kept = found.blobs if found else []
                await store.unneed(tx, [name for name in job.blobs if name not in kept], now())
                return False
            await store.unneed(tx, [job.upload.original_blob], now())
            await self._show(tx, job.upload)
            return True

        return await self._database.write(fn)

    async def fail(self, job: Job, error: str) -> bool:
        """It cannot be done, for that reason; False where it is not this attempt's any more."""
        return await self._database.write(
            lambda tx: store.fail(tx, job.id, job.attempt, error, now())
        )

    async def put_back(
        self, job: Job, error: str | None, delay: timedelta, *, excused: bool = False
    ) -> bool:
        """Another attempt may take it, after `delay`; the last one fails for that reason.

        An attempt is `excused`, and not counted, where the photo had no part in its end.
        """
        if job.last(excused=excused):
            return await self.fail(
                job, error or "The server was shut down each time. Send the photo again."
            )
        due_at = now() + min(delay, LONGEST_PAUSE)
        return await self._database.write(
            lambda tx: store.requeue(tx, job.id, job.attempt, error, due_at, excused=excused)
        )

    async def wait(self, job: Job, longest: timedelta) -> bool:
        """Put it back because the store is away: as if it had not been tried, and for a while
        that grows with its age. False where it has waited for `longest` (0: no limit)."""
        at = now()
        age = at - job.upload.created_at
        if longest and age > longest:
            return False
        due_at = at + min(max(age / 4, SHORTEST_WAIT), LONGEST_WAIT)
        await self._database.write(
            lambda tx: store.requeue(tx, job.id, job.attempt, None, due_at, waits=True)
        )
        return True

    async def _show(self, tx: Transaction, upload: StoredUpload) -> None:
        """Where a newer photo is there already, that one stays; a dish may be gone by now."""
        if upload.menu_item_id is not None and not await self._restaurants.dish_of(
            tx, upload.restaurant_id or "", upload.menu_item_id
        ):
            return
        hidden = await store.show(tx, upload)
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
            if other.account_id is None:  # it was there for the dish alone
                await store.delete(tx, other.id)
                await store.unneed(tx, other.blobs, now())
