"""What the command palette offers: everything the keys can do, by name."""

from collections.abc import Iterable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.common.hosted import hosted_where
from tui.common.sanitize import plain

if TYPE_CHECKING:
    from tui.common.panel_grid import PanelGrid


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


def commands_for(app: App[Any], grid: "PanelGrid | None") -> Iterable[SystemCommand]:
    """The commands that make sense now; `grid` is None while a dialog is over the panels."""
    if grid is not None and grid.main is not None:
        for panel in grid.panels:
            yield from panel.commands()
        for panel in grid.panels:
            yield SystemCommand(
                f"Go to {panel.TITLE}",
                f"Panel {panel.number}, fed by {panel.PATTERN}",
                partial(grid.show_panel, panel),
            )
        yield SystemCommand(
            "Show all panels" if grid.zoomed else "Zoom this panel",
            "Back to the others" if grid.zoomed else "One panel over the whole window",
            grid.zoom,
        )
        yield SystemCommand(
            "Cut this panel's line",
            "For ten seconds; what it misses is then replayed",
            partial(app.run_action, "cut"),
        )
        yield SystemCommand(
            "Restore this panel's line" if grid.main.meter.is_held else "Hold this line cut",
            "Until you restore it",
            partial(app.run_action, "hold_cut"),
        )
        yield _command(app, "account", "Account", "Profile, password, sessions, log out, deletion")
        if not hosted_where():
            yield _command(app, "lab", "The lab", "The same events over every pattern, on a demo")
        yield _command(app, "log_out", "Log out", "End this session")
    yield _command(app, "theme", "Day or night", "Switch between the light and the dark theme")
    yield _command(app, "help", "Help", "All keys, and how to read the wire line")
    yield _command(app, "quit", "Quit", "Close this window")


def _command(app: App[Any], action: str, title: str, help_text: str) -> SystemCommand:
    return SystemCommand(title, help_text, partial(app.run_action, action))
