"""A TCP relay in front of a server, whose connections can be cut, refused, slowed and stalled."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

CHOPPED = (1, 7, 100, 4096, 65_536)
WHOLE = (65_536,)


class Relay:
    """Passes bytes in both directions; `url` is where to connect.

    `target` may change at any time, for connections made from then on. `delay` is in seconds, for
    each piece in each direction.
    """

    def __init__(self, target: str, sizes: tuple[int, ...] = CHOPPED) -> None:
        """`sizes`: bytes that a piece has at most, at random."""
        self.target = target
        self.url = ""
        self.port = 0
        self.cuts = 0
        self.delay = 0.0
        self.refusing = False
        self._sizes = sizes
        self._to_server, self._to_client = asyncio.Event(), asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.heal()

    def heal(self) -> None:
        """Pass everything on at once; what was held back comes first."""
        self.delay, self.refusing = 0.0, False
        self._to_server.set()
        self._to_client.set()

    def stall(self, *, to_server: bool = False, to_client: bool = False) -> None:
        """Hold back what goes that way; connections stay open."""
        if to_server:
            self._to_server.clear()
        if to_client:
            self._to_client.clear()

    def refuse(self) -> None:
        """Reset every connection, and each new one."""
        self.refusing = True
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        self.cuts += bool(self._writers)
        for writer in [*self._writers]:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._writers.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            if self.refusing:
                return
            address = urlsplit(self.target)
            far_reader, far_writer = await asyncio.open_connection(address.hostname, address.port)
            self._writers.add(far_writer)
            ways = [
                asyncio.create_task(self._pass(reader, far_writer, self._to_server)),
                asyncio.create_task(self._pass(far_reader, writer, self._to_client)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except OSError:
            pass
        finally:
            for one in (writer, far_writer):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(random.choice(self._sizes)):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await way.wait()
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def relay_to(url: str, sizes: tuple[int, ...] = CHOPPED) -> AsyncIterator[Relay]:
    """A relay in front of the server at that address, on a free port."""
    relay = Relay(url, sizes)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    relay.url = f"http://127.0.0.1:{relay.port}"
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
        for task in [*relay._serving]:
            task.cancel()
        if relay._serving:
            await asyncio.wait(relay._serving)
