"""The queue of photos, as workers see it: claims, leases, ends. The table of uploads is the queue.

A claim counts the attempt, and everything after it names that attempt: a worker that has outlived
its lease finds that the job is not its own any more, and changes nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

from server.core.clock import now
from server.core.database import Database, Transaction
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import store
from server.features.uploads.paths import result_path
from server.features.uploads.schemas import UploadPurpose
from server.features.uploads.store import Made, StoredUpload

ATTEMPTS = 3
LATE = timedelta(minutes=10)
"""After which the blobs of an attempt that has not ended well are removed: none takes so long."""
_GIVEN_UP = (
    f"The photo could not be processed: each of {ATTEMPTS} attempts was cut off. Send it again;"
    " should that end the same way, send another."
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

    @property
    def last(self) -> bool:
        """Whether there will be no other."""
        return self.attempt >= ATTEMPTS


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

    async def claim(self, *, last_resort: bool = False) -> Job | None:
        """The oldest job that nobody has, or whose worker was lost; None where there is none.

        As a `last_resort` only one that nobody took for as long as a lease, while nobody was at
        work: it seems that there is nobody else.
        """
        wait = self.lease if last_resort else timedelta(0)

        async def there(tx: Transaction) -> bool:
            if last_resort and await store.at_work(tx, now()):
                return False
            return await store.due(tx, now() - wait)

        if not await self._database.read(there):
            return None

        async def fn(tx: Transaction) -> Job | None:
            if not await there(tx):
                return None
            at = now()
            await store.give_up(tx, at, ATTEMPTS, _GIVEN_UP)
            found = await store.claim(tx, at - wait, at, at + self.lease, ATTEMPTS)
            if found is None:
                return None
            job = Job(found)
            await store.unneed(tx, job.blobs, now() + LATE)
            return job

        return await self._database.write(fn)

    async def renew(self, job: Job) -> bool:
        """Keep it for another lease; False where it is lost."""
        return await self._database.write(
            lambda tx: store.renew(tx, job.id, job.attempt, now() + self.lease)
        )

    async def finish(self, job: Job, made: Made) -> bool:
        """It is done: the dish or the account gets its picture in the same transaction.

        False where the job is not this attempt's any more; what was made is then removed.
        """

        async def fn(tx: Transaction) -> bool:
            if not await store.finish(tx, job.id, job.attempt, made, now()):
                found = await store.upload(tx, job.id)
                kept = found.blobs if found else []
                await store.unneed(tx, [name for name in job.blobs if name not in kept], now())
                return False
            await store.need(tx, job.blobs)
            await store.unneed(tx, [job.upload.original_blob], now())
            await self._show(tx, job.upload)
            return True

        return await self._database.write(fn)

    async def fail(self, job: Job, error: str) -> bool:
        """It cannot be done, for that reason; False where it is not this attempt's any more."""
        return await self._database.write(
            lambda tx: store.fail(tx, job.id, job.attempt, error, now())
        )

    async def put_back(self, job: Job, error: str | None, delay: timedelta) -> bool:
        """Another attempt may take it, after `delay`; the last one fails for that reason."""
        if job.last:
            return await self.fail(
                job, error or "The server was shut down each time. Send the photo again."
            )
        return await self._database.write(
            lambda tx: store.requeue(tx, job.id, job.attempt, error, now() + delay)
        )

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
