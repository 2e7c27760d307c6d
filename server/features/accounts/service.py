"""Accounts: registration, log-in, profile, password and deletion."""

import hmac
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from pydantic import Secret

from server.core import audit
from server.core.audit import Action, AuditActor
from server.core.auth import AccessTokens, Identity
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import Problem, conflict, invalid, not_found, unauthorized
from server.core.ids import new_id
from server.core.lifecycle import Component
from server.core.limits import GrowingDelay, RateLimit
from server.features.accounts import store
from server.features.accounts.guesses import Guesses, RefusedLogIns
from server.features.accounts.passwords import Passwords, check_password
from server.features.accounts.schemas import (
    Account,
    AccountDeletion,
    PasswordChange,
    ProfileChange,
    Registration,
    Role,
    Session,
    fold,
    stored_form,
)
from server.features.accounts.sessions import Cause, Origin, Sessions, ended
from server.features.accounts.store import Contact, NewAccount, StoredAccount
from server.features.shared.schemas import Actor
from server.realtime.log import EventLog
from server.settings import Settings

REMEMBERED = timedelta(days=30)
"""How long an address that an account has logged in from counts as known."""
ADDRESSES = 20
"""Known addresses that are remembered for an account."""

RENAMED = "account.renamed"
"""The event that its subject, an account, has a new name: `{"name": ...}`."""

OnDelete = Callable[[Transaction, str], Awaitable[None]]
OnRoleChange = Callable[[Transaction, str, Role], Awaitable[None]]
Section = Callable[[Identity], AsyncGenerator[Sequence[str]]]
"""Gives the entries of a list, each as JSON, page by page."""


class AccountService(Component):
    """Accounts and their sessions; the ends of sessions are published on `topic`.

    `origin` is where a request came from. Limits count by it, and raise Problem 429.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        log: EventLog,
        tokens: AccessTokens,
        topic: str,
    ) -> None:
        self.on_delete: list[OnDelete] = []
        """Called with the account's id before it is removed, in the same transaction."""
        self.on_role_change: list[OnRoleChange] = []
        """The same, with the new role, before an account's role is another one."""
        self.exports: dict[str, Section] = {}
        """What other features store of an account, by names, for its export."""
        self.passwords = Passwords()
        self.sessions = Sessions(
            database,
            log,
            topic,
            tokens,
            settings.token_secrets,
            timedelta(seconds=settings.refresh_token_seconds),
            timedelta(days=settings.session_days),
            settings.demo,
            settings.max_sessions_per_account,
            settings.shared_support,
        )
        self._database = database
        self._log, self._topic = log, topic
        self._demo = settings.demo
        self._secrets = [secret.encode() for secret in settings.token_secrets]
        self._by_address = RateLimit(settings.login_per_minute, "log-ins from this address")
        self._registrations = RateLimit(
            settings.registrations_per_hour, "registrations from this address", 3600
        )
        self._taken = RateLimit(
            settings.registrations_refused_per_hour,
            "registrations from this address for e-mails that have an account",
            3600,
        )
        self._refreshes = RateLimit(settings.rate_per_minute, "refreshes by this account")
        self._guesses = Guesses(settings.login_failures, settings.login_failures_per_account)
        self.shared_limits: dict[str, RateLimit | GrowingDelay] = self._guesses.shared | {
            "log-ins": self._by_address,
            "registrations": self._registrations,
            "refused registrations": self._taken,
            "refreshes": self._refreshes,
        }
        self._refused = RefusedLogIns(database, settings.audit_refused_per_minute)
        self.tasks = self._refused.tasks

    async def close(self) -> None:
        """Record the log-ins refused last, and stop the threads that hash passwords."""
        await super().close()
        await self._refused.flush()
        self.passwords.close()

    async def register(self, new: Registration, origin: Origin) -> Session:
        """A new customer, logged in. Raises Problem 409 where the e-mail is taken, 422.

        A 409 reveals that somebody has an account, so an address gets few of them. It is counted
        before the e-mail is looked up: an address without any left learns nothing about an e-mail.
        """
        self._by_address.consume(origin.key)
        password = new.password.get_secret_value()
        check_password(["password"], password, new.email)
        self._registrations.consume(origin.key)
        self._taken.consume(origin.key)
        try:
            password_hash = await self.passwords.hash(password, origin.key)

            async def fn(tx: Transaction) -> Session:
                account = NewAccount(
                    id=new_id("acc"),
                    email=fold(new.email),
                    password_hash=password_hash,
                    role=Role.CUSTOMER,
                    name=new.name,
                )
                added = await add_account(tx, account, origin.of(account.id))
                await self._remember_address(tx, added, origin.key)
                return await self.sessions.start(tx, added, origin)

            session = await self._database.write(fn)
        except Problem as problem:
            if problem.status != 409:
                self._taken.refund(origin.key)
            raise
        self._taken.refund(origin.key)
        return session

    async def log_in(self, email: str, password: str, origin: Origin) -> Session:
        """A session for those who know the password. Raises Problem 401."""
        try:
            return await self._verified(email, password, origin)
        except Problem as problem:
            if problem.status == 429:
                self._refused.count()
            raise

    async def _verified(self, email: str, password: str, origin: Origin) -> Session:
        self._by_address.consume(origin.key)
        folded = stored_form(email)
        while True:
            stored, known = await self._by_email(folded, origin.key) if folded else (None, False)
            hashed = stored.password_hash if stored else None
            verify = partial(self.passwords.verify, hashed, password, origin.key)
            right = await self._guesses.check(folded or email, origin.key, known, verify)
            if stored is None or not right:
                account_id = stored.account.id if stored else None
                await self._refused.record(account_id, origin.of(None))
                raise unauthorized("The e-mail or the password is wrong.", kind="credentials")
            session = await self._log_in(stored, password, origin)
            if session is not None:
                return session

    async def _log_in(self, stored: StoredAccount, password: str, origin: Origin) -> Session | None:
        """None where the password was changed since it was read, and has to be verified again."""
        replacement = await self.passwords.renewed(stored.password_hash, password, origin.key)

        async def fn(tx: Transaction) -> Session | None:
            current = await store.lock_account(tx, stored.account.id)
            if current is None or current.password_hash != stored.password_hash:
                return None
            if replacement is not None:
                await store.replace_password(tx, current, replacement)
            await self._remember_address(tx, current.account, origin.key)
            return await self.sessions.start(tx, current.account, origin, shared=current.demo)

        return await self._database.write(fn)

    async def demo(self, role: Role, origin: Origin) -> Session:
        """The demo's account of that role. Raises Problem 404 outside demo mode."""
        if not self._demo:
            raise Problem(404, "This server has no demo log-in: start it with --demo.")
        self._by_address.consume(origin.key)

        async def fn(tx: Transaction) -> Session:
            stored = await store.demo_account(tx, role)
            if stored is None:
                raise not_found(f"demo {role.value}")
            return await self.sessions.start(tx, stored.account, origin, shared=True)

        return await self._database.write(fn)

    async def refresh(self, token: str, key: str | None, origin: Origin) -> Session:
        """See `Sessions.refresh`. Raises Problem 429 where this account refreshes too often."""
        family = await self.sessions.of(token)
        self._refreshes.consume(family.account_id)
        return await self.sessions.refresh(token, family, key, origin)

    async def log_out(self, who: Identity, token: str, address: str) -> None:
        """End the session of that refresh token. Raises Problem 422 for another account's."""
        by = AuditActor(who.account_id, address)

        async def fn(tx: Transaction) -> None:
            if not await self.sessions.end_by_token(tx, token, by):
                raise invalid(
                    ["refresh_token"], "This refresh token does not belong to this account."
                )

        await self._database.write(fn)

    async def account_of(self, tx: Transaction, account_id: str) -> Account:
        """The caller's account, which nobody changes before the transaction's end. Raises Problem
        401 where it is gone."""
        stored = await store.lock_account(tx, account_id)
        if stored is None:
            raise ended()
        return stored.account

    async def contact_of(self, tx: Transaction, account_id: str) -> Contact:
        """In another feature's transaction: an account's name and phone. Raises Problem 401 where
        it is gone."""
        found = await store.contact(tx, account_id)
        if found is None:
            raise ended()
        return found

    async def number_of(self, tx: Transaction, role: Role) -> int:
        """In another feature's transaction: how many accounts have that role."""
        return await store.number_of(tx, role)

    async def set_avatar(self, tx: Transaction, account_id: str, avatar_url: str | None) -> None:
        """In another feature's transaction: an account's picture, or none."""
        await store.set_avatar(tx, account_id, avatar_url)

    async def me(self, who: Identity) -> Account:
        """The caller's account."""
        stored = await self._database.read(lambda tx: self._mine(tx, who))
        return self.sessions.shown(stored.account)

    async def change_profile(self, who: Identity, change: ProfileChange) -> Account:
        """Store the fields that were sent; null empties one."""
        changes = {name: getattr(change, name) for name in change.model_fields_set}
        if changes.get("phone") == "":
            changes["phone"] = None

        async def fn(tx: Transaction) -> Account:
            stored = await self._mine(tx, who)
            account = stored.account.model_copy(update=changes)
            await store.update_profile(tx, account)
            if account.name != stored.account.name:
                data = json.dumps({"name": account.name})
                await self._log.append(tx, self._topic, RENAMED, data, account.id)
            return self.sessions.shown(account)

        return await self._database.write(fn)

    async def change_password(self, who: Identity, change: PasswordChange, address: str) -> None:
        """Replace it and end every session but the caller's. Raises Problem 422, 409, 429."""
        stored = await self._confirmed(who, "current_password", change.current_password)
        new = change.new_password.get_secret_value()
        check_password(["new_password"], new, stored.account.email)
        replacement = await self.passwords.hash(new, who.account_id)
        cause = Cause("the password was changed", AuditActor(who.account_id, address))

        async def fn(tx: Transaction) -> None:
            await self._mine(tx, who)
            if not await store.replace_password(tx, stored, replacement):
                raise conflict("The password was changed by another request. Try again.")
            await audit.record(tx, Action.PASSWORD_CHANGED, who.account_id, cause.by)
            await self.sessions.end_all(tx, who.account_id, cause, kept=who.session_id)

        await self._database.write(fn)

    async def delete(self, who: Identity, deletion: AccountDeletion, address: str) -> None:
        """Delete the account and its data. Raises Problem 422, 409, 429."""
        confirmed = await self._confirmed(who, "password", deletion.password)

        async def fn(tx: Transaction) -> None:
            stored = await self._mine(tx, who)
            if stored.password_hash != confirmed.password_hash:
                raise conflict("The password was changed by another request. Try again.")
            await self.remove(tx, stored.account, AuditActor(who.account_id, address))

        await self._database.write(fn)

    async def remove(self, tx: Transaction, account: Account, by: AuditActor) -> None:
        """Delete that account and its data. Raises Problem 409 while it has an order under way."""
        for scrub in self.on_delete:
            await scrub(tx, account.id)
        await self._log.rewrite(tx, account.id, _forgotten)
        await audit.record(tx, Action.ACCOUNT_DELETED, account.id, by, role=account.role.value)
        await self.sessions.end_all(tx, account.id, Cause("the account was deleted", by))
        await store.delete_account(tx, account.id)

    async def _confirmed(self, who: Identity, field: str, password: Secret[str]) -> StoredAccount:
        """The caller's account, if that is its password. Raises Problem 422 about `field`, 429."""
        stored = await self._database.read(lambda tx: self._mine(tx, who))
        given = password.get_secret_value()
        verify = partial(self.passwords.verify, stored.password_hash, given, who.account_id)
        # Counted by session: guesses made elsewhere do not delay the owner, who is logged in.
        if not await self._guesses.check(f"session {who.session_id}", "", True, verify):
            raise invalid([field], "This is not the current password.", "wrong-password")
        return stored

    async def _by_email(self, folded: str, address: str) -> tuple[StoredAccount | None, bool]:
        """The account of that e-mail, and whether it has logged in from that address lately.

        An e-mail without an account takes the same queries, and so as long.
        """

        async def fn(tx: Transaction) -> tuple[StoredAccount | None, bool]:
            stored = await store.account_by_email(tx, folded)
            if stored is not None and stored.demo and not self._demo:
                stored = None
            account_id = stored.account.id if stored else ""
            since = now() - REMEMBERED
            known = False
            for secret in self._secrets:
                digest = _digest(secret, account_id, address)
                known |= await store.knows_address(tx, account_id, digest, since)
            return stored, known

        return await self._database.read(fn)

    async def _remember_address(self, tx: Transaction, account: Account, address: str) -> None:
        digest = _digest(self._secrets[0], account.id, address)
        await store.remember_address(tx, account.id, digest, now(), ADDRESSES)

    async def _mine(self, tx: Transaction, who: Identity) -> StoredAccount:
        """The caller's account, locked, if the session still holds then."""
        stored = await store.lock_account(tx, who.account_id)
        await self.sessions.check_in(tx, who)
        assert stored is not None, "a session goes with its account"
        return stored


def actor(identity: Identity) -> Actor:
    """The caller, as other features store who did something."""
    return Actor(id=identity.account_id, name=identity.name, role=identity.role)


def _digest(secret: bytes, account_id: str, address: str) -> str:
    """What is stored for an address: without the server's secret it reveals nothing."""
    text = f"sign-in address\0{account_id}\0{address}"
    return hmac.digest(secret, text.encode(), "sha256").hex()


def _forgotten(data: str) -> str:
    """The data of an event about a deleted account: only the ids of its ended sessions stay."""
    return data if "sessions" in json.loads(data) else "{}"


async def add_account(tx: Transaction, new: NewAccount, by: AuditActor) -> Account:
    """Make that account. Raises Problem 409 where the e-mail is taken."""
    if not await store.insert_account(tx, new, now()):
        raise conflict(
            "There is an account with this e-mail already. Log in, or use another.", "email-taken"
        )
    await audit.record(tx, Action.ACCOUNT_CREATED, new.id, by, role=new.role.value)
    return Account(
        id=new.id,
        email=new.email,
        name=new.name,
        role=new.role,
        restaurant_id=new.restaurant_id,
        phone=new.phone,
        address=new.address,
    )


async def renew_demo_passwords(tx: Transaction, password_hash: str) -> None:
    """Give every account of the demo that password."""
    await store.renew_demo_passwords(tx, password_hash)


async def any_account(tx: Transaction) -> bool:
    """Whether there is any account."""
    return await store.any_account(tx)


async def drop_expired(tx: Transaction, at: datetime) -> int:
    """Delete sessions, refresh tokens and addresses that have expired; returns how many."""
    return await store.drop_expired(tx, at) + await store.drop_addresses(tx, at - REMEMBERED)
