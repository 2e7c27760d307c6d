"""Logging in and out: resume a session, log in, log out, or be logged out by the server."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.client.address import clean_address, names_a_user
from tui.common.language import _

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from textual.app import App

    from tui.common.client.api import Api
    from tui.common.client.meter import Wire
    from tui.common.client.outbox import OutboxStore
    from tui.common.client.session import Session
    from tui.common.client.token_store import TokenStore
    from tui.common.services import Role


@dataclass(frozen=True)
class Client:
    """A session, the typed calls on it, and the folder of messages that are not sent yet."""

    session: "Session"
    api: "Api"
    unsent: Path

    def outbox(self) -> "OutboxStore":
        """The messages of this account that the server does not have yet."""
        from tui.common.client.outbox import OutboxStore

        account = self.session.account
        return OutboxStore(self.unsent, "" if account is None else account.id)


def make_client(server: str, wire: "Wire", tokens: "TokenStore") -> Client:
    """Import the client library and make a session for `server`; nothing is sent yet.

    Slow: the library takes longer to import than the first frame takes to draw.
    """
    from tui.common.client.api import Api
    from tui.common.client.session import Session

    session = Session(server, wire, tokens)
    return Client(session, Api(session), tokens.path.with_suffix(".unsent"))


class AuthFlow:
    """Decides between the log-in screen and the panels. Everything slow runs in workers."""

    def __init__(
        self,
        app: "App[None]",
        role: "Role",
        server: str,
        wire: "Wire",
        tokens: "TokenStore | None",
        show_panels: Callable[[], Awaitable[None]],
        clear_panels: Callable[[], Awaitable[None]],
    ) -> None:
        """`server` is a base URL as it was typed; `tokens` remembers the refresh token, by default
        in the user's state folder. `show_panels` is called after each log-in, `clear_panels` after
        each log-out.
        """
        self.role = role
        self.server = clean_address(server)
        self.client: Client | None = None
        self.tokens = tokens
        self.ready = asyncio.Event()
        """Set once there is a session to log in with."""
        self._app = app
        self._wire = wire
        self._user_left_out = names_a_user(server)
        self._show_panels = show_panels
        self._clear_panels = clear_panels
        self._lock = asyncio.Lock()
        """A session that ends while its panels are still being shown is cleared after that."""

    def open(self) -> None:
        """Resume the remembered session or show the log-in screen, and import the client."""
        from tui.common.client.token_store import TokenStore

        if self.tokens is None:
            self.tokens = TokenStore.for_app(self.server, self.role)
        if not os.path.lexists(self.tokens.path):  # False also where it must not be read
            self._ask()
        self._run(self._open(self.tokens))

    def on_session_ended(self, message: str) -> None:
        """The server has ended the session: back to the log-in screen, with its message."""
        self._run(self._back(message))

    def log_out(self) -> None:
        """End the session."""
        self._run(self._log_out())

    def _run(self, coroutine: "Coroutine[object, object, None]") -> None:
        self._app.run_worker(coroutine, group="auth", exit_on_error=True)

    async def _open(self, tokens: "TokenStore") -> None:
        self.client = await asyncio.to_thread(make_client, self.server, self._wire, tokens)
        session = self.client.session
        session.on_signed_out = self.on_session_ended
        # what exists by now is never garbage; looking through it each time would delay keys
        gc.freeze()
        gc.enable()
        self.ready.set()
        if len(self._app.screen_stack) > 1:
            return
        from tui.common.client.errors import ClientError
        from tui.common.client.retry import is_permanent

        try:
            resumed = await session.resume()
        except ClientError as error:
            self._ask(error.message, resuming=not is_permanent(error))
        else:
            if resumed:
                await self._enter()
            else:
                self._ask(session.notice)

    def _ask(self, message: str = "", *, resuming: bool = False) -> None:
        from tui.common.dialogs.login import LoginScreen

        screen = LoginScreen(
            self.ready, message, resuming=resuming, user_left_out=self._user_left_out
        )
        self._app.push_screen(screen, self._signed_in)

    def _signed_in(self, signed_in: bool | None) -> None:
        if signed_in:
            self._run(self._enter())

    async def _enter(self) -> None:
        async with self._lock:
            await self._show_panels()

    async def _log_out(self) -> None:
        assert self.client is not None
        outbox = self.client.outbox()
        message = await self.client.session.log_out()
        await self._back(message or _("You are logged out."))
        outbox.clear_drafts()  # each panel saved its draft as it was removed

    async def _back(self, message: str) -> None:
        from tui.common.dialogs.login import LoginScreen

        async with self._lock:
            if any(isinstance(screen, LoginScreen) for screen in self._app.screen_stack):
                return
            while len(self._app.screen_stack) > 1:
                self._app.pop_screen()
            # First: Textual fails to draw a widget that is being removed with the mouse over it.
            self._ask(message)
            await self._clear_panels()
