"""A connection that has asked for a stream and then reads nothing for as long as it likes."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.rest import Rest

ROOM = 4096
"""Bytes asked of the kernel for what arrives and is not read; it takes twice that."""


class IdleReader:
    """Reads only when it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._body = bytearray()

    @property
    def read_bytes(self) -> int:
        """All that was ever read here."""
        return len(self._body)

    async def until(self, words: bytes, seconds: float = 20) -> None:
        """Read on until those words have come."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            while words not in self._body:
                received = await loop.sock_recv(self._connection, 65_536)
                assert received, "the connection was closed"
                self._body += received

    def data(self) -> list[Any]:
        """The data of every whole event so far, in turn."""
        return [json.loads(found) for found in re.findall(rb"\ndata: (.+)\n\n", self._body)]


@asynccontextmanager
async def idle_reader(rest: Rest, path: str) -> AsyncIterator[IdleReader]:
    """Ask for the stream at that path as `rest`."""
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
