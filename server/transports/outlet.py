"""The way out over one aiohttp connection: how much may wait in it, and waiting for its reader."""

import asyncio
import contextlib
import socket

from aiohttp.abc import AbstractStreamWriter

from server.core.connection import KERNEL_BUFFER

BUFFER = 64 * 1024
"""Bytes that may wait for a client in this process; beyond that it has to catch up."""
CLOSE_SECONDS = 5.0
"""How long a client may take to read what is left for it, and to answer a close."""
RETRY_MS = (500, 2500)
"""Between these a client is told to wait before it connects again, at random."""


def limit_buffers(
    transport: asyncio.Transport, buffer: int = BUFFER, kernel_buffer: int = KERNEL_BUFFER
) -> None:
    """Let at most that many bytes wait for its client here, and in the kernel."""
    transport.set_write_buffer_limits(high=buffer)
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer)


class Outlet:
    """A connection's transport, written to directly, past aiohttp's writer."""

    __slots__ = ("_buffer", "_draining", "_stalled_seconds", "_writer", "transport")

    def __init__(
        self,
        transport: asyncio.Transport | None,
        writer: AbstractStreamWriter,
        stalled_seconds: float,
        buffer: int = BUFFER,
        kernel_buffer: int = KERNEL_BUFFER,
    ) -> None:
        assert transport is not None
        self.transport = transport
        self._writer = writer
        self._stalled_seconds = stalled_seconds
        self._buffer = buffer
        self._draining: asyncio.Task[None] | None = None
        limit_buffers(transport, buffer, kernel_buffer)

    @property
    def backlogged(self) -> bool:
        """Whether more bytes wait here than may."""
        return self.transport.get_write_buffer_size() > self._buffer

    async def drain(self) -> None:
        """Returns once the client has read what waits here.

        Raises TimeoutError where it reads nothing for `stalled_seconds`, ConnectionError where it
        has gone.
        """
        # Everybody who waits for a connection of aiohttp's shares one future. Cancelling one of
        # them would cancel it for the others, so this task is never cancelled.
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain(), name="drain")
        while not self.transport.is_closing():
            before = self.transport.get_write_buffer_size()
            await asyncio.wait({self._draining}, timeout=self._stalled_seconds)
            if self._draining.done():
                break
            if self.transport.get_write_buffer_size() >= before:
                raise TimeoutError("the client reads nothing")
        if self.transport.is_closing():
            raise ConnectionResetError("the client has gone")

    async def _drain(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
