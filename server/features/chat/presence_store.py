"""Reads and writes presence: the leases of processes, and who is in a room through each."""

from collections.abc import Sequence
from datetime import datetime

from server.core.clock import to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.shared.schemas import Actor

_queries = load_queries(__file__)


async def renew_lease(tx: Transaction, process: str, at: datetime, until: datetime) -> bool:
    """Let the process's lease hold until then; False where it did not hold any more."""
    times = {"process": process, "until": to_text(until)}
    if await _queries.extend_lease(tx, **times, now=to_text(at)):
        return True
    await _queries.start_lease(tx, **times)
    return False


async def end_lease(tx: Transaction, process: str) -> None:
    """From now on the process's lease counts as expired."""
    await _queries.end_lease(tx, process=process)


async def expired_leases(tx: Transaction, at: datetime) -> list[str]:
    """The processes whose leases have expired."""
    return [row["process"] for row in await _queries.expired_leases(tx, now=to_text(at))]


async def drop_expired_lease(tx: Transaction, process: str, at: datetime, limit: int) -> list[str]:
    """Empty at most `limit` rooms of a process whose lease has expired; returns these rooms.

    With the last of them the lease goes. Where the lease holds again, nothing is changed.
    """
    if not await _queries.expired_lease(tx, process=process, now=to_text(at)):
        return []
    rows = await _queries.rooms_of_process(tx, process=process, limit=limit)
    for row in rows:
        await set_presence(tx, row["chat_id"], process, ())
    if len(rows) < limit:
        await _queries.drop_lease(tx, process=process)
    return [row["chat_id"] for row in rows]


async def present(tx: Transaction, chat_id: str, at: datetime) -> list[Actor]:
    """Who is in the room, each once, the customer first."""
    rows = await _queries.present(tx, chat_id=chat_id, now=to_text(at))
    found = {row["account_id"]: _present(row) for row in rows}
    return sorted(found.values(), key=lambda who: (who.role, who.name, who.id))


async def set_presence(
    tx: Transaction, chat_id: str, process: str, accounts: Sequence[Actor]
) -> None:
    """Exactly these are in the room through that process."""
    rows = await _queries.present_through(tx, chat_id=chat_id, process=process)
    stored = [_present(row) for row in rows]
    for gone in {who.id for who in stored} - {who.id for who in accounts}:
        await _queries.drop_presence(tx, chat_id=chat_id, process=process, account_id=gone)
    for who in accounts:
        if who not in stored:
            await _queries.put_presence(
                tx,
                chat_id=chat_id,
                process=process,
                account_id=who.id,
                name=who.name,
                role=who.role,
            )


async def drop_presence(tx: Transaction, chat_id: str, account_id: str) -> None:
    """That account is in the room through no process."""
    await _queries.drop_presence_of(tx, chat_id=chat_id, account_id=account_id)


def _present(row: Row) -> Actor:
    return Actor(id=row["account_id"], name=row["name"], role=row["role"])
