"""Sessions: families of single-use refresh tokens, and their end."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.core import audit, pages
from server.core.audit import Action, AuditActor
from server.core.auth import AccessTokens, Claims, Identity
from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.errors import Problem, not_found, unauthorized
from server.core.ids import new_id
from server.features.accounts import store
from server.features.accounts.refresh_token import (
    digest_of,
    new_token,
    session_of,
    successor_of,
)
from server.features.accounts.schemas import Account, Role, Session, SessionPage
from server.features.accounts.store import StoredToken
from server.features.shared.schemas import Actor
from server.realtime.log import EventLog

logger = logging.getLogger(__name__)

REPEATABLE = timedelta(seconds=60)
"""How long an exchange with an Idempotency-Key may be repeated."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: the client's `address`, the `key` that limits count it by, and its
    `User-Agent` as `client`."""

    address: str
    key: str
    client: str

    def of(self, account_id: str | None) -> AuditActor:
        """That account, or nobody known, at this address."""
        return AuditActor(account_id, self.address)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why sessions end, and who ends them."""

    why: str
    by: AuditActor


@dataclass(frozen=True, slots=True)
class Family:
    """The session of a family of refresh tokens, and its account."""

    session_id: str
    account_id: str


class Sessions:
    """Starts, renews, checks and ends sessions; a session's id is the `sid` of its access tokens.

    Each end is an event `session.revoked` `{"sessions": [ids]}` on `topic`, about the account.
    `secrets` are the server's, which signs with the first, and `lifetime` is that of a refresh
    token. However often it is refreshed,
    a session ends after `longest`. Sessions of a demo's accounts are valid only in a `demo`. An
    account may have `most` sessions at a time. 0 is no limit. With `shared_support` employees do
    what is for support.
    """

    def __init__(
        self,
        database: Database,
        log: EventLog,
        topic: str,
        tokens: AccessTokens,
        secrets: Sequence[str],
        lifetime: timedelta,
        longest: timedelta,
        demo: bool,
        most: int,
        shared_support: bool,
    ) -> None:
        self._database = database
        self._log = log
        self._topic = topic
        self._tokens = tokens
        self._secrets = secrets
        self._lifetime = lifetime
        self._longest = longest
        self._demo = demo
        self._most = most
        self._shared_support = shared_support

    async def start(
        self, tx: Transaction, account: Account, origin: Origin, *, shared: bool = False
    ) -> Session:
        """A new session of that account. It replaces the one that was longest not used where the
        account has as many as it may, unless the account is shared."""
        at = now()
        session_id = new_id("ses")
        token = new_token(session_id, self._secrets[0])
        expires_at = self._end_of(at, at)
        await store.insert_session(
            tx, session_id, account.id, at, expires_at, origin.address, origin.client
        )
        await store.insert_token(tx, digest_of(token), session_id, expires_at)
        if not shared and self._most:
            ended = await store.delete_oldest_sessions(tx, account.id, session_id, self._most)
            cause = Cause("more than an account may have", origin.of(account.id))
            await self._publish_end(tx, account.id, ended, cause)
        await audit.record(tx, Action.LOGIN, account.id, origin.of(account.id), session=session_id)
        return self._granted(account, session_id, token, shared, expires_at - at)

    async def of(self, token: str) -> Family:
        """The family of that refresh token, spent or not. Raises Problem 401 for an unknown one."""
        found = await self._database.read(lambda tx: self._family(tx, token))
        if found is None:
            raise _unknown()
        return found

    async def refresh(self, token: str, family: Family, key: str | None, origin: Origin) -> Session:
        """The session with new tokens.

        A token can be exchanged once, but with the same `key` the exchange may be repeated within
        REPEATABLE, while the token it gave is unused. Any other reuse ends the session.
        Raises Problem 401.
        """
        # The first is given; an exchange that is repeated may have given any of them.
        successors = [
            new_token(family.session_id, secret)
            if key is None
            else successor_of(token, key, family.session_id, secret)
            for secret in self._secrets
        ]

        async def fn(tx: Transaction) -> Session | Family | None:
            return await self._exchange(tx, token, successors, origin)

        outcome = await self._database.write(fn)
        if outcome is None:
            raise _unknown()
        if isinstance(outcome, Family):
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
        self, tx: Transaction, token: str, successors: Sequence[str], origin: Origin
    ) -> Session | Family | None:
        """The session; the family, which is ended, where the token was used before; None where the
        token is not valid or has expired."""
        at, digest, successor = now(), digest_of(token), successors[0]
        # A signed token is recognised as spent until its session ends, also once it is not stored.
        kept_until = at + 2 * REPEATABLE if session_of(token, *self._secrets) else None
        session_id = await store.spend_token(tx, digest, digest_of(successor), at, kept_until)
        repeated = session_id is None
        if session_id is None:
            found = await store.token(tx, digest)
            family = await self._family(tx, token)
            if family is None or (found is not None and found.spent_at is None):
                return None
            session_id = family.session_id
            given = _repeated(found, successors, at) if found else None
            if given is None:
                cause = Cause("a refresh token was used twice", origin.of(None))
                await self.end(tx, session_id, cause)
                return family
            successor = given
        session = await store.session(tx, session_id)
        assert session is not None, "a token goes with its session"
        expires_at = session.expires_at if repeated else self._end_of(session.created_at, at)
        if expires_at <= at:
            # The session is older than the limit, or the clock has leapt ahead. Nothing is spent or
            # ended here, as the clock may be corrected.
            raise _unknown()
        if not repeated:
            await store.insert_token(tx, digest_of(successor), session_id, expires_at)
            await store.prolong_session(
                tx, session_id, at, expires_at, origin.address, origin.client
            )
        stored = await store.account_by_id(tx, session.account_id)
        assert stored is not None, "a session goes with its account"
        if stored.demo and not self._demo:
            return None
        return self._granted(stored.account, session_id, successor, stored.demo, expires_at - at)

    async def _family(self, tx: Transaction, token: str) -> Family | None:
        """The family of that token; None for an unknown one, or one whose session has ended."""
        found = await store.token(tx, digest_of(token))
        session_id = found.session_id if found else session_of(token, *self._secrets)
        session = await store.session(tx, session_id) if session_id else None
        if session_id is None or session is None or session.expires_at <= now():
            return None
        return Family(session_id, session.account_id)

    def _end_of(self, created_at: datetime, used_at: datetime) -> datetime:
        """When a session ends that was begun and last used at these times."""
        expires_at = used_at + self._lifetime
        return min(expires_at, created_at + self._longest) if self._longest else expires_at

    async def end_by_token(self, tx: Transaction, token: str, by: AuditActor) -> bool:
        """End the session of that refresh token, spent or not; False for another account's."""
        found = await self._family(tx, token)
        if found is None or found.account_id != by.id:
            return False
        await self.end(tx, found.session_id, Cause("log-out", by))
        return True

    async def end(self, tx: Transaction, session_id: str, cause: Cause) -> None:
        """End that session."""
        account_id = await store.delete_session(tx, session_id)
        if account_id is not None:
            await self._publish_end(tx, account_id, [session_id], cause)

    async def end_all(self, tx: Transaction, account_id: str, cause: Cause, kept: str = "") -> int:
        """End every session of the account except `kept`; returns how many."""
        ended = await store.delete_sessions(tx, account_id, kept)
        await self._publish_end(tx, account_id, ended, cause)
        return len(ended)

    async def look_up(self, claims: Claims) -> Identity | None:
        """The account as it is now; None where the session was ended or has expired."""
        return await self._database.look_up(lambda tx: self.look_up_in(tx, claims))

    async def look_up_in(self, tx: Transaction, claims: Claims) -> Identity | None:
        """The same, as this transaction sees it."""
        row = await store.identity_of(tx, claims.session_id, now(), self._demo)
        if row is None:
            return None
        return Identity(
            account_id=claims.account_id,
            session_id=claims.session_id,
            expires=claims.expires,
            shared=claims.shared,
            name=row["name"],
            role=row["role"],
            restaurant_id=row["restaurant_id"],
            shares_support=self._shared_support and row["role"] == Role.EMPLOYEE,
        )

    async def check_in(self, tx: Transaction, who: Identity) -> None:
        """Raises Problem 401 where the session is not valid in this transaction."""
        if await self.look_up_in(tx, who) is None:
            raise ended()

    async def listed(self, who: Identity, before: str | None, limit: int) -> SessionPage:
        """The account's sessions. Whoever shares an account is shown only their own.

        Raises Problem 422 for a `before` that no page gave.
        """
        start = pages.parse(before)

        async def fn(tx: Transaction) -> SessionPage:
            page, more = await store.sessions(
                tx,
                who.account_id,
                who.session_id,
                now(),
                alone=who.shared,
                before=start,
                limit=limit,
            )
            following = pages.following(page, more, lambda one: (to_text(one.last_used_at), one.id))
            return SessionPage(items=page, next=following)

        return await self._database.read(fn)

    async def signed_in(self, restaurant_id: str) -> list[Actor]:
        """The restaurant's employees with an open app, which renews its token before that ends."""
        since = now() - timedelta(seconds=self._tokens.lifetime)
        return await self._database.read(lambda tx: store.signed_in(tx, restaurant_id, since))

    async def end_own(self, who: Identity, session_id: str, address: str) -> None:
        """End one of the account's sessions, with its live streams. Raises Problem 404."""

        async def fn(tx: Transaction) -> None:
            await self.check_in(tx, who)
            found = await store.session(tx, session_id)
            own = found is not None and found.account_id == who.account_id
            if not own or (who.shared and session_id != who.session_id):
                raise not_found("session")
            by = AuditActor(who.account_id, address)
            await self.end(tx, session_id, Cause("ended by its account", by))

        await self._database.write(fn)

    async def end_others(self, who: Identity, address: str) -> None:
        """End every session of the account except the caller's; of a shared account, none."""

        async def fn(tx: Transaction) -> None:
            await self.check_in(tx, who)
            if not who.shared:
                cause = Cause("ended by its account", AuditActor(who.account_id, address))
                await self.end_all(tx, who.account_id, cause, kept=who.session_id)

        await self._database.write(fn)

    async def _publish_end(
        self, tx: Transaction, account_id: str, ended: Sequence[str], cause: Cause
    ) -> None:
        if not ended:
            return
        await audit.record(
            tx, Action.SESSIONS_ENDED, account_id, cause.by, why=cause.why, number=len(ended)
        )
        data = json.dumps({"sessions": list(ended)}, separators=(",", ":"))
        await self._log.append(tx, self._topic, "session.revoked", data, account_id)

    def _granted(
        self,
        account: Account,
        session_id: str,
        refresh_token: str,
        shared: bool,
        left: timedelta,
    ) -> Session:
        """`left` is how long the session still lasts: its access token expires no later."""
        lifetime = max(1, min(self._tokens.lifetime, int(left.total_seconds())))
        return Session(
            access_token=self._tokens.issue(account.id, session_id, shared, lifetime),
            expires_in=lifetime,
            refresh_token=refresh_token,
            account=self.shown(account),
        )

    def shown(self, account: Account) -> Account:
        """The account as its owner sees it on this server."""
        if self._shared_support or account.role is not Role.EMPLOYEE:
            return account
        return account.model_copy(update={"support": False})


def ended() -> Problem:
    """401: the session has been ended."""
    return unauthorized("The session was ended. Log in again.", kind="session-ended")


def _unknown() -> Problem:
    return unauthorized(
        "The refresh token is not valid or has expired. Log in again.", kind="refresh-token"
    )


def _repeated(found: StoredToken, successors: Sequence[str], at: datetime) -> str | None:
    """The successor that the last exchange gave, if this repeats it: the same token and key give
    the same successor."""
    if found.spent_at is None or found.successor_spent or at - found.spent_at > REPEATABLE:
        return None
    return next((one for one in successors if digest_of(one) == found.successor), None)
