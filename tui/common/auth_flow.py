"""The way in and out of an app: resume, log in, log out, being signed out by the server."""

import asyncio
import gc
import os
from typing import TYPE_CHECKING

from tui.common.services import make_backend

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tui.common.app import TiffinApp
    from tui.common.client.token_store import TokenStore


class Door:
    """Who is let in, and how. Everything slow runs in workers of one group."""

    def __init__(self, app: "TiffinApp") -> None:
        self.app = app
        self.ready = asyncio.Event()
        """Set once there is a session to log in with."""
        self._passing = asyncio.Lock()
        """One way at a time: somebody thrown out while still coming in is in first."""

    def open(self) -> None:
        """Ask who it is, or come in with the remembered log-in; and import the client meanwhile."""
        from tui.common.client.token_store import TokenStore

        app = self.app
        app.dress()
        tokens = app.tokens or TokenStore.for_app(app.server, app.ROLE)
        if not os.path.lexists(tokens.path):  # False also where one may not look
            self._ask()
        self._run(self._open(tokens))

    def thrown_out(self, words: str) -> None:
        """The server has ended the session: back to the log-in screen, with its words."""
        self._run(self._back(words))

    def leave(self) -> None:
        """Log out."""
        self._run(self._log_out())

    def _run(self, coroutine: "Coroutine[object, object, None]") -> None:
        self.app.run_worker(coroutine, group="door", exit_on_error=True)

    async def _open(self, tokens: "TokenStore") -> None:
        app = self.app
        backend = await asyncio.to_thread(make_backend, app.server, app.wire, tokens)
        # what there is by now stays; searching it for garbage would hold up keys time and again
        gc.freeze()
        gc.enable()
        app.adopt(backend)
        self.ready.set()
        if len(app.screen_stack) > 1:
            return
        from tui.common.client.errors import ClientError
        from tui.common.client.retry import is_permanent

        try:
            resumed = await backend.session.resume()
        except ClientError as error:
            self._ask(error.message, resuming=not is_permanent(error))
        else:
            if resumed:
                await self._settle()
            else:
                self._ask(backend.session.notice)

    def _ask(self, words: str = "", *, resuming: bool = False) -> None:
        from tui.common.dialogs.login import LoginScreen

        self.app.push_screen(LoginScreen(words, resuming=resuming), self._let_in)

    def _let_in(self, signed_in: bool | None) -> None:
        if signed_in:
            self._run(self._settle())

    async def _settle(self) -> None:
        async with self._passing:
            await self.app.settle()

    async def _log_out(self) -> None:
        words = await self.app.session.log_out()
        await self._back(words or "You are logged out.")

    async def _back(self, words: str) -> None:
        from tui.common.dialogs.login import LoginScreen

        async with self._passing:
            if any(isinstance(screen, LoginScreen) for screen in self.app.screen_stack):
                return
            await self.app.unsettle()
            self._ask(words)
