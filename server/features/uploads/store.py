"""Uploads and the names of their blobs: rows in and out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from server.core import pages
from server.core.clock import from_text, to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.uploads.schemas import UploadPurpose, UploadStatus

_queries = load_queries(__file__)


@dataclass(frozen=True, slots=True)
class NewRow:
    """An upload that has just been taken."""

    id: str
    account_id: str
    purpose: UploadPurpose
    restaurant_id: str | None
    menu_item_id: str | None
    media_type: str
    size: int
    original_blob: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload with what its owner is not shown; times are UTC."""

    id: str
    account_id: str | None
    purpose: UploadPurpose
    restaurant_id: str | None
    menu_item_id: str | None
    status: UploadStatus
    attempts: int
    due_at: datetime | None
    error: str | None
    media_type: str
    size: int
    original_blob: str
    original_type: str
    result_blob: str | None
    width: int | None
    height: int | None
    shown: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    original_removed_at: datetime | None

    @property
    def blobs(self) -> list[str]:
        """Every blob it names."""
        original = [] if self.original_removed_at else [self.original_blob]
        return original + ([self.result_blob] if self.result_blob else [])


@dataclass(frozen=True, slots=True)
class Made:
    """What an attempt has made: the names of its blobs, and the result's pixels."""

    original_blob: str
    original_type: str
    result_blob: str
    width: int
    height: int


async def insert(tx: Transaction, new: NewRow) -> None:
    """Add it to the queue."""
    await _queries.insert_upload(
        tx,
        id=new.id,
        account_id=new.account_id,
        purpose=new.purpose.value,
        restaurant_id=new.restaurant_id,
        menu_item_id=new.menu_item_id,
        media_type=new.media_type,
        size=new.size,
        original_blob=new.original_blob,
        created_at=to_text(new.created_at),
    )


async def upload(tx: Transaction, upload_id: str) -> StoredUpload | None:
    """One, whoever's."""
    row = await _queries.upload(tx, id=upload_id)
    return _upload(row) if row else None


async def uploads_of(
    tx: Transaction, account_id: str, before: tuple[str, str] | None, limit: int
) -> tuple[list[StoredUpload], bool]:
    """A page of the account's, newest first, and whether there are more."""
    before_at, before_id = before or ("~", "")
    found = await _queries.uploads_of(
        tx, account_id=account_id, before_at=before_at, before_id=before_id, limit=limit + 1
    )
    rows, more = pages.page_of(found, limit)
    return [_upload(row) for row in rows], more


async def counts_of(tx: Transaction, account_id: str) -> tuple[int, int]:
    """How many uploads the account has, and how many of them are not final."""
    row = await _queries.counts_of(tx, account_id=account_id)
    return int(row["kept"]), int(row["pending"])


async def due(tx: Transaction, at: datetime) -> bool:
    """Whether there is something to take, or to give up."""
    return await _queries.due(tx, now=to_text(at)) is not None


async def at_work(tx: Transaction, at: datetime) -> bool:
    """Whether some worker has a job, by a lease that holds."""
    return await _queries.at_work(tx, now=to_text(at)) is not None


async def claim(
    tx: Transaction, before: datetime, at: datetime, until: datetime, most: int
) -> StoredUpload | None:
    """Take the oldest that could be taken `before`, which counts its attempt; None where there is
    none."""
    row = await _queries.claim(
        tx, before=to_text(before), now=to_text(at), until=to_text(until), most=most
    )
    return _upload(row) if row else None


async def give_up(tx: Transaction, at: datetime, most: int, error: str) -> None:
    """Fail those whose last attempt has lost its lease."""
    await _queries.give_up(tx, now=to_text(at), most=most, error=error)


async def renew(tx: Transaction, upload_id: str, attempts: int, until: datetime) -> bool:
    """Prolong the lease; False where it is not that attempt's any more."""
    touched: int = await _queries.renew(tx, id=upload_id, attempts=attempts, until=to_text(until))
    return touched > 0


async def finish(tx: Transaction, upload_id: str, attempts: int, made: Made, at: datetime) -> bool:
    """Be done; False where it is not that attempt's any more."""
    touched: int = await _queries.finish(
        tx,
        id=upload_id,
        attempts=attempts,
        now=to_text(at),
        original_blob=made.original_blob,
        original_type=made.original_type,
        result_blob=made.result_blob,
        width=made.width,
        height=made.height,
    )
    return touched > 0


async def fail(tx: Transaction, upload_id: str, attempts: int, error: str, at: datetime) -> bool:
    """Have failed; False where it is not that attempt's any more."""
    touched: int = await _queries.fail(
        tx, id=upload_id, attempts=attempts, error=error, now=to_text(at)
    )
    return touched > 0


async def requeue(
    tx: Transaction, upload_id: str, attempts: int, error: str | None, due_at: datetime
) -> bool:
    """Back into the queue; False where it is not that attempt's any more."""
    touched: int = await _queries.requeue(
        tx, id=upload_id, attempts=attempts, error=error, due_at=to_text(due_at)
    )
    return touched > 0


async def show(tx: Transaction, one: StoredUpload) -> list[StoredUpload] | None:
    """Make it the one that is shown; gives those that no longer are, None where a newer one is."""
    target = {
        "id": one.id,
        "purpose": one.purpose.value,
        "menu_item_id": one.menu_item_id,
        "account_id": one.account_id,
    }
    if await _queries.newer_shown(tx, **target, created_at=to_text(one.created_at)) is not None:
        return None
    hidden = await _queries.hide_others(tx, **target)
    await _queries.show(tx, id=one.id)
    return [_upload(row) for row in hidden]


async def delete(tx: Transaction, upload_id: str) -> None:
    """Remove the row."""
    await _queries.delete_upload(tx, id=upload_id)


async def delete_of(tx: Transaction, account_id: str) -> list[StoredUpload]:
    """Remove the account's rows and give them; photos that dishes show stay, as nobody's."""
    await _queries.leave_dishes_their_photos(tx, account_id=account_id)
    return [_upload(row) for row in await _queries.delete_uploads_of(tx, account_id=account_id)]


async def ahead(tx: Transaction, one: StoredUpload) -> int:
    """How many that are not final are older."""
    return int(await _queries.ahead(tx, id=one.id, created_at=to_text(one.created_at)))


async def pending(tx: Transaction) -> dict[UploadStatus, int]:
    """How many are queued, and how many are being processed by whatever process."""
    rows = await _queries.pending(tx)
    found = {UploadStatus(row["status"]): int(row["uploads"]) for row in rows}
    return {UploadStatus.QUEUED: 0, UploadStatus.PROCESSING: 0} | found


async def recent_seconds(tx: Transaction, limit: int) -> list[float]:
    """How long the last attempts took that were done, in seconds."""
    return [
        (from_text(row["finished_at"]) - from_text(row["started_at"])).total_seconds()
        for row in await _queries.recent(tx, limit=limit)
    ]


async def old_originals(tx: Transaction, finished_before: datetime) -> bool:
    """Whether there are originals of uploads that were final by then."""
    return await _queries.old_originals(tx, before=to_text(finished_before)) is not None


async def drop_originals(tx: Transaction, finished_before: datetime, at: datetime) -> list[str]:
    """Note that they are gone; gives their names."""
    rows = await _queries.drop_originals(tx, before=to_text(finished_before), now=to_text(at))
    return [row["original_blob"] for row in rows]


async def unneed(tx: Transaction, names: Sequence[str], due_at: datetime) -> None:
    """Have these blobs removed from then on."""
    for name in names:
        await _queries.unneed(tx, name=name, due_at=to_text(due_at))


async def need(tx: Transaction, names: Sequence[str]) -> None:
    """Have these not removed, or remember that they are."""
    for name in names:
        await _queries.need(tx, name=name)


async def unneeded(tx: Transaction, at: datetime, limit: int) -> list[str]:
    """Blobs to be removed now."""
    return [row["name"] for row in await _queries.unneeded(tx, now=to_text(at), limit=limit)]


def _upload(row: Row) -> StoredUpload:
    def moment(name: str) -> datetime | None:
        return from_text(row[name]) if row[name] else None

    return StoredUpload(
        **{
            name: row[name]
            for name in (
                "id",
                "account_id",
                "restaurant_id",
                "menu_item_id",
                "attempts",
                "error",
                "media_type",
                "size",
                "original_blob",
                "original_type",
                "result_blob",
                "width",
                "height",
            )
        },
        purpose=UploadPurpose(row["purpose"]),
        status=UploadStatus(row["status"]),
        shown=bool(row["shown"]),
        created_at=from_text(row["created_at"]),
        due_at=moment("due_at"),
        started_at=moment("started_at"),
        finished_at=moment("finished_at"),
        original_removed_at=moment("original_removed_at"),
    )
