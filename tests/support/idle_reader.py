"""A connection that has requested a stream and reads only when told to."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.rest import Rest
from support.waiting import PATIENCE

ROOM = 4096
"""The size of the kernel's receive buffer; the kernel doubles it."""


class IdleReader:
    """Reads only when told to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._body = bytearray()

    @property
    def read_bytes(self) -> int:
        """Everything read so far."""
        return len(self._body)

    async def until(self, words: bytes, seconds: float = PATIENCE) -> None:
        """Read until those words have arrived."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            while words not in self._body:
                received = await loop.sock_recv(self._connection, 65_536)
                assert received, "the connection was closed"
                self._body += received

    def data(self) -> list[Any]:
        """The data of every complete event so far, in order."""
        return [json.loads(found) for found in re.findall(rb"\ndata: (.+)\n\n", self._body)]


@asynccontextmanager
async def idle_reader(rest: Rest, path: str) -> AsyncIterator[IdleReader]:
    """Request the stream at that path as `rest`."""
    loop = asyncio.get_running_loop()
    url = rest.http._build_url(rest.url(path))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        connection.setblocking(False)
        assert url.host
        assert url.port
        await loop.sock_connect(connection, (url.host, url.port))
        headers = "".join(f"{name}: {value}\r\n" for name, value in rest.headers.items())
        request = f"GET {url.raw_path_qs} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        await loop.sock_sendall(connection, request.encode())
        yield IdleReader(connection)
