"""Toasts: at most two, beside what one works on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from textual.app import App
from textual.geometry import Region
from textual.notifications import Notification
from textual.screen import Screen
from textual.widgets import Input, TextArea
from textual.widgets._toast import Toast, ToastRack

from tui.common.language import ngettext

MOST_TOASTS = 2
MOST_LINES = 5
"""Of a toast that stands for several."""
PINNED_SECONDS = 3600.0
"""What stays that long is a toast of its own: it waits for an answer."""
SEVERITIES = ("information", "warning", "error")
CORNERS = ((), ("-top",), ("-left",), ("-top", "-left"))
"""The classes of each place for toasts: at the lower right edge first."""


@dataclass
class Joined(Notification):
    """A toast that stands for `count` others, and has the first lines of the last ones."""

    count: int = 0


class Toasts:
    """The toasts of an app: of more than `MOST_TOASTS` the oldest become one."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._followed = WeakSet[Screen[Any]]()

    def join_oldest(self) -> None:
        """Make one of the oldest, where there are too many."""
        app = self._app
        toasts = list(app._notifications)
        loose = [one for one in toasts if one.time_left < PINNED_SECONDS]
        oldest = loose[: len(toasts) + 1 - MOST_TOASTS]
        if len(toasts) > MOST_TOASTS and len(oldest) > 1:
            lines, count = list[str](), 0
            for one in oldest:
                words = one.message.split("\n")
                title = f"{one.title}: " if one.title else ""
                lines += words if isinstance(one, Joined) else [f"{title}{words[0]}"]
                count += one.count if isinstance(one, Joined) else 1
            kept = [one for one in toasts if one not in oldest]
            for one in toasts:
                del app._notifications[one]
            joined = Joined(
                "\n".join(lines[-MOST_LINES:]),
                title=ngettext("{count} message", "{count} messages", count).format(count=count),
                severity=max((one.severity for one in oldest), key=SEVERITIES.index),
                timeout=max(one.time_left for one in oldest),
                count=count,
            )
            for one in (joined, *kept):
                app._notifications.add(one)

    def follow(self, screen: Screen[Any]) -> None:
        """Place them whenever this screen is laid out."""
        # An app that is ending cannot subscribe, and a toast may have come before.
        if screen not in self._followed and self._app.is_running:
            self._followed.add(screen)
            screen.screen_layout_refresh_signal.subscribe(self._app, self._laid_out)

    def place(self) -> None:
        """Put them into the corner where they cover least of what one works on."""
        screen = self._app.screen
        racks = screen.query(ToastRack)
        toasts = [toast.region for toast in screen.query(Toast) if toast.region]
        if not racks or not toasts:
            return
        width, height = max(one.width for one in toasts), sum(one.height + 1 for one in toasts)
        across, down = screen.size
        busy = list(_worked_on(screen))

        def covered(classes: tuple[str, ...]) -> int:
            x = 0 if "-left" in classes else across - width
            y = 1 if "-top" in classes else down - 1 - height
            place = Region(x, y, width, height)
            return sum(place.intersection(one).area for one in busy)

        best = min(CORNERS, key=covered)
        for name in ("-top", "-left"):
            racks.first().set_class(name in best, name)

    def _laid_out(self, screen: Screen[Any]) -> None:
        if self._app._notifications and screen is self._app.screen:
            self.place()


def _worked_on(screen: Screen[Any]) -> Iterator[Region]:
    """Where a toast would be in the way: a dialog, the field or the selected row in focus."""
    yield from (box.region for box in screen.query(".box"))
    focused = screen.focused
    if isinstance(focused, Input | TextArea):
        yield focused.region
    elif focused is not None:
        rows: range | None = getattr(focused, "cursor_rows", None)
        if rows is not None:
            region = focused.region
            yield Region(region.x, region.y + rows.start, region.width, len(rows))
