"""A request sent again does nothing twice: its answer is stored with what it made."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from server.core.clock import now, to_text
from server.core.database import Transaction
from server.core.errors import Problem
from server.core.queries import load_queries

_queries = load_queries(__file__, "idempotency.sql")

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A key, as one account sent it to one route, and the digest of what came with it."""

    account_id: str
    route: str
    key: str
    digest: str

    @classmethod
    def of(cls, account_id: str, route: str, key: str, content: BaseModel) -> "Repeatable":
        """The key together with this content."""
        digest = hashlib.sha256(content.model_dump_json().encode()).hexdigest()
        return cls(account_id, route, key, digest)


async def stored_answer(tx: Transaction, request: Repeatable) -> str | None:
    """The body answered the first time, or None if this is the first, or the answer was forgotten.

    Raises Problem 422 where the key came with another content.
    """
    row = await _queries.stored(
        tx,
        account_id=request.account_id,
        route=request.route,
        key=request.key,
    )
    if row is None:
        return None
    if row["digest"] != request.digest:
        detail = "This Idempotency-Key was used with another content. Use a new one."
        raise Problem(422, detail, errors=[{"loc": ["Idempotency-Key"], "msg": detail}])
    return str(row["body"])


async def store_answer(tx: Transaction, request: Repeatable, status: int, body: str) -> None:
    """Keep the answer for a day, in the transaction that made what it tells of."""
    await _queries.store(
        tx,
        account_id=request.account_id,
        route=request.route,
        key=request.key,
        digest=request.digest,
        status=status,
        body=body,
        expires_at=to_text(now() + KEPT),
    )


async def forget_account(tx: Transaction, account_id: str) -> None:
    """Forget every answer an account was given: its data is in them."""
    await _queries.forget_account(tx, account_id=account_id)


async def drop_expired(tx: Transaction, at: datetime) -> int:
    """Forget the answers that were over a day old then; gives how many.

    Only here does a clock count: where it leaps, an order that is sent again stays one.
    """
    return int(await _queries.drop_expired(tx, now=to_text(at)))
