"""The law of snapshot and stream, for any interleaving: what a reader has put together equals a
fresh read."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.core.audit import AuditActor
from server.core.auth import AccessTokens, Identity
from server.core.databases import migrate
from server.core.sqlite import SqliteDatabase
from server.features.accounts.schemas import Account, Role
from server.features.accounts.service import AccountService, add_account
from server.features.accounts.store import NewAccount
from server.features.announcements.schemas import (
    Announcement,
    AnnouncementWithdrawn,
    Audience,
    NewAnnouncement,
    Scope,
    Severity,
)
from server.features.announcements.service import AnnouncementService, topic_for
from server.realtime import log_topic, topic
from server.realtime.broker import MemoryBroker
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.realtime.topic import Subscription
from support.live_server import settings_for
from support.waiting import wait_until
from tui.common.announcements.model import AnnouncementStore

SECRET = "s" * 32
NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing has expired by then."""


class World:
    """Two processes on one file: both write, one is listened to."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.numbers = itertools.count()
        self.settings = settings_for(folder)
        self.databases = [SqliteDatabase(self.settings.database_path) for _ in range(2)]
        self.logs = [EventLog(database) for database in self.databases]
        self.people: dict[Role, Account] = {}
        self.runner.run(self._open())

    async def _open(self) -> None:
        await migrate(self.settings.database_path)
        for database, log in zip(self.databases, self.logs, strict=True):
            await database.open()
            await log.open()
        for role in Role:
            new = NewAccount(f"acc_{role}", f"{role}@example.com", "", role, role.value)
            self.people[role] = await self.databases[0].write(
                lambda tx, new=new: add_account(tx, new, AuditActor("test"))  # type: ignore[misc]
            )

    async def clear(self) -> None:
        """Start another example; cursors continue."""
        await self.databases[0].write(lambda tx: tx.execute("DELETE FROM announcements", {}))

    def identity(self, role: Role) -> Identity:
        account = self.people[role]
        return Identity(
            account_id=account.id,
            session_id="ses_1",
            expires=2.0**40,
            name=account.name,
            role=role.value,
            restaurant_id=None,
            shares_support=role is Role.EMPLOYEE,
        )

    async def _close(self) -> None:
        for database in self.databases:
            await database.close()

    def close(self) -> None:
        self.runner.run(self._close())
        self.runner.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("laws"))
    yield world
    world.close()


@pytest.fixture(autouse=True)
def small_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few events reach behind the ring, and few readers are a crowd."""
    monkeypatch.setattr(log_topic, "RING", 4)
    monkeypatch.setattr(log_topic, "PAGE", 3)
    monkeypatch.setattr(topic, "DIRECT_READERS", 1)
    monkeypatch.setattr(topic, "SLICE_SECONDS", 0.0)


class Reader:
    """A window: a snapshot, then the events after it, in the same store that the apps use."""

    def __init__(self, run: "Run", role: Role, scope: Scope) -> None:
        self.run = run
        self.identity = run.world.identity(role)
        self.scope = scope
        self.store = AnnouncementStore()
        self.store.set_reader(run.world.people[role])
        self.cursor: str | None = None
        self.subscription: Subscription | None = None
        self.foreign = {Audience.EMPLOYEES if role is Role.CUSTOMER else Audience.CUSTOMERS}
        self.busy: asyncio.Task[None] | None = None

    # as a sink, which must not raise: the hub would get the blame, and the failure no name
    def write(self, event: Event) -> bool:
        if event.type == "announcement":
            announcement = Announcement.model_validate_json(event.data)
            if self.scope is Scope.OWN and announcement.audience in self.foreign:
                self.run.wrong.append(f"{self.identity.role} was told what is for others: {event}")
            if not self.store.add(announcement, NEVER):
                self.run.wrong.append(f"it comes once: {event}")
        else:
            self.store.withdraw(AnnouncementWithdrawn.model_validate_json(event.data).id)
        self.cursor = self.run.hub.log.cursor_of(event)
        return True

    async def ready(self) -> None: ...

    def reset(self) -> None:
        self.run.wrong.append("a reset, and nothing was trimmed")

    def fail(self) -> None:
        self.run.wrong.append("an end, and nothing has failed")

    def begin(self) -> None:
        """Read and subscribe, while other things happen."""
        if self.busy is None or self.busy.done():
            self.cut()
            self.busy = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        page = await self.run.services[1].history(self.identity, self.scope, None, 200)
        self.store.put_first_page(page, NEVER)
        self.cursor = page.cursor
        await self.connect()

    async def connect(self) -> None:
        if self.subscription is None and self.cursor is not None:
            name = topic_for(self.identity, self.scope)
            subscription = await self.run.hub.subscribe(name, self.cursor, self)
            self.subscription = subscription

    def cut(self) -> None:
        """The connection is lost; the cursor stays."""
        if self.subscription is not None:
            self.subscription.close()
            self.subscription = None

    def come_back(self) -> None:
        if self.cursor is not None and (self.busy is None or self.busy.done()):
            self.busy = asyncio.create_task(self.connect())

    async def fresh(self) -> dict[str, str]:
        page = await self.run.services[0].history(self.identity, self.scope, None, 200)
        return {one.id: one.model_dump_json(exclude={"acknowledged"}) for one in page.items}

    @property
    def have(self) -> dict[str, str]:
        return {one.id: one.model_dump_json(exclude={"acknowledged"}) for one in self.store}


class Run:
    """One example."""

    def __init__(self, world: World) -> None:
        self.world = world
        broker = MemoryBroker()
        self.hub = Hub(world.databases[1], world.logs[1], broker, 0.02)
        self.services = []
        for database, log in zip(world.databases, world.logs, strict=True):
            tokens = AccessTokens(SECRET, 60)
            accounts = AccountService(world.settings, database, log, tokens, "auth")
            self.services.append(AnnouncementService(database, log, self.hub.states, accounts))
        self.readers = [
            Reader(self, role, scope)
            for role, scope in (
                (Role.CUSTOMER, Scope.OWN),
                (Role.CUSTOMER, Scope.OWN),
                (Role.EMPLOYEE, Scope.OWN),
                (Role.SUPPORT, Scope.ALL),
            )
        ]
        self.wrong: list[str] = []
        """Differences between what readers got and the law."""
        self.made: list[str] = []
        self.writing: set[asyncio.Task[None]] = set()

    def spawn(self, doing: Any) -> None:
        task = asyncio.create_task(doing)
        self.writing.add(task)

    async def publish(self, at: int, audience: Audience) -> None:
        new = NewAnnouncement(
            title=f"{len(self.made)}", body="b", severity=Severity.INFO, audience=audience
        )
        employee = self.world.identity(Role.EMPLOYEE)
        self.made.append((await self.services[at].publish(employee, new, None)).id)

    async def withdraw(self, at: int, which: int) -> None:
        if self.made:
            await self.services[at].withdraw(self.made[which % len(self.made)], AuditActor("test"))

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("publish", at, audience):
                self.spawn(self.publish(at, audience))
            case ("withdraw", at, which):
                self.spawn(self.withdraw(at, which))
            case ("begin", who):
                self.readers[who].begin()
            case ("cut", who):
                self.readers[who].cut()
            case ("come back", who):
                self.readers[who].come_back()
            case ("drop", _):
                for name in ("customers", "employees", "all"):
                    self.hub.drop_ring(f"announcements:{name}")
            case ("turn", turns):  # less than a round of slices takes
                for _ in range(turns):
                    await asyncio.sleep(0)
            case ("let run", ticks):
                for _ in range(ticks):
                    await asyncio.sleep(0.0005)

    async def play(self, steps: Sequence[tuple[Any, ...]]) -> None:
        await self.world.clear()
        await self.hub.open()
        try:
            for reader in self.readers[1:]:
                reader.begin()
            for step in steps:
                await self.do(step)
            if self.writing:
                await asyncio.gather(*self.writing)
            for reader in self.readers:
                if reader.busy is not None:
                    await reader.busy
                if reader.cursor is None:
                    reader.begin()
                else:
                    reader.come_back()
                assert reader.busy is not None
                await reader.busy
            for reader in self.readers:
                fresh = await reader.fresh()
                await wait_until(
                    lambda reader=reader, fresh=fresh: self.wrong or reader.have == fresh,
                    what=f"{reader.identity.role} has what a fresh read gives",
                )
            assert not self.wrong
        finally:
            for reader in self.readers:
                if reader.busy is not None:
                    reader.busy.cancel()
                    await asyncio.wait({reader.busy})
                reader.cut()
            await self.hub.close()


who = st.integers(0, 3)
at = st.integers(0, 1)
step = st.one_of(
    st.tuples(st.just("publish"), at, st.sampled_from(list(Audience))),
    st.tuples(st.just("publish"), at, st.sampled_from(list(Audience))),
    st.tuples(st.just("withdraw"), at, st.integers(0, 30)),
    st.tuples(st.just("begin"), who),
    st.tuples(st.just("cut"), who),
    st.tuples(st.just("cut"), who),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(st.just("come back"), who),
    st.tuples(st.just("drop"), st.just(0)),
    st.tuples(st.just("let run"), st.integers(1, 4)),
)


@pytest.mark.timeout(600)  # where it fails: to shrink the example
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(step, min_size=10, max_size=60))
def test_snapshot_and_events_equal_a_fresh_read(world: World, steps: list[tuple[Any, ...]]) -> None:
    world.runner.run(Run(world).play(steps))
