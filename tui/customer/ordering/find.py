"""Restaurants and dishes, as the command palette finds them."""

from collections.abc import Iterable
from functools import partial
from itertools import islice

from textual.app import SystemCommand
from textual.command import Hits, Provider

from tui.common.client.errors import ClientError
from tui.common.commands import MOST_FOUND, dishes_found, found
from tui.common.format import message_for
from tui.common.language import _
from tui.common.services import services_of
from tui.customer.ordering.format import not_now, tags_in_words
from tui.customer.orders.panel import OrdersPanel


class MenuFinder(Provider):
    """Reads the menus as the palette opens; only what it finds waits for them."""

    async def startup(self) -> None:
        """Read the menus."""
        self._error = ""
        services = services_of(self.app)
        self._panel = services.find_panel(OrdersPanel) if len(self.app.screen_stack) == 2 else None
        panel = self._panel
        if panel is None:
            return
        try:
            await panel.menus.read()
        except ClientError as error:
            self._error = message_for(error)

    async def search(self, query: str) -> Hits:
        """The first restaurants and dishes in which all words of `query` occur."""
        if self._panel is None:
            return
        if self._error and not self._panel.menus.known:
            title = _("Restaurants and dishes cannot be searched now")
            failed = SystemCommand(title, self._error, self._panel.action_new_order)
            for hit in found("", [failed]):
                yield hit
        for hit in islice(found(query, _things(self._panel)), MOST_FOUND):
            yield hit


def _things(panel: OrdersPanel) -> Iterable[SystemCommand]:
    for one in panel.menus.known:
        closed = not_now(one)
        about = f"{closed} {one.cuisine}: {one.description}".lstrip()
        yield SystemCommand(
            _("Restaurant {name}").format(name=one.name), about, partial(panel.open_menu, one)
        )
        go_to = partial(panel.open_menu, one)
        yield from dishes_found(one, one.menu, go_to, tags_in_words, closed)
