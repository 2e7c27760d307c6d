"""Restaurants and dishes, as the command palette finds them."""

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from itertools import islice

from textual.app import SystemCommand
from textual.command import Hits, Provider

from server.features.restaurants.schemas import Restaurant
from tui.common.client.errors import ClientError
from tui.common.commands import MOST_FOUND, dishes_found, found
from tui.common.format import message_for
from tui.common.language import _
from tui.common.services import services_of
from tui.customer.ordering.format import metres_to, out_of_reach
from tui.customer.orders.panel import OrdersPanel

MOST_MENUS = 60
"""Menus that are read to search them, of the restaurants that deliver here, the nearest first."""
AT_ONCE = 6
FRESH_SECONDS = 120.0
"""For how long the menus read last are searched."""


class MenuFinder(Provider):
    """Reads the menus as the palette opens; only what it finds waits for them."""

    async def startup(self) -> None:
        """Read the menus, unless they were a moment ago."""
        self._error = ""
        services = services_of(self.app)
        self._panel = services.find_panel(OrdersPanel) if len(self.app.screen_stack) == 2 else None
        panel = self._panel
        if panel is None or time.monotonic() - panel.menus_read_at < FRESH_SECONDS:
            return
        turns = asyncio.Semaphore(AT_ONCE)

        async def read(restaurant_id: str) -> Restaurant:
            async with turns:
                return await services.api.restaurant(restaurant_id)

        try:
            restaurants = await services.api.restaurants()
            account = services.session.account
            home = account.address if account else None
            if home is not None:
                within = [one for one in restaurants if not out_of_reach(one, home)]
                restaurants = sorted(within, key=lambda one: metres_to(one, home))
            reads = (read(one.id) for one in restaurants[:MOST_MENUS])
            panel.menus = await asyncio.gather(*reads)
            panel.menus_read_at = time.monotonic()
        except ClientError as error:
            self._error = message_for(error)

    async def search(self, query: str) -> Hits:
        """The first restaurants and dishes in which all words of `query` occur."""
        if self._panel is None:
            return
        if self._error and not self._panel.menus:
            title = _("Restaurants and dishes cannot be searched now")
            failed = SystemCommand(title, self._error, self._panel.action_new_order)
            for hit in found("", [failed]):
                yield hit
        for hit in islice(found(query, _things(self._panel)), MOST_FOUND):
            yield hit


def _things(panel: OrdersPanel) -> Iterable[SystemCommand]:
    for one in panel.menus:
        about = f"{one.cuisine}: {one.description}"
        yield SystemCommand(
            _("Restaurant {name}").format(name=one.name), about, partial(panel.open_menu, one)
        )
        yield from dishes_found(one, one.menu, partial(panel.open_menu, one))
