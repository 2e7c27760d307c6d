"""Sessions: families of single-use refresh tokens, and their end."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.core.auth import AccessTokens
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import Problem, unauthorized
from server.core.ids import new_id
from server.features.accounts import store
from server.features.accounts.refresh_token import digest_of, new_token, successor_of
from server.features.accounts.schemas import Account, Session
from server.features.accounts.store import StoredToken
from server.realtime.log import EventLog

logger = logging.getLogger(__name__)

REPEATABLE = timedelta(seconds=60)
"""How long an exchange with an Idempotency-Key may be asked for again."""


@dataclass(frozen=True, slots=True)
class _Reused:
    session_id: str
    account_id: str


class Sessions:
    """Starts, renews, checks and ends sessions; a session's id is the `sid` of its access tokens.

    Every end is an event `session.revoked` `{"sessions": [ids]}` on `topic`, about the account.
    `secret` is the server's, `lifetime` that of a refresh token. Outside of a `demo` no session of
    a demo's account holds. An account has `most` at a time; 0 is no limit.
    """

    def __init__(
        self,
        database: Database,
        log: EventLog,
        topic: str,
        tokens: AccessTokens,
        secret: str,
        lifetime: timedelta,
        demo: bool,
        most: int,
    ) -> None:
        self._database = database
        self._log = log
        self._topic = topic
        self._tokens = tokens
        self._secret = secret
        self._lifetime = lifetime
        self._demo = demo
        self._most = most

    async def start(self, tx: Transaction, account: Account, *, shared: bool = False) -> Session:
        """A new session of that account, in place of the one that was longest not used where it
        has as many as it may; those who share one do not end each other's."""
        at = now()
        session_id, token = new_id("ses"), new_token()
        await store.insert_session(tx, session_id, account.id, at, at + self._lifetime)
        await store.insert_token(tx, digest_of(token), session_id, at + self._lifetime)
        if not shared and self._most:
            ended = await store.delete_oldest_sessions(tx, account.id, session_id, self._most)
            if ended:
                await self._announce(tx, account.id, ended)
        return self._granted(account, session_id, token, shared)

    async def of(self, token: str) -> str:
        """The account of that refresh token. Raises Problem 401 where there is none."""

        async def fn(tx: Transaction) -> StoredToken | None:
            return await store.token(tx, digest_of(token))

        found = await self._database.read(fn)
        if found is None:
            raise _unknown()
        return found.account_id

    async def refresh(self, token: str, key: str | None) -> Session:
        """The session with new tokens.

        A token is good for one exchange, but with the same `key` the exchange may be asked for
        again within REPEATABLE, while what it gave is unused. Any other reuse ends the session.
        Raises Problem 401.
        """
        successor = new_token() if key is None else successor_of(token, key, self._secret)

        async def fn(tx: Transaction) -> Session | _Reused | None:
            return await self._exchange(tx, token, successor)

        outcome = await self._database.write(fn)
        if outcome is None:
            raise _unknown()
        if isinstance(outcome, _Reused):
            logger.warning(
                "a spent refresh token was used again; its session was ended",
                extra={"fields": {"session": outcome.session_id, "account": outcome.account_id}},
            )
            raise unauthorized(
                "This refresh token had been used before, so its session was ended on every"
                " device that shares it. Log in again.",
                kind="refresh-token-reused",
            )
        return outcome

    async def _exchange(
        self, tx: Transaction, token: str, successor: str
    ) -> Session | _Reused | None:
        at, digest = now(), digest_of(token)
        session_id = await store.spend_token(tx, digest, digest_of(successor), at)
        if session_id is None:
            found = await store.token(tx, digest)
            if found is None or found.expires_at <= at:
                return None
            if not _is_repeated(found, successor, at):
                await self.end(tx, found.session_id)
                return _Reused(found.session_id, found.account_id)
            session_id, account_id = found.session_id, found.account_id
        else:
            expires_at = at + self._lifetime
            await store.insert_token(tx, digest_of(successor), session_id, expires_at)
            owner = await store.prolong_session(tx, session_id, expires_at)
            assert owner is not None, "a token goes with its session"
            account_id = owner
        stored = await store.account_by_id(tx, account_id)
        assert stored is not None, "a session goes with its account"
        if stored.demo and not self._demo:
            return None
        return self._granted(stored.account, session_id, successor, stored.demo)

    async def end_by_token(self, tx: Transaction, token: str, account_id: str) -> bool:
        """End the session of that refresh token, spent or not; False where it is not theirs."""
        found = await store.token(tx, digest_of(token))
        if found is None or found.account_id != account_id:
            return False
        await self.end(tx, found.session_id)
        return True

    async def end(self, tx: Transaction, session_id: str) -> None:
        """End that session."""
        account_id = await store.delete_session(tx, session_id)
        if account_id is not None:
            await self._announce(tx, account_id, [session_id])

    async def end_all(self, tx: Transaction, account_id: str, kept: str = "") -> None:
        """End every session of the account but `kept`."""
        ended = await store.delete_sessions(tx, account_id, kept)
        if ended:
            await self._announce(tx, account_id, ended)

    async def holds(self, session_id: str) -> bool:
        """Whether that session was neither ended nor has expired."""

        return await self._database.read(lambda tx: self.holds_in(tx, session_id))

    async def holds_in(self, tx: Transaction, session_id: str) -> bool:
        """The same, as this transaction sees it."""
        return await store.session_holds(tx, session_id, now(), self._demo)

    async def _announce(self, tx: Transaction, account_id: str, ended: Sequence[str]) -> None:
        data = json.dumps({"sessions": list(ended)}, separators=(",", ":"))
        await self._log.append(tx, self._topic, "session.revoked", data, account_id)

    def _granted(
        self, account: Account, session_id: str, refresh_token: str, shared: bool
    ) -> Session:
        role, restaurant_id = account.role.value, account.restaurant_id
        access_token = self._tokens.issue(
            account.id, session_id, account.name, role, restaurant_id, shared
        )
        return Session(
            access_token=access_token,
            expires_in=self._tokens.lifetime,
            refresh_token=refresh_token,
            account=account,
        )


def _unknown() -> Problem:
    return unauthorized(
        "The refresh token is not valid or has expired. Log in again.", kind="refresh-token"
    )


def _is_repeated(found: StoredToken, successor: str, at: datetime) -> bool:
    """Whether this is the exchange of before: the same token and key give the same successor."""
    return (
        found.spent_at is not None
        and found.successor == digest_of(successor)
        and not found.successor_spent
        and at - found.spent_at <= REPEATABLE
    )
