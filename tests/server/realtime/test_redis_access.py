"""A Redis that requires a password, speaks TLS, or restricts its users."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hub_node import OpenNode
from test_redis_broker import SECRET, SLOW_SWEEP, arrives, subscribed

from server.realtime import redis_broker
from server.realtime.event import Event
from server.realtime.redis_broker import RedisBroker, describe_error
from support.tls import certificate
from support.waiting import PATIENCE, wait_until
from tools.cluster.redis_server import RedisServer

PASSWORD = "p/a#s?s:w@o%rd "
QUOTED = "p%2Fa%23s%3Fs%3Aw%40o%25rd%20"


@pytest.fixture
def guarded(own_redis: RedisServer) -> RedisServer:
    """A Redis with a password and some accounts."""
    for name, rights in {
        "deaf": ("+@all", "-subscribe", "allchannels"),
        "mute": ("+@all", "-publish", "allchannels"),
        "stranger": ("+@all", "resetchannels", "&other:*"),
        "tiffin": ("-@all", "+publish", "+subscribe", "+unsubscribe", "+ping", "+hello", "+client"),
    }.items():
        assert own_redis.command("ACL", "SETUSER", name, "on", f">{PASSWORD}", *rights) == "+OK"
    assert own_redis.command("ACL", "SETUSER", "tiffin", "resetchannels", "&tiffin:*") == "+OK"
    assert own_redis.command("CONFIG", "SET", "requirepass", PASSWORD) == "+OK"
    return own_redis


@contextlib.asynccontextmanager
async def behind_tls(port: int, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """The same over TLS, through stunnel: the port and the certificate."""
    trusted, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], trusted
    finally:
        server.close()


async def test_it_works_with_a_password_and_tls(
    guarded: RedisServer, open_node: OpenNode, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in the password, as any user that has the rights."""
    monkeypatch.setattr(redis_broker, "CONFIRM_SECONDS", PATIENCE)  # no sweep heals it
    monkeypatch.setattr(redis_broker, "PUBLISH_SECONDS", PATIENCE)
    async with behind_tls(guarded.port, data_dir) as (port, trusted):
        urls = [
            f"redis://:{QUOTED}@127.0.0.1:{guarded.port}",
            f"redis://tiffin:{QUOTED}@127.0.0.1:{guarded.port}/0",
            f"rediss://:{QUOTED}@127.0.0.1:{port}/0?ssl_ca_certs={trusted}",
        ]
        nodes = [
            await open_node(RedisBroker(url, SECRET), sweep_seconds=SLOW_SWEEP) for url in urls
        ]
        # Connecting is given up after a second or two, and tried again.
        await wait_until(lambda: [node.broker.state for node in nodes] == ["ok"] * 3)
        sinks = [await subscribed(node) for node in nodes]
        for number, node in enumerate(nodes, 1):
            await node.append()
            for sink in sinks:
                await arrives(sink, range(1, number + 1))


async def test_a_refusal_is_reported_at_once_in_words_and_without_a_secret(
    guarded: RedisServer,
    data_dir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "server.realtime")
    monkeypatch.setattr(redis_broker, "PUBLISH_SECONDS", PATIENCE)
    async with behind_tls(guarded.port, data_dir) as (tls, _):
        plain = f"127.0.0.1:{guarded.port}"
        cases = [
            (f"redis://{plain}", "ERROR", "needs a password"),
            (f"redis://:hunter2@{plain}", "ERROR", "does not take the user name and password"),
            (f"redis://joe:hunter2@{plain}", "ERROR", "does not take the user name and password"),
            (f"redis://deaf:{QUOTED}@{plain}", "ERROR", "ACL"),
            (f"redis://mute:{QUOTED}@{plain}", "ERROR", "ACL"),
            (f"redis://stranger:{QUOTED}@{plain}", "ERROR", "ACL"),
            (f"redis://:{QUOTED}@{plain}/99", "ERROR", "no database of the number"),
            (f"rediss://:{QUOTED}@127.0.0.1:{tls}", "ERROR", "certificate"),
            (f"redis://:{QUOTED}@127.0.0.1:{tls}", "WARNING", "rediss://"),
            (f"rediss://:{QUOTED}@{plain}", "WARNING", "no answer in time"),
            (f"redis://:{QUOTED}@127.0.0.1:1", "WARNING", "no connection to Redis"),
            (f"redis://:{QUOTED}@no..name", "WARNING", "no connection to Redis"),
        ]

        async def refused(url: str, level: str, words: str) -> None:
            broker = RedisBroker(url, SECRET)
            if words != "no answer in time":
                # All connect at once. A warning is not followed by another about the same.
                for client in (broker._listening, broker._publishing):
                    client.connection_pool.connection_kwargs["socket_connect_timeout"] = PATIENCE
            await broker.open("epoch")
            try:
                await wait_until(lambda: words in broker.state, what=f"{words}: it is seen")
                broker.publish([Event("chat:1", 1, "message", "", '"between us"', "")])
                await wait_until(
                    lambda: any(
                        one.levelname == level and words in one.getMessage()
                        for one in caplog.records
                    ),
                    what=f"{words}: it is told",
                )
                assert broker.state != "ok"
            finally:
                await broker.close()

        await asyncio.gather(*(refused(*case) for case in cases))
    assert len(caplog.records) < 3 * len(cases), "once, not with each attempt"
    for secret in ("hunter2", "p/a#", QUOTED, "p%2F", "between us"):
        assert secret not in caplog.text, secret


async def test_it_works_again_once_it_is_let_in_also_where_nothing_is_published(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.realtime")
    assert own_redis.command("ACL", "SETUSER", "mute", "on", "nopass", "+@all", "-publish") == "+OK"
    assert own_redis.command("ACL", "SETUSER", "mute", "allchannels") == "+OK"
    broker = RedisBroker(own_redis.url.replace("//", "//mute:x@"), SECRET)
    await broker.open("epoch")
    try:
        await wait_until(lambda: "PUBLISH" in broker.state, what="nothing can be published")
        assert own_redis.command("ACL", "SETUSER", "mute", "+publish") == "+OK"
        await wait_until(lambda: broker.state == "ok", what="it can again")
        assert "works again" in caplog.text
        assert broker.rejected == 0
    finally:
        await broker.close()


async def test_options_that_redis_py_does_not_know_are_reported() -> None:
    for more in ("?foo=1", "?db=hunter2", "?health_check_interval=hunter2"):
        with pytest.raises(ValueError, match="after the") as error:
            RedisBroker("rediss://:hunter2@127.0.0.1:1" + more, SECRET)
        assert "hunter2" not in str(error.value)
        assert error.value.__suppress_context__


def test_text_that_a_server_repeats_is_not_logged() -> None:
    from redis.exceptions import ResponseError

    said = "unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`"
    assert "hunter2" not in describe_error(ResponseError(said))[1]
