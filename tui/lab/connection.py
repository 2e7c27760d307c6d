"""A connection through the lab's network: what is sent waits in it, and may be lost on the way."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from tui.lab.dials import SEGMENT_BYTES, Dials, Weather
from tui.lab.http_proxy import HTTPProxy

SOCKET_BUFFER_BYTES = 64 * 1024
"""For each socket and direction; the kernel's own would take in megabytes for a slow reader."""
IMMEDIATE_RESET = struct.pack("ii", 1, 0)

Target = tuple[socket.AddressFamily, tuple[str, int]]
"""Where the server is."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a direction, which waits in the queue behind the bytes before it."""

    reset: bool


FIN: Final = End(reset=False)
RST: Final = End(reset=True)


@dataclass(eq=False, slots=True)
class Conditions:
    """What holds for all connections now."""

    dials: Dials
    weather: Weather
    began: float
    """The `time.monotonic()` at which the run began."""
    stalled: bool = False


class Way:
    """One direction of a connection: bytes wait in it until their time.

    At most a window and one read more wait; then the sender is paused, as TCP does.
    """

    def __init__(
        self,
        conditions: Conditions,
        opened: float,
        *,
        up: bool,
        deliver: Callable[[bytes | End], None],
    ) -> None:
        self._conditions = conditions
        self._up = up
        self._deliver = deliver
        self._queue: deque[tuple[float, bytes | End]] = deque()
        self._size = 0
        self._free_at = opened + (2 * conditions.dials.delay if up else 0.0)
        """When the line is free for the next byte; at first, when the handshake is done."""
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._paused: asyncio.ReadTransport | None = None
        self.blocked = up
        """Whether whoever takes the bytes is not ready: not connected yet, or slow."""

    def push(self, item: bytes | End, source: asyncio.ReadTransport | None = None) -> None:
        """Send this on in its time; `source` is paused while too much waits."""
        conditions, now = self._conditions, time.monotonic()
        dials = conditions.dials
        if isinstance(item, End):
            self._queue.append((max(self._last_due, now + dials.delay), item))
        else:
            rate = dials.up if self._up else dials.down
            step = max(SEGMENT_BYTES, int(rate / 100)) if rate else len(item)
            for start in range(0, len(item), step):
                piece = item[start : start + step]
                self._free_at = max(now, self._free_at) + (len(piece) / rate if rate else 0.0)
                leaves_at = self._free_at
                due = leaves_at + conditions.weather.delay(
                    dials, leaves_at - conditions.began, len(piece), up=self._up
                )
                self._last_due = max(self._last_due, due)
                self._queue.append((self._last_due, piece))
            self._size += len(item)
            if self._size >= dials.window and source is not None and self._paused is None:
                self._pause(source)
        self.flush()

    def flush(self) -> None:
        """Deliver what is due, and come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue and not self.blocked and not self._conditions.stalled:
            now = time.monotonic()
            if self._queue[0][0] > now:
                self._timer = asyncio.get_running_loop().call_later(
                    self._queue[0][0] - now, self.flush
                )
                break
            due: list[bytes] = []
            end = None
            while end is None and self._queue and self._queue[0][0] <= now:
                item = self._queue.popleft()[1]
                if isinstance(item, End):
                    end = item
                else:
                    due.append(item)
            if due:
                data = due[0] if len(due) == 1 else b"".join(due)
                self._size -= len(data)
                self._deliver(data)
            if end is not None:
                self._deliver(end)
        if self._paused is not None and self._size <= self._conditions.dials.window // 2:
            source, self._paused = self._paused, None
            if not source.is_closing():
                source.resume_reading()

    def _pause(self, source: asyncio.ReadTransport) -> None:
        if not source.is_closing():
            self._paused = source
            source.pause_reading()

    def drop(self) -> None:
        """Forget what waits."""
        self._queue.clear()
        self._size = 0
        self.flush()


class Side(asyncio.Protocol):
    """One of a connection's two sockets."""

    def __init__(
        self,
        on_made: Callable[[], None],
        on_data: Callable[[bytes], None],
        on_end: Callable[[End], None],
        on_ready: Callable[[bool], None],
    ) -> None:
        self._on_made, self._on_data = on_made, on_data
        self._on_end, self._on_ready = on_end, on_ready
        self._half_closed = False
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(SOCKET_BUFFER_BYTES)
        self._on_made()

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def eof_received(self) -> bool:
        self._half_closed = True
        self._on_end(FIN)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._on_end(RST if exc is not None else FIN)

    def pause_writing(self) -> None:
        self._on_ready(False)

    def resume_writing(self) -> None:
        self._on_ready(True)

    def write(self, data: bytes) -> bool:
        """Returns whether it could be sent."""
        if self.transport is None or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def half_close(self) -> None:
        """Send FIN and read on."""
        if self.transport is not None and not self.transport.is_closing():
            if self._half_closed:
                self.transport.close()
            else:
                self.transport.write_eof()

    def close(self, end: End) -> None:
        """End it: with FIN once all is sent, or reset it now."""
        if self.transport is None or self.is_lost:
            return
        if not end.reset:
            self.transport.close()
            return
        if (raw := self.transport.get_extra_info("socket")) is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, IMMEDIATE_RESET)
        self.transport.abort()


class Watcher(Protocol):
    """Learns what happens to a connection."""

    def opened(self, connection: Connection) -> bool:
        """A client has connected; returns whether it may."""
        ...

    def passed(self, at: float, *, up: bool, data: bytes) -> None:
        """Bytes have passed the client's socket."""
        ...

    def changed(self, connection: Connection) -> None:
        """One of its sockets is gone."""
        ...


class Connection:
    """A client's connection and the one to the server behind it."""

    def __init__(self, conditions: Conditions, target: Target, watcher: Watcher) -> None:
        self._conditions, self._target, self._watcher = conditions, target, watcher
        self.active_at = time.monotonic()
        self.client = Side(
            self._client_made, self._from_client, self._client_ended, self._client_ready
        )
        self.server = Side(
            self._server_made, self._from_server, self._server_ended, self._server_ready
        )
        self._up = Way(conditions, self.active_at, up=True, deliver=self._to_server)
        self._down = Way(conditions, self.active_at, up=False, deliver=self._to_client)
        self._is_dead = False
        """Whether its bytes vanish, for ever."""
        self._connecting: asyncio.Task[None] | None = None
        dials = conditions.dials
        self._http = (
            HTTPProxy(
                dials,
                self.server.write,
                lambda data: self._down.push(data, self.server.transport),
                lambda: self._down.push(FIN),
            )
            if dials.rewrites
            else None
        )

    def _client_made(self) -> None:
        if self._watcher.opened(self) and not self._vanishes():
            self._connecting = asyncio.create_task(self._connect(), name="lab connection")
            self._connecting.add_done_callback(self._connected)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        family, address = self._target
        raw = socket.socket(family, socket.SOCK_STREAM)
        try:
            raw.setblocking(False)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
            await loop.sock_connect(raw, address)
            await loop.create_connection(lambda: self.server, sock=raw)
        except BaseException:
            raw.close()
            raise

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if task.cancelled() or isinstance(task.exception(), OSError):
            self.client.close(RST)
        else:
            task.result()
        self._watcher.changed(self)

    def _server_made(self) -> None:
        self._server_ready(True)

    @property
    def is_over(self) -> bool:
        """Whether neither socket is left."""
        no_server = self.server.transport is None or self.server.is_lost
        return self.client.is_lost and no_server and self._connecting is None

    def cut(self, end: End) -> None:
        """End both sides now."""
        if self._connecting is not None:
            self._connecting.cancel()
        for way in (self._up, self._down):
            way.drop()
        self.client.close(end)
        self.server.close(end)

    def flush(self) -> None:
        """Deliver what is due, after the dials were turned."""
        self._up.flush()
        self._down.flush()

    def _vanishes(self) -> bool:
        self._is_dead = self._is_dead or self._conditions.dials.half_open
        return self._is_dead

    def _from_client(self, data: bytes) -> None:
        self.active_at = time.monotonic()
        self._watcher.passed(self.active_at, up=True, data=data)
        if not self._vanishes():
            self._up.push(data, self.client.transport)

    def _from_server(self, data: bytes) -> None:
        self.active_at = time.monotonic()
        if self._vanishes():
            return
        if self._http is None:
            self._down.push(data, self.server.transport)
        else:
            self._http.from_server(data)

    def _to_server(self, item: bytes | End) -> None:
        if self._vanishes():
            return
        if isinstance(item, bytes):
            if self._http is None:
                self.server.write(item)
            else:
                self._http.from_client(item)
        elif item.reset or self.client.is_lost:
            self.server.close(item)
        else:
            self.server.half_close()

    def _to_client(self, item: bytes | End) -> None:
        if self._vanishes():
            return
        if isinstance(item, End):
            self.client.close(item)
        elif self.client.write(item):
            self.active_at = time.monotonic()
            self._watcher.passed(self.active_at, up=False, data=item)

    def _client_ended(self, end: End) -> None:
        if self.client.is_lost:
            if self._connecting is not None:
                self._connecting.cancel()
            self._down.drop()
        self._up.push(end)
        self._watcher.changed(self)

    def _server_ended(self, end: End) -> None:
        if self._http is None or end.reset:
            self._down.push(end)
        else:
            self._http.server_ended()
        self._watcher.changed(self)

    def _client_ready(self, ready: bool) -> None:
        self._down.blocked = not ready
        self._down.flush()

    def _server_ready(self, ready: bool) -> None:
        self._up.blocked = not ready
        self._up.flush()
