"""HTTP/1.1, server-sent events and WebSocket handshakes by hand, each on a socket of its own.

The apps' client library is not used: it would hide what servers do wrong.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 12.0
"""A client waits so long for an answer, and then sends again on another connection."""
CONNECT_SECONDS = 3.0


class Refused(Exception):
    """The server answered with another status than a success."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:300]!r}")
        self.status = status
        self.body = body


LOST = (OSError, EOFError, TimeoutError, Refused, asyncio.IncompleteReadError)
"""What a connection may end with while something is broken."""


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """Its body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Block:
    """A block of an event stream that has data."""

    cursor: str | None
    type: str
    data: str


@dataclass
class Door:
    """Where an account connects to, and with which token: from one of the ports that does not
    answer, it turns to the next one."""

    ports: deque[int]
    token: str

    @property
    def port(self) -> int:
        """The present one."""
        return self.ports[0]

    def turn(self) -> None:
        """The present port does not answer."""
        self.ports.rotate(-1)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Reply:
        """Send a request and read its answer. Raises one of LOST."""
        data = b"" if body is None else json.dumps(body).encode()
        more = {"Content-Type": "application/json"} if data else {}
        async with (
            asyncio.timeout(seconds),
            self._sent(method, path, data, headers, more) as reader,
        ):
            status, answered = await _head(reader)
            if status == 204:
                return Reply(status, b"")
            parts = [part async for part in _body(reader, answered)]
            return Reply(status, b"".join(parts))

    async def stream(self, path: str, after: str | None, idle: float) -> AsyncIterator[Block]:
        """The blocks of an event stream; ends where the server ends it.

        Raises one of LOST, also where nothing at all arrives for `idle` seconds.
        """
        headers = {} if after is None else {"Last-Event-ID": after}
        async with self._sent("GET", path, b"", headers, {}) as reader:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, answered = await _head(reader)
            if status != 200:
                async with asyncio.timeout(ANSWER_SECONDS):
                    parts = [part async for part in _body(reader, answered)]
                raise Refused(status, b"".join(parts))
            text, pieces = b"", _body(reader, answered)
            while True:
                async with asyncio.timeout(idle):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                text += piece
                *blocks, text = text.split(b"\n\n")
                for block in blocks:
                    found = _block(block.decode())
                    if found is not None:
                        yield found

    @contextlib.asynccontextmanager
    async def _sent(
        self,
        method: str,
        path: str,
        data: bytes,
        *headers: Mapping[str, str] | None,
    ) -> AsyncIterator[asyncio.StreamReader]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionRefusedError:
            self.turn()
            raise
        try:
            lines = {"Host": "localhost", "Connection": "close"}
            lines |= {"Authorization": f"Bearer {self.token}", "Content-Length": str(len(data))}
            for some in headers:
                lines |= some or {}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(f"{method} /api/v1{path} HTTP/1.1\r\n{head}\r\n".encode() + data)
            yield reader
        finally:
            writer.transport.abort()


def _block(text: str) -> Block | None:
    """A block with data; None for a comment, and for the cursor that a stream begins with."""
    cursor, kind, data = None, "message", list[str]()
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            cursor = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
    if not data and cursor is None:
        return None
    return Block(cursor, kind if data else "", "\n".join(data))


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """The body as it arrives, without the framing."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while piece := await reader.read(65_536):
            yield piece
