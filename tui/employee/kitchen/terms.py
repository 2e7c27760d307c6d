"""The restaurant's terms for the time being: a pause, and more minutes for everybody."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from textual import events
from textual.message import Message

from server.features.restaurants.schemas import RestaurantChange, RestaurantSummary
from tui.common.client.errors import ClientError
from tui.common.dialogs.choice import ChoiceScreen
from tui.common.format import hours_minutes
from tui.common.language import _
from tui.employee.kitchen.host import Host
from tui.employee.staleness import Banner

PAUSES = (15, 30, 60)
MORE = 15
MOST = 240
"""Extra minutes that the server takes."""
NO_END = datetime(2999, 1, 1, tzinfo=UTC)
"""Until when a pause is that somebody will end."""
LONG = timedelta(days=7)
"""A pause of more than that has no end to tell."""


class Terms:
    """What the keys for pause and minutes do."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._turn = asyncio.Lock()
        """A key pressed twice adds twice."""

    def pause(self) -> None:
        """Ask for how long no orders are taken, or whether they are again."""
        if (restaurant := self._host.restaurant) is not None:
            now = self._host.session.server_now()
            screen = ChoiceScreen(_("No new orders"), list(pauses(restaurant, now)))
            self._host.ask(screen, self._send)

    def add(self, minutes: int) -> None:
        """So many minutes more for everybody, or less."""
        self._host.run_change(self._add(minutes))

    def _send(self, change: RestaurantChange) -> None:
        self._host.run_change(self._change(change))

    async def _add(self, minutes: int) -> None:
        async with self._turn:
            if (restaurant := self._host.restaurant) is None:
                return
            extra = min(max(restaurant.extra_minutes + minutes, 0), MOST)
            if extra == restaurant.extra_minutes:
                words = _("{count} more minutes is the most.").format(count=MOST)
                self._host.toast(words if extra else _("Nothing is added now."))
            else:
                await self._change(RestaurantChange(extra_minutes=extra))

    async def _change(self, change: RestaurantChange) -> None:
        if (restaurant := self._host.restaurant) is None:
            return
        try:
            changed = await self._host.api.change_restaurant(restaurant.id, change)
        except ClientError as error:
            words = _("{why} Look above the board, and try again.")
            self._host.toast(words.format(why=error.message), error=True)
        else:
            self._host.show_terms(changed)


def pauses(restaurant: RestaurantSummary, now: datetime) -> Iterator[tuple[str, RestaurantChange]]:
    """For how long a restaurant can take no orders, and what each changes."""
    if paused(restaurant, now):
        yield _("take orders again, now"), RestaurantChange(paused_until=None)
    for minutes in PAUSES:
        end = now + timedelta(minutes=minutes)
        words = _("for {minutes} minutes, until {time}")
        words = words.format(minutes=minutes, time=hours_minutes(end))
        yield words, RestaurantChange(paused_until=end)
    yield _("until I say so"), RestaurantChange(paused_until=NO_END)


def paused(restaurant: RestaurantSummary, now: datetime) -> bool:
    """Whether it takes no orders at `now` by somebody's word."""
    return restaurant.paused_until is not None and restaurant.paused_until > now


def format_terms(restaurant: RestaurantSummary | None, now: datetime) -> str:
    """The line above the board; "" while everything is as usual."""
    parts = []
    if restaurant is not None and paused(restaurant, now):
        end = restaurant.paused_until
        if end is not None and end - now < LONG:
            words = _("Paused until {time} · P changes it")
            parts.append(words.format(time=hours_minutes(end)))
        else:
            parts.append(_("Paused until you say so · P changes it"))
    if restaurant is not None and restaurant.extra_minutes:
        words = _("+{minutes} min for everybody · - for less")
        parts.append(words.format(minutes=restaurant.extra_minutes))
    return "   ".join(parts)


class TermsLine(Banner):
    """What is not as usual now; a click changes the pause."""

    class Clicked(Message):
        """It was clicked."""

    def on_click(self, event: events.Click) -> None:
        """Change it."""
        event.stop()
        self.post_message(self.Clicked())
