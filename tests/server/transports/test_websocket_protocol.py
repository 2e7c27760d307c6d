"""RFC 6455 on bare sockets: what a client may send, what fails its connection, the handshake."""

import asyncio
import json

import pytest
from held_app import HeldApp

from support.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    framed,
    raw_websocket,
)
from support.waiting import PATIENCE

Step = bytes | str | tuple[int, bytes]
"""What the server sends: an echo's text, or a frame."""


def closing(code: int, reason: bytes = b"") -> bytes:
    """The payload of a close frame."""
    return code.to_bytes(2, "big") + reason


def text_in(*parts: bytes, between: bytes = b"") -> bytes:
    """A message in parts, with something between each two."""
    kinds = [TEXT] + [CONTINUATION] * (len(parts) - 1)
    return between.join(
        framed(part, kind, final=number == len(parts) - 1)
        for number, (part, kind) in enumerate(zip(parts, kinds, strict=True))
    )


TAKEN: dict[str, tuple[bytes, list[Step]]] = {
    "no text": (framed(b""), [""]),
    "125 bytes": (framed(b"x" * 125), ["x" * 125]),
    "126 bytes": (framed(b"x" * 126), ["x" * 126]),
    "127 bytes": (framed(b"x" * 127), ["x" * 127]),
    "65,535 bytes": (framed(b"x" * 65_535), ["x" * 65_535]),
    "65,536 bytes": (framed(b"x" * 65_536), ["x" * 65_536]),
    "a length longer than it needs be": (
        b"\x81\xff" + (3).to_bytes(8, "big") + b"\0\0\0\0abc",
        ["abc"],
    ),
    "a mask": (framed("Grüße ☃ 👩‍🍳".encode(), mask=b"\x12\xf3\x80\x7f"), ["Grüße ☃ 👩‍🍳"]),
    "two in one go": (framed(b"a") + framed(b"b"), ["a", "b"]),
    "two parts": (text_in(b"Hel", b"lo"), ["Hello"]),
    "a character in two parts": (text_in(b"\xe2\x98", b"\x83"), ["☃"]),
    "parts without anything": (text_in(b"", b"", b""), [""]),
    "an empty part first": (text_in(b"", b"x"), ["x"]),
    "an empty part last": (text_in(b"x", b""), ["x"]),
    "a part a byte": (text_in(*[b"x"] * 20), ["x" * 20]),
    "a ping between parts": (
        text_in(b"Hel", b"lo", between=framed(b"now", PING)),
        [(PONG, b"now"), "Hello"],
    ),
    "a pong between parts": (text_in(b"Hel", b"lo", between=framed(b"?", PONG)), ["Hello"]),
    "a ping": (framed(b"", PING), [(PONG, b"")]),
    "a ping with 125 bytes": (framed(b"\xff" * 125, PING), [(PONG, b"\xff" * 125)]),
    "a pong that nobody asked for": (framed(b"x", PONG) + framed(b"a"), ["a"]),
    "the last character": (framed("\U0010ffff".encode()), ["\U0010ffff"]),
    "no characters, but text": (framed("\ufffe\uffff\0".encode()), ["\ufffe\uffff\0"]),
}
FAILED: dict[str, tuple[bytes, int]] = {
    **{
        f"a frame of kind {kind:#x}": (framed(b"", kind), 1002)
        for kind in (*range(0x3, 0x8), *range(0xB, 0x10))
    },
    **{
        f"reserved bits {bits:03b} in {kind:#x}": (framed(b"x", kind, reserved=bits), 1002)
        for bits in range(1, 8)
        for kind in (TEXT, PING)
    },
    **{
        f"no mask on {name}": (framed(payload, kind, mask=None), 1002)
        for name, kind, payload in (
            ("text", TEXT, b"hello"),
            ("no text", TEXT, b""),
            ("300 bytes", TEXT, b"x" * 300),
            ("bytes", BINARY, b"x"),
            ("a ping", PING, b"x"),
            ("a pong", PONG, b""),
            ("a close", CLOSE, closing(1000)),
            ("an empty close", CLOSE, b""),
        )
    },
    "no mask on a later part": (
        framed(b"x", final=False) + framed(b"y", CONTINUATION, mask=None),
        1002,
    ),
    "a ping of 126 bytes": (framed(b"x" * 126, PING), 1002),
    "a ping in parts": (framed(b"x", PING, final=False), 1002),
    "a close in parts": (framed(closing(1000), CLOSE, final=False), 1002),
    "a part of nothing": (framed(b"x", CONTINUATION), 1002),
    "a part of nothing, not the last": (framed(b"x", CONTINUATION, final=False), 1002),
    "a part after the last": (text_in(b"a", b"b") + framed(b"c", CONTINUATION), 1002),
    "text in the middle of a message": (framed(b"a", final=False) + framed(b"b"), 1002),
    "text after a first part without anything": (framed(b"", final=False) + framed(b"b"), 1002),
    "bytes after a first part without anything": (
        framed(b"", final=False) + framed(b"b", BINARY, final=False),
        1002,
    ),
    "no UTF-8": (framed(b"\xff"), 1007),
    "half a surrogate pair": (framed(b"\xed\xa0\x80"), 1007),
    "beyond the last character": (framed(b"\xf4\x90\x80\x80"), 1007),
    "half a character": (framed(b"\xe2\x98"), 1007),
    "half a character in parts": (text_in(b"a", b"\xe2\x98"), 1007),
    "a long way for a short character": (framed(b"\xc0\xaf"), 1007),
    "more than is ever read": (framed(b"x" * 140_000), 1009),
    "a length of 2^63": (b"\x81\xff" + (1 << 63).to_bytes(8, "big") + b"\0" * 4, 1009),
    "a length of 2^40": (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\0" * 4, 1009),
    "a close of one byte": (framed(b"\x03", CLOSE), 1002),
    "a close whose reason is no UTF-8": (framed(closing(1000, b"\xff"), CLOSE), 1007),
    "a close of 126 bytes": (framed(closing(1000, b"x" * 124), CLOSE), 1002),
    **{
        f"close {code}": (framed(closing(code), CLOSE), 1002)
        for code in (
            *(0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999),
            *(5000, 5001, 9999, 65_535),
        )
    },
}
ENDS: dict[str, bytes] = {
    "a close": framed(b"", CLOSE),
    "one with 123 bytes of reason": framed(closing(1000, b"x" * 123), CLOSE),
    "frames after it": framed(closing(1000), CLOSE) + framed(b"x") + framed(b"", PING),
    **{
        f"{code}": framed(closing(code, b"bye"), CLOSE)
        for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999)
    },
}


async def test_valid_frames_are_accepted(app: HeldApp) -> None:
    for name, (frames, expected) in TAKEN.items():
        async with raw_websocket(app.port, "/api/v1/ws", app.headers()) as ws:
            await ws.send_all(frames)
            for step in expected:
                kind, payload = await ws.receive()
                while kind == PING:
                    kind, payload = await ws.receive()
                if isinstance(step, tuple):
                    assert (kind, payload) == step, name
                else:
                    assert json.loads(payload) == {"echo": step}, name
            await ws.send(closing(1000), CLOSE)
            assert (await ws.end())[0] == 1000, name


async def test_frames_may_arrive_byte_by_byte(app: HeldApp) -> None:
    async with raw_websocket(app.port, "/api/v1/ws", app.headers()) as ws:
        for byte in text_in("☃".encode(), b"x" * 200, between=framed(b"", PING)):
            await ws.send_all(bytes([byte]))
            await asyncio.sleep(0)
        assert json.loads(await ws.text()) == {"echo": "☃" + "x" * 200}
        for byte in framed(b"x", mask=None):
            await ws.send_all(bytes([byte]))
            await asyncio.sleep(0)
        assert (await ws.end())[0] == 1002


async def test_invalid_frames_fail_the_connection(app: HeldApp) -> None:
    """With the code that says why, and without any effect."""
    for name, (frames, code) in FAILED.items():
        async with raw_websocket(app.port, "/api/v1/ws", app.headers()) as ws:
            await ws.send_all(frames)
            echoes = 0
            try:
                while True:
                    echoes += (await ws.text()).startswith("{")
            except ConnectionResetError as end:
                found, reason = end.args
            assert found == code, name
            assert len(reason.encode()) <= 123, name
            assert echoes == (name == "a part after the last"), name


async def test_a_close_is_answered(app: HeldApp) -> None:
    """Its close is answered with one, and the connection ends."""
    for name, frames in ENDS.items():
        async with raw_websocket(app.port, "/api/v1/ws", app.headers()) as ws:
            await ws.send_all(frames)
            assert (await ws.end())[0] == 1000, name
            with pytest.raises(ConnectionResetError):
                await ws.receive()


HANDSHAKES: dict[str, tuple[str, dict[str, str | None], int]] = {
    "as it should be": ("HTTP/1.1", {}, 101),
    "in other cases": (
        "HTTP/1.1",
        {"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"},
        101,
    ),
    "no version": ("HTTP/1.1", {"Sec-WebSocket-Version": None}, 426),
    **{
        f"version {version}": ("HTTP/1.1", {"Sec-WebSocket-Version": version}, 426)
        for version in ("0", "7", "8", "12", "14", "13, 8", "x", "")
    },
    "HTTP/1.0": ("HTTP/1.0", {}, 426),
    "no upgrade": ("HTTP/1.1", {"Upgrade": None}, 426),
    "another upgrade": ("HTTP/1.1", {"Upgrade": "h2c"}, 426),
    "no connection": ("HTTP/1.1", {"Connection": None}, 426),
    "another connection": ("HTTP/1.1", {"Connection": "keep-alive"}, 426),
    "no key": ("HTTP/1.1", {"Sec-WebSocket-Key": None}, 400),
    "a short key": ("HTTP/1.1", {"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
    "a key that is none": ("HTTP/1.1", {"Sec-WebSocket-Key": "!!!!"}, 400),
}


async def test_the_handshake_follows_the_protocol(app: HeldApp) -> None:
    for name, (version, changes, status) in HANDSHAKES.items():
        headers: dict[str, str | None] = {
            "Host": "x",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            **app.headers(),
            **changes,
        }
        lines = [f"{key}: {value}" for key, value in headers.items() if value is not None]
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        try:
            request = "\r\n".join([f"GET /api/v1/ws {version}", *lines, "", ""])
            writer.write(request.encode())
            async with asyncio.timeout(PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert int(head.split()[1]) == status, name
            if status == 101:
                assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head, name
            if status == 426:
                assert "sec-websocket-version: 13\r\n" in head, name
                assert "upgrade: websocket\r\n" in head, name
        finally:
            writer.transport.abort()
