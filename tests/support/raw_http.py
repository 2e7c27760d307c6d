"""HTTP by hand on bare sockets, for thousands of held requests at little cost."""

import asyncio
import json
import resource
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self


def raise_file_limit(wanted: int) -> None:
    """Let this process open this many files. Raises AssertionError where the system refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        assert hard == resource.RLIM_INFINITY or hard >= wanted, f"at most {hard} files here"
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass
class RawRequest:
    """A GET in progress; `status` is its response's."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    length: int = 0
    cursor: str = ""
    """The last `id` of a stream."""

    @classmethod
    async def send(cls, port: int, path: str, token: str | None) -> Self:
        """Connect and send, without waiting for the response."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(
            f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n".encode()
        )
        return cls(reader, writer)

    async def head(self) -> Self:
        """Wait for the response's head."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.status = int(head.split(" ", 2)[1])
        for line in head.split("\r\n"):
            if line.startswith("content-length:"):
                self.length = int(line.partition(":")[2])
        return self

    async def json(self) -> Any:
        """Wait for the whole response, which has to be JSON with a Content-Length."""
        await self.head()
        body = await self.reader.readexactly(self.length)
        assert self.status == 200, f"{self.status}: {body!r}"
        return json.loads(body)

    async def event(self) -> tuple[str, str]:
        """Wait for the next event of a stream, which has to come in a single chunk; returns its
        type and data. Comments and blocks without data are skipped."""
        while True:
            size = int(await self.reader.readline(), 16)
            if not size:
                raise EOFError("the server has ended the stream")
            block = (await self.reader.readexactly(size + 2)).decode()
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            self.cursor = fields.get("id", self.cursor)
            if "data" in fields:
                return fields["event"], fields["data"]

    def reset(self) -> None:
        """Reset the connection, so that the server cannot take it for a client that only stopped
        sending."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close it, without waiting."""
        self.writer.transport.abort()
