"""How much may wait for a client, and for how long."""

import asyncio
import socket

from server.core.connection import KERNEL_BUFFER

BUFFER = 64 * 1024
"""Bytes that may wait for a client in this process; beyond that it has to catch up."""
CLOSE_SECONDS = 5.0
"""How long a client may take to read what is left for it, and to answer a close."""


def limit_buffers(
    transport: asyncio.Transport, buffer: int = BUFFER, kernel_buffer: int = KERNEL_BUFFER
) -> None:
    """Let at most that many bytes wait for its client here, and in the kernel."""
    transport.set_write_buffer_limits(high=buffer)
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer)
