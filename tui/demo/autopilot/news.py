"""What the autopilots announce, and when."""

import asyncio
import logging
import random
import uuid
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from server.features.announcements.schemas import (
    Announcement,
    Audience,
    NewAnnouncement,
    Scope,
    Severity,
)
from tui.common.client.api import Api
from tui.common.client.errors import ApiError
from tui.common.client.retry import is_permanent
from tui.common.client.session import Session

log = logging.getLogger("autopilot")

FIRST_SECONDS = 20.0
"""From the start to the first one, at pace 1, where none is recent."""
EVERY_SECONDS = 600.0
"""From one to the next, at pace 1; up to SPREAD shorter or longer."""
SPREAD = 0.2
LIFETIME = timedelta(hours=3)
"""After that an announcement expires."""

_E, _C, _S = Audience.EVERYONE, Audience.CUSTOMERS, Audience.EMPLOYEES
_INFO, _WARNING = Severity.INFO, Severity.WARNING
TEXTS: tuple[tuple[Severity, Audience, str, str], ...] = (
    (_INFO, _C, "Soups of the day are on", "Every kitchen has one; look under starters."),
    (_INFO, _E, "Bottle returns at the door", "Hand empties to the driver and get 0.25 back each."),
    (_INFO, _S, "Fresh bread at four", "The bakery comes by the back doors. Have a crate ready."),
    (_WARNING, _E, "Rain over the river bank", "Drivers slow down; expect a few minutes more."),
    (_INFO, _C, "Cutlery only if you ask", "Say so in the note. The town throws away less."),
    (_INFO, _S, "Label allergens, please", "Two boxes went out without a sticker yesterday."),
    (_INFO, _E, "The market bridge is open again", "Drivers take the short way from now on."),
    (_INFO, _C, "Quiet hour ahead", "Between three and five most orders come in twenty minutes."),
    (_INFO, _S, "New bags are here", "They are wider. Two flat boxes fit side by side."),
    (_INFO, _E, "A match at the stadium tonight", "Streets around it are full from seven to ten."),
    (_INFO, _C, "Ring, or leave it at the door", "Tell the driver in the note how you like it."),
    (_WARNING, _S, "Card terminals are slow", "Give them half a minute before you try again."),
    (_INFO, _E, "Roadworks in Mill Lane", "Until Friday drivers come by the other end."),
    (_INFO, _C, "Seconds for half the price", "From nine on, as long as there are any left."),
    (_INFO, _S, "Hand over at the side door", "The front is for guests while it is busy."),
    (_INFO, _E, "Drivers in new jackets", "Bright orange, so that you see them come."),
    (_INFO, _C, "Tips go to the driver", "All of it, on the same evening."),
    (
        _INFO,
        _S,
        "Ice is short today",
        "The machine at the depot is broken. Go easy on iced drinks.",
    ),
    (_INFO, _E, "Fog by the harbour", "Lights on, and a little patience."),
    (_INFO, _C, "Vegetables from the valley", "The first of the season are on three menus."),
    (_INFO, _S, "Count the drivers' floats", "Before the evening, please, and sign the sheet."),
    (_INFO, _E, "The fountain runs again", "Meet your driver there if your street is closed."),
    (_WARNING, _C, "Busy evening", "Kitchens take a little longer than they say. Thank you."),
    (_INFO, _S, "Thank you for a calm noon", "Nothing was late. That is worth saying."),
)
"""Severity, audience, title, text: more of them than are current at any time."""


class Newsroom:
    """Shared by the autopilots of one process, of which one at a time announces."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._recent: deque[str] = deque(maxlen=len(TEXTS) // 2)
        """Titles, also of announcements that were withdrawn since."""

    async def announce(self, session: Session, api: Api, pace: float, name: str) -> None:
        """Wait until no other autopilot announces, then announce until cancelled or an error."""
        async with self._lock:
            await asyncio.sleep(FIRST_SECONDS * pace)
            while True:
                try:
                    wait = await self._announce_if_due(session, api, pace, name)
                except ApiError as refusal:
                    if not is_permanent(refusal) or refusal.status == 401:
                        raise
                    log.warning("%s: nothing announced: %s", name, refusal.message)
                    wait = EVERY_SECONDS * pace
                await asyncio.sleep(wait * random.uniform(1, 1 + SPREAD))  # noqa: S311

    async def _announce_if_due(self, session: Session, api: Api, pace: float, name: str) -> float:
        """Announce something if it is due; returns the seconds until the next is."""
        # Read each time: people announce and withdraw too.
        page = await api.announcements(Scope.ALL, limit=200)
        wait = seconds_to_wait(page.items, session.server_now(), pace)
        if wait > 0:
            return wait
        new = choose(page.items, self._recent, session.server_now())
        if new is not None:
            await api.announce(new, str(uuid.uuid4()))
            self._recent.append(new.title)
            log.info("%s: announced “%s”", name, new.title)
        return EVERY_SECONDS * pace


def seconds_to_wait(current: Iterable[Announcement], now: datetime, pace: float) -> float:
    """Until the next is due, counted from the last that any autopilot made."""
    ours = {title for _, _, title, _ in TEXTS}
    last = max((one.published_at for one in current if one.title in ours), default=None)
    if last is None:
        return 0.0
    return max(0.0, EVERY_SECONDS * (1 - SPREAD) * pace - (now - last).total_seconds())


def choose(
    current: Iterable[Announcement], recent: Iterable[str], now: datetime
) -> NewAnnouncement | None:
    """The next of TEXTS that is neither current nor recent; None where there is none."""
    titles = [one.title for one in sorted(current, key=lambda one: one.published_at)]
    titles += recent
    indices = {title: index for index, (_, _, title, _) in enumerate(TEXTS)}
    last = [indices[title] for title in titles if title in indices][-1:]
    first = last[0] + 1 if last else 0
    for severity, audience, title, body in (*TEXTS[first:], *TEXTS[:first]):
        if title not in titles:
            return NewAnnouncement(
                title=title,
                body=body,
                severity=severity,
                audience=audience,
                expires_at=now + LIFETIME,
            )
    return None
