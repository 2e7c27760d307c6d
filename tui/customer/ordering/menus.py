"""The menus that the palette and the filter of the restaurants search."""

import asyncio
import time
from math import inf
from typing import TYPE_CHECKING

from tui.customer.ordering.format import metres_to, out_of_reach

if TYPE_CHECKING:
    from server.features.restaurants.schemas import Restaurant
    from tui.common.client.api import Api
    from tui.common.client.session import Session

MOST_MENUS = 60
"""Menus that are read, of the restaurants that deliver here, the nearest first."""
AT_ONCE = 6
FRESH_SECONDS = 120.0
"""For how long the menus read last are searched."""


class Menus:
    """The menus of the restaurants that deliver to the customer's home."""

    def __init__(self, api: "Api", session: "Session") -> None:
        self.known: list[Restaurant] = []
        """As read last, however long ago."""
        self._api, self._session = api, session
        self._read_at = -inf
        self._turn = asyncio.Lock()

    async def read(self) -> "list[Restaurant]":
        """The menus, at most two minutes old. Who asks while they are read waits for that reading.
        Raises ClientError."""
        async with self._turn:
            if time.monotonic() - self._read_at >= FRESH_SECONDS:
                self.known = await self._read()
                self._read_at = time.monotonic()
            return self.known

    async def _read(self) -> "list[Restaurant]":
        slots = asyncio.Semaphore(AT_ONCE)

        async def read(restaurant_id: str) -> "Restaurant":
            async with slots:
                return await self._api.restaurant(restaurant_id)

        restaurants = await self._api.restaurants()
        account = self._session.account
        home = account.address if account else None
        if home is not None:
            within = [one for one in restaurants if not out_of_reach(one, home)]
            restaurants = sorted(within, key=lambda one: metres_to(one, home))
        return await asyncio.gather(*(read(one.id) for one in restaurants[:MOST_MENUS]))
