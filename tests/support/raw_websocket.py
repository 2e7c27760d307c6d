"""A WebSocket on a bare socket with a small buffer, which reads only when told to."""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from support.waiting import PATIENCE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def framed(
    payload: bytes,
    kind: int = TEXT,
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\0\0\0\0",
) -> bytes:
    """A frame masked with zeros, as a client may send it; or without a mask, as it must not."""
    first, size, masked = final << 7 | reserved << 4 | kind, len(payload), (mask is not None) << 7
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 65536:
        head = bytes([first, masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class RawWebSocket:
    """Frames in and out, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._bytes = bytearray()

    async def send(self, text: str | bytes, kind: int = TEXT) -> None:
        """Send a frame."""
        await self.send_all(framed(text.encode() if isinstance(text, str) else text, kind))

    async def send_all(self, frames: bytes) -> None:
        """Send these frames unchanged."""
        await self._loop.sock_sendall(self._connection, frames)

    async def receive(self, seconds: float = PATIENCE) -> tuple[int, bytes]:
        """The next frame's opcode and payload. Raises ConnectionError at the connection's end."""
        async with asyncio.timeout(seconds):
            first, size = await self._take(2)
            assert not size & 0x80, "a server's frames are not masked"
            if size == 126:
                size = int.from_bytes(await self._take(2), "big")
            elif size == 127:
                size = int.from_bytes(await self._take(8), "big")
            return first & 0x0F, await self._take(size)

    async def text(self, seconds: float = PATIENCE) -> str:
        """The next text frame; pings are answered. Raises ConnectionError if there is none."""
        while True:
            kind, payload = await self.receive(seconds)
            if kind == TEXT:
                return payload.decode()
            if kind == PING:
                await self.send(payload, PONG)
            if kind == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                raise ConnectionResetError(code, payload[2:].decode())

    async def end(self) -> tuple[int, str]:
        """The close code and reason, after everything else has been read."""
        try:
            while True:
                await self.text()
        except ConnectionResetError as end:
            code, reason = end.args
            return code, str(reason)

    async def _take(self, count: int) -> bytes:
        while len(self._bytes) < count:
            received = await self._loop.sock_recv(self._connection, 65_536)
            if not received:
                raise ConnectionResetError(1006, "")
            self._bytes += received
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken


@asynccontextmanager
async def raw_websocket(
    port: int, path: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[RawWebSocket]:
    """Connect to that path of a loopback server and complete the handshake."""
    loop = asyncio.get_running_loop()
    key = base64.b64encode(os.urandom(16)).decode()
    lines = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    } | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        found = RawWebSocket(connection)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await found._take(1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield found
