"""Presence of two processes on one database: one lease each, which their rooms' rows name.

No renewal comes by itself here: the tests call it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Database
from server.core.errors import unavailable
from server.features.chat import presence as presence_module
from server.features.chat import room_state
from server.features.chat.names import CurrentNames
from server.features.chat.presence import Presence
from server.features.chat.room_state import state_topic_of
from server.realtime.hub import Hub
from support.cast import Cast, cast_of
from support.live_server import LiveServer, running_server, settings_for, sqlite_only
from support.room import Room, open_chat, room
from support.steps import steps_of
from support.waiting import wait_until

LEASE_SECONDS = 600


@dataclass(frozen=True)
class Sides:
    """A customer at the left process, an employee at the right one, and a chat."""

    left: LiveServer
    right: LiveServer
    cast: Cast
    chat_id: str

    async def renew(self, *servers: LiveServer) -> None:
        """What the loop does every third of a lease."""
        for server in servers:
            await server.services[Presence]._renew()

    @property
    def database(self) -> Database:
        return self.left.services[Database]

    async def rows(self, sql: str, **parameters: object) -> list[dict[str, object]]:
        """What a query finds."""
        found = await self.database.read(lambda tx: tx.fetch(sql, parameters))
        return [dict(row) for row in found]

    async def run(self, sql: str, **parameters: object) -> int:
        """How many rows a statement changes."""
        return await self.database.write(lambda tx: tx.execute(sql, parameters))

    @asynccontextmanager
    async def both_present(self) -> AsyncIterator[Room]:
        """Both are in the room; returns the employee's side of it."""
        async with (
            room(self.cast.employee, self.chat_id) as desk,
            room(self.cast.customer, self.chat_id),
        ):
            await roles(desk, "customer", "employee")
            yield desk

    async def expire(self, server: LiveServer) -> None:
        """As if that process had not renewed its lease in time."""
        process = server.services[Presence]._process
        sql = "UPDATE presence_leases SET until = '2000' WHERE process = :process"
        assert await self.run(sql, process=process) == 1


@asynccontextmanager
async def two_sides(data_dir: Path) -> AsyncIterator[Sides]:
    """Both processes, in this loop."""
    settings = settings_for(
        data_dir, photo_workers=0, presence_seconds=LEASE_SECONDS, sweep_seconds=0.05
    )
    async with AsyncExitStack() as stack:
        left = await stack.enter_async_context(running_server(settings))
        right = await stack.enter_async_context(running_server(settings))
        cast = await stack.enter_async_context(cast_of(left))
        cast.employee.base_url = right.url
        yield Sides(left, right, cast, await open_chat(cast.customer))


@pytest.fixture
async def sides(data_dir: Path) -> AsyncIterator[Sides]:
    async with two_sides(data_dir) as found:
        yield found


async def roles(member: Room, *wanted: str) -> None:
    """Return once the room says that exactly these are present."""
    found: list[str] | None = None
    while found != sorted(wanted):
        found = sorted(one["role"] for one in (await member.next("presence"))["present"])


async def test_rooms_that_four_processes_enter_and_leave_at_once_say_who_is_there(
    sides: Sides,
) -> None:
    chats = [await open_chat(sides.cast.customer) for _ in range(40)]
    presences = []
    for side in (sides.left, sides.right):
        hub = side.services[Hub]
        other = Presence(side.services[Database], hub.states, CurrentNames(hub), LEASE_SECONDS)
        presences += [side.services[Presence], other]

    async def present() -> list[set[str]]:
        """Who is in each of the rooms, by its state topic."""
        await wait_until(lambda: not any(one._tasks or one._leaving for one in presences))
        found = []
        for chat_id in chats:
            topic = state_topic_of(chat_id)
            [row] = await sides.rows("SELECT data FROM states WHERE topic = :topic", topic=topic)
            found.append({one["id"] for one in json.loads(str(row["data"]))["present"]})
        return found

    with ExitStack() as stack:
        for chat_id in chats:
            for presence in presences:
                who = someone(f"acc_{presence._process}")
                stack.enter_context(presence.connected(chat_id, who, 0))
        everybody = {f"acc_{presence._process}" for presence in presences}
        assert await present() == [everybody] * 40
        await sides.renew(sides.left, sides.right)
    assert await present() == [set()] * 40


async def test_a_process_that_ends_takes_its_lease_and_its_people_with_it(data_dir: Path) -> None:
    async with two_sides(data_dir) as sides, sides.both_present() as desk:
        assert len(await sides.rows("SELECT * FROM presence_leases")) == 2
        await sides.left.services[Presence].close()
        await roles(desk, "employee")
        assert len(await sides.rows("SELECT * FROM presence_leases")) == 1
        assert [row["role"] for row in await sides.rows("SELECT * FROM presence")] == ["employee"]


async def test_an_expired_lease_empties_its_rooms_and_its_renewal_fills_them_again(
    sides: Sides,
) -> None:
    """As of a process that was stopped for longer than its lease holds."""
    async with sides.both_present() as desk:
        await sides.expire(sides.left)
        await sides.renew(sides.right)
        await roles(desk, "employee")
        assert len(await sides.rows("SELECT * FROM presence_leases")) == 1
        await sides.renew(sides.left)
        await roles(desk, "customer", "employee")


async def test_a_row_does_not_count_once_its_lease_has_expired(sides: Sides) -> None:
    """Not even before a renewal removes it."""
    await add_lost_process(sides, [sides.chat_id], until="2000-01-01T00:00:00.000Z")
    async with room(sides.cast.customer, sides.chat_id, settled=False) as ana:
        assert [one["name"] for one in (await ana.next("presence"))["present"]] in ([], ["Ana"])
        await sides.run("UPDATE presence_leases SET until = '2999' WHERE process = 'lost'")
        async with room(sides.cast.employee, sides.chat_id):
            await roles(ana, "customer", "customer", "employee")


async def test_the_rooms_of_a_lost_process_are_emptied_a_few_at_a_time(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "ROOMS_PER_WRITE", 2)
    chats = [await open_chat(sides.cast.customer) for _ in range(4)]
    database = sides.right.services[Database]
    write, writes = database.write, 0

    async def counted(fn: Any) -> Any:
        nonlocal writes
        writes += 1
        return await write(fn)

    for number in (3, 4):
        await add_lost_process(sides, chats[:number], until="2000-01-01T00:00:00.000Z")
        writes = 0
        with monkeypatch.context() as patch:
            patch.setattr(database, "write", counted)
            await sides.renew(sides.right)
        assert writes == 1 + number // 2 + 1
        for table in ("presence", "presence_leases"):
            assert not await sides.rows(f"SELECT * FROM {table} WHERE process = 'lost'")


@sqlite_only
async def test_a_renewal_costs_the_same_however_many_rooms_there_are(sides: Sides) -> None:
    presence, database = sides.right.services[Presence], sides.right.services[Database]
    chats = [await open_chat(sides.cast.customer) for _ in range(60)]
    steps: list[int] = []
    with ExitStack() as stack:
        for number, chat_id in enumerate(chats, 1):
            stack.enter_context(presence.connected(chat_id, someone(), 0))
            if number in (1, len(chats)):
                await wait_until(lambda: not presence._tasks)
                steps.append(min([await steps_of(database, presence._renew) for _ in range(3)]))
        assert len(await sides.rows("SELECT * FROM presence")) == len(chats)
    assert steps[1] == steps[0]


async def test_a_room_that_could_not_be_written_is_written_by_the_next_renewal(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(fn: object) -> None:
        raise unavailable("The disk is full.")

    async with room(sides.cast.customer, sides.chat_id) as ana:
        with monkeypatch.context() as patch:
            patch.setattr(sides.right.services[Database], "write", fails)
            async with room(sides.cast.employee, sides.chat_id):
                presence = sides.right.services[Presence]
                await wait_until(lambda: presence._outdated == {sides.chat_id})
                patch.undo()
                await sides.renew(sides.right)
                await roles(ana, "customer", "employee")


async def test_clocks_that_differ_by_less_than_a_lease_remove_nobody(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(seconds=LEASE_SECONDS / 2)
    async with sides.both_present():
        for module in (presence_module, room_state):
            monkeypatch.setattr(module, "now", lambda: now() + ahead)
        await sides.renew(sides.right)
        assert len(await sides.rows("SELECT * FROM presence")) == 2


async def test_a_clock_that_leaps_ahead_or_is_put_back_keeps_who_is_connected(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sides.both_present():
        for leap in (timedelta(hours=1), timedelta(0)):
            for module in (presence_module, room_state):
                monkeypatch.setattr(module, "now", lambda leap=leap: now() + leap)
            await sides.renew(sides.right, sides.left)
            stored = await sides.rows("SELECT role FROM presence ORDER BY role")
            assert [row["role"] for row in stored] == ["customer", "employee"]
        async with room(sides.cast.outsider, sides.chat_id) as late:
            await roles(late, "customer", "employee", "employee")


async def test_who_was_present_before_leases_were_by_process_is_dropped(sides: Sides) -> None:
    who = {"id": "acc_1", "name": "Old", "role": "employee"}
    until = "2999-01-01T00:00:00.000Z"
    marker = {"who": who, "seq": 1, "at": "2020-01-01T00:00:00.000Z"}
    before = {"leases": [{"who": who, "holder": "left", "until": until}], "marks": [marker]}
    await sides.run(
        "INSERT INTO states (topic, seq, type, subject, data, at)"
        " VALUES (:topic, 7, 'room', :chat_id, :data, '2020-01-01T00:00:00.000Z')",
        topic=state_topic_of(sides.chat_id),
        chat_id=sides.chat_id,
        data=json.dumps(before),
    )
    async with room(sides.cast.customer, sides.chat_id, settled=False) as ana:
        assert not (await ana.next("presence"))["present"]
        assert len((await ana.next("read"))["reads"]) == 1
        await roles(ana, "customer")


async def add_lost_process(sides: Sides, chats: list[str], until: str) -> None:
    """The lease and the rows of a process that is no more."""
    lease = "INSERT INTO presence_leases (process, until) VALUES ('lost', :until)"
    row = (
        "INSERT INTO presence (chat_id, process, account_id, name, role)"
        " VALUES (:chat_id, 'lost', 'acc_lost', 'Lost', 'customer')"
    )
    await sides.run(lease, until=until)
    for chat_id in chats:
        await sides.run(row, chat_id=chat_id)


def someone(account_id: str = "acc_many") -> Identity:
    """An account that is in many rooms."""
    return Identity(
        account_id=account_id,
        session_id="ses_1",
        expires=0,
        name="Many",
        role="employee",
        restaurant_id=None,
    )
