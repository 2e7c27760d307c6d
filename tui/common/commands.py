"""What the command palette offers: everything the keys can do, by name."""

from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.screen import Screen

from tui.common.sanitize import plain

if TYPE_CHECKING:
    from tui.common.app import TiffinApp


class Commands(Provider):
    """Offers the app's commands. Their names and helps quote data: they are text, never markup."""

    async def discover(self) -> Hits:
        """All of them, by name."""
        for command in sorted(self.app.get_system_commands(self.screen), key=attrgetter("title")):
            name = plain(command.title)
            yield DiscoveryHit(_lines(Content(name), command.help), command.callback, text=name)

    async def search(self, query: str) -> Hits:
        """Those whose name has the letters of `query` in that order."""
        matcher = self.matcher(query)
        for command in self.app.get_system_commands(self.screen):
            name = plain(command.title)
            score, offsets = matcher.fuzzy_search.match(query, name)
            if score:
                shown = Content(name)
                for at in offsets:
                    shown = shown.stylize(matcher.match_style, at, at + 1)
                yield Hit(score, _lines(shown, command.help), command.callback, text=name)


def _lines(name: Content, help_text: str) -> Content:
    return Content("\n").join([name, Content.assemble((plain(help_text), "dim not bold"))])


def commands_for(app: "TiffinApp", screen: Screen[Any]) -> Iterable[SystemCommand]:
    """The commands that make sense on `screen`."""
    if app.panels and screen is app.screen_stack[0]:
        for panel in app.panels:
            yield from panel.commands()
        for panel in app.panels:
            yield SystemCommand(
                f"Go to {panel.TITLE}",
                f"Panel {panel.number}, fed by {panel.PATTERN}",
                lambda number=panel.number: app.action_panel(number),
            )
        zoomed = app.grid.zoomed
        yield SystemCommand(
            "Show all panels" if zoomed else "Zoom this panel",
            "Back to the others" if zoomed else "One panel over the whole window",
            app.action_zoom,
        )
        yield SystemCommand(
            "Cut this panel's connection",
            "Watch it come back, and see what is replayed",
            app.action_cut,
        )
        yield SystemCommand(
            "Account", "Profile, password, sessions, log out, deletion", app.action_account
        )
        yield SystemCommand("Log out", "Leave, and forget this log-in here", app.door.leave)
    yield SystemCommand(
        "Day or night", "Change between the light and the dark theme", app.action_theme
    )
    yield SystemCommand("Help", "All keys, and how to read the wire line", app.action_help)
    yield SystemCommand("Quit", "Close this window", app.action_quit)
