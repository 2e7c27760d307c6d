"""Reads and writes uploads and the names of their blobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from server.core import pages
from server.core.clock import from_text, to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.uploads.schemas import UploadPurpose, UploadStatus

_queries = load_queries(__file__)

MAX_COUNTED = 1000
"""Where counting photos in the queue stops: the exact number of more does not matter."""


@dataclass(frozen=True, slots=True)
class NewUploadRow:
    """An upload that has just been accepted."""

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
    """An upload with everything that is stored of it; times are UTC."""

    id: str
    account_id: str | None
    purpose: UploadPurpose
    restaurant_id: str | None
    menu_item_id: str | None
    status: UploadStatus
    attempts: int
    excused: int
    waits: int
    turn: int
    arrival: int
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
    def tried(self) -> int:
        """The attempts without those that ended because the store was away."""
        return self.attempts - self.waits

    @property
    def blobs(self) -> list[str]:
        """The names of all of its blobs."""
        original = [] if self.original_removed_at else [self.original_blob]
        return original + ([self.result_blob] if self.result_blob else [])


@dataclass(frozen=True, slots=True)
class ProcessedPhoto:
    """What an attempt has produced: its blobs' names and sizes, and the result's size in pixels."""

    original_blob: str
    original_type: str
    original_bytes: int
    result_blob: str
    result_bytes: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account stores: its uploads, those of them that are not final, and their bytes."""

    uploads: int
    pending: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ActiveAttempt:
    """An attempt that a worker is busy with; `beat` grows while the worker lives."""

    id: str
    number: int
    beat: int


async def next_arrival(tx: Transaction) -> int:
    """The arrival number of a new photo."""
    return int((await _queries.next_arrival(tx))["arrivals"])


async def insert(tx: Transaction, new: NewUploadRow) -> None:
    """Add it to the queue, in the turn after the last of its account."""
    arrival: Row = await _queries.next_arrival(tx)
    last = await _queries.last_turn(tx, account_id=new.account_id)
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
        turn=arrival["turn"] if last is None else max(arrival["turn"], last + 1),
        arrival=arrival["arrivals"],
    )


async def upload(tx: Transaction, upload_id: str) -> StoredUpload | None:
    """The upload, whoever owns it."""
    row = await _queries.upload(tx, id=upload_id)
    return _upload(row) if row else None


async def uploads_of(
    tx: Transaction, account_id: str, before: tuple[int, str], limit: int
) -> tuple[list[StoredUpload], str | None]:
    """A page of the account's uploads, newest first, and the `before` of the next page."""
    found = await _queries.uploads_of(
        tx, account_id=account_id, place=before[0], id=before[1], limit=limit + 1
    )
    rows, following = pages.numbered_page(found, limit, "arrival")
    return [_upload(row) for row in rows], following


async def usage_of(tx: Transaction, account_id: str) -> Usage:
    """How much the account stores."""
    return Usage(**await _queries.usage_of(tx, account_id=account_id))


async def any_due(tx: Transaction, at: datetime, latest: datetime) -> bool:
    """Whether there is a job to claim. A pause that seems to end after `latest` counts as over: the
    clock was ahead when it began."""
    if await _queries.any_ready(tx) is not None:
        return True
    found = await _queries.any_pause_over(tx, now=to_text(at), latest=to_text(latest))
    return found is not None


async def any_paused(tx: Transaction) -> bool:
    """Whether an upload waits for its next attempt."""
    return await _queries.any_paused(tx) is not None


async def end_pauses(tx: Transaction, at: datetime, latest: datetime) -> None:
    """Make uploads ready whose pause is over, or seems to end after `latest`."""
    await _queries.end_pauses(tx, now=to_text(at), latest=to_text(latest))


async def active_attempts(tx: Transaction) -> list[ActiveAttempt]:
    """The attempts that workers of all processes are busy with."""
    return [
        ActiveAttempt(row["id"], row["attempts"], row["beat"])
        for row in await _queries.active_attempts(tx)
    ]


async def claim(tx: Transaction, at: datetime) -> StoredUpload | None:
    """Claim the upload whose turn it is, and count the attempt; None where there is none."""
    row = await _queries.claim(tx, now=to_text(at))
    if row is None:
        return None
    await _queries.advance_turn(tx, turn=row["turn"] + 1)
    return _upload(row)


async def reclaim(
    tx: Transaction, lost: ActiveAttempt, most: int, most_of_all: int, error: str, at: datetime
) -> None:
    """Put it back into the queue, if its beat is still the same, or fail it after `most` attempts
    that are not excused, or `most_of_all`."""
    touched: int = await _queries.reclaim(tx, id=lost.id, attempts=lost.number, beat=lost.beat)
    if touched:
        await _queries.fail_exhausted(
            tx, id=lost.id, most=most, most_of_all=most_of_all, error=error, now=to_text(at)
        )


async def renew(tx: Transaction, upload_id: str, attempts: int) -> bool:
    """Renew the lease; False where the upload is not that attempt's any more."""
    touched: int = await _queries.renew(tx, id=upload_id, attempts=attempts)
    return touched > 0


async def finish(
    tx: Transaction, upload_id: str, attempts: int, photo: ProcessedPhoto, at: datetime
) -> bool:
    """Mark it done; False where it is not that attempt's any more."""
    touched: int = await _queries.finish(
        tx,
        id=upload_id,
        attempts=attempts,
        now=to_text(at),
        original_blob=photo.original_blob,
        original_type=photo.original_type,
        original_bytes=photo.original_bytes,
        result_blob=photo.result_blob,
        result_bytes=photo.result_bytes,
        width=photo.width,
        height=photo.height,
    )
    return touched > 0


async def fail(tx: Transaction, upload_id: str, attempts: int, error: str, at: datetime) -> bool:
    """Mark it failed; False where it is not that attempt's any more."""
    touched: int = await _queries.fail(
        tx, id=upload_id, attempts=attempts, error=error, now=to_text(at)
    )
    return touched > 0


async def requeue(
    tx: Transaction,
    upload_id: str,
    attempts: int,
    error: str | None,
    due_at: datetime,
    *,
    excused: bool = False,
    waits: bool = False,
) -> bool:
    """Put it back into the queue; False where it is not that attempt's any more."""
    touched: int = await _queries.requeue(
        tx,
        id=upload_id,
        attempts=attempts,
        error=error,
        due_at=to_text(due_at),
        excused=int(excused),
        waits=int(waits),
    )
    return touched > 0


async def set_shown(tx: Transaction, one: StoredUpload) -> list[StoredUpload] | None:
    """Show it; returns those that are no longer shown, None where a newer one is shown already."""
    target = {
        "id": one.id,
        "purpose": one.purpose.value,
        "menu_item_id": one.menu_item_id,
        "account_id": one.account_id,
    }
    if await _queries.newer_shown(tx, **target, arrival=one.arrival) is not None:
        return None
    hidden = await _queries.hide_others(tx, **target)
    await _queries.show(tx, id=one.id)
    return [_upload(row) for row in hidden]


async def delete(tx: Transaction, upload_id: str) -> None:
    """Remove the row."""
    await _queries.delete_upload(tx, id=upload_id)


async def delete_of(tx: Transaction, account_id: str) -> list[StoredUpload]:
    """Remove and return the account's rows. Photos that dishes show stay, without an owner."""
    await _queries.disown_dish_photos(tx, account_id=account_id)
    return [_upload(row) for row in await _queries.delete_uploads_of(tx, account_id=account_id)]


async def count_ahead(tx: Transaction, one: StoredUpload) -> int:
    """How many photos come before it or are being processed; MAX_COUNTED at most come before."""
    found = await _queries.count_ahead(tx, turn=one.turn, arrival=one.arrival, most=MAX_COUNTED)
    return int(found) + len(await active_attempts(tx))


async def count_queued(tx: Transaction) -> int:
    """How many are queued, MAX_COUNTED at most."""
    return int(await _queries.count_queued(tx, most=MAX_COUNTED))


async def recent_durations(tx: Transaction, limit: int) -> list[float]:
    """How long the last successful attempts took, in seconds."""
    return [
        (from_text(row["finished_at"]) - from_text(row["started_at"])).total_seconds()
        for row in await _queries.recently_done(tx, limit=limit)
    ]


async def old_originals(
    tx: Transaction, status: UploadStatus, finished_before: datetime, limit: int
) -> list[str]:
    """Uploads that came to that end by then and still have their originals."""
    rows = await _queries.old_originals(
        tx, status=status.value, before=to_text(finished_before), limit=limit
    )
    return [row["id"] for row in rows]


async def drop_originals(tx: Transaction, ids: Sequence[str], at: datetime) -> list[str]:
    """Mark their originals as removed; returns the names of the blobs."""
    rows = [await _queries.drop_original(tx, id=one, now=to_text(at)) for one in ids]
    return [row["original_blob"] for row in rows if row]


async def schedule_removal(tx: Transaction, names: Sequence[str], due_at: datetime) -> None:
    """Have these blobs removed at that time or after."""
    for name in names:
        await _queries.schedule_removal(tx, name=name, due_at=to_text(due_at))


async def cancel_removal(tx: Transaction, names: Sequence[str]) -> bool:
    """Forget that these blobs are to be removed. False where one of them was not scheduled or is
    removed already."""
    found = [await _queries.cancel_removal(tx, name=name) for name in names]
    return all(found)


async def removals_due(tx: Transaction, at: datetime, limit: int) -> list[str]:
    """Names of blobs that are to be removed now."""
    return [row["name"] for row in await _queries.removals_due(tx, now=to_text(at), limit=limit)]


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
                "excused",
                "waits",
                "turn",
                "arrival",
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
