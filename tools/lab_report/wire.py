"""Records what each pattern sends for the same few events, as it goes over the wire.

The lab's own readers follow a short run of the lab, and a tap of its network keeps every byte. The
pages in docs/patterns show parts of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from server.features.accounts.schemas import Role
from tui.common.client.errors import ApiError
from tui.common.client.meter import Wire
from tui.common.client.session import Session
from tui.lab.network import Network
from tui.lab.records import PATTERNS, Appended, Arrival, Exchange, Plan
from tui.lab.runner import LabRun
from tui.lab.servers import Servers, servers_for

REQUESTS = "request-response"
PLAN = Plan(seconds=13, rate=0.2, shape="steady", poll_seconds=2, size=16)
"""Long enough for two events and a heartbeat between them."""
OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

Packet = dict[str, Any]
"""`at` (ms from the first one), `up`, `size` (bytes) and `text`, as it is kept in wire.json."""


class Recorder:
    """A tap that keeps everything, and a sink of a run's records that keeps nothing."""

    def __init__(self) -> None:
        self.packets: dict[str, list[tuple[float, bool, bytes]]] = defaultdict(list)

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        """See `Tap`."""
        self.packets[pattern].append((at, up, data))

    def begun(self, at: float) -> None:
        """See `Tap`."""

    def connected(self, pattern: str, at: float) -> None:
        """See `Tap`."""

    def late(self, at: float, seconds: float) -> None:
        """See `Tap`."""

    def appended(self, record: Appended) -> None:
        """See `Sink`."""

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""


async def capture(url: str, plan: Plan = PLAN) -> dict[str, list[Packet]]:
    """What went over the wire, by pattern, and for two plain requests. `url` is a demo's server."""
    recorder = Recorder()
    doors = dict.fromkeys(PATTERNS, url)
    await LabRun(plan, Servers(url, doors), recorder, recorder).go()
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(Network(tap=recorder))
        door = urlsplit(url)
        link = await network.listen(REQUESTS, door.hostname or "", door.port or 80)
        session = Session(f"http://127.0.0.1:{link.port}", Wire())
        stack.push_async_callback(session.close)
        await session.demo(Role.CUSTOMER)
        recorder.packets[REQUESTS].clear()  # the log-in, with its password and tokens
        await session.request("GET", "/me")
        with suppress(ApiError):  # 404
            await session.request("GET", "/orders/nothing")
    return {pattern: _kept(packets) for pattern, packets in sorted(recorder.packets.items())}


def _kept(packets: list[tuple[float, bool, bytes]]) -> list[Packet]:
    began = packets[0][0]
    return [
        {"at": round((at - began) * 1000, 1), "up": up, "size": len(data), "text": text}
        for at, up, data in packets
        for text in [_text_of(data)]
    ]


def _text_of(data: bytes) -> str:
    """A packet as it is shown: text, or of frames their heads and payloads."""
    if data[0] & 0x80:
        return "\n".join(_frames_of(data))
    head, blank, body = data.partition(b"\r\n\r\n")
    if blank and head.startswith(b"HTTP/1.1 101") and body:  # frames may follow at once
        return "\n".join([_clean(head), "", *_frames_of(body)])
    return _clean(data)


def _clean(data: bytes) -> str:
    """As text, without secrets: how long they are stays."""
    text = data.decode().replace("\r\n", "\n")

    def hidden(found: re.Match[str]) -> str:
        return f"{found[1]}<{len(found[2])} characters>"

    for secret in (r"(Bearer )([\w.-]+)", r'("token":")([\w.-]+)', r"(tiffin-token\.)([\w.-]+)"):
        text = re.sub(secret, hidden, text)
    return text.rstrip("\n")


def _frames_of(data: bytes) -> list[str]:
    """Each frame: its first bytes, what they say (RFC 6455, 5.2), and its payload."""
    lines = []
    while data:
        head, size = 2, data[1] & 0x7F
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[2:head])
        masked = bool(data[1] & 0x80)
        mask = data[head : head + 4] if masked else b""
        start = head + len(mask)
        payload = data[start : start + size]
        if masked:
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        final = "FIN, " if data[0] & 0x80 else ""
        rsv1 = "RSV1, " if data[0] & 0x40 else ""
        kind = OPCODES.get(data[0] & 0x0F, "?")
        mask_words = "masked, " if masked else ""
        count = "1 byte" if size == 1 else f"{size:,} bytes"
        lines.append(f"{data[:start].hex(' ')}   {final}{rsv1}{kind}, {mask_words}{count}")
        if kind == "close" and size >= 2:
            code, reason = int.from_bytes(payload[:2]), payload[2:].decode()
            lines.append(f"  {code} {reason}".rstrip())
        elif payload and kind in ("text", "close"):
            lines.append(f"  {_clean(payload)}")
        elif payload:
            lines.append(f"  {payload.hex(' ')}")
        data = data[start + size :]
    return lines


async def captured() -> dict[str, list[Packet]]:
    """The same from a server that is started for it."""
    async with servers_for(PATTERNS, isolated=False) as servers:
        return await capture(servers.source)
