"""The rules of announcements: who may make them, whom they reach, who has acknowledged."""

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

from server.core import audit, pages
from server.core.audit import Action, AuditActor
from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import forbidden, invalid, not_found, unauthorized
from server.core.idempotency import KeyedRequest, once
from server.core.ids import new_id
from server.core.routing import SUPPORT
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService
from server.features.announcements import store
from server.features.announcements.schemas import (
    AckCount,
    Announcement,
    AnnouncementAcknowledged,
    AnnouncementPage,
    AnnouncementWithdrawn,
    Audience,
    AudienceSizes,
    NewAnnouncement,
    Scope,
)
from server.features.announcements.store import StoredAnnouncement
from server.features.shared.schemas import Actor
from server.realtime.log import EventLog
from server.realtime.state_topic import STATE, States

PUBLISH_ROUTE = "POST /announcements"
PUBLISHED = "announcement"
WITHDRAWN = "announcement.withdrawn"
ACKNOWLEDGED = "announcement.acknowledged"
ACKS = "acks"
READ = "announcements:read"
"""The topic of acknowledgements, each about its account: nobody reads it but the process itself."""
DELETED = "Deleted account"
LATEST = ("9999", "~")
"""Sorts after every acknowledgement."""
LONGEST = timedelta(days=366)
"""How far off an announcement's expiry may be."""
MOST_COUNTED = 1000
"""Announcements of an audience that are looked at to count the unread ones: a page must not cost
more with each announcement there is."""

ROLES = {
    Audience.EVERYONE: tuple(Role),
    Audience.CUSTOMERS: (Role.CUSTOMER,),
    Audience.EMPLOYEES: (Role.EMPLOYEE, Role.SUPPORT),
}
"""Who is in an audience."""
AUDIENCE_OF = {
    role: audience
    for audience in (Audience.CUSTOMERS, Audience.EMPLOYEES)
    for role in ROLES[audience]
}


def topic_of(name: str) -> str:
    """The topic of what an audience hears of (`customers`, `employees`), or of `all` there is.

    Each has a `seq` of its own, so that no cursor tells of what its reader may not see.
    """
    return f"announcements:{name}"


def topic_for(identity: Identity, scope: Scope) -> str:
    """The topic of that scope. Raises Problem 403."""
    return topic_of(_audience(identity, scope))


def topic_of_acks(announcement_id: str) -> str:
    """The state topic of how many have acknowledged an announcement."""
    return f"{STATE}acks:{announcement_id}"


class AnnouncementService:
    """Announcements, from publication to withdrawal or expiry."""

    def __init__(
        self, database: Database, log: EventLog, states: States, accounts: AccountService
    ) -> None:
        self._database = database
        self._log = log
        self._states = states
        self._accounts = accounts

    async def publish(
        self, identity: Identity, new: NewAnnouncement, key: str | None
    ) -> Announcement:
        """A new announcement; with an Idempotency-Key, the same one however often it is sent.

        Raises Problem 422 for an expiry that has passed or is over a year off.
        """
        request = KeyedRequest.of(identity.account_id, PUBLISH_ROUTE, key, new)

        async def publish(tx: Transaction) -> Announcement:
            at = now()
            author = await self._accounts.account_of(tx, identity.account_id)
            if author.role != identity.role:
                raise unauthorized(
                    "The account has another role by now. Log in again.", kind="session-ended"
                )
            announcement = Announcement(
                id=new_id("ann"),
                title=new.title,
                body=new.body,
                severity=new.severity,
                audience=new.audience,
                by=Actor(id=author.id, name=author.name, role=author.role.value),
                published_at=at,
                expires_at=_expiry(new.expires_at, at),
            )
            await store.insert(tx, announcement)
            await self._tell(tx, announcement, PUBLISHED, announcement.model_dump_json())
            await self._count(tx, announcement, 0)
            return announcement

        return await self._database.write(
            lambda tx: once(tx, request, lambda: publish(tx), Announcement)
        )

    async def history(
        self, identity: Identity, scope: Scope, before: str | None, limit: int
    ) -> AnnouncementPage:
        """A page of the current announcements, with the cursor that belongs to it.

        Raises Problem 403 where the scope is not the caller's, 422 for a `before` that no page
        gave.
        """
        start = pages.numbered(before)

        async def fn(tx: Transaction) -> AnnouncementPage:
            role = (await self._accounts.account_of(tx, identity.account_id)).role
            audience = _audience(identity, scope)
            own, at = AUDIENCE_OF[role].value, now()
            page, following = await store.history(
                tx, identity.account_id, audience, at, start, limit
            )
            return AnnouncementPage(
                items=page,
                next=following,
                cursor=await self._log.cursor(tx, topic_of(audience)),
                unread=await store.count_unread(tx, identity.account_id, own, at, MOST_COUNTED),
            )

        return await self._database.read(fn)

    async def withdraw(self, announcement_id: str, by: AuditActor) -> None:
        """Withdraw it; repeating it does nothing. Raises Problem 404."""

        async def fn(tx: Transaction) -> None:
            stored = await _stored(tx, announcement_id)
            at = now()
            if await store.withdraw(tx, announcement_id, at):
                await audit.record(
                    tx,
                    Action.ANNOUNCEMENT_WITHDRAWN,
                    by.id,
                    by,
                    announcement=announcement_id,
                    author=stored.announcement.by.id,
                )
                gone = AnnouncementWithdrawn(id=announcement_id, withdrawn_at=at)
                await self._tell(tx, stored.announcement, WITHDRAWN, gone.model_dump_json())

        await self._database.write(fn)

    async def acknowledge(self, identity: Identity, announcement_id: str) -> None:
        """Record that the caller has acknowledged it; repeating it does nothing.

        Raises Problem 404, also where it is for others, withdrawn or expired.
        """

        async def fn(tx: Transaction) -> None:
            role = (await self._accounts.account_of(tx, identity.account_id)).role
            stored, at = await _stored(tx, announcement_id), now()
            if not stored.stands(at) or role not in ROLES[stored.announcement.audience]:
                raise not_found("announcement")
            count = await store.acknowledge(tx, announcement_id, identity.account_id, at)
            if count is not None:
                mark = AnnouncementAcknowledged(id=announcement_id).model_dump_json()
                await self._log.append(tx, READ, ACKNOWLEDGED, mark, subject=identity.account_id)
                await self._count(tx, stored.announcement, count)

        await self._database.write(fn)

    async def acks(self, announcement_id: str) -> AckCount:
        """How many have acknowledged so far, also where it is gone. Raises Problem 404."""

        async def fn(tx: Transaction) -> AckCount:
            stored = await _stored(tx, announcement_id)
            size = await self._size(tx, stored.announcement.audience)
            return AckCount(acknowledged=stored.acknowledged, audience_size=size)

        return await self._database.read(fn)

    async def audiences(self) -> AudienceSizes:
        """How many people an announcement would reach."""

        async def fn(tx: Transaction) -> AudienceSizes:
            sizes = {one.value: await self._size(tx, one) for one in Audience}
            return AudienceSizes.model_validate(sizes)

        return await self._database.read(fn)

    async def scrub(self, tx: Transaction, account_id: str) -> None:
        """Before an account goes: what it has acknowledged is forgotten, and its name leaves the
        announcements it made and their events."""
        for announcement_id, count in (await store.forget_acks(tx, account_id)).items():
            stored = await _stored(tx, announcement_id)
            await self._count(tx, stored.announcement, count, leaving=1)
        for announcement_id in await store.rename_author(tx, account_id, DELETED):
            await self._log.rewrite(tx, announcement_id, _without_author)

    def export(self, identity: Identity) -> AsyncGenerator[Sequence[str]]:
        """What the account has acknowledged, and when."""

        async def fetch(before: str | None) -> tuple[Sequence[str], str | None]:
            start = pages.parse(before) or LATEST
            acks, following = await self._database.read(
                lambda tx: store.acks_of(tx, identity.account_id, start, 200)
            )
            return [json.dumps(ack, ensure_ascii=False) for ack in acks], following

        return pages.every_page(fetch)

    async def leave_audience(self, tx: Transaction, account_id: str, role: Role) -> None:
        """Before an account has another role: forget what it has acknowledged of announcements that
        are not for that one."""
        left = next(one for one in AUDIENCE_OF.values() if role not in ROLES[one])
        for announcement_id, count in (await store.forget_acks(tx, account_id, left.value)).items():
            stored = await _stored(tx, announcement_id)
            await self._count(tx, stored.announcement, count, leaving=1)

    async def drop_gone(self, before: datetime) -> int:
        """Remove what was withdrawn or expired before that time; returns how many."""

        async def fn(tx: Transaction) -> int:
            gone = await store.drop_gone(tx, before)
            for announcement_id in gone:
                await self._states.drop(tx, topic_of_acks(announcement_id))
            return len(gone)

        return await self._database.write(fn)

    async def _tell(
        self, tx: Transaction, announcement: Announcement, kind: str, data: str
    ) -> None:
        """One event for each of its audiences, and one for readers of all of them."""
        for name in _audiences(announcement.audience):
            await self._log.append(tx, topic_of(name), kind, data, subject=announcement.id)

    async def _count(
        self, tx: Transaction, announcement: Announcement, count: int, leaving: int = 0
    ) -> None:
        size = await self._size(tx, announcement.audience) - leaving
        state = AckCount(acknowledged=count, audience_size=size).model_dump_json()
        await self._states.put(tx, topic_of_acks(announcement.id), ACKS, state)

    async def _size(self, tx: Transaction, audience: Audience) -> int:
        return sum([await self._accounts.number_of(tx, role) for role in ROLES[audience]])


def _audience(identity: Identity, scope: Scope) -> str:
    """What of the announcements the caller sees in that scope. Raises Problem 403."""
    if scope is Scope.OWN:
        return AUDIENCE_OF[Role(identity.role)].value
    if not identity.acts_as(SUPPORT):
        raise forbidden("Only support sees what is announced to others. Leave `scope` out.")
    return scope.value


def _audiences(audience: Audience) -> Sequence[str]:
    """The names of the topics that hear of it, sorted, as they are locked."""
    return sorted({Scope.ALL.value, *(AUDIENCE_OF[role].value for role in ROLES[audience])})


async def _stored(tx: Transaction, announcement_id: str) -> StoredAnnouncement:
    stored = await store.announcement(tx, announcement_id)
    if stored is None:
        raise not_found("announcement")
    return stored


def _expiry(expires_at: datetime | None, at: datetime) -> datetime | None:
    """Raises Problem 422 unless it is in the future and within a year."""
    if expires_at is None:
        return None
    try:
        expires_at = expires_at.astimezone(UTC)
    except OverflowError:
        expires_at = datetime.max.replace(tzinfo=UTC)
    if not at < expires_at <= at + LONGEST:
        raise invalid(["expires_at"], f"Must be in the future, at most {LONGEST.days} days off.")
    return expires_at


def _without_author(data: str) -> str:
    event = json.loads(data)
    if "by" not in event:  # a withdrawal tells of nobody
        return data
    found = Announcement.model_validate(event)
    by = found.by.model_copy(update={"name": DELETED})
    return found.model_copy(update={"by": by}).model_dump_json()
