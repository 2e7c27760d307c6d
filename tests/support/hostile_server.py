"""A server that accepts any log-in and then answers with the bytes it was given."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tui.common.client.meter import Wire
from tui.common.client.session import Session

HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS = HEAD + b"\r\n"


def answer(body: bytes, *heads: bytes, status: bytes = b"200 OK") -> bytes:
    """A complete HTTP response."""
    lines = b"".join(head + b"\r\n" for head in heads)
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, lines, len(body)) + body


class HostileServer:
    """Sends `says`, and then `flood` for as long as somebody reads."""

    def __init__(self) -> None:
        self.says = answer(b"{}")
        self.flood = b""
        self.shakes_hands = False
        """Whether a WebSocket handshake is answered first."""
        self.granted: dict[str, object] = {
            "access_token": "the-token",
            "expires_in": 900,
            "token_type": "Bearer",
            "refresh_token": "r",
            "account": {"id": "1", "email": "a@example.com", "name": "A", "role": "customer"},
        }
        self.heads: list[bytes] = []
        """The paths of the requests."""
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostileServer"]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield self
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                for line in head.split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        await reader.readexactly(int(value))
                if b"/auth/" in head:
                    writer.write(answer(json.dumps(self.granted).encode()))
                else:
                    writer.write((_handshake(head) if self.shakes_hands else b"") + self.says)
                    while self.flood:
                        writer.write(self.flood)
                        await writer.drain()
                await writer.drain()
        writer.close()


def _handshake(head: bytes) -> bytes:
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
    assert found is not None
    digest = hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


@asynccontextmanager
async def hostile() -> AsyncIterator[tuple[HostileServer, Session]]:
    """Such a server, and a session logged in to it."""
    async with HostileServer().running() as server:
        session = Session(server.url, Wire())
        try:
            await session.log_in("a@example.com", "correct horse")
            yield server, session
        finally:
            await session.close()
