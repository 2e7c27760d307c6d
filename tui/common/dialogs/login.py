"""The log-in screen: the demo with one key, an account, a new account."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Button, Input, Label, Static

from tui.common.client.address import proxy_for
from tui.common.format import ROLES
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.services import Services, services_of
from tui.common.terminal_cells import LayoutCompositor
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.status_line import Kind, StatusLine
from tui.common.widgets.too_small import LEAST_ROWS, TooSmall, add_size_classes

if TYPE_CHECKING:
    from pydantic import Secret


LONGEST_WAIT_SECONDS = 5.0
"""Longest wait between two attempts: somebody is waiting."""

Attempt = Callable[[], Awaitable[bool]]


class LoginScreen(Screen[bool]):
    """Returns True once the session is logged in. Shows errors beside their field."""

    DEFAULT_CSS = """
    LoginScreen {
        align: center middle; background: $background; layers: base cover;
        & > .card {
            width: 64; max-width: 96%; height: auto; max-height: 100%; padding: 1 3;
            border: round $edge; background: $surface; scrollbar-size-vertical: 1; overflow-y: auto;
        }
        &.-short > .card { padding: 0 3; }
        & ServerLine { margin-bottom: 1; }
        & #demo { width: 100%; }
        & .or { width: 100%; height: 1; text-align: center; color: $wire-ink; margin-top: 1; }
        & .row { height: 1; margin-top: 1; }
        & .row > Label { width: 12; color: $title; }
        & .row > Input { width: 1fr; }
        & .new { display: none; }
        & .-registering .new { display: block; }
        & #buttons { height: auto; margin-top: 1; }
        & #buttons > Button { margin-right: 2; }
        & StatusLine { min-height: 2; }
        &.-short StatusLine { min-height: 1; }
        &.-low {
            & > .card { padding: 0 3; }
            & StatusLine, & .or, & .row, & #buttons { margin-top: 0; }
        }
    }
    """
    AUTO_FOCUS = "#demo"
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"),
        (LEAST_ROWS, "-low"),
        (22, "-short"),
        (38, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", _("Next field"), key_display="↓"),
        Binding("up", "app.focus_previous", show=False),
        Binding("escape", "stop", _("Stop trying"), show=False),
    ]

    def __init__(
        self,
        ready: asyncio.Event,
        words: str = "",
        *,
        resuming: bool = False,
        user_left_out: bool = False,
    ) -> None:
        """`ready` is set once there is a session to log in with.

        `words` say why the screen is shown; `resuming` keeps trying the saved session;
        `user_left_out`: there was a user or a password in the server's address.
        """
        super().__init__()
        self._compositor = LayoutCompositor()
        self._ready = ready
        self._user_left_out = user_left_out
        self._first_words = words
        self._resuming = resuming
        self._busy = False

    @cached_property
    def services(self) -> Services:
        """What the app offers to its screens."""
        return services_of(self)

    def compose(self) -> ComposeResult:
        """The card."""
        add_size_classes(self)
        role = self.services.role
        with Vertical(classes="card"):
            yield Static(
                Content.assemble(
                    ("▌", "$primary"),
                    ("tiffin", "bold"),
                    (f"  {ROLES[role]}", "$wire-ink"),
                )
            )
            yield ServerLine(self.services.server, user_left_out=self._user_left_out)
            yield Button(Content(ENTER[role]), id="demo", variant="primary")
            yield Static(_("or with an account of your own"), classes="or", markup=False)
            with Horizontal(classes="row new"):
                yield Label(_("Name"))
                yield Input(id="name", compact=True, max_length=80)
            with Horizontal(classes="row"):
                yield Label(_("E-mail"))
                yield Input(id="email", compact=True, max_length=254)
            with Horizontal(classes="row"):
                yield Label(_("Password"))
                yield Input(id="password", password=True, compact=True, max_length=1024)
            with Horizontal(id="buttons"):
                yield Button(_("Log in"), id="log-in", compact=True)
                if role == "customer":
                    yield Button(_("Create account"), id="new", compact=True)
            yield StatusLine()
        yield KeyBar()
        yield TooSmall()

    def on_mount(self) -> None:
        """Show why the screen is shown."""
        if self._first_words:
            self.show_status(self._first_words, "error" if self._resuming else "info")
        if self._resuming:
            self._try(self._resume)

    def show_status(self, message: str, kind: Kind = "error") -> None:
        """Show a message below the form; "" clears it."""
        self.query_one(StatusLine).show(message, kind)

    # -- what is done

    @on(Button.Pressed, "#demo")
    def _demo_pressed(self) -> None:
        self._try(self._demo)

    @on(Button.Pressed, "#log-in")
    def _log_in_pressed(self) -> None:
        self._try(self._register if self._registering else self._log_in)

    @on(Button.Pressed, "#new")
    def _switch(self) -> None:
        card = self.query_one(".card")
        card.toggle_class("-registering")
        self.query_one("#log-in", Button).label = (
            _("Create account") if self._registering else _("Log in")
        )
        self.query_one("#new", Button).label = (
            _("Log in instead") if self._registering else _("Create account")
        )
        self.show_status("")
        self.query_one("#name" if self._registering else "#email", Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "password":
            self._log_in_pressed()
        else:
            self.focus_next()

    def action_stop(self) -> None:
        """Abandon an attempt that waits for the server."""
        self.workers.cancel_group(self, "attempt")
        self._busy = False
        self.show_status("")

    @property
    def _registering(self) -> bool:
        return self.query_one(".card").has_class("-registering")

    def _try(self, attempt: Attempt) -> None:
        """Run an attempt until it is answered, yes or no. A new one replaces one that waits."""
        if not self._busy:
            self.run_worker(
                self._attempt(attempt), group="attempt", exclusive=True, exit_on_error=True
            )

    async def _attempt(self, attempt: Attempt) -> None:
        await self._ready.wait()
        from tui.common.client.errors import ClientError, Unreachable
        from tui.common.client.retry import Backoff, is_permanent, retry

        async def attempt_once() -> bool:
            self._busy = True
            return await attempt()

        def is_final(error: ClientError) -> bool:
            insist = isinstance(error, Unreachable) or attempt == self._resume
            return is_permanent(error) or not insist

        def show(error: ClientError, wait: float | None) -> None:
            self._busy = False
            if wait is None:
                self._refused(error)
            else:
                self.show_status(
                    _("{message} Retrying every few seconds; esc stops.").format(
                        message=error.message
                    )
                )

        try:
            done = await retry(
                attempt_once,
                backoff=Backoff(base=1, cap=LONGEST_WAIT_SECONDS),
                on_error=show,
                is_final=is_final,
            )
        except ClientError:
            return
        except ValueError as invalid:
            self._refused(invalid)
            return
        finally:
            self._busy = False
        if done and self.is_attached:
            self.dismiss(True)

    def _refused(self, error: Exception) -> None:
        from tui.common.format import field_of, message_for

        self.show_status(message_for(error))
        self._focus_field(field_of(error))

    def _focus_field(self, field: str | None) -> None:
        if field in ("name", "email", "password"):
            self.query_one(f"#{field}", Input).focus()

    def _typed(self, field: str) -> str:
        return self.query_one(f"#{field}", Input).value

    def _password(self) -> "Secret[str]":
        from pydantic import Secret

        return Secret(self._typed("password"))

    async def _demo(self) -> bool:
        from server.features.accounts.schemas import Role
        from tui.common.client.errors import ApiError

        self.show_status(_("Logging in…"), "info")
        try:
            await self.services.session.demo(Role(self.services.role))
        except ApiError as error:
            if error.status != 404:
                raise
            self.query_one("#demo", Button).disabled = True
            self.query_one("#email", Input).focus()
            self.show_status(_("This server runs no demo. Log in with an account."))
            return False
        return True

    async def _log_in(self) -> bool:
        for field, name in (("email", _("e-mail address")), ("password", _("password"))):
            if not self._typed(field).strip():
                self.show_status(_("Enter your {name}.").format(name=name))
                self._focus_field(field)
                return False
        self.show_status(_("Logging in…"), "info")
        await self.services.session.log_in(self._typed("email").strip(), self._password())
        return await self._has_right_role()

    async def _register(self) -> bool:
        self.show_status(_("Creating your account…"), "info")
        await self.services.session.register(
            self._typed("email").strip(), self._password(), self._typed("name").strip()
        )
        return await self._has_right_role()

    async def _resume(self) -> bool:
        if await self.services.session.resume():
            return True
        self.show_status(self.services.session.notice or _("Please log in."), "info")
        return False

    async def _has_right_role(self) -> bool:
        """Whether this account belongs to this app; one that does not is logged out again."""
        account, role = self.services.session.account, self.services.role
        if account is None or role == (own := APPS[account.role]):
            return True
        await self.services.session.log_out()
        self.show_status(
            _("This is {whose} account: open it with tiffin-{own}.").format(
                whose=WHOSE[account.role], own=own
            )
        )
        return False


APPS = {"customer": "customer", "employee": "employee", "support": "employee"}
"""The app of each role."""
ENTER = {
    "customer": _("Enter the demo as a customer"),
    "employee": _("Enter the demo as an employee"),
}
WHOSE = {
    "customer": _("a customer's"),
    "employee": _("an employee's"),
    "support": _("a support"),
}


PROBE_SECONDS = 2.0
LEFT_OUT = _("\nThe user and password in the address are ignored: log in below.")


def _endpoint(address: str) -> tuple[str, int] | None:
    """Host and port of an http address; None for anything else."""
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.hostname, port


class ServerLine(Static):
    """Checks the server's port until it answers, which needs no aiohttp.

    Where the environment names a proxy for the server, it checks the proxy's port.
    """

    DEFAULT_CSS = """
    ServerLine { height: auto; color: $wire-ink; }
    """

    def __init__(self, server: str, *, user_left_out: bool = False) -> None:
        """`server` is its base URL; `user_left_out`: there was a user or a password in it."""
        super().__init__("", markup=False)
        self._server = server
        self._note = LEFT_OUT if user_left_out else ""

    def on_mount(self) -> None:
        """Start checking."""
        self._show_state(_("connecting to the server"), "◌", "$wire-ink")
        self.run_worker(self._probe(), group="probe", exit_on_error=False)

    async def _probe(self) -> None:
        proxy = proxy_for(self._server)
        address, subject = (self._server, "") if proxy is None else (proxy, _("proxy "))
        endpoint = _endpoint(address)
        if endpoint is None:
            self._refuse()
            return
        while True:
            try:
                async with asyncio.timeout(PROBE_SECONDS * 2):
                    _reader, writer = await asyncio.open_connection(*endpoint)
                writer.close()
            except UnicodeError:  # a part of the name is empty, or too long
                self._refuse()
                return
            except (OSError, TimeoutError):
                self._show_state(
                    _("{subject}not responding, retrying").format(subject=subject), "◌", "$warning"
                )
                await asyncio.sleep(PROBE_SECONDS)
            else:
                self._show_state(_("{subject}online").format(subject=subject), "●", "$success")
                return

    def _refuse(self) -> None:
        what = _("is not an http address: start with --server http://host:port")
        if proxy_for(self._server) is not None:
            what = _(
                "cannot be reached: the proxy that the environment names is not an http address"
            )
        self._show_state(what, "✕", "$error")

    def _show_state(self, words: str, glyph: str, ink: str) -> None:
        self.update(
            Content.assemble(
                (f"{glyph} ", ink),
                (plain(self._server), "$title"),
                (f"  {words}", "$wire-ink"),
                (self._note, "$warning"),
            )
        )
