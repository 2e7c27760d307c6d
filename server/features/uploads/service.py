"""The rules of uploads: who may send what, who may see it, and when it is removed."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
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
from server.core.routing import PREFIX
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import store
from server.features.uploads.blobs import BlobError, Blobs
from server.features.uploads.estimate import WaitEstimate
from server.features.uploads.image_header import check_photo
from server.features.uploads.schemas import (
    AcceptedUpload,
    NewUpload,
    Upload,
    UploadPage,
    UploadPurpose,
    UploadStatus,
)
from server.features.uploads.store import NewUploadRow, StoredUpload

ROUTE = "POST /uploads"
MAX_PENDING = 100
"""Photos that one account may have in the queue."""
MAX_UPLOADS = 1000
"""Photos that one account may store."""
WRITE_TIME = timedelta(hours=1)
"""When a blob that was written for an upload that was never completed is removed."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How many photos this process receives at once, in all and of one account, and how many bytes
    an account may store. 0 means no limit."""

    receiving: int
    receiving_per_account: int
    bytes_per_account: int


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that has been received completely, and its temporary path."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A blob to be served; `final` where it never changes."""

    blob: str
    media_type: str
    final: bool


class _Content(NewUpload):
    """What decides whether two uploads are the same."""

    sha256: str


class UploadService:
    """Uploads, as their owners see them.

    `on_queued` is called after an upload was queued, `on_removal` after one was deleted. `hold`
    says why no photo is processed at the moment.
    """

    def __init__(
        self,
        database: Database,
        accounts: AccountService,
        restaurants: RestaurantService,
        blobs: Blobs,
        estimate: WaitEstimate,
        limits: UploadLimits,
    ) -> None:
        self.on_queued: Callable[[], None] = lambda: None
        self.on_removal: Callable[[], None] = lambda: None
        self.hold: Callable[[], str | None] = lambda: None
        self._database = database
        self._accounts = accounts
        self._restaurants = restaurants
        self.blobs = blobs
        self._estimate = estimate
        self._limits = limits
        self._receiving: Counter[str] = Counter()

    @contextmanager
    def receiving(self, identity: Identity) -> Iterator[None]:
        """Wraps receiving a photo. Raises Problem 429, 503 where too many are being received."""
        most, most_per_account = self._limits.receiving, self._limits.receiving_per_account
        if most_per_account and self._receiving[identity.limit_key] >= most_per_account:
            raise too_many(f"Send at most {most_per_account} photos at once.", 2)
        if most and self._receiving.total() >= most:
            raise unavailable("Too many photos are arriving. Send it again.", 5)
        self._receiving[identity.limit_key] += 1
        try:
            yield
        finally:
            self._receiving[identity.limit_key] -= 1
            self._receiving += Counter()  # drops accounts without any

    async def accept(
        self, identity: Identity, new: NewUpload, file: ReceivedFile, key: str | None
    ) -> tuple[AcceptedUpload, int]:
        """Queue the photo; returns the upload and how many seconds it will probably take.

        With an Idempotency-Key, sending it again gives the same upload. Raises Problem 403, 409,
        413, 415, 422, 429, 503.
        """
        media_type = await asyncio.to_thread(check_photo, file.path)
        content = _Content(**new.model_dump(), sha256=file.sha256)
        request = KeyedRequest.of(identity.account_id, ROUTE, key, content)
        upload_id = new_id("upl")
        row = NewUploadRow(
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
            # Before the blob is written, so that it is removed if this process dies.
            await store.schedule_removal(tx, [row.original_blob], now() + WRITE_TIME)
            return None

        async def queue(tx: Transaction) -> AcceptedUpload:
            await self._check(tx, identity, new, file.size)
            if not await store.cancel_removal(tx, [row.original_blob]):  # the clock was set forward
                raise unavailable("The photo was not stored in time. Send it again.")
            await store.insert(tx, row)
            return AcceptedUpload(id=upload_id, status=UploadStatus.QUEUED)

        async def after(tx: Transaction) -> AcceptedUpload:
            accepted = await once(tx, request, lambda: queue(tx), AcceptedUpload, 202)
            if accepted.id != upload_id:  # the same request was faster
                await store.schedule_removal(tx, [row.original_blob], now())
            return accepted

        accepted = await self._database.write(before)
        if accepted is None:
            try:
                await self.blobs.check_space()
                await self.blobs.put(row.original_blob, file.path, media_type)
            except BlobError as error:
                raise unavailable(
                    f"Photos cannot be stored at the moment: {error}. Send it again.", 5
                ) from None
            accepted = await self._database.write(after)
            self.on_queued()
        return accepted, await self._database.read(lambda tx: self._seconds_left(tx, accepted.id))

    async def upload(self, identity: Identity, upload_id: str) -> tuple[Upload, int]:
        """One of the account's uploads, and in how many seconds it will probably be final.

        Raises Problem 404.
        """

        async def fn(tx: Transaction) -> tuple[Upload, int]:
            found = await self._own(tx, identity, upload_id)
            upload = await _as_schema(tx, found, self.hold())
            return upload, await self._estimate.for_upload(tx, found)

        return await self._database.read(fn)

    async def uploads(self, identity: Identity, before: str | None, limit: int) -> UploadPage:
        """A page of the account's uploads, newest first. Raises Problem 422."""
        start = pages.numbered(before)

        async def fn(tx: Transaction) -> UploadPage:
            page, following = await store.uploads_of(tx, identity.account_id, start, limit)
            items = [await _as_schema(tx, one, self.hold()) for one in page]
            return UploadPage(items=items, next=following)

        return await self._database.read(fn)

    def export(self, identity: Identity) -> AsyncGenerator[Sequence[str]]:
        """Every upload of the account."""

        async def fetch(before: str | None) -> tuple[Sequence[str], str | None]:
            page = await self.uploads(identity, before, 200)
            return [one.model_dump_json() for one in page.items], page.next

        return pages.every_page(fetch)

    async def delete(self, identity: Identity, upload_id: str) -> None:
        """Remove it with its files. Where it was shown, the dish or account loses its picture.

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
            await store.schedule_removal(tx, found.blobs, now())

        await self._database.write(fn)
        self.on_removal()

    async def original(self, identity: Identity, upload_id: str) -> StoredPicture:
        """The photo itself: as it was sent until it is done, after that without its metadata.

        Raises Problem 404.
        """
        found = await self._visible(identity, upload_id)
        if found.original_removed_at is not None:
            raise Problem(404, "The original was removed; only the result is kept.")
        done = found.status is UploadStatus.DONE
        return StoredPicture(found.original_blob, found.original_type, done)

    async def result(self, identity: Identity, upload_id: str) -> StoredPicture:
        """The photo without its background. Raises Problem 404, also before it is done."""
        found = await self._visible(identity, upload_id)
        if found.result_blob is None:
            raise Problem(404, f"There is no result: the upload is {found.status.value}.")
        return StoredPicture(found.result_blob, "image/png", True)

    async def scrub(self, tx: Transaction, account_id: str) -> None:
        """Before an account is deleted: remove its uploads, except photos of dishes."""
        for found in await store.delete_of(tx, account_id):
            await store.schedule_removal(tx, found.blobs, now())

    async def _seconds_left(self, tx: Transaction, upload_id: str) -> int:
        found = await store.upload(tx, upload_id)
        return await self._estimate.for_upload(tx, found) if found else 0

    async def _check(self, tx: Transaction, identity: Identity, new: NewUpload, size: int) -> None:
        await self._accounts.account_of(tx, identity.account_id)
        if new.purpose is UploadPurpose.MENU_ITEM:
            if identity.role != Role.EMPLOYEE or identity.restaurant_id is None:
                raise forbidden("Photos of dishes are for employees only.")
            assert new.menu_item_id is not None
            if (
                await self._restaurants.dish_of(tx, identity.restaurant_id, new.menu_item_id)
                is None
            ):
                raise invalid(
                    ["menu_item_id"],
                    "There is no such dish on your restaurant's menu.",
                    "no-such-dish",
                )
        usage = await store.usage_of(tx, identity.account_id)
        if usage.pending >= MAX_PENDING:
            seconds = await self._estimate.for_queue(tx)
            detail = f"{MAX_PENDING} of your photos are in the queue. Wait until some are done."
            raise too_many(detail, seconds, "photos-waiting")
        if usage.uploads >= MAX_UPLOADS:
            raise conflict(
                f"At most {MAX_UPLOADS} photos are kept. Delete some first.", "photos-full"
            )
        most = self._limits.bytes_per_account
        if most and usage.bytes + size > most:
            raise conflict(
                f"Your photos would take more than {most // 1024 // 1024} MB, the most that an"
                " account may keep. Delete some first, or wait until those in the queue are done.",
                "photos-full",
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


def original_path(upload_id: str) -> str:
    """The URL path of the picture as it was sent."""
    return f"{PREFIX}/uploads/{upload_id}/original"


def result_path(upload_id: str) -> str:
    """The URL path of the picture without its background."""
    return f"{PREFIX}/uploads/{upload_id}/result"


async def _as_schema(tx: Transaction, found: StoredUpload, hold: str | None) -> Upload:
    queued = found.status is UploadStatus.QUEUED
    return Upload(
        id=found.id,
        status=found.status,
        purpose=found.purpose,
        menu_item_id=found.menu_item_id,
        attempts=found.tried,
        ahead=await store.count_ahead(tx, found) if queued else None,
        hold=hold if queued else None,
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
