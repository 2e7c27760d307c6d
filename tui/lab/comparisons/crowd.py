"""A crowd of readers of one stream, on plain sockets, so that a thousand cost the lab little."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from tui.common.processes import ChildError
from tui.lab.histogram import Histogram

ItemT = TypeVar("ItemT")
OPENING = 64
"""Connections that are opened at a time."""
CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 20.0
DATA = b"data: {"
EVENT = re.compile(rb'"seq": ?(\d+)(?:, ?"monotonic": ?([0-9.]+))?')
EVENT_HEAD = 300
"""Bytes of an event in which these are found."""
SLOW_BUFFER = 4096
"""Of the kernel of a reader that will stop reading: what it holds is soon full."""
ASK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Address:
    """A stream, or another resource, and how it is asked for."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self, method: str = "GET", body: bytes = b"", *, close: bool = True) -> bytes:
        """The bytes of a request; `close`: on a connection of its own."""
        parts = urlsplit(self.url)
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        headers = {"Host": parts.netloc, **self.headers}
        if close:
            headers["Connection"] = "close"
        if body:
            headers["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80


async def ask(
    address: Address, method: str = "GET", body: bytes = b"", *, seconds: float = ANSWER_SECONDS
) -> bytes:
    """The body of a whole answer, on a connection of its own. Raises OSError: TimeoutError after
    so many seconds, ConnectionError for any other status than 2xx."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(*address.where)
        try:
            writer.write(address.request(method, body))
            head, _, found = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
    if head[9:10] != b"2":
        raise ConnectionError(f"{address.url} was answered with {head[9:12].decode() or 'nothing'}")
    return found


async def connect_all(
    count: int, connect: Callable[[], Awaitable[ItemT]], address: Address
) -> list[ItemT]:
    """Connect to it so many times, some at a time. Raises ChildError where one fails."""
    opening = asyncio.Semaphore(OPENING)

    async def bounded() -> ItemT:
        async with opening, asyncio.timeout(CONNECT_SECONDS):
            return await connect()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bounded()) for _ in range(count)]
    except* (OSError, EOFError) as errors:
        why = str(errors.exceptions[0]) or f"no answer within {CONNECT_SECONDS:.0f} s"
        raise ChildError(
            f"Of {count} connections to {urlsplit(address.url).netloc} one failed: {why}. Take"
            " fewer --readers, or look whether something else keeps this machine busy."
        ) from None
    return [task.result() for task in tasks]


class Reader(asyncio.Protocol):
    """One connection that was asked for a stream. Its events have a `seq`; some have as `monotonic`
    the time at which they were made."""

    def __init__(self, crowd: Crowd) -> None:
        self.seqs: list[int] = []
        """Of the events that have arrived, in this order."""
        self.begun = asyncio.get_running_loop().create_future()
        """The status of the answer, once its head is here; 0 where the connection ends before."""
        self._crowd = crowd
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._crowd.address.request())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._unread += data
        if not self.begun.done():
            if (end := self._unread.find(b"\r\n\r\n")) < 0:
                return
            self.begun.set_result(int(self._unread[9:12]))
            del self._unread[: end + 4]
        if (end := self._unread.rfind(b"\n\n")) >= 0:
            blocks = bytes(self._unread[:end])
            del self._unread[: end + 2]
            at = -1
            while (at := blocks.find(DATA, at + 1)) >= 0:
                # What is wanted comes first: to parse all of it would keep the lab busy.
                if event := EVENT.search(blocks, at, at + EVENT_HEAD):
                    self.seqs.append(int(event[1]))
                    if event[2]:
                        self._crowd.arrived(self, now - float(event[2]))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_result(0)

    def pause(self) -> None:
        """Read nothing any more."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        assert self._transport is not None
        self._transport.resume_reading()

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.abort()


class Crowd:
    """Readers of one stream, which leave with the block."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.readers: list[Reader] = []
        self.latency = Histogram()
        """Of all arrivals but those of the readers in `apart`; a new one may be put here."""
        self.apart: set[Reader] = set()

    async def __aenter__(self) -> Crowd:
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self.readers:
            reader.close()

    def arrived(self, reader: Reader, latency: float) -> None:
        """An event has reached a reader."""
        if reader not in self.apart:
            self.latency.add(latency)

    async def join(self, count: int, *, buffer: int = 0) -> list[Reader]:
        """Let so many more connect; returns once all are answered. `buffer` is that of the kernel
        of each, in bytes. Raises ChildError."""

        async def one() -> Reader:
            reader = await self._connect(buffer)
            if (status := await reader.begun) != 200:
                raise ConnectionError(f"it answered with {status or 'nothing'}")
            return reader

        return await connect_all(count, one, self.address)

    async def _connect(self, buffer: int) -> Reader:
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setblocking(False)
        reader = Reader(self)
        self.readers.append(reader)
        try:
            if buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            await loop.sock_connect(connection, self.address.where)
            await loop.create_connection(lambda: reader, sock=connection)
        except BaseException:
            connection.close()
            raise
        return reader


async def until(fact: Callable[[], bool | Awaitable[bool]], seconds: float) -> bool:
    """Wait for it so long; whether it came."""
    deadline = time.monotonic() + seconds
    while True:
        told = fact()
        if told if isinstance(told, bool) else await told:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(ASK_SECONDS)


async def publish(address: Address, count: int, rate: float, size: int) -> None:
    """Send a broadcaster so many events, at that rate, on one connection so that they keep their
    order. Raises ChildError where it does not take them."""
    answers = b""
    try:
        async with asyncio.timeout(count / rate + ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(*address.where)
            try:
                began = time.monotonic()
                for seq in range(1, count + 1):
                    await asyncio.sleep(began + (seq - 1) / rate - time.monotonic())
                    event = {"seq": seq, "monotonic": time.monotonic(), "padding": "x" * size}
                    writer.write(address.request("POST", json.dumps(event).encode(), close=False))
                writer.write_eof()
                answers = await reader.read()
            finally:
                writer.close()
    except OSError as error:
        why = str(error) or f"no answer within {ANSWER_SECONDS:.0f} s"
        raise ChildError(f"{address.url} took no more events: {why}") from None
    if (taken := answers.count(b"HTTP/1.1 200 ")) != count:
        raise ChildError(f"{address.url} took {taken} of {count} events.")
