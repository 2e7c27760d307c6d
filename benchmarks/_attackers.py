"""The attacks of `benchmarks.attacks`, each in a process of its own."""

import asyncio
import io
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

ADDRESS = "127.0.0.2"
"""The attacker's address; the loopback network has many."""
API = "/api/v1"


@dataclass(frozen=True)
class Target:
    """A server, and what an attacker may have there."""

    port: int
    token: str
    victim_token: str
    chats: tuple[str, ...]
    email: str

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"


Attack = Callable[[Target], Awaitable[None]]


def attack(name: str, target: Target) -> None:
    """Run it until killed."""
    os.nice(10)  # the core is shared with whoever measures
    asyncio.run(ATTACKS[name](target))


async def connect(target: Target, *, small: bool = False) -> socket.socket:
    """A connection from the attacker's address; a `small` one has a small buffer."""
    connection = socket.socket()
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    connection.bind((ADDRESS, 0))
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", target.port))
    return connection


def head(path: str, token: str = "", method: str = "GET", more: str = "") -> bytes:
    """A request's head."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{authorization}{more}\r\n".encode()


async def upgraded(target: Target, path: str, token: str = "") -> socket.socket:
    """A WebSocket, opened up to the handshake's answer."""
    loop = asyncio.get_running_loop()
    connection = await connect(target)
    more = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    await loop.sock_sendall(connection, head(path, token, more=more))
    await loop.sock_recv(connection, 4096)
    return connection


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A masked frame of at most 65,535 bytes."""
    first = (0x80 if final else 0) | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + b"\0\0\0\0" + payload
    return bytes((first, 0x80 | 126)) + struct.pack("!H", size) + b"\0\0\0\0" + payload


def flood_of(
    *frames: bytes, opening: bytes = b"", sockets: int = 1, socketio: bool = False
) -> Attack:
    """Send the same frames as fast as possible; reopen closed sockets."""

    async def run(target: Target) -> None:
        block = b"".join(frames)
        block *= max(1, 65_536 // len(block))
        path = "/socket.io/?EIO=4&transport=websocket"
        if not socketio:
            path = f"{API}/chats/{target.chats[0]}/ws"

        async def one() -> None:
            loop = asyncio.get_running_loop()
            while True:
                try:
                    connection = await upgraded(target, path, "" if socketio else target.token)
                    reading = asyncio.create_task(swallow(connection))
                    try:
                        await loop.sock_sendall(connection, opening)
                        while True:
                            await loop.sock_sendall(connection, block)
                    finally:
                        reading.cancel()
                        connection.close()
                except OSError:
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(one() for _ in range(sockets)))

    return run


async def swallow(connection: socket.socket) -> None:
    """Read and discard."""
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, 65_536):
        pass


def unread(path: str, connections: int, *, known: bool = True) -> Attack:
    """Send requests on that many connections and read nothing."""

    async def run(target: Target) -> None:
        async def one() -> None:
            loop = asyncio.get_running_loop()
            while True:
                try:
                    connection = await connect(target, small=True)
                    request = head(path, target.token if known else "")
                    await loop.sock_sendall(connection, request * 4)
                    await asyncio.sleep(3600)
                except OSError:
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(one() for _ in range(connections)))

    return run


def silent(begun: bytes, connections: int = 2000) -> Attack:
    """Open connections, send that and nothing else."""

    async def run(target: Target) -> None:
        loop = asyncio.get_running_loop()
        held = []
        while True:
            try:
                connection = await connect(target)
                await loop.sock_sendall(connection, begun)
                held.append(connection)
            except OSError:
                await asyncio.sleep(0.05)
            if len(held) >= connections:
                await asyncio.sleep(3600)

    return run


def requests(
    method: str,
    path: str,
    *,
    known: bool = False,
    body: Callable[[int], object] | None = None,
    at_once: int = 32,
    address: str = ADDRESS,
) -> Attack:
    """As many requests as the server answers."""

    async def run(target: Target) -> None:
        connector = aiohttp.TCPConnector(limit=0, local_addr=(address, 0))
        headers = {"Authorization": f"Bearer {target.token}"} if known else {}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as http:

            async def one(start: int) -> None:
                number = start
                while True:
                    number += at_once
                    sent = {"json": body(number)} if body else {}
                    try:
                        async with http.request(method, target.url + path, **sent) as answer:
                            await answer.read()
                    except (OSError, aiohttp.ClientError):
                        await asyncio.sleep(0.01)

            await asyncio.gather(*(one(number) for number in range(at_once)))

    return run


def from_many_addresses(addresses: int) -> Attack:
    """Log-ins, junk refreshes, documents and unknown paths, each kind from that many addresses."""
    kinds = (
        ("POST", f"{API}/auth/login", _log_in),
        ("POST", f"{API}/auth/refresh", _refresh),
        ("GET", f"{API}/openapi.json", None),
        ("GET", f"{API}/nothing/here", None),
    )

    async def run(target: Target) -> None:
        await asyncio.gather(
            *(
                requests(method, path, body=body, at_once=2, address=f"127.0.{kind + 1}.{at + 2}")(
                    target
                )
                for kind, (method, path, body) in enumerate(kinds)
                for at in range(addresses)
            )
        )

    return run


def abandoned(request: Callable[[Target, int], bytes], at_once: int = 20) -> Attack:
    """Send a request and close the connection at once, again and again."""

    async def run(target: Target) -> None:
        async def one(number: int) -> None:
            loop = asyncio.get_running_loop()
            while True:
                number += at_once
                try:
                    connection = await connect(target)
                    await loop.sock_sendall(connection, request(target, number))
                    await asyncio.sleep(0.001)
                    linger = struct.pack("ii", 1, 0)  # a reset, not an orderly end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    connection.close()
                except OSError:
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(one(number) for number in range(at_once)))

    return run


def junk_refresh(target: Target, number: int) -> bytes:
    """A refresh with an unknown token."""
    body = json.dumps(_refresh(number)).encode()
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head(f"{API}/auth/refresh", method="POST", more=more) + body


async def chat_flood(target: Target) -> None:
    """The longest messages, on as many sockets as an account may have."""
    text = "\u263a" * 4000

    async def one(number: int) -> None:
        chat = target.chats[number % len(target.chats)]
        loop = asyncio.get_running_loop()
        sent = 0
        while True:
            try:
                connection = await upgraded(target, f"{API}/chats/{chat}/ws", target.token)
                reading = asyncio.create_task(swallow(connection))
                try:
                    while True:
                        sent += 1
                        message = {
                            "type": "message",
                            "client_id": f"{os.getpid()}-{number}-{sent}",
                            "text": text,
                        }
                        data = json.dumps(message, ensure_ascii=False).encode()
                        await loop.sock_sendall(connection, frame(1, data))
                        await asyncio.sleep(0.04)
                finally:
                    reading.cancel()
                    connection.close()
            except OSError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(32)))


def progressive_jpeg(scans: int) -> bytes:
    """A small picture with many repeated scans."""
    from PIL import Image

    picture = io.BytesIO()
    Image.effect_noise((1600, 1600), 60).convert("RGB").save(
        picture, "JPEG", progressive=True, quality=30
    )
    data = picture.getvalue()
    start = data.rfind(b"\xff\xda")
    last = data[start:-2]
    if len(last) > 70:
        last = last[:70]
    return data[:-2] + last * scans + b"\xff\xd9"


async def photo_flood(target: Target) -> None:
    """Photos that are expensive to decode, as many as are accepted."""
    data = progressive_jpeg(4000)
    connector = aiohttp.TCPConnector(limit=0, local_addr=(ADDRESS, 0))
    headers = {"Authorization": f"Bearer {target.token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        while True:
            form = aiohttp.FormData({"purpose": "avatar"})
            form.add_field("file", data, filename="a.jpg", content_type="image/jpeg")
            try:
                async with http.post(f"{target.url}{API}/uploads", data=form) as answer:
                    await answer.read()
            except (OSError, aiohttp.ClientError):
                await asyncio.sleep(0.01)


async def slow_uploads(target: Target) -> None:
    """A hundred photos, sent byte by byte."""
    more = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n"
    begun = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\navatar\r\n'
    begun += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    async def one() -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection = await connect(target)
                request = head(f"{API}/uploads", target.token, "POST", more)
                await loop.sock_sendall(connection, request + begun + b"\xff\xd8\xff")
                while True:
                    await asyncio.sleep(0.2)
                    await loop.sock_sendall(connection, b"a" * 100)
            except OSError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(100)))


def _log_in(number: int) -> object:
    return {"email": f"nobody{number}@example.com", "password": "a wrong password"}


def _refresh(number: int) -> object:
    return {"refresh_token": f"rt_{number:043d}"}


PING, PONG, CONTINUATION, TEXT = 0x9, 0xA, 0x0, 0x1
SOCKETIO = "/socket.io/?EIO=4&transport=polling"
ROUTE = f"{API}/map/route?from_lat=47.0530&from_lng=15.4170&to_lat=47.0857&to_lng=15.4631"
ATTACKS: dict[str, Attack] = {
    "ws pings": flood_of(frame(PING)),
    "ws pongs": flood_of(frame(PONG)),
    "ws fragments": flood_of(
        frame(CONTINUATION, b"", final=False), opening=frame(TEXT, b"{", final=False)
    ),
    "ws unreadable text": flood_of(frame(TEXT, b"{")),
    "ws typing": flood_of(frame(TEXT, b'{"type":"typing"}'), sockets=20),
    "ws from 32 sockets": flood_of(frame(PING), frame(TEXT, b"{"), sockets=32),
    "socket.io frames": flood_of(frame(TEXT, b"3"), socketio=True),
    "socket.io pings": flood_of(frame(PING), socketio=True, sockets=8),
    "socket.io handshakes": requests("GET", SOCKETIO),
    "chat messages": chat_flood,
    "unread lists": unread(f"{API}/orders?limit=200", 60),
    "unread document": unread(f"{API}/openapi.json", 200, known=False),
    "silent connections": silent(b""),
    "half heads": silent(b"GET /healthz HTTP/1.1\r\nHost: x\r\n"),
    "idle connections": silent(head("/healthz")),
    "lists": requests("GET", f"{API}/orders?limit=200", known=True),
    "routes on the map": requests("GET", ROUTE, known=True),
    "document": requests("GET", f"{API}/openapi.json"),
    "readiness": requests("GET", "/readyz"),
    "unknown paths": requests("GET", f"{API}/nothing/here"),
    "log-ins": requests("POST", f"{API}/auth/login", body=_log_in),
    "junk refreshes": requests("POST", f"{API}/auth/refresh", body=_refresh),
    "from 200 addresses": from_many_addresses(50),
    "abandoned profiles": abandoned(lambda target, _: head(f"{API}/me", target.token)),
    "abandoned refreshes": abandoned(junk_refresh),
    "photos of many scans": photo_flood,
    "slow uploads": slow_uploads,
}
