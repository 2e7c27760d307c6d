"""Reads the town's ground from the server, once it answers."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.common.client.errors import ClientTrouble
from tui.common.client.reconnect import Backoff, is_final
from tui.common.map.ground import Ground

if TYPE_CHECKING:
    from tui.common.client.api import Api


async def read_ground(api: "Api", show: Callable[[Ground], None]) -> None:
    """Hand the ground to `show`, as soon as it is there; not at all where the server has no map,
    or none that this version understands."""
    backoff = Backoff()
    while True:
        try:
            town = await api.town_map()
        except ClientTrouble as trouble:
            if is_final(trouble):
                return
            await asyncio.sleep(backoff.lost(getattr(trouble, "retry_after", None)))
            continue
        break
    if town is None:
        return
    try:
        ground = await asyncio.to_thread(Ground.parse, town)
    except ValueError:
        return
    show(ground)
