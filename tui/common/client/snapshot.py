"""A snapshot and all that follows it: read it, go on from its cursor, and again after a reset."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tui.common.client.errors import ClientTrouble, ResetStream
from tui.common.client.reconnect import Backoff, in_short, is_final
from tui.common.client.wire import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tui.common.client.wire import Meter

CursorT = TypeVar("CursorT")


async def keep_current(
    read: Callable[[], Awaitable[CursorT]],
    follow: Callable[[CursorT], Awaitable[None]],
    meter: Meter,
    on_trouble: Callable[[ClientTrouble], None],
) -> None:
    """Run until the server refuses for good; then the meter is down.

    `read` takes a snapshot and gives its cursor, `follow` reads on from there. `on_trouble` is
    called with whatever stands in the way, also with what is final.
    """
    backoff = Backoff()
    while True:
        meter.set_state(State.CONNECTING)
        try:
            cursor = await read()
            backoff.opened()
            await follow(cursor)
        except ResetStream:
            await asyncio.sleep(backoff.ended())
        except ClientTrouble as trouble:
            if is_final(trouble):
                meter.set_state(State.DOWN, in_short(trouble))
                on_trouble(trouble)
                return
            wait = backoff.lost(getattr(trouble, "retry_after", None))
            meter.retrying(in_short(trouble), wait)
            on_trouble(trouble)
            await asyncio.sleep(wait)
