"""Support chat over both transports: round trips, and messages a second of the server's CPU time.

A message is stored, told to both members of its room and to the desk's queue.
"""

import argparse
import asyncio
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil

from benchmarks._figures import spread
from benchmarks._terminal import machine
from support.rest import Rest
from support.room import Room, open_chat, room
from support.server_process import ServerProcess
from support.socketio_client import SocketIoClient, socketio_client
from support.town import PASSWORD, Place, open_restaurant

AT_ONCE = 5
"""One participant's messages in flight at a time."""
TEXT = "Hello, my soup has not come yet, though it was to be here at eight. Could you look?"


class Member(ABC):
    """A participant in a room, over either transport."""

    @abstractmethod
    async def say(self, name: str) -> None:
        """Send a message under that `client_id`."""

    @abstractmethod
    async def hear(self) -> str:
        """The `client_id` of the next message."""


class Native(Member):
    """Over WebSocket."""

    def __init__(self, member: Room) -> None:
        self._room = member

    async def say(self, name: str) -> None:
        await self._room.say(TEXT, name)

    async def hear(self) -> str:
        return str((await self._room.next("message", seconds=30))["client_id"])


class ByEvents(Member):
    """Over Socket.IO, on its WebSocket."""

    def __init__(self, client: SocketIoClient, chat_id: str) -> None:
        self._client = client
        self._chat_id = chat_id

    async def say(self, name: str) -> None:
        sent = {"chat_id": self._chat_id, "client_id": name, "text": TEXT}
        await self._client.client.emit("message", sent)

    async def hear(self) -> str:
        return str((await self._client.next("message", seconds=30))["client_id"])


@asynccontextmanager
async def native(rest: Rest, chat_id: str) -> AsyncIterator[Member]:
    """Enter by WebSocket."""
    async with room(rest, chat_id) as member:
        yield Native(member)


@asynccontextmanager
async def by_events(rest: Rest, chat_id: str) -> AsyncIterator[Member]:
    """Enter by Socket.IO."""
    async with socketio_client(rest) as client:
        await client.call("join", chat_id=chat_id)
        yield ByEvents(client, chat_id)


DOORS = {"WebSocket": native, "Socket.IO": by_events}


async def round_trips(writer: Member, reader: Member, count: int) -> list[list[float]]:
    """Seconds until a message is back at its sender, and until the other has it."""
    times: list[list[float]] = [[], []]

    async def heard(member: Member, name: str) -> float:
        while await member.hear() != name:
            pass
        return time.perf_counter()

    for number in range(count):
        name = f"r{number}"
        began = time.perf_counter()
        await writer.say(name)
        for found, ended in zip(
            times, await asyncio.gather(heard(writer, name), heard(reader, name)), strict=True
        ):
            found.append(ended - began)
    return times


async def talk(member: Member, name: str, count: int, all_told: int) -> None:
    """Send that many messages, some at a time, and receive all of the room's."""
    said = under_way = 0
    for _ in range(all_told):
        while said < count and under_way < AT_ONCE:
            await member.say(f"{name}{said}")
            said, under_way = said + 1, under_way + 1
        under_way -= (await member.hear()).startswith(name)


async def measure(
    name: str, server: ServerProcess, place: Place, rooms: int, trips: int, each: int
) -> None:
    """Print the transport's figures."""
    door = DOORS[name]
    process = psutil.Process(server.pid)
    async with AsyncExitStack() as stack:
        nobody = await stack.enter_async_context(Rest(server.url))
        employee = await nobody.another().log_in(place.employees[0], PASSWORD)
        pairs: list[Sequence[Member]] = []
        for _ in range(rooms):
            customer = await nobody.another().register(f"{uuid.uuid4().hex}@example.org")
            chat_id = await open_chat(customer)
            pairs.append(
                [
                    await stack.enter_async_context(door(rest, chat_id))
                    for rest in (customer, employee)
                ]
            )
        back, there = await round_trips(*pairs[0], trips)
        print(f"{name}, {trips} messages one by one in one room")
        print(f"  sent until it is back at its sender   {spread(back)}")
        print(f"  sent until it is with the other       {spread(there)}")
        before, began = sum(process.cpu_times()[:2]), time.perf_counter()
        await asyncio.gather(
            *(
                talk(member, side, each, 2 * each)
                for pair in pairs
                for side, member in zip("cd", pair, strict=True)
            )
        )
        spent = sum(process.cpu_times()[:2]) - before
        wall, count = time.perf_counter() - began, 2 * each * rooms
        print(
            f"{name}, {count} messages in {rooms} rooms at once:"
            f" {count / spent:.0f} a second of the server's CPU time,"
            f" {spent / count * 1e6:.0f} µs each; {count / wall:.0f} a second by the clock",
            flush=True,
        )


def main() -> None:
    """Measure both transports, each at a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=20, help="with two members each (20)")
    parser.add_argument("--trips", type=int, default=500, help="messages one by one (500)")
    parser.add_argument("--each", type=int, default=150, help="messages of each member (150)")
    options = parser.parse_args()
    print(f"{machine()}; one process, no Redis, clients in a process of their own")
    for name in DOORS:
        with tempfile.TemporaryDirectory() as folder:
            env = {
                "TIFFIN_LOG_LEVEL": "WARNING",
                "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "1000",
            }
            server = ServerProcess(Path(folder), env=env).start()
            try:
                place = asyncio.run(open_restaurant(server.data_dir, server.url))
                asyncio.run(
                    measure(name, server, place, options.rooms, options.trips, options.each)
                )
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
