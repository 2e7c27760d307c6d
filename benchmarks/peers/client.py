"""A load client: many connections in one thread, by epoll, at little cost for each event."""

import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MARK = re.compile(rb"@@(\d+):(\d+)@@")
"""What an event carries in some text of it: its number and its sender's."""
LONGEST_MARK = 32
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def mark(number: int, sender: int = 0) -> str:
    """The text that marks an event."""
    return f"@@{number}:{sender}@@"


def get(path: str, *headers: str) -> bytes:
    """A GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def stream(path: str, *headers: str) -> bytes:
    """A request for a stream."""
    return get(path, "Accept: text/event-stream", *headers)


def post(path: str, body: str, *headers: str) -> bytes:
    """A POST request with a JSON body."""
    content = body.encode()
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    head += [f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(head).encode() + content


def upgrade(path: str, *headers: str) -> bytes:
    """A request for a WebSocket."""
    wanted = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    return get(path, *wanted, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers)


def frame(text: str) -> bytes:
    """A client's text frame. It is masked with zeros, which is permitted and costs nothing."""
    content = text.encode()
    size = len(content)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + content


class Connection:
    """A connection; `on_data` gets what arrives on it. `index`, `rest` and `due` are its user's."""

    __slots__ = ("due", "index", "on_data", "rest", "socket")

    def __init__(self, connected: socket.socket, index: int, on_data: "OnData") -> None:
        self.socket = connected
        self.index = index
        self.on_data = on_data
        self.rest = b""
        self.due = 0

    def send(self, data: bytes) -> None:
        """Send little enough for the socket's buffer."""
        sent = self.socket.send(data)
        assert sent == len(data), "the server reads too slowly"

    def marks(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The marks that have arrived whole: each event's number, and its sender's."""
        data, end = self.rest + data, 0
        for found in MARK.finditer(data):
            end = found.end()
            yield int(found[1]), int(found[2])
        self.rest = data[max(end, len(data) - LONGEST_MARK) :]

    def answers(self, data: bytes) -> Iterator["Response"]:
        """The responses that have arrived whole."""
        data, start = self.rest + data, 0
        while (end := data.find(b"\r\n\r\n", start)) >= 0:
            head = data[start:end]
            length = _LENGTH.search(head)
            stop = end + 4 + (int(length[1]) if length else 0)
            if stop > len(data):
                break
            yield Response(int(head[9:12]), head, data[end + 4 : stop])
            start = stop
        self.rest = data[start:]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    status: int
    head: bytes
    body: bytes

    def must(self, *statuses: int) -> "Response":
        """This response, if it has one of these statuses."""
        assert self.status in statuses, f"{self.head!r} {self.body[:500]!r}"
        return self


OnData = Callable[[Connection, bytes], None]


class Client:
    """Connections to one server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._epoll.close()

    def connect(self, index: int, on_data: OnData, request: bytes = b"") -> Connection:
        """Connect, and send a request."""
        connected = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        connection = Connection(connected, index, on_data)
        self._connections[connected.fileno()] = connection
        self._epoll.register(connected, select.EPOLLIN)
        if request:
            connection.send(request)
        return connection

    def turn(self, seconds: float = 0.05) -> None:
        """Read what there is; wait so long for it."""
        for number, _ in self._epoll.poll(max(0.0, seconds)):
            connection = self._connections[number]
            data = connection.socket.recv(1 << 18)
            if not data:
                raise ConnectionError(f"the server has closed connection {connection.index}")
            connection.on_data(connection, data)

    def wait(self, seconds: float) -> None:
        """Read for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(left)

    def until(self, fact: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Read until something is so."""
        end = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
            self.turn()

    def paced(self, rate: float, seconds: float, send: Callable[[int], None]) -> int:
        """Send at that rate, and read meanwhile; returns how many were sent."""
        began, total = time.monotonic(), int(rate * seconds)
        for number in range(total):
            while (left := began + number / rate - time.monotonic()) > 0:
                self.turn(left)
            send(number)
            self.turn(0)
        return total


class Requests:
    """Requests over some connections, of which each carries one at a time."""

    def __init__(self, client: Client, connections: int) -> None:
        self._client = client
        self._connections = [client.connect(index, self._on_data) for index in range(connections)]
        self._waiting: list[deque[bytes]] = [deque() for _ in range(connections)]
        """Of each connection, what it is to carry; the first is on its way."""
        self.bodies: list[bytes] = []
        self._sent = 0

    def send(self, request: bytes, group: int = 0) -> None:
        """Send it once those of its group that were sent before are answered: of two requests on
        two connections, a server may handle either first."""
        self._sent += 1
        connection = self._connections[group % len(self._connections)]
        waiting = self._waiting[connection.index]
        waiting.append(request)
        if len(waiting) == 1:
            connection.send(request)

    def finish(self) -> None:
        """Wait for every answer."""
        self._client.until(lambda: len(self.bodies) == self._sent, "every request is answered")

    def _on_data(self, connection: Connection, data: bytes) -> None:
        for response in connection.answers(data):
            self.bodies.append(response.must(200, 201, 202).body)
            waiting = self._waiting[connection.index]
            waiting.popleft()
            if waiting:
                connection.send(waiting[0])


def ask(port: int, *requests: bytes) -> list[bytes]:
    """The bodies of the responses to these requests, which are sent one after the other."""
    with Client(port) as client:
        sender = Requests(client, 1)
        for request in requests:
            sender.send(request)
        sender.finish()
        return sender.bodies
