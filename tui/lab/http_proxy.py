"""A proxy that understands HTTP, without sockets: it holds back, refuses, and downgrades."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from tui.lab.dials import Dials

HEAD_BYTES = 64 * 1024
"""The longest head that is read."""
CHUNK_LINE_BYTES = 4096
BAD_GATEWAY = b"502 Bad Gateway"
UPGRADE_REQUIRED = b"426 Upgrade Required"
HEADER_TOO_LARGE = b"431 Request Header Fields Too Large"

REST = -1


class NotHTTP(ValueError):
    """What came cannot be read as HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or of an answer, as it came."""

    raw: bytes

    @property
    def words(self) -> list[bytes]:
        """The words of its first line."""
        return self.raw.partition(b"\r\n")[0].split(b" ")

    @property
    def status(self) -> bytes:
        """An answer's status."""
        words = self.words
        return words[1] if len(words) > 1 else b""

    def header(self, name: bytes) -> bytes:
        """A header's value in lower case; empty if it is missing."""
        found = re.search(rb"\r\n" + name + rb":[ \t]*([^\r\n]*)", self.raw, re.IGNORECASE)
        return found[1].strip().lower() if found else b""

    def without(self, *names: bytes) -> Head:
        """The head without those headers."""
        lines = self.raw.split(b"\r\n")
        return Head(
            b"\r\n".join(
                [lines[0]]
                + [line for line in lines[1:] if line.partition(b":")[0].lower() not in names]
            )
        )

    def with_header(self, line: bytes) -> Head:
        """The head with one more header at its end."""
        return Head(self.raw[:-2] + line + b"\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a body: as it came with its chunk marks, and without them."""

    raw: bytes
    content: bytes
    last: bool


class Stage(Enum):
    """What a parser expects next."""

    HEAD = auto()
    BODY = auto()
    """So many bytes."""
    REST = auto()
    """All up to the end of the connection."""
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()


class Parser:
    """Divides what one side sends into heads and parts of bodies."""

    def __init__(self, body_of: Callable[[Head], int | None]) -> None:
        """`body_of` says how long the body after a head is: None for chunks, `REST` for all up to
        the end of the connection."""
        self._body_of = body_of
        self._unread = b""
        self._stage = Stage.HEAD
        self._left = 0

    def feed(self, data: bytes) -> Iterator[Head | Part]:
        """What those bytes complete; a body without bytes is one part. Raises `NotHTTP`."""
        self._unread += data
        while self._unread:
            if self._stage is Stage.HEAD:
                end = self._unread.find(b"\r\n\r\n")
                if end > HEAD_BYTES or (end < 0 and len(self._unread) > HEAD_BYTES):
                    raise NotHTTP("The head is too long.")
                if end < 0:
                    return
                head = Head(self._cut(end + 4))
                length = self._body_of(head)
                yield head
                if length is None:
                    self._stage = Stage.CHUNK_SIZE
                elif length:
                    self._stage = Stage.REST if length == REST else Stage.BODY
                    self._left = length
                else:
                    yield Part(b"", b"", last=True)
                continue
            part = self._part()
            if part is None:
                return
            yield part

    def _part(self) -> Part | None:
        if self._stage is Stage.REST:
            raw = self._cut(len(self._unread))
            return Part(raw, raw, last=False)
        if self._stage in (Stage.BODY, Stage.CHUNK):
            raw = self._cut(self._left)
            self._left -= len(raw)
            last = not self._left and self._stage is Stage.BODY
            if not self._left:
                self._stage = Stage.HEAD if last else Stage.CHUNK_END
            return Part(raw, raw, last=last)
        end = self._unread.find(b"\n")
        if end < 0:
            if len(self._unread) > CHUNK_LINE_BYTES:
                raise NotHTTP("A chunk has no size.")
            return None
        line = self._cut(end + 1)
        if self._stage is Stage.CHUNK_SIZE:
            self._begin_chunk(line)
        elif self._stage is Stage.CHUNK_END:
            self._stage = Stage.CHUNK_SIZE
        elif not line.strip():
            self._stage = Stage.HEAD
        return Part(line, b"", last=self._stage is Stage.HEAD)

    def _begin_chunk(self, line: bytes) -> None:
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError as fault:
            raise NotHTTP("A chunk has no size.") from fault
        self._stage = Stage.CHUNK if self._left else Stage.TRAILER

    def _cut(self, size: int) -> bytes:
        data, self._unread = self._unread[:size], self._unread[size:]
        return data


def length_of(head: Head) -> int | None:
    """The length that a head names for its body; None for chunks. Raises `NotHTTP`."""
    if b"chunked" in head.header(b"transfer-encoding"):
        return None
    try:
        return int(head.header(b"content-length") or 0)
    except ValueError as fault:
        raise NotHTTP("A length is not a number.") from fault


class HTTPProxy:
    """One connection through such a proxy; after an upgrade it passes everything on.

    `to_server` and `to_client` send bytes; `end` ends the client's connection once it has them.
    """

    def __init__(
        self,
        dials: Dials,
        to_server: Callable[[bytes], object],
        to_client: Callable[[bytes], None],
        end: Callable[[], None],
    ) -> None:
        self._dials = dials
        self._to_server, self._to_client, self._end = to_server, to_client, end
        self._requests = Parser(length_of)
        self._answers = Parser(self._body_of_answer)
        self._methods: deque[bytes] = deque()
        """Of the requests that the server has to answer."""
        self._count = 0
        self._refusal = b""
        """The status with which the request that comes in is answered here."""
        self._answer = Head(b"")
        self._held = b""
        self._held_body = 0
        self._passing = False
        """Whether the answer's first bytes have been passed on."""
        self._tunnel = False

    def from_client(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._tunnel:
            self._to_server(data)
            return
        try:
            for found in self._requests.feed(data):
                if isinstance(found, Head):
                    self._on_request(found)
                elif self._refusal:
                    if found.last:
                        self._refuse(self._refusal)
                elif found.raw:
                    self._to_server(found.raw)
        except NotHTTP:
            self._refuse(HEADER_TOO_LARGE)
            self._end()

    def _on_request(self, head: Head) -> None:
        self._count += 1
        dials = self._dials
        upgrade = head.header(b"upgrade") == b"websocket"
        self._refusal = b""
        if dials.bad_gateway and self._count % dials.bad_gateway == 0:
            self._refusal = BAD_GATEWAY
        elif upgrade and dials.websocket == "refuse":
            self._refusal = UPGRADE_REQUIRED
        if self._refusal:
            return
        if upgrade and (dials.websocket == "strip" or dials.http10):
            head = head.without(b"upgrade", b"connection")
        self._methods.append(head.words[0])
        self._to_server(head.raw)

    def _refuse(self, status: bytes) -> None:
        body = b"<h1>" + status + b"</h1>\n"
        upgrade = b"Upgrade: websocket\r\n" if status == UPGRADE_REQUIRED else b""
        version = b"HTTP/1.0 " if self._dials.http10 else b"HTTP/1.1 "
        self._to_client(
            version + status + b"\r\nContent-Type: text/html\r\n" + upgrade
            + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )  # fmt: skip
        if self._dials.http10:
            self._end()

    def from_server(self, data: bytes) -> None:
        """Take what the server sends."""
        if self._tunnel:
            self._to_client(data)
            return
        try:
            for found in self._answers.feed(data):
                self._pass_on(found)
        except NotHTTP:
            self._refuse(BAD_GATEWAY)
            self._end()

    def server_ended(self) -> None:
        """The server has ended the connection: what is held back goes, then the end."""
        self._flush()
        self._end()

    def _body_of_answer(self, head: Head) -> int | None:
        if head.status == b"101":
            return REST
        if head.status.startswith(b"1"):
            return 0
        method = self._methods.popleft() if self._methods else b""
        if method == b"HEAD" or head.status in (b"204", b"304"):
            return 0
        if length_of(head) == 0 and not head.header(b"content-length"):
            return REST
        return length_of(head)

    def _pass_on(self, found: Head | Part) -> None:
        if isinstance(found, Head):
            self._answer, self._passing = found, False
            self._held_body = 0
            self._tunnel = found.status == b"101"
            self._held += self._downgraded(found).raw if self._dials.http10 else found.raw
            if self._tunnel:
                self._flush()
            return
        if self._tunnel:
            self._to_client(found.raw)
            return
        data = found.content if self._dials.http10 else found.raw
        self._held += data
        self._held_body += len(data)
        if found.last or self._held_body >= self._dials.buffer:
            self._held_body = 0
            self._flush()
        if found.last and self._dials.http10 and not self._answer.status.startswith(b"1"):
            self._end()

    def _downgraded(self, head: Head) -> Head:
        old = head.without(b"transfer-encoding", b"connection", b"keep-alive")
        return Head(re.sub(rb"^HTTP/1\.1", b"HTTP/1.0", old.raw)).with_header(b"Connection: close")

    def _flush(self) -> None:
        if self._held:
            self._to_client(self._held)
            self._held = b""
