"""Reads and writes announcements and their acknowledgements."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.core import pages
from server.core.clock import from_text, to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.announcements.schemas import Announcement, ReadAnnouncement

_queries = load_queries(__file__)


@dataclass(frozen=True, slots=True)
class StoredAnnouncement:
    """An announcement with what its readers are not shown."""

    announcement: Announcement
    withdrawn_at: datetime | None
    acknowledged: int

    def stands(self, at: datetime) -> bool:
        """Whether it is neither withdrawn nor expired at that time."""
        expires_at = self.announcement.expires_at
        return self.withdrawn_at is None and (expires_at is None or expires_at > at)


def _fields(row: Row) -> dict[str, Any]:
    by = {name: row[f"author_{name}"] for name in ("id", "name", "role")}
    return {**row, "by": by}


async def insert(tx: Transaction, announcement: Announcement) -> None:
    """A new announcement."""
    by, expires_at = announcement.by, announcement.expires_at
    await _queries.insert_announcement(
        tx,
        id=announcement.id,
        title=announcement.title,
        body=announcement.body,
        severity=announcement.severity.value,
        audience=announcement.audience.value,
        author_id=by.id,
        author_name=by.name,
        author_role=by.role,
        published_at=to_text(announcement.published_at),
        expires_at=to_text(expires_at) if expires_at else None,
    )


async def announcement(tx: Transaction, announcement_id: str) -> StoredAnnouncement | None:
    """One announcement, also one that is gone from the history."""
    row = await _queries.announcement(tx, id=announcement_id)
    if row is None:
        return None
    withdrawn_at = from_text(row["withdrawn_at"]) if row["withdrawn_at"] else None
    found = Announcement.model_validate(_fields(row))
    return StoredAnnouncement(found, withdrawn_at, row["acknowledged"])


async def history(
    tx: Transaction,
    account_id: str,
    audience: str,
    at: datetime,
    before: tuple[int, str],
    limit: int,
) -> tuple[list[ReadAnnouncement], str | None]:
    """A page of what stands at that time for that audience (`all`: for any), newest first, and
    the next one's `before`."""
    found = await _queries.history(
        tx,
        account_id=account_id,
        audience=audience,
        now=to_text(at),
        place=before[0],
        id=before[1],
        limit=limit + 1,
    )
    rows, following = pages.numbered_page(found, limit, "arrival")
    page = [
        ReadAnnouncement(**_fields(row) | {"acknowledged": row["acknowledged_at"] is not None})
        for row in rows
    ]
    return page, following


async def count_unread(
    tx: Transaction, account_id: str, audience: str, at: datetime, most: int
) -> int:
    """How many of what stands at that time for that audience the account has neither made nor
    acknowledged: of the newest `most` for everyone, and as many for that audience alone."""
    return int(
        await _queries.count_unread(
            tx, account_id=account_id, audience=audience, now=to_text(at), most=most
        )
    )


async def withdraw(tx: Transaction, announcement_id: str, at: datetime) -> bool:
    """Mark it withdrawn; False where it was already."""
    changed: int = await _queries.withdraw(tx, id=announcement_id, at=to_text(at))
    return changed > 0


async def acknowledge(
    tx: Transaction, announcement_id: str, account_id: str, at: datetime
) -> int | None:
    """Note that this account has seen it; returns how many have, None where it had been noted."""
    added: int = await _queries.insert_ack(
        tx, id=announcement_id, account_id=account_id, at=to_text(at)
    )
    if not added:
        return None
    return int(await _queries.count_acks(tx, id=announcement_id, more=1))


async def acks_of(
    tx: Transaction, account_id: str, before: tuple[str, str], limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the announcements that the account has acknowledged, the last first, and the next
    one's `before`."""
    found = await _queries.acks_of(
        tx, account_id=account_id, at=before[0], id=before[1], limit=limit + 1
    )
    rows, more = pages.page_of(found, limit)
    following = pages.following(rows, more, lambda row: (row["acknowledged_at"], row["id"]))
    return [dict(row) for row in rows], following


async def forget_acks(tx: Transaction, account_id: str, audience: str = "") -> dict[str, int]:
    """Forget what that account has acknowledged, of that audience or of all.

    Returns how many others have, by announcement.
    """
    rows = await _queries.delete_acks_of(tx, account_id=account_id, audience=audience)
    return {
        row["announcement_id"]: int(
            await _queries.count_acks(tx, id=row["announcement_id"], more=-1)
        )
        for row in rows
    }


async def rename_author(tx: Transaction, author_id: str, name: str) -> list[str]:
    """Put another name under what that account has announced; returns the ids."""
    rows = await _queries.rename_author(tx, author_id=author_id, name=name)
    return [row["id"] for row in rows]


async def drop_gone(tx: Transaction, before: datetime) -> list[str]:
    """Remove what was withdrawn or expired before that time; returns the ids."""
    return [row["id"] for row in await _queries.drop_gone(tx, before=to_text(before))]
