"""Connections whose answer is a stream: aiohttp's parser, request and tasks are freed meanwhile."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable

from aiohttp import web

from server.core.sockets import Sockets

IGNORED_BYTES = 64 * 1024
"""How much is read, and dropped, of what a client sends while its stream is open."""


class StreamConnection(asyncio.Protocol):
    """A connection that only writes, from after an answer's head until it closes."""

    __slots__ = ("_address", "_ignored", "_log", "_room", "_streams", "full", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        """Where it writes, once it has taken over a connection."""
        self.full = False
        """Whether so much waits for the client that no more should be written."""
        self._log: Callable[[int], None] | None = None
        self._streams: Streams | None = None
        self._address = ""
        self._ignored = 0
        self._room: asyncio.Future[None] | None = None

    @property
    @abstractmethod
    def status(self) -> int:
        """The status with which the request is logged once the connection has closed."""

    @abstractmethod
    def end_wait(self) -> None:
        """End the stream: the client has closed its side, and may have gone."""

    @property
    def open(self) -> bool:
        """Whether it has a connection."""
        return self._streams is not None

    def take_over(
        self, transport: asyncio.Transport, full: bool, address: str, streams: "Streams"
    ) -> None:
        """Own the connection from now on, which is `full` already or not."""
        self.transport, self.full = transport, full
        self._address, self._streams = address, streams
        streams.add(self)
        transport.set_protocol(self)
        transport.resume_reading()  # else nobody notices that the client leaves

    def on_close(self, log: Callable[[int], None]) -> None:
        """Call `log` with the request's status once the connection has closed."""
        if self._streams is not None:
            self._log = log
        else:
            log(self.status)

    def abort(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self.transport.abort()

    async def drain(self, seconds: float) -> None:
        """Returns once the client has read what waits for it, or has gone.

        Raises TimeoutError where it reads nothing for so many seconds.
        """
        while self.full:
            before = self.transport.get_write_buffer_size()
            room = self._room
            if room is None:
                room = self._room = asyncio.get_running_loop().create_future()
            await asyncio.wait((room,), timeout=seconds)
            if not room.done() and self.transport.get_write_buffer_size() >= before:
                raise TimeoutError("the client reads nothing")

    def pause_writing(self) -> None:
        """More waits for the client than may."""
        self.full = True

    def resume_writing(self) -> None:
        """The client has read most of it."""
        self.full = False
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def data_received(self, data: bytes) -> None:
        """Drop it: the connection closes after the stream."""
        self._ignored += len(data)
        if self._ignored > IGNORED_BYTES:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has closed its side: end properly."""
        self.end_wait()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop counting it."""
        self.resume_writing()
        if self._streams is not None:
            self._streams.remove(self, self._address)
            self._streams = None
        if self._log is not None:
            self._log(self.status)
            self._log = None


STREAM = web.RequestKey("stream", StreamConnection)
"""Set where the request's connection has been handed over to a stream."""


class Streams:
    """The streams of a server, whose connections keep counting."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._open: dict[StreamConnection, None] = {}
        self._none_left: asyncio.Future[None] | None = None

    @property
    def buffered(self) -> int:
        """Bytes that wait in this process for the clients of all of them."""
        return sum(stream.transport.get_write_buffer_size() for stream in self._open)

    def add(self, stream: StreamConnection) -> None:
        """It has begun."""
        self._open[stream] = None

    def remove(self, stream: StreamConnection, address: str) -> None:
        """Its connection, from that address, has closed."""
        self._sockets.release(address)
        del self._open[stream]
        if not self._open and self._none_left is not None and not self._none_left.done():
            self._none_left.set_result(None)

    async def closed(self) -> None:
        """Returns once none is open."""
        while self._open:
            self._none_left = asyncio.get_running_loop().create_future()
            await self._none_left

    def abort(self) -> None:
        """Drop those that are left."""
        for stream in tuple(self._open):
            stream.abort()
