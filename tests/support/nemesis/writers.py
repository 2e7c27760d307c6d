"""Those who write: orders and their steps, messages, announcements, drivers' positions.

Each sends again until it is answered, and knows what was acknowledged.
"""

import asyncio
import itertools
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.nemesis.ledger import Ledger
from support.nemesis.readers import SocketReader
from support.nemesis.wire import LOST, Door, Refused, Reply
from support.town import HOME, Place

WAY = ("accepted", "preparing", "ready", "out_for_delivery", "delivered")
UNAVAILABLE = (502, 503, 504)


@dataclass
class Acknowledged:
    """What servers have said is stored."""

    orders: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Note and version of each, by id."""
    messages: set[str] = field(default_factory=set)
    announcements: set[str] = field(default_factory=set)
    attempted: set[str] = field(default_factory=set)
    """Notes, client ids and titles, acknowledged or not."""
    answers: list[str] = field(default_factory=list)
    """Answers that no server should give."""

    @property
    def count(self) -> int:
        """How many writes."""
        return len(self.orders) + len(self.messages) + len(self.announcements)

    def copy(self) -> "Acknowledged":
        """As it is now; what is attempted later counts too."""
        return Acknowledged(
            dict(self.orders), set(self.messages), set(self.announcements), self.attempted
        )

    def missing(self, ledger: Ledger) -> list[str]:
        """What is wrong with what is stored: it is missing, or stored twice."""
        found, notes = list[str](), [note for _, _, _, note in ledger.orders.values()]
        for order, (note, version) in self.orders.items():
            stored = ledger.orders.get(order)
            if stored is None or stored[3] != note or stored[1] < version:
                found.append(f"order {note} at {version} is stored as {stored}")
        kinds = ((self.messages, ledger.messages), (self.announcements, ledger.announcements))
        for acknowledged, stored_ones in kinds:
            found += [f"{one} is missing" for one in acknowledged if not stored_ones[one]]
        everything = [*notes, *ledger.messages.elements(), *ledger.announcements.elements()]
        counts = dict.fromkeys(everything, 0)
        for one in everything:
            counts[one] += 1
        found += [f"{one} is stored {n} times" for one, n in counts.items() if n > 1]
        found += [f"{one} was sent by nobody" for one in counts if one not in self.attempted]
        return found

    def forget_undone(self, ledger: Ledger) -> None:
        """A failover has lost some of it: what is stored now is what counts."""
        self.orders = {
            order: (note, min(version, ledger.orders[order][1]))
            for order, (note, version) in self.orders.items()
            if order in ledger.orders
        }
        self.messages &= set(ledger.messages)
        self.announcements &= set(ledger.announcements)


class Writer:
    """Sends until it is answered."""

    def __init__(self, name: str, acknowledged: Acknowledged, pace: float) -> None:
        """`pace` is in seconds between two writes, at least."""
        self.name = name
        self.acknowledged = acknowledged
        self.pace = pace

    async def run(self) -> None:
        """Until cancelled."""
        for number in itertools.count(1):
            await self.write(f"{self.name}-{number}-{uuid.uuid4().hex[:6]}")
            await self.pause()

    async def write(self, name: str) -> None:
        """One thing; `name` is used once."""
        raise NotImplementedError

    async def pause(self) -> None:
        """Between two writes."""
        await asyncio.sleep(self.pace * random.uniform(0.7, 1.3))

    async def send(
        self,
        door: Door,
        method: str,
        path: str,
        body: object,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
    ) -> Reply | None:
        """The answer, once a server has given one; None where it is lost and not sent `again`."""
        while True:
            try:
                reply = await door.ask(method, path, body, headers)
            except LOST as lost:
                reply = None
                if isinstance(lost, TimeoutError):
                    door.turn()
            else:
                if reply.status == 500:
                    self.acknowledged.answers.append(f"{method} {path}: {reply.body[:300]!r}")
                elif reply.status not in UNAVAILABLE:
                    return reply
            if not again:
                return None
            await asyncio.sleep(0.3)


class Kitchen(Writer):
    """Places orders at a restaurant and delivers them, one after the other."""

    def __init__(
        self,
        name: str,
        acknowledged: Acknowledged,
        pace: float,
        place: Place,
        customers: list[Door],
        employees: list[Door],
        newest: dict[str, str],
    ) -> None:
        super().__init__(name, acknowledged, pace)
        self.place = place
        self.customers = customers
        self.employees = employees
        self.newest = newest
        """The newest order of each customer, by token."""

    async def write(self, name: str) -> None:
        """An order, from its placing to the door."""
        self.acknowledged.attempted.add(name)
        customer = random.choice(self.customers)
        items = [{"menu_item_id": self.place.dishes[0], "quantity": 1}]
        order = {"restaurant_id": self.place.id, "items": items, "address": HOME, "note": name}
        reply = await self.send(customer, "POST", "/orders", order, {"Idempotency-Key": name})
        if reply is None or reply.status != 201:
            raise Refused(reply.status if reply else 0, reply.body if reply else b"")
        order_id = str(reply.json["id"])
        self.acknowledged.orders[order_id] = name, 1
        self.newest[customer.token] = order_id
        for status in WAY:
            await self.pause()
            if not await self._step(order_id, name, status):
                return

    async def _step(self, order_id: str, name: str, status: str) -> bool:
        """False where the order is no longer there, or not where it was: a failover lost that."""
        body: dict[str, object] = {"status": status}
        if status == "out_for_delivery":
            body["driver_id"] = random.choice(self.place.drivers)
        path, employee = f"/orders/{order_id}", random.choice(self.employees)
        reply = await self.send(employee, "POST", f"{path}/status", body)
        if reply is not None and reply.status == 409:  # done before, and the answer was lost
            reply = await self.send(employee, "GET", path, None)
        if reply is None or reply.status != 200 or reply.json["status"] != status:
            return False
        self.acknowledged.orders[order_id] = name, int(reply.json["version"])
        return True


class Announcer(Writer):
    """Announces to everyone. What was not answered is not sent again, as it has no key."""

    def __init__(self, name: str, acknowledged: Acknowledged, pace: float, door: Door) -> None:
        super().__init__(name, acknowledged, pace)
        self.door = door

    async def write(self, name: str) -> None:
        """One announcement."""
        self.acknowledged.attempted.add(name)
        news = {"title": name, "body": "Rain.", "severity": "info", "audience": "everyone"}
        reply = await self.send(self.door, "POST", "/announcements", news, again=False)
        if reply is not None and reply.status == 201:
            self.acknowledged.announcements.add(name)


class Mover(Writer):
    """Moves a driver."""

    def __init__(
        self, name: str, acknowledged: Acknowledged, pace: float, door: Door, driver_id: str
    ) -> None:
        super().__init__(name, acknowledged, pace)
        self.door = door
        self.driver_id = driver_id
        self._north = random.uniform(0, 0.02)

    async def write(self, name: str) -> None:
        """A few metres to the north."""
        self._north += 0.00005
        position = {"lat": round(48.85 + self._north, 6), "lng": 2.35}
        path = f"/drivers/{self.driver_id}/location"
        await self.send(self.door, "PUT", path, position, again=False)


class Caller(Writer):
    """Writes in a chat: in turns over its socket, and by a request."""

    def __init__(
        self, name: str, acknowledged: Acknowledged, pace: float, socket: SocketReader, chat_id: str
    ) -> None:
        super().__init__(name, acknowledged, pace)
        self.socket = socket
        self.chat_id = chat_id

    async def write(self, name: str) -> None:
        """One message."""
        self.acknowledged.attempted.add(name)
        if random.random() < 0.5:
            self.socket.say(name, f"Where is it? {name}")
            return
        message = {"client_id": name, "text": f"Hello? {name}"}
        path = f"/chats/{self.chat_id}/messages"
        reply = await self.send(self.socket.door, "POST", path, message)
        if reply is not None and reply.status in (200, 201):
            self.acknowledged.messages.add(name)
