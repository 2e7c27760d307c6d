"""The frame of both apps: bar, panels, keys, themes; subclasses say which panels."""

import asyncio
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui.common.auth_flow import AuthFlow, Client
from tui.common.base_app import BaseApp
from tui.common.client.address import DEFAULT_SERVER
from tui.common.client.meter import Wire
from tui.common.config import Config
from tui.common.hosted import hosted_where
from tui.common.language import _
from tui.common.panel import Panel
from tui.common.panel_grid import MainScreen, PanelGrid
from tui.common.sanitize import plain
from tui.common.services import ServicesApp
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.tab_strip import TabStrip
from tui.common.widgets.too_small import HEIGHTS, WIDTHS, TooSmall
from tui.common.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from server.features.accounts.schemas import Account
    from tui.common.client.api import Api
    from tui.common.client.outbox import OutboxStore
    from tui.common.client.session import Session
    from tui.common.client.token_store import TokenStore
    from tui.common.services import Role, Services, W
    from tui.common.uploads.pictures import PictureCache

CUT_SECONDS = 10.0
"""Long enough to see what is missed and comes back."""
REFRESH_SECONDS = 60.0
"""How often panels check what another window of the account has done."""

FRAME_CSS = Path(__file__).with_name("frame.tcss")
CONTENT_CSS = Path(__file__).with_name("content.tcss")


class TiffinApp(BaseApp, ServicesApp):
    """One window of tiffin. Draws its frame first, then imports the client and connects."""

    TITLE = "tiffin"
    ROLE: "ClassVar[Role]" = "customer"
    CSS_PATH: ClassVar[list[str | PurePath]] = [FRAME_CSS]
    CONTENT_CSS: ClassVar[Path | None] = None
    """The app's own styles, read after the first paint."""
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    ENABLE_COMMAND_PALETTE = True

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"panel({number})", _("Panel"), show=number == 1)
            for number in range(1, 7)
        ),
        Binding("z", "zoom", _("Zoom")),
        Binding("x", "cut", _("Cut line")),
        Binding("X", "hold_cut", _("Hold the cut"), show=False),
        Binding("f2", "account", _("Account")),
        Binding("f3", "lab", _("Lab")),
        Binding("t", "theme", _("Theme")),
        Binding("y", "copy", _("Copy")),
        Binding("i", "explain_news", _("How this panel gets its news"), show=False),
        Binding("slash", "filter", _("Filter"), show=False),
        Binding("question_mark", "help", _("Help"), key_display="?"),
        Binding("f1", "help", _("Help"), show=False, priority=True),
        # in a field these move by words
        Binding("ctrl+right", "cycle(1)", _("Next panel"), show=False),
        Binding("ctrl+left", "cycle(-1)", _("Previous panel"), show=False),
        Binding("f6", "cycle(1)", _("Next panel"), show=False, priority=True),
        Binding("shift+f6", "cycle(-1)", _("Previous panel"), show=False, priority=True),
        Binding("f8", "acknowledge", _("Mark the alert as read"), show=False, priority=True),
        Binding("escape", "leave_field", _("Leave field"), show=False),
        Binding("ctrl+q", "quit", _("Quit"), priority=True),
    ]

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        tokens: "TokenStore | None" = None,
        config: Config | None = None,
    ) -> None:
        """`server` is its base URL; `tokens` remembers the refresh token: by default the store of
        this server and this app in the user's state folder. `config`: by default nothing is read or
        remembered."""
        super().__init__(config)
        self.services: Services = self
        self.wire = Wire()
        self.auth = AuthFlow(
            self, self.ROLE, server, self.wire, tokens, self.show_panels, self.clear_panels
        )
        self.bar = TopBar(self.ROLE)
        self.tabs = TabStrip()
        self.grid = PanelGrid(self.wire, self._show_connections)
        self._picture_cache: PictureCache | None = None
        self.hint = ""
        """Shown once, as a toast, when the panels are up."""
        self._quitting = False
        """Whether the question is open."""

    def panel_classes(self) -> Sequence[type[Panel]]:
        """The panels, in the order of their numbers.

        Called after the first paint, once logged in: import the panels here, not above.
        """
        return ()

    # -- services

    @property
    def role(self) -> "Role":
        """Whose app this is."""
        return self.ROLE

    @property
    def server(self) -> str:
        """The server's base URL."""
        return self.auth.server

    @property
    def session(self) -> "Session":
        """The session; there is one as soon as the log-in screen can be used."""
        return self._client.session

    @property
    def api(self) -> "Api":
        """Typed calls on the session."""
        return self._client.api

    @property
    def outbox(self) -> "OutboxStore":
        """Chat messages of this account that the server does not have yet."""
        return self._client.outbox()

    @property
    def picture_cache(self) -> "PictureCache":
        """The pictures downloaded since the log-in."""
        if self._picture_cache is None:
            from tui.common.uploads.pictures import PictureCache

            self._picture_cache = PictureCache(self.api)
        return self._picture_cache

    @property
    def panels(self) -> Sequence[Panel]:
        """The panels that are up, in order."""
        return self.grid.panels

    def find_panel(self, kind: "type[W]") -> "W | None":
        """The panel of that class, if this app has one."""
        return next((panel for panel in self.panels if isinstance(panel, kind)), None)

    def go_to(self, panel: Widget) -> None:
        """Put a panel in front and give it the focus."""
        if isinstance(panel, Panel):
            self.grid.show_panel(panel)

    def set_headline(self, headline: Content | str, progress: float | None = None) -> None:
        """Show the most important news in the top bar, and tell the terminal."""
        self.bar.headline = Content(plain(headline)) if isinstance(headline, str) else headline
        self.bar.update()
        self.tell_terminal(self.bar.headline.plain, progress)

    def show_account(self, account: "Account") -> None:
        """Show the account's name and role."""
        self.bar.who, self.bar.role = account.name, account.role
        self.bar.update()

    def log_out(self) -> None:
        """End the session and go to the log-in screen."""
        self.auth.log_out()

    def on_session_ended(self, message: str) -> None:
        """The session is over: go to the log-in screen and show `message` there."""
        self.auth.on_session_ended(message)

    # -- from the first paint to the log-in and back

    def compose(self) -> ComposeResult:
        """Bar, strip, grid and keys; the panels come with the log-in."""
        yield self.bar
        yield self.tabs
        yield self.grid
        yield Static(f"tiffin at {plain(self.server)}", id="splash", markup=False)
        yield KeyBar()
        yield TooSmall()

    def get_default_screen(self) -> Screen[Any]:
        """The one with the panels."""
        return MainScreen(id="_default")

    def on_mount(self) -> None:
        """Draw first; only then import and connect."""
        self.set_interval(REFRESH_SECONDS, self.grid.refresh_remote)
        self.call_after_refresh(self._open)

    def _open(self) -> None:
        self.read_styles()
        self.auth.open()

    def read_styles(self) -> None:
        """Read the styles of panels and dialogs."""
        own = [] if self.CONTENT_CSS is None else [self.CONTENT_CSS]
        self.stylesheet.read_all([CONTENT_CSS, *own])
        self.refresh_css(animate=False)

    async def on_unmount(self) -> None:
        """Close what is open to the server; workers may not get to it."""
        if self.auth.client is not None:
            await self.auth.client.session.close()

    async def show_panels(self) -> None:
        """Logged in: put up the panels and start them."""
        kinds = await asyncio.to_thread(self.panel_classes)
        await self.check_keys()
        self.bar.now = self.session.server_now
        if self.session.account is not None:
            self.show_account(self.session.account)
        self.screen_stack[0].query_one("#splash").display = False
        panels = [kind() for kind in kinds]
        await self.grid.fill(panels)
        self.grid.start_panels()
        if self.session.notice:
            self.notify(self.session.notice, title=_("Log-in"), severity="warning", timeout=10)
        if self.hint:
            self.notify(self.hint, timeout=20)
            self.hint = ""

    async def clear_panels(self) -> None:
        """Logged out: take everything down that belongs to the account."""
        await self.grid.clear()
        self.wire.clear()
        self._picture_cache = None
        self.bar.who, self.bar.role = "", self.ROLE
        self.bar.follow(())
        self.set_headline("")

    def _show_connections(self) -> None:
        self.bar.follow([panel.meter for panel in self.panels])

    def watch_app_focus(self, focus: bool) -> None:
        """In focus again: the account may have been used in another window meanwhile."""
        if focus:
            self.grid.refresh_remote()

    def on_panel_grid_changed(self) -> None:
        """Redraw the strip of tabs."""
        self.show_tabs()

    on_panel_badge_changed = on_panel_grid_changed

    def on_tab_strip_picked(self, message: TabStrip.Picked) -> None:
        """Go to the panel whose tab was clicked."""
        self.action_panel(message.number)

    def show_tabs(self) -> None:
        """Redraw the strip of tabs, as after a new badge."""
        if not self.grid.is_attached:  # while quitting, when widgets go before the last message
            return
        self.tabs.set_class(self.grid.alone, "-shown")
        self.tabs.show(self.panels, self.grid.main)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the panels only where panels are; the lab is another program, and not hosted."""
        if action == "lab" and hosted_where():
            return False
        if action in (
            "panel", "cycle", "zoom", "cut", "hold_cut", "filter", "account", "leave_field",
            "explain_news", "lab",
        ):  # fmt: skip
            return len(self.screen_stack) == 1 and bool(self.panels)
        return True

    def get_key_display(self, binding: Binding) -> str:
        """`1-2` for the keys of the panels."""
        if binding.action == "panel(1)":
            return f"1-{len(self.panels)}"
        return super().get_key_display(binding)

    def action_panel(self, number: int) -> None:
        """Go to a panel."""
        panel = self.grid.by_number(number)
        if panel is not None:
            self.grid.show_panel(panel)

    def action_cycle(self, distance: int) -> None:
        """Go to the panel before or after."""
        self.grid.step(distance)

    def action_zoom(self) -> None:
        """One panel over the whole screen, and back."""
        self.grid.zoom()

    def action_cut(self, *, hold: bool = False) -> None:
        """Cut the line of the panel in front for a while, or with `hold` until the next time."""
        if self.grid.main is not None:
            self.grid.main.cut(inf if hold else CUT_SECONDS)

    def action_hold_cut(self) -> None:
        """Cut the line of the panel in front, or restore it."""
        self.action_cut(hold=True)

    def action_filter(self) -> None:
        """Filter what the panel in front lists."""
        if self.grid.main is not None:
            self.grid.main.filter()

    async def action_quit(self) -> None:
        """Close this window; ask first if something would be lost. Pressed again, it closes."""
        from tui.common.dialogs.base import Dialog
        from tui.common.dialogs.confirm import ConfirmScreen

        parts = [panel.unsaved() for panel in self.panels]
        parts += [one.unsaved() for one in self.screen_stack if isinstance(one, Dialog)]
        unsaved = " ".join(words for words in parts if words)
        if not unsaved or self._quitting:
            self.exit()
            return
        self._quitting = True

        def answered(yes: bool | None) -> None:
            self._quitting = False
            if yes:
                self.exit()

        question = ConfirmScreen(_("Quit"), unsaved, yes=_("Quit"), no=_("Stay"), danger=True)
        self.push_screen(question, answered)

    def action_acknowledge(self) -> None:
        """Acknowledge what is shown as a toast, from anywhere."""
        any(panel.acknowledge() for panel in self.panels)

    def action_leave_field(self) -> None:
        """Move the focus from a field to its panel, so that single keys work."""
        if self.grid.main is not None:
            self.grid.main.leave_field()

    def action_help(self) -> None:
        """Open or close the help: keys, first those that work here, and how to read the wire."""
        from tui.common.dialogs.help import HelpScreen, keys_of

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss(None)
        elif len(self.screen_stack) == 1 and (front := self.grid.main) is not None:
            others = [panel for panel in self.panels if panel is not front]
            self.push_screen(HelpScreen(front.TITLE, front.KEYS, others))
        else:
            self.push_screen(HelpScreen(_("Keys here"), keys_of(self.screen), self.panels))

    def action_help_quit(self) -> None:
        """On ctrl+c with nothing to copy."""
        self.notify(_("Press ctrl+q to quit."), title=_("Quit"))

    def action_explain_news(self) -> None:
        """Show how the panel in front gets its news."""
        from tui.common.dialogs.news import NewsScreen

        if self.grid.main is not None:
            self.push_screen(NewsScreen(self.grid.main))

    def action_account(self) -> None:
        """Profile, password, sessions, log out, delete."""
        from tui.common.dialogs.account import AccountScreen

        self.push_screen(AccountScreen())

    def action_lab(self) -> None:
        """Open the lab in this terminal."""
        from tui.common.lab_window import open_lab

        self.run_worker(open_lab(self, self), group="lab", exclusive=True)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        from tui.common.commands import commands_for

        return commands_for(self, self.grid if screen is self.screen_stack[0] else None)

    @property
    def _client(self) -> Client:
        if self.auth.client is None:
            raise RuntimeError("the client is made after the first paint; wait for the log-in")
        return self.auth.client
