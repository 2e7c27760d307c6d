"""The rules of uploads: who may send what, who may see it, and what becomes of it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from server.core import pages
from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import (
    Problem,
    conflict,
    forbidden,
    invalid,
    not_found,
    too_many,
    unavailable,
)
from server.core.idempotency import KeyedRequest, once, stored_answer
from server.core.ids import new_id
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import store
from server.features.uploads.blobs import Blobs, BlobTrouble
from server.features.uploads.judge import judge
from server.features.uploads.pace import Pace
from server.features.uploads.paths import original_path, result_path
from server.features.uploads.schemas import (
    AcceptedUpload,
    NewUpload,
    Upload,
    UploadPage,
    UploadPurpose,
    UploadStatus,
)
from server.features.uploads.store import NewRow, StoredUpload

ROUTE = "POST /uploads"
PENDING = 100
"""Photos that one account may have in the queue."""
KEPT = 1000
"""Photos that one account may keep."""
WRITING = timedelta(hours=1)
"""After which a blob that was written for an upload that never came to be is removed."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What uploads may take: photos that arrive in this process at once, those of them that are
    one account's, and the bytes that an account keeps. What is 0 is no limit."""

    arriving: int
    arriving_of_one: int
    bytes_of_one: int


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that has arrived whole, and where it lies for the time being."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A blob to be given out; `final` where it never changes."""

    blob: str
    media_type: str
    final: bool


class _Content(NewUpload):
    """What makes two uploads the same."""

    sha256: str


class UploadService:
    """Uploads, as their owners see them.

    `on_queued` is called after one was put into the queue, `on_unneeded` after one was deleted.
    """

    def __init__(
        self,
        database: Database,
        accounts: AccountService,
        restaurants: RestaurantService,
        blobs: Blobs,
        pace: Pace,
        shares: Shares,
    ) -> None:
        self.on_queued: Callable[[], None] = lambda: None
        self.on_unneeded: Callable[[], None] = lambda: None
        self._database = database
        self._accounts = accounts
        self._restaurants = restaurants
        self.blobs = blobs
        self._pace = pace
        self._shares = shares
        self._arriving: Counter[str] = Counter()

    @contextmanager
    def arriving(self, identity: Identity) -> Iterator[None]:
        """While a photo is received. Raises Problem 429, 503 where there are too many already."""
        most, most_of_one = self._shares.arriving, self._shares.arriving_of_one
        if most_of_one and self._arriving[identity.limit_key] >= most_of_one:
            raise too_many(f"Send at most {most_of_one} photos at once.", 2)
        if most and self._arriving.total() >= most:
            raise unavailable("Too many photos arrive at the moment. Send it again.", 5)
        self._arriving[identity.limit_key] += 1
        try:
            yield
        finally:
            self._arriving[identity.limit_key] -= 1
            self._arriving += Counter()  # drops those that have none

    async def accept(
        self, identity: Identity, new: NewUpload, file: ReceivedFile, key: str | None
    ) -> tuple[AcceptedUpload, int]:
        """Put the photo into the queue, and how many seconds it will probably take.

        With an Idempotency-Key, the same one however often it is sent. Raises Problem 403, 409,
        413, 415, 422, 429, 503.
        """
        media_type = await asyncio.to_thread(judge, file.path)
        content = _Content(**new.model_dump(), sha256=file.sha256)
        request = KeyedRequest.of(identity.account_id, ROUTE, key, content)
        upload_id = new_id("upl")
        row = NewRow(
            id=upload_id,
            account_id=identity.account_id,
            purpose=new.purpose,
            restaurant_id=(
                identity.restaurant_id if new.purpose is UploadPurpose.MENU_ITEM else None
            ),
            menu_item_id=new.menu_item_id,
            media_type=media_type,
            size=file.size,
            original_blob=f"{upload_id}.sent",
            created_at=now(),
        )

        async def before(tx: Transaction) -> AcceptedUpload | None:
            if stored := await stored_answer(tx, request, AcceptedUpload):
                return stored
            await self._check(tx, identity, new, file.size)
            # Written down first: should all end here, somebody has to clean up.
            await store.unneed(tx, [row.original_blob], now() + WRITING)
            return None

        async def queue(tx: Transaction) -> AcceptedUpload:
            await self._check(tx, identity, new, file.size)
            if not await store.need(tx, [row.original_blob]):  # the clock was set forward
                raise unavailable("The photo was not stored in time. Send it again.")
            await store.insert(tx, row)
            return AcceptedUpload(id=upload_id, status=UploadStatus.QUEUED)

        async def after(tx: Transaction) -> AcceptedUpload:
            accepted = await once(tx, request, lambda: queue(tx), AcceptedUpload, 202)
            if accepted.id != upload_id:  # the same request was quicker
                await store.unneed(tx, [row.original_blob], now())
            return accepted

        accepted = await self._database.write(before)
        if accepted is None:
            try:
                await self.blobs.check_room()
                await self.blobs.put(row.original_blob, file.path, media_type)
            except BlobTrouble as trouble:
                raise unavailable(
                    f"Photos cannot be stored at the moment: {trouble}. Send it again.", 5
                ) from None
            accepted = await self._database.write(after)
            self.on_queued()
        return accepted, await self._database.read(lambda tx: self._left(tx, accepted.id))

    async def upload(self, identity: Identity, upload_id: str) -> tuple[Upload, int]:
        """One of one's own, and in how many seconds it will probably be final: 0 where it is.

        Raises Problem 404.
        """

        async def fn(tx: Transaction) -> tuple[Upload, int]:
            found = await self._own(tx, identity, upload_id)
            return await _shown(tx, found), await self._pace.left(tx, found)

        return await self._database.read(fn)

    async def uploads(self, identity: Identity, before: str | None, limit: int) -> UploadPage:
        """A page of one's own, newest first. Raises Problem 422 for what is no page's `next`."""
        start = pages.numbered(before)

        async def fn(tx: Transaction) -> UploadPage:
            page, following = await store.uploads_of(tx, identity.account_id, start, limit)
            return UploadPage(items=[await _shown(tx, one) for one in page], next=following)

        return await self._database.read(fn)

    async def delete(self, identity: Identity, upload_id: str) -> None:
        """Remove it with its files; where it was shown, the dish or avatar has no picture then.

        Raises Problem 404.
        """

        async def fn(tx: Transaction) -> None:
            found = await self._own(tx, identity, upload_id)
            if found.shown and found.purpose is UploadPurpose.AVATAR:
                await self._accounts.set_avatar(tx, identity.account_id, None)
            elif found.shown:
                assert found.restaurant_id is not None
                assert found.menu_item_id is not None
                await self._restaurants.set_photo(tx, found.restaurant_id, found.menu_item_id, None)
            await store.delete(tx, found.id)
            await store.unneed(tx, found.blobs, now())

        await self._database.write(fn)
        self.on_unneeded()

    async def original(self, identity: Identity, upload_id: str) -> Picture:
        """The photo itself: as it was sent until it is done, from then on without its metadata.

        Raises Problem 404.
        """
        found = await self._visible(identity, upload_id)
        if found.original_removed_at is not None:
            raise Problem(404, "The original was removed; only the result is kept.")
        done = found.status is UploadStatus.DONE
        return Picture(found.original_blob, found.original_type, done)

    async def result(self, identity: Identity, upload_id: str) -> Picture:
        """The photo without its background. Raises Problem 404, also while there is none."""
        found = await self._visible(identity, upload_id)
        if found.result_blob is None:
            raise Problem(404, f"There is no result: the upload is {found.status.value}.")
        return Picture(found.result_blob, "image/png", True)

    async def scrub(self, tx: Transaction, account_id: str) -> None:
        """Before an account goes: its uploads and their files do, but for photos of dishes."""
        for found in await store.delete_of(tx, account_id):
            await store.unneed(tx, found.blobs, now())

    async def _left(self, tx: Transaction, upload_id: str) -> int:
        found = await store.upload(tx, upload_id)
        return await self._pace.left(tx, found) if found else 0

    async def _check(self, tx: Transaction, identity: Identity, new: NewUpload, size: int) -> None:
        if new.purpose is UploadPurpose.MENU_ITEM:
            if identity.role != Role.EMPLOYEE or identity.restaurant_id is None:
                raise forbidden("Photos of dishes are for employees only.")
            assert new.menu_item_id is not None
            if (
                await self._restaurants.dish_of(tx, identity.restaurant_id, new.menu_item_id)
                is None
            ):
                raise invalid(["menu_item_id"], "There is no such dish on your restaurant's menu.")
        kept = await store.kept_by(tx, identity.account_id)
        if kept.pending >= PENDING:
            seconds = await self._pace.all(tx)
            detail = f"{PENDING} of your photos are in the queue. Wait until some are done."
            raise too_many(detail, seconds)
        if kept.uploads >= KEPT:
            raise conflict(f"At most {KEPT} photos are kept. Delete some first.")
        most = self._shares.bytes_of_one
        if most and kept.bytes + size > most:
            raise conflict(
                f"Your photos would take more than {most // 1024 // 1024} MB, the most that an"
                " account may keep. Delete some first, or wait until those in the queue are done."
            )

    async def _own(self, tx: Transaction, identity: Identity, upload_id: str) -> StoredUpload:
        found = await store.upload(tx, upload_id)
        if found is None or found.account_id != identity.account_id:
            raise not_found("upload")
        return found

    async def _visible(self, identity: Identity, upload_id: str) -> StoredUpload:
        found = await self._database.read(lambda tx: store.upload(tx, upload_id))
        if found is None or not (found.shown or found.account_id == identity.account_id):
            raise not_found("upload")
        return found


async def _shown(tx: Transaction, found: StoredUpload) -> Upload:
    queued = found.status is UploadStatus.QUEUED
    return Upload(
        id=found.id,
        status=found.status,
        purpose=found.purpose,
        menu_item_id=found.menu_item_id,
        attempts=found.tried,
        ahead=await store.ahead(tx, found) if queued else None,
        error=found.error,
        media_type=found.media_type,
        size=found.size,
        original_url=original_path(found.id),
        result_url=result_path(found.id) if found.result_blob else None,
        width=found.width,
        height=found.height,
        shown=found.shown,
        created_at=found.created_at,
        finished_at=found.finished_at,
        original_removed_at=found.original_removed_at,
    )
