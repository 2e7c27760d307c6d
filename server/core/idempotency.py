"""Idempotency keys: a request sent again gets the answer that was stored with what it made."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel

from server.core.clock import now, to_text
from server.core.database import Transaction
from server.core.errors import Problem
from server.core.queries import load_queries

_queries = load_queries(__file__, "idempotency.sql")

AnswerT = TypeVar("AnswerT", bound=BaseModel)

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request of an account to a route: its key and a digest of its content, if it has one."""

    account_id: str
    route: str
    key: str | None
    digest: str

    @classmethod
    def of(cls, account_id: str, route: str, key: str | None, content: BaseModel) -> "KeyedRequest":
        """The key together with this content."""
        digest = ""
        if key is not None:
            digest = hashlib.sha256(content.model_dump_json().encode()).hexdigest()
        return cls(account_id, route, key, digest)


async def once(
    tx: Transaction,
    request: KeyedRequest,
    make: Callable[[], Awaitable[AnswerT]],
    kind: type[AnswerT],
    status: int = 201,
) -> AnswerT:
    """What `make` gave the first time the request came; without a key it is called each time.

    The answer is stored for a day, in the transaction that makes what it describes. Raises Problem
    422 where the key came with a different request.
    """
    made: AnswerT | None = None

    async def make_json() -> str:
        nonlocal made
        made = await make()
        return made.model_dump_json()

    answer = await once_as_json(tx, request, make_json, status)
    return made or kind.model_validate_json(answer)


async def once_as_json(
    tx: Transaction,
    request: KeyedRequest,
    make: Callable[[], Awaitable[str]],
    status: int = 201,
) -> str:
    """The same for an answer that is made as JSON."""
    answer = await _stored(tx, request)
    if answer is None:
        answer = await make()
        if request.key is not None:
            await _queries.store(
                tx,
                account_id=request.account_id,
                route=request.route,
                key=request.key,
                digest=request.digest,
                status=status,
                body=answer,
                expires_at=to_text(now() + KEPT),
            )
    return answer


async def stored_answer(
    tx: Transaction, request: KeyedRequest, kind: type[AnswerT]
) -> AnswerT | None:
    """The answer given the first time; None where there is no key, or no answer under it.

    Raises Problem 422 where the key came with a different request.
    """
    answer = await _stored(tx, request)
    return kind.model_validate_json(answer) if answer is not None else None


async def _stored(tx: Transaction, request: KeyedRequest) -> str | None:
    if request.key is None:
        return None
    row = await _queries.stored(
        tx, account_id=request.account_id, route=request.route, key=request.key
    )
    if row is None:
        return None
    if row["digest"] != request.digest:
        detail = "This Idempotency-Key was used for a different request. Use a new one."
        raise Problem(422, detail, errors=[{"loc": ["Idempotency-Key"], "msg": detail}])
    return str(row["body"])


async def forget_account(tx: Transaction, account_id: str) -> None:
    """Delete every answer an account was given: they hold its personal data."""
    await _queries.forget_account(tx, account_id=account_id)


async def drop_expired(tx: Transaction, at: datetime) -> int:
    """Delete the answers that are more than a day old at that time; returns how many.

    Only this looks at the clock: an order that is sent again after the clock has leapt ahead is
    not placed a second time.
    """
    return int(await _queries.drop_expired(tx, now=to_text(at)))
