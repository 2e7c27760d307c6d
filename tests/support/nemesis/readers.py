"""The clients: each follows something, comes back with its cursor, and keeps its history."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, Callable
from typing import Any

from server.realtime.event import Cursor
from support.nemesis.history import History
from support.nemesis.wire import ANSWER_SECONDS, LOST, Door, Refused, Reply
from support.raw_websocket import raw_websocket

IDLE_SECONDS = 5.0
"""Without a heartbeat for so long a client takes its connection for dead."""
POLL_SECONDS = 5


class Reader:
    """A client that follows one topic; `topic` is its name in the database."""

    def __init__(self, name: str, door: Door, topic: str) -> None:
        self.name = name
        self.door = door
        self.topic = topic
        self.history = History()
        self.cursor: str | None = None

    async def run(self) -> None:
        """Until cancelled."""
        self.history.note(f"comes with {self.cursor}")
        while True:
            try:
                if self.cursor is None:
                    await self.begin()
                await self.follow()
            except LOST as lost:
                self.history.note(f"{type(lost).__name__} {lost}"[:200])
                if isinstance(lost, TimeoutError):
                    self.door.turn()
            await asyncio.sleep(random.uniform(0.05, 0.25))

    async def begin(self) -> None:
        """Read the snapshot."""
        raise NotImplementedError

    async def follow(self) -> None:
        """Follow from the cursor on, until the connection ends."""
        raise NotImplementedError

    def reset(self) -> None:
        """The cursor is not honoured."""
        self.history.reset()
        self.cursor = None

    async def fetch(self, path: str) -> Any:
        """A GET that has to succeed. Raises Refused."""
        return succeeded(await self.door.ask("GET", path)).json

    async def pages(self, path: str) -> AsyncGenerator[Any]:
        """What is new, by long polling, until the cursor is not honoured. The cursor moves once a
        page has been dealt with."""
        while True:
            asked = f"{path}?after={self.cursor}&timeout={POLL_SECONDS}"
            reply = await self.door.ask("GET", asked, seconds=POLL_SECONDS + IDLE_SECONDS)
            if reply.status == 410:
                self.reset()
                return
            if succeeded(reply).status == 204:
                continue
            page = reply.json
            yield page
            self.cursor = page["cursor"]


def succeeded(reply: Reply) -> Reply:
    """The answer, if it is a success. Raises Refused."""
    if reply.status >= 300:
        raise Refused(reply.status, reply.body)
    return reply


def seq_of(cursor: str) -> int:
    """The number a cursor names."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, f"not a cursor: {cursor!r}"
    return parsed.seq


class LogReader(Reader):
    """A client of a topic of the log: kitchen, announcements, a chat."""

    def __init__(self, name: str, door: Door, topic: str, snapshot: str, path: str) -> None:
        super().__init__(name, door, topic)
        self.snapshot = snapshot
        self.path = path

    async def begin(self) -> None:
        """Read the snapshot, and start at its cursor."""
        cursor = (await self.fetch(self.snapshot))["cursor"]
        self.history.begin(seq_of(cursor))
        self.cursor = cursor


class StreamReader(LogReader):
    """By server-sent events."""

    async def follow(self) -> None:
        """See `Reader`."""
        async with contextlib.aclosing(
            self.door.stream(self.path, self.cursor, IDLE_SECONDS)
        ) as blocks:
            async for block in blocks:
                if block.type == "reset":
                    self.reset()
                    return
                if block.cursor is None:
                    continue  # out of band
                if block.type:
                    self.history.add(seq_of(block.cursor), block.type, json.loads(block.data))
                self.cursor = block.cursor


class PollReader(LogReader):
    """By long polling, where no stream passes."""

    async def follow(self) -> None:
        """See `Reader`."""
        async for page in self.pages(self.path):
            last = seq_of(page["cursor"])
            for number, event in enumerate(page["events"], last - len(page["events"]) + 1):
                self.history.add(number, event["type"], event["data"])


class SocketReader(LogReader):
    """A chat's WebSocket; what is in `unsent` is said, again after a cut, until it is echoed."""

    def __init__(
        self,
        name: str,
        door: Door,
        topic: str,
        snapshot: str,
        path: str,
        echoed: set[str],
    ) -> None:
        super().__init__(name, door, topic, snapshot, path)
        self.unsent: dict[str, str] = {}
        """Texts by `client_id`."""
        self.echoed = echoed
        """Acknowledged ones are added."""
        self.more = asyncio.Event()

    def say(self, client_id: str, text: str) -> None:
        """Send it as soon as there is a connection."""
        self.unsent[client_id] = text
        self.more.set()

    async def follow(self) -> None:
        """See `Reader`."""
        headers = {"Authorization": f"Bearer {self.door.token}"}
        path = f"/api/v1{self.path}?after={self.cursor}"
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    socket = await stack.enter_async_context(
                        raw_websocket(self.door.port, path, headers)
                    )
            except AssertionError as error:  # no 101
                raise Refused(0, str(error).encode()) from None
            except ConnectionRefusedError:
                self.door.turn()
                raise

            async def talk() -> None:
                said = set[str]()
                with contextlib.suppress(*LOST):
                    while True:
                        for client_id in [one for one in self.unsent if one not in said]:
                            said.add(client_id)
                            text = self.unsent[client_id]
                            await socket.send(
                                json.dumps(
                                    {"type": "message", "client_id": client_id, "text": text}
                                )
                            )
                        self.more.clear()
                        await self.more.wait()

            talking = asyncio.create_task(talk())
            stack.callback(talking.cancel)
            while True:
                frame = json.loads(await socket.text(IDLE_SECONDS))
                if frame["type"] == "reset":
                    self.reset()
                    return
                if frame["type"] == "error":
                    self.history.note(str(frame))
                    return  # come back, and say it again
                if "cursor" not in frame:
                    continue  # of the room's state
                if self.unsent.pop(frame.get("client_id", ""), None) is not None:
                    self.echoed.add(frame["client_id"])
                if frame.get("again"):
                    continue  # the answer to what was sent twice
                self.cursor, kind = frame.pop("cursor"), frame.pop("type")
                self.history.add(seq_of(self.cursor), kind, frame)


class LocationReader(Reader):
    """A driver's location, by server-sent events or by long polling; there is no snapshot."""

    def __init__(self, name: str, door: Door, driver_id: str, *, polls: bool) -> None:
        super().__init__(name, door, f"state/driver:{driver_id}")
        self.driver_id = driver_id
        self.polls = polls

    async def begin(self) -> None:
        """The newest comes at once."""
        self.history.begin(0)
        self.cursor = ""

    async def follow(self) -> None:
        """See `Reader`."""
        path = f"/drivers/{self.driver_id}/location"
        while self.polls:
            after = f"after={self.cursor}&" if self.cursor else ""
            reply = await self.door.ask(
                "GET", f"{path}?{after}timeout={POLL_SECONDS}", seconds=POLL_SECONDS + IDLE_SECONDS
            )
            if succeeded(reply).status == 200:
                found = reply.json
                self.history.add(found["seq"], "location", found)
                self.cursor = str(found["seq"])
        blocks = self.door.stream(f"{path}/stream", self.cursor or None, IDLE_SECONDS)
        async with contextlib.aclosing(blocks):
            async for block in blocks:
                if block.type == "reset":
                    self.reset()
                    return
                if block.cursor is None:
                    continue
                if block.type == "location":
                    found = json.loads(block.data)
                    self.history.add(found["seq"], block.type, found)
                self.cursor = block.cursor


class OrdersReader(Reader):
    """A customer's list of orders: by long polling, each order as it is by then."""

    def __init__(self, name: str, door: Door, account_id: str) -> None:
        super().__init__(name, door, f"state/customer:{account_id}")
        self.account_id = account_id
        self.versions: dict[str, int] = {}
        """The last one of each order that was seen."""

    async def begin(self) -> None:
        """Read the snapshot."""
        page = await self.fetch("/orders")
        self.history.begin(seq_of(page["cursor"]))
        self.versions |= {order["id"]: order["version"] for order in page["items"]}
        self.cursor = page["cursor"]

    async def follow(self) -> None:
        """See `Reader`."""
        async for page in self.pages("/orders"):
            for order in page["items"]:
                self.versions[order["id"]] = order["version"]
                self.history.add(seq_of(page["cursor"]), "order", order)


class StatusReader(Reader):
    """A customer's newest order until it is delivered, by long polling; then the next one."""

    def __init__(self, name: str, door: Door, newest: Callable[[], str | None]) -> None:
        super().__init__(name, door, "")
        self.newest = newest
        self.order_id: str | None = None
        self.status: str | None = None
        self._last: str | None = None

    async def begin(self) -> None:
        """Take up an order, unless it is the one before."""
        found = self.newest()
        if found is not None and found != self._last:
            self.order_id = self._last = found
            self.status, self.cursor = None, ""
            self.history.begin(0)

    async def follow(self) -> None:
        """See `Reader`."""
        while self.order_id is not None:
            known = f"last_status={self.status}&" if self.status else ""
            path = f"/orders/{self.order_id}/status?{known}timeout={POLL_SECONDS}"
            reply = await self.door.ask("GET", path, seconds=POLL_SECONDS + IDLE_SECONDS)
            if reply.status == 404:  # lost in a failover
                self.order_id = None
                self.reset()
                return
            if succeeded(reply).status == 204:
                continue
            found = reply.json
            self.history.add(found["version"], "status", found)
            self.status = found["status"]
            if found["terminal"]:
                self.order_id = self.cursor = None
