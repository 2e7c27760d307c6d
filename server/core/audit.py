"""The audit table: who did what to accounts and announcements, when, and from which address."""

import json
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.queries import Row, load_queries

_queries = load_queries(__file__, "audit.sql")

PAGE = 200
"""Entries that are read at a time."""
DROPPED_AT_ONCE = 1000
"""Old entries that one transaction removes."""
LAST = ("9999", "~")
"""Sorts after every entry."""


class Action(StrEnum):
    """What was done."""

    LOGIN = "login"
    LOGIN_REFUSED = "login.refused"
    ACCOUNT_CREATED = "account.created"
    ACCOUNT_DELETED = "account.deleted"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 not a password
    ROLE_CHANGED = "role.changed"
    SESSIONS_ENDED = "sessions.ended"
    ANNOUNCEMENT_WITHDRAWN = "announcement.withdrawn"


@dataclass(frozen=True, slots=True)
class AuditActor:
    """Who does something: an account's id, or what stands for one, and the client's address."""

    id: str | None
    address: str | None = None


async def record(
    tx: Transaction, action: Action, account_id: str | None, by: AuditActor, **details: object
) -> None:
    """Add an entry about that account, in the transaction that does what it says."""
    await _queries.insert(
        tx,
        at=to_text(now()),
        id=f"{time.time_ns():016x}{secrets.token_hex(4)}",  # sorts entries of one millisecond
        action=action.value,
        account_id=account_id,
        actor=by.id,
        address=by.address or None,
        details=json.dumps(details, ensure_ascii=False) if details else None,
    )


async def entries(
    database: Database,
    *,
    account_id: str | None = None,
    action: Action | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncGenerator[list[Row]]:
    """Pages of the entries from `since` to before `until`, the newest first.

    Each has its columns, and the present `email` of the account it is about.
    """
    at, identifier = (to_text(until), "") if until else LAST
    filters = {
        "action": action.value if action else "",
        "since": to_text(since) if since else "",
        "limit": PAGE,
    }
    while True:
        place = filters | {"at": at, "id": identifier}

        async def fn(tx: Transaction, place: Mapping[str, object] = place) -> list[Row]:
            if account_id is None:
                return list(await _queries.page(tx, **place))
            return list(await _queries.page_of_account(tx, account_id=account_id, **place))

        page = await database.read(fn)
        if page:
            yield page
        if len(page) < PAGE:
            return
        at, identifier = page[-1]["at"], page[-1]["id"]


async def drop_old(database: Database, before: datetime) -> None:
    """Remove the entries from before that time, a few in each transaction."""
    where = {"before": to_text(before), "limit": DROPPED_AT_ONCE}
    while await database.write(lambda tx: _queries.drop_old(tx, **where)) == DROPPED_AT_ONCE:
        pass
