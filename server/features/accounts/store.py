"""Reads and writes accounts, sessions and refresh tokens."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from server.core import pages
from server.core.clock import from_text, to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.accounts.schemas import Account, ActiveSession, Role
from server.features.shared.schemas import Actor, Address

_queries = load_queries(__file__)

MANY = 1000
"""Sessions that one statement deletes, at most."""

LAST = ("9999", "~")
"""Sorts after every session: where the first page begins."""
_HIDDEN = {"password_hash", "demo"}


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account, with fields that its owner is not shown."""

    account: Account
    password_hash: str
    demo: bool = False
    """Whether it is one of the demo's, which may log in only in demo mode."""


class Contact(NamedTuple):
    """What an order says of its customer."""

    name: str
    phone: str | None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made; `email` is folded, `demo` its number among the demo's accounts."""

    id: str
    email: str
    password_hash: str
    role: Role
    name: str
    restaurant_id: str | None = None
    phone: str | None = None
    address: Address | None = None
    demo: int | None = None


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session: its account, and when it begins and ends."""

    account_id: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A refresh token of a session that has not ended; `successor` is a digest."""

    session_id: str
    spent_at: datetime | None
    successor: str | None
    successor_spent: bool


async def insert_account(tx: Transaction, new: NewAccount, at: datetime) -> bool:
    """Add it; False where the e-mail is taken."""
    added: int = await _queries.insert_account(
        tx,
        id=new.id,
        email=new.email,
        password_hash=new.password_hash,
        role=new.role.value,
        name=new.name,
        restaurant_id=new.restaurant_id,
        phone=new.phone,
        address=_address_in(new.address),
        demo=new.demo,
        created_at=to_text(at),
    )
    if added:
        await _queries.count_account(tx, role=new.role.value, more=1)
    return added > 0


async def account_by_id(tx: Transaction, account_id: str) -> StoredAccount | None:
    """The account of that id."""
    return _account(await _queries.account_by_id(tx, id=account_id))


async def lock_account(tx: Transaction, account_id: str) -> StoredAccount | None:
    """The same, in a write locked until its end."""
    return _account(await _queries.lock_account(tx, id=account_id))


async def contact(tx: Transaction, account_id: str) -> Contact | None:
    """The name and phone of the account of that id."""
    row = await _queries.contact(tx, id=account_id)
    return Contact(row["name"], row["phone"]) if row else None


async def account_by_email(tx: Transaction, email: str) -> StoredAccount | None:
    """The account of that folded e-mail."""
    return _account(await _queries.account_by_email(tx, email=email))


async def demo_account(tx: Transaction, role: Role) -> StoredAccount | None:
    """The first demo account of that role."""
    return _account(await _queries.demo_account(tx, role=role.value))


async def number_of(tx: Transaction, role: Role) -> int:
    """How many accounts have that role."""
    return int(await _queries.number_of(tx, role=role.value) or 0)


async def update_profile(tx: Transaction, account: Account) -> None:
    """Store its name, phone and addresses."""
    await _queries.update_profile(
        tx,
        id=account.id,
        name=account.name,
        phone=account.phone,
        address=_address_in(account.address),
        work_address=_address_in(account.work_address),
    )


async def set_avatar(tx: Transaction, account_id: str, avatar_url: str | None) -> None:
    """Store its picture, or that it has none."""
    await _queries.set_avatar(tx, id=account_id, avatar_url=avatar_url)


async def signed_in(tx: Transaction, restaurant_id: str, since: datetime) -> list[Actor]:
    """The restaurant's employees with a session that was used since then."""
    rows = await _queries.signed_in(tx, restaurant_id=restaurant_id, since=to_text(since))
    return [Actor(**row) for row in rows]


async def replace_password(tx: Transaction, stored: StoredAccount, replacement: str) -> bool:
    """Store another hash; False where it is not the one in `stored` any more."""
    changed: int = await _queries.replace_password(
        tx, id=stored.account.id, password_hash=stored.password_hash, replacement=replacement
    )
    return changed > 0


async def set_password(tx: Transaction, account_id: str, password_hash: str) -> None:
    """Store another hash."""
    await _queries.set_password(tx, id=account_id, password_hash=password_hash)


async def set_role(
    tx: Transaction, account: Account, role: Role, restaurant_id: str | None
) -> None:
    """Store the account's new role, and where it works."""
    await _queries.set_role(tx, id=account.id, role=role.value, restaurant_id=restaurant_id)
    await _queries.count_account(tx, role=account.role.value, more=-1)
    await _queries.count_account(tx, role=role.value, more=1)


async def accounts(
    tx: Transaction, role: Role | None, after: str, at: datetime, limit: int
) -> Sequence[Row]:
    """Accounts whose e-mails sort after that one, with the number of their sessions."""
    rows: Sequence[Row] = await _queries.accounts(
        tx, role=role.value if role else "", after=after, now=to_text(at), limit=limit
    )
    return rows


async def renew_demo_passwords(tx: Transaction, password_hash: str) -> None:
    """Give every account of the demo that password."""
    await _queries.renew_demo_passwords(tx, password_hash=password_hash)


async def any_account(tx: Transaction) -> bool:
    """Whether anybody has an account."""
    return await _queries.any_account(tx) is not None


async def delete_account(tx: Transaction, account_id: str) -> None:
    """Delete the account with its sessions."""
    role = await _queries.delete_account(tx, id=account_id)
    await _queries.count_account(tx, role=role, more=-1)


async def insert_session(
    tx: Transaction,
    session_id: str,
    account_id: str,
    at: datetime,
    expires_at: datetime,
    address: str,
    client: str,
) -> None:
    """Add a session."""
    await _queries.insert_session(
        tx,
        id=session_id,
        account_id=account_id,
        created_at=to_text(at),
        expires_at=to_text(expires_at),
        address=address,
        client=client,
    )


async def identity_of(tx: Transaction, session_id: str, at: datetime, demo: bool) -> Row | None:
    """`name`, `role` and `restaurant_id` of the session's account; None where the session has ended
    or expired. A session of a demo's account is valid only in a `demo`."""
    row: Row | None = await _queries.identity_of(tx, id=session_id, now=to_text(at), demo=demo)
    return row


async def session(tx: Transaction, session_id: str) -> StoredSession | None:
    """The session of that id."""
    row: Row | None = await _queries.session(tx, id=session_id)
    if row is None:
        return None
    created_at, expires_at = from_text(row["created_at"]), from_text(row["expires_at"])
    return StoredSession(row["account_id"], created_at, expires_at)


async def sessions(
    tx: Transaction,
    account_id: str,
    current: str,
    at: datetime,
    *,
    alone: bool,
    before: tuple[str, str] | None,
    limit: int,
) -> tuple[list[ActiveSession], bool]:
    """A page of the account's sessions, the last used first, and whether there are more.

    With `alone`, only the `current` one. `before` is (last_used_at, id).
    """
    last_used_at, before_id = before or LAST
    found = await _queries.sessions_of(
        tx,
        account_id=account_id,
        only=current if alone else "",
        now=to_text(at),
        last_used_at=last_used_at,
        before_id=before_id,
        limit=limit + 1,
    )
    rows, more = pages.page_of(found, limit)
    return [ActiveSession(**row, current=row["id"] == current) for row in rows], more


async def prolong_session(
    tx: Transaction, session_id: str, at: datetime, expires_at: datetime, address: str, client: str
) -> None:
    """Store that the session is used now, by that client, and when it expires."""
    await _queries.prolong_session(
        tx,
        id=session_id,
        now=to_text(at),
        expires_at=to_text(expires_at),
        address=address,
        client=client,
    )


async def delete_session(tx: Transaction, session_id: str) -> str | None:
    """Delete it with its tokens; returns its account's id, or None."""
    return _text(await _queries.delete_session(tx, id=session_id))


async def delete_sessions(tx: Transaction, account_id: str, kept: str = "") -> Sequence[str]:
    """Delete the account's sessions except `kept`; returns their ids."""
    rows = await _queries.delete_other_sessions(tx, account_id=account_id, kept=kept)
    return [row["id"] for row in rows]


async def delete_oldest_sessions(
    tx: Transaction, account_id: str, new: str, most: int
) -> Sequence[str]:
    """Delete the sessions beyond `most` that were longest not used; returns their ids."""
    rows = await _queries.delete_oldest_sessions(
        tx, account_id=account_id, new=new, others=most - 1, many=MANY
    )
    return [row["id"] for row in rows]


async def insert_token(tx: Transaction, digest: str, session_id: str, expires_at: datetime) -> None:
    """Add an unspent token."""
    await _queries.insert_token(
        tx, digest=digest, session_id=session_id, expires_at=to_text(expires_at)
    )


async def spend_token(
    tx: Transaction, digest: str, successor: str, at: datetime, kept_until: datetime | None
) -> str | None:
    """Exchange it for `successor`, and keep it until `kept_until`, or until it would have expired.

    Gives its session, None where there is no unspent token of that digest.
    """
    return _text(
        await _queries.spend_token(
            tx,
            digest=digest,
            successor=successor,
            now=to_text(at),
            kept_until=to_text(kept_until) if kept_until else None,
        )
    )


async def token(tx: Transaction, digest: str) -> StoredToken | None:
    """The token of that digest, spent or not."""
    row: Row | None = await _queries.token(tx, digest=digest)
    if row is None:
        return None
    return StoredToken(
        session_id=row["session_id"],
        spent_at=from_text(row["spent_at"]) if row["spent_at"] else None,
        successor=row["successor"],
        successor_spent=row["successor_spent_at"] is not None,
    )


async def remember_address(
    tx: Transaction, account_id: str, address: str, at: datetime, kept: int
) -> None:
    """Store that the account has logged in from there; the newest `kept` addresses are kept."""
    await _queries.remember_address(tx, account_id=account_id, address=address, seen_at=to_text(at))
    await _queries.drop_older_addresses(tx, account_id=account_id, kept=kept)


async def knows_address(tx: Transaction, account_id: str, address: str, since: datetime) -> bool:
    """Whether the account has logged in from there since then."""
    found = await _queries.knows_address(
        tx, account_id=account_id, address=address, since=to_text(since)
    )
    return found is not None


async def drop_addresses(tx: Transaction, since: datetime) -> int:
    """Delete addresses from which nobody has logged in since then; returns how many."""
    dropped: int = await _queries.drop_addresses_before(tx, since=to_text(since))
    return dropped


async def drop_expired(tx: Transaction, at: datetime) -> int:
    """Delete tokens and sessions that have expired; returns how many."""
    tokens: int = await _queries.drop_expired_tokens(tx, now=to_text(at))
    sessions: int = await _queries.drop_expired_sessions(tx, now=to_text(at))
    return tokens + sessions


def _account(row: Row | None) -> StoredAccount | None:
    if row is None:
        return None
    shown: dict[str, Any] = {name: row[name] for name in row if name not in _HIDDEN}
    for name in ("address", "work_address"):
        if shown[name] is not None:
            shown[name] = json.loads(shown[name])
    account = Account.model_validate(shown)
    return StoredAccount(account, row["password_hash"], demo=row["demo"] is not None)


def _address_in(address: Address | None) -> str | None:
    return address.model_dump_json() if address else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
