"""A comparison: server-sent events without a log, in three ways in which they are often written.

`POST /` sends the body as an event to everyone who reads `GET /`. The ways differ in what stands
between the two: `turn` writes to one reader after the other, `queue` has a queue for each reader,
which has no limit, and `redis` a connection to Redis for each reader. `GET /longest` says how many
events the longest queue holds.
"""

import argparse
import asyncio
import contextlib
import re
import socket
from asyncio import StreamReader, StreamWriter
from typing import Protocol

import uvloop
from redis.asyncio import Redis

CHANNEL = "events"
KERNEL_BUFFER = 64 * 1024
"""What may wait for a reader in the kernel: the same as the product allows."""
MOST_CONNECTIONS = 100_000
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Way(Protocol):
    """How events come from who publishes them to who reads them."""

    async def publish(self, event: bytes) -> None:
        """Send it to all readers."""
        ...

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Send a reader every event from now on, until its connection ends."""
        ...

    def longest(self) -> int:
        """How many events wait for the slowest reader in this process."""
        ...


class InTurn:
    """Each event is written to one reader after the other."""

    def __init__(self) -> None:
        self._writers: list[StreamWriter] = []
        self._events: asyncio.Queue[bytes] = asyncio.Queue()
        self._sending: asyncio.Task[None] | None = None

    async def publish(self, event: bytes) -> None:
        self._events.put_nowait(event)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(STREAM)
        self._writers.append(writer)
        await reader.read()
        self._writers.remove(writer)

    def longest(self) -> int:
        return self._events.qsize()

    async def _send(self) -> None:
        while True:
            event = await self._events.get()
            for writer in tuple(self._writers):
                with contextlib.suppress(ConnectionError):
                    writer.write(event)
                    await writer.drain()


class QueueEach:
    """Each reader has a queue."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    async def publish(self, event: bytes) -> None:
        for queue in self._queues:
            queue.put_nowait(event)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        writer.write(STREAM)
        try:
            while True:
                writer.write(await queue.get())
                await writer.drain()
        finally:
            self._queues.remove(queue)

    def longest(self) -> int:
        return max((queue.qsize() for queue in self._queues), default=0)


class RedisEach:
    """Each reader has a connection to Redis, which has the queue."""

    def __init__(self, url: str) -> None:
        # Of its own accord the client stops at a hundred.
        self._redis: Redis = Redis.from_url(url, max_connections=MOST_CONNECTIONS)

    async def publish(self, event: bytes) -> None:
        await self._redis.publish(CHANNEL, event)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    writer.write(STREAM)
                else:
                    writer.write(message["data"])
                await writer.drain()

    def longest(self) -> int:
        return 0


async def serve(way: Way, port: int) -> None:
    """Serve until the process is told to end."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"POST "):
                length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                await way.publish(b"data: " + body + b"\n\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if head.startswith(b"GET / "):
                await way.serve(reader, writer)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%d" % way.longest())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("turn", "queue", "redis"))
    parser.add_argument("--redis", metavar="URL", default="")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()

    async def run() -> None:
        way: Way
        if options.way == "turn":
            way = InTurn()
        elif options.way == "queue":
            way = QueueEach()
        else:
            way = RedisEach(options.redis)
        await serve(way, options.port)

    uvloop.run(run())


if __name__ == "__main__":
    main()
