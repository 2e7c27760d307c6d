"""The stock Socket.IO clients, JavaScript's and Python's, each a member of a room that resends
every message until it is acknowledged."""

import asyncio
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import socketio

from support.rest import Rest
from support.waiting import PATIENCE, wait_until


class Member(ABC):
    """A client and the events it received."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.acknowledged = 0
        self.told: list[tuple[str, Any]] = []

    @abstractmethod
    async def send(self, count: int) -> None:
        """Send this many messages at once, named `own0` and so on."""

    def hear(self, name: str, data: Any) -> None:
        """An event that it received."""
        self.told.append((name, data))
        if name == "message" and not data.get("again"):
            self.messages.append(data)
        self.acknowledged += name == "acknowledged"

    async def next(self, name: str) -> Any:
        """The data of the received events of that name; each is returned once."""
        found = await wait_until(
            lambda: [one for one in self.told if one[0] == name],
            PATIENCE,
            what=f"it is told {name}",
        )
        self.told.remove(found[0])
        return found[0][1]


class JavaScriptMember(Member):
    """The client's process, which prints the events it receives."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process

    async def send(self, count: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n".encode())

    async def read(self) -> None:
        """Read its output to the end."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            self.hear(told["name"], told.get("data"))


@asynccontextmanager
async def javascript_member(
    script: Path, rest: Rest, chat_id: str, transport: str, after: str = ""
) -> AsyncIterator[Member]:
    """Run it until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(script), rest.base_url, rest.token or "", chat_id, after, transport),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 20,
    )
    found = JavaScriptMember(process)
    reading = asyncio.create_task(found.read())
    try:
        yield found
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait({reading}, timeout=PATIENCE)
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


class PythonMember(Member):
    """The client in this process."""

    def __init__(self, client: Any, chat_id: str, after: str) -> None:
        super().__init__()
        self._client = client
        self._chat_id = chat_id
        self._after = after or None
        self._unacknowledged: dict[str, dict[str, Any]] = {}
        self._count = 0
        self._joined = False
        client.on("connect", self._connected)
        client.on("disconnect", self._disconnected)
        client.on("*", self._told)

    async def send(self, count: int) -> None:
        for number in range(self._count, self._count + count):
            message = {"chat_id": self._chat_id, "client_id": f"own{number}", "text": f"{number} ☃"}
            self._unacknowledged[f"own{number}"] = message
            if self._joined:
                await self._emit(message)
        self._count += count

    async def _connected(self) -> None:
        def joined(answer: Any) -> None:
            self.hear("joined", answer)
            self._sending = asyncio.create_task(self._send_again())

        # First, as events received from now on are returned later.
        await self._client.emit(
            "join", {"chat_id": self._chat_id, "after": self._after}, callback=joined
        )

    async def _send_again(self) -> None:
        self._joined = True
        for message in [*self._unacknowledged.values()]:
            await self._emit(message)

    async def _emit(self, message: dict[str, Any]) -> None:
        def answered(answer: dict[str, Any]) -> None:
            refused = answer.get("type") == "error"
            if not refused:
                self._unacknowledged.pop(message["client_id"], None)
            self.hear("refused" if refused else "acknowledged", answer)

        await self._client.emit("message", message, callback=answered)

    def _disconnected(self, reason: object = None) -> None:
        self._joined = False
        self.hear("disconnect", reason)

    def _told(self, name: str, data: Any) -> None:
        if name == "message" and not data.get("again"):
            self._after = data["cursor"]
        self.hear(name, data)


@asynccontextmanager
async def python_member(
    rest: Rest, chat_id: str, transport: str, after: str = ""
) -> AsyncIterator[Member]:
    """Connect it until the block ends."""
    client = socketio.AsyncClient(
        reconnection_delay=0.1, reconnection_delay_max=0.5, randomization_factor=0.1
    )
    found = PythonMember(client, chat_id, after)
    await client.connect(
        rest.base_url,
        auth={"token": rest.token},
        transports=transport.split(","),
        wait_timeout=PATIENCE,
    )
    try:
        yield found
    finally:
        await client.shutdown()
