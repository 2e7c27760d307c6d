"""Connections of Socket.IO."""

import asyncio

import pytest

from support.live_server import LiveServer
from support.relay import relay_to
from support.rest import Rest
from tui.common.client.errors import Unreachable
from tui.common.client.meter import Meter, Pattern, Wire
from tui.common.client.socketio import CONNECT_SECONDS, SocketIoConnection


async def test_a_call_ends_with_its_connection(live_server: LiveServer) -> None:
    """The stock client alone would wait for its timeout."""
    async with relay_to(live_server.url) as relay, Rest(live_server.url) as rest:
        await rest.register("ana@example.org")
        meter = Meter(Wire(), "socketio", Pattern.WEBSOCKET)
        connection = SocketIoConnection(meter, lambda *_: None, closing := set())
        await connection.open(relay.url, rest.token)
        relay.stall(to_server=True)
        calling = asyncio.create_task(connection.call("lab", {"run": "none"}))
        await asyncio.sleep(0)
        relay.cut()
        async with asyncio.timeout(CONNECT_SECONDS / 2):
            with pytest.raises(Unreachable):
                await calling
        connection.close()
        await asyncio.wait(closing)
