"""The sixty clients and those who write, as tasks that come and go."""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Sequence

from support.nemesis.history import Stretch
from support.nemesis.readers import (
    LocationReader,
    OrdersReader,
    PollReader,
    Reader,
    SocketReader,
    StatusReader,
    StreamReader,
)
from support.nemesis.wire import Door
from support.nemesis.writers import Acknowledged, Announcer, Caller, Kitchen, Mover, Writer
from support.rest import Rest
from support.town import PASSWORD, Place

CUSTOMERS = 6


class Crowd:
    """Readers and writers; a task of theirs that fails ends the run."""

    def __init__(self, doors: Sequence[int]) -> None:
        """`doors` are the ports that clients connect to, in turns."""
        self.readers: list[Reader] = []
        self.writers: list[Writer] = []
        self.acknowledged = Acknowledged()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._newest: dict[str, str] = {}
        self._ports = deque(doors)
        self._reading: list[asyncio.Task[None]] = []
        self._writing: list[asyncio.Task[None]] = []

    async def assemble(self, url: str, places: Sequence[Place], pace: float) -> None:
        """Log everybody in at that server."""
        async with Rest(url) as rest:
            staff = []
            for place in places:
                one = await rest.another().log_in(place.employees[0], PASSWORD)
                staff.append(one)
            customers = [
                await rest.another().register(f"c{number}-{uuid.uuid4().hex[:8]}@example.com")
                for number in range(CUSTOMERS)
            ]
            chats = [
                (await one.post("/chats", {"subject": "Where is it?"})).must(201).json["id"]
                for one in customers
            ]
        for employee, place in zip(staff, places, strict=True):
            self._kitchen(employee, place, customers, pace)
        for number, (customer, chat) in enumerate(zip(customers, chats, strict=True)):
            self._customer(number, customer, staff[number % len(staff)], chat, pace)
        self.writers.append(Announcer("news", self.acknowledged, 2 * pace, self._door(staff[0])))

    def _door(self, rest: Rest) -> Door:
        assert rest.token is not None
        self._ports.rotate(1)
        return Door(self._ports.copy(), rest.token)

    def _kitchen(
        self, employee: Rest, place: Place, customers: Sequence[Rest], pace: float
    ) -> None:
        topic, path = f"restaurant:{place.id}", f"/restaurants/{place.id}/orders"
        for number in range(6):
            name = f"kitchen stream {place.name} {number}"
            door = self._door(employee)
            self.readers.append(StreamReader(name, door, topic, "/orders", f"{path}/stream"))
        for number in range(3):
            name = f"kitchen poll {place.name} {number}"
            door = self._door(employee)
            self.readers.append(PollReader(name, door, topic, "/orders", f"{path}/events"))
        self._news(f"employee {place.name}", employee, "employees")
        for number, driver in enumerate(place.drivers):
            name = f"driver {place.name} {number}"
            for polls in (False, True):
                way = "poll" if polls else "stream"
                door = self._door(employee)
                self.readers.append(LocationReader(f"{name} {way}", door, driver, polls=polls))
            door = self._door(employee)
            self.writers.append(Mover(name, self.acknowledged, pace, door, driver))
        for number in range(2):
            self.writers.append(
                Kitchen(
                    f"order-{place.name}-{number}",
                    self.acknowledged,
                    pace,
                    place,
                    [self._door(one) for one in customers],
                    [self._door(employee) for _ in range(3)],
                    self._newest,
                )
            )

    def _news(self, name: str, rest: Rest, audience: str) -> None:
        topic, path = f"announcements:{audience}", "/announcements"
        door = self._door(rest)
        self.readers.append(StreamReader(f"news {name}", door, topic, path, f"{path}/stream"))
        door = self._door(rest)
        self.readers.append(PollReader(f"news poll {name}", door, topic, path, f"{path}/events"))

    def _customer(
        self, number: int, customer: Rest, employee: Rest, chat: str, pace: float
    ) -> None:
        echoed, path = self.acknowledged.messages, f"/chats/{chat}"
        places = f"chat:{chat}", f"{path}/messages", f"{path}/ws"
        sockets = [
            SocketReader(f"chat {number} {name}", self._door(who), *places, echoed)
            for name, who in (("customer", customer), ("employee", employee))
        ]
        self.readers += sockets
        for socket in sockets:
            said = f"say-{socket.name.replace(' ', '-')}"
            self.writers.append(Caller(said, self.acknowledged, 2 * pace, socket, chat))
        if number % 2:
            self._news(f"customer {number}", customer, "customers")
        account = customer.grant["account"]["id"]
        self.readers.append(OrdersReader(f"orders {number}", self._door(customer), account))
        door = self._door(customer)
        newest = lambda: self._newest.get(door.token)  # noqa: E731
        self.readers.append(StatusReader(f"status {number}", door, newest))

    def write(self) -> None:
        """Begin to write."""
        self._writing = [self._task(one) for one in self.writers]

    def come(self) -> None:
        """All readers connect, each with its last cursor."""
        self._reading = [self._task(one) for one in self.readers]

    async def leave(self) -> None:
        """All readers close their connections."""
        tasks, self._reading = self._reading, []
        await _end(tasks)

    async def close(self) -> None:
        """End everybody."""
        await _end([*self._reading, *self._writing])

    def take(self) -> list[tuple[Reader, list[Stretch]]]:
        """What each reader has got since the last time."""
        return [(reader, reader.history.take()) for reader in self.readers]

    def _task(self, one: Reader | Writer) -> asyncio.Task[None]:
        task = asyncio.create_task(one.run(), name=one.name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.failed.done():
            return
        error = task.exception() or RuntimeError("ended")
        self.failed.set_exception(RuntimeError(f"{task.get_name()}: {error!r}"))


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
