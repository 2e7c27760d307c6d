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

MOST_COUNTED = 1000
"""Photos counted in a queue: how many more there are changes nothing for whoever waits."""


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
        """The attempts that count: not those that ended because the store was away."""
        return self.attempts - self.waits

    @property
    def blobs(self) -> list[str]:
        """Every blob it names."""
        original = [] if self.original_removed_at else [self.original_blob]
        return original + ([self.result_blob] if self.result_blob else [])


@dataclass(frozen=True, slots=True)
class Made:
    """What an attempt has made: the names and bytes of its blobs, and the result's pixels."""

    original_blob: str
    original_type: str
    original_bytes: int
    result_blob: str
    result_bytes: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What an account keeps: its uploads, those of them that are not final, and their bytes."""

    uploads: int
    pending: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that a worker has; `beat` moves for as long as the worker lives."""

    id: str
    attempts: int
    beat: int


async def next_arrival(tx: Transaction) -> int:
    """The number of a photo that comes now."""
    return int((await _queries.next_arrival(tx))["arrivals"])


async def insert(tx: Transaction, new: NewRow) -> None:
    """Add it to the queue, in the turn after its account's last there."""
    now: Row = await _queries.next_arrival(tx)
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
        turn=now["turn"] if last is None else max(now["turn"], last + 1),
        arrival=now["arrivals"],
    )


async def upload(tx: Transaction, upload_id: str) -> StoredUpload | None:
    """One, whoever's."""
    row = await _queries.upload(tx, id=upload_id)
    return _upload(row) if row else None


async def uploads_of(
    tx: Transaction, account_id: str, before: tuple[int, str], limit: int
) -> tuple[list[StoredUpload], str | None]:
    """A page of the account's, newest first, and the next one's `before`."""
    found = await _queries.uploads_of(
        tx, account_id=account_id, place=before[0], id=before[1], limit=limit + 1
    )
    rows, following = pages.numbered_page(found, limit, "arrival")
    return [_upload(row) for row in rows], following


async def kept_by(tx: Transaction, account_id: str) -> Kept:
    """How much the account keeps."""
    return Kept(**await _queries.kept_by(tx, account_id=account_id))


async def due(tx: Transaction, at: datetime, latest: datetime) -> bool:
    """Whether there is something to take. No pause ends after `latest`: should one seem to, the
    clock was ahead when it began."""
    if await _queries.ready(tx) is not None:
        return True
    found = await _queries.pause_over(tx, now=to_text(at), latest=to_text(latest))
    return found is not None


async def any_paused(tx: Transaction) -> bool:
    """Whether there is one that waits for its next attempt."""
    return await _queries.any_paused(tx) is not None


async def end_pauses(tx: Transaction, at: datetime, latest: datetime) -> None:
    """Make those ready whose pause is over, or has an end after `latest`."""
    await _queries.end_pauses(tx, now=to_text(at), latest=to_text(latest))


async def at_work(tx: Transaction) -> list[Held]:
    """Everything that workers have, of whatever process; as many as there are workers."""
    return [Held(**row) for row in await _queries.at_work(tx)]


async def claim(tx: Transaction, at: datetime) -> StoredUpload | None:
    """Take the one whose turn it is, which counts its attempt; None where there is none."""
    row = await _queries.claim(tx, now=to_text(at))
    if row is None:
        return None
    await _queries.go_on(tx, turn=row["turn"] + 1)
    return _upload(row)


async def take_back(
    tx: Transaction, held: Held, most: int, most_of_all: int, error: str, at: datetime
) -> None:
    """Put it back into the queue, if it still is at that beat, or fail it after so many attempts:
    `most` that are not excused, or `most_of_all`."""
    touched: int = await _queries.take_back(tx, id=held.id, attempts=held.attempts, beat=held.beat)
    if touched:
        await _queries.give_up(
            tx, id=held.id, most=most, most_of_all=most_of_all, error=error, now=to_text(at)
        )


async def renew(tx: Transaction, upload_id: str, attempts: int) -> bool:
    """Prolong the lease; False where it is not that attempt's any more."""
    touched: int = await _queries.renew(tx, id=upload_id, attempts=attempts)
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
        original_bytes=made.original_bytes,
        result_blob=made.result_blob,
        result_bytes=made.result_bytes,
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
    tx: Transaction,
    upload_id: str,
    attempts: int,
    error: str | None,
    due_at: datetime,
    *,
    excused: bool = False,
    waits: bool = False,
) -> bool:
    """Back into the queue; False where it is not that attempt's any more."""
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


async def show(tx: Transaction, one: StoredUpload) -> list[StoredUpload] | None:
    """Make it the one that is shown; gives those that no longer are, None where a newer one is."""
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
    """Remove the account's rows and give them; photos that dishes show stay, as nobody's."""
    await _queries.leave_dishes_their_photos(tx, account_id=account_id)
    return [_upload(row) for row in await _queries.delete_uploads_of(tx, account_id=account_id)]


async def ahead(tx: Transaction, one: StoredUpload) -> int:
    """How many come before it or are at work, counted to MOST_COUNTED."""
    found = await _queries.ahead(tx, turn=one.turn, arrival=one.arrival, most=MOST_COUNTED)
    return int(found) + len(await at_work(tx))


async def queued(tx: Transaction) -> int:
    """How many are queued, counted to MOST_COUNTED."""
    return int(await _queries.queued(tx, most=MOST_COUNTED))


async def recent_seconds(tx: Transaction, limit: int) -> list[float]:
    """How long the last attempts took that were done, in seconds."""
    return [
        (from_text(row["finished_at"]) - from_text(row["started_at"])).total_seconds()
        for row in await _queries.recent(tx, limit=limit)
    ]


async def old_originals(
    tx: Transaction, status: UploadStatus, finished_before: datetime, limit: int
) -> list[str]:
    """Uploads that had come to that end by then and whose originals are there still."""
    rows = await _queries.old_originals(
        tx, status=status.value, before=to_text(finished_before), limit=limit
    )
    return [row["id"] for row in rows]


async def drop_originals(tx: Transaction, ids: Sequence[str], at: datetime) -> list[str]:
    """Note that their originals are gone; gives the names of the blobs."""
    rows = [await _queries.drop_original(tx, id=one, now=to_text(at)) for one in ids]
    return [row["original_blob"] for row in rows if row]


async def unneed(tx: Transaction, names: Sequence[str], due_at: datetime) -> None:
    """Have these blobs removed from then on."""
    for name in names:
        await _queries.unneed(tx, name=name, due_at=to_text(due_at))


async def need(tx: Transaction, names: Sequence[str]) -> bool:
    """Have these not removed, or remember that they are. False where one was not to be removed,
    or already is."""
    found = [await _queries.need(tx, name=name) for name in names]
    return all(found)


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
