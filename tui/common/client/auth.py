"""The tokens of one session, renewed once for all requests that wait for it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.common.client.errors import ApiError, SignedOut, Unreachable
from tui.common.client.retry import is_permanent
from tui.common.client.token_store import SafeTokenStore, StoreBusy, StoredToken
from tui.common.language import _

if TYPE_CHECKING:
    from server.features.accounts import schemas
    from tui.common.client.token_store import TokenStore

    Refresh = Callable[[str, str], Awaitable[schemas.Session]]
    """Sends a refresh token with an Idempotency-Key; raises as `Session.request` does."""

EARLY_SECONDS = 30.0
EARLY_SHARE = 0.2
EARLY_AGAIN_AFTER = 5.0
REFUSALS = frozenset({400, 401, 403, 422})

NOBODY = _("You are not logged in.")


class TokenManager:
    """Access and refresh token of one session, shared with other windows through `store`.

    The file has the last word: a renewal takes the refresh token from it, under its lock, since
    another window may have used up the one in memory. A file that now holds another account's
    session is left alone; this one then lives in memory only, as it does without a store.
    """

    def __init__(self, refresh: Refresh, store: TokenStore | None) -> None:
        self._refresh = refresh
        self._store = SafeTokenStore(store)
        self._access: str | None = None
        self._token: str | None = None
        self._key: str | None = None
        self._expires_at = 0.0
        self._early_at = 0.0
        self._renewal: asyncio.Task[None] | None = None
        self._gone = NOBODY
        self.account: schemas.Account | None = None
        self.epoch = 0
        """Grows with every log-in and log-out: what was begun for one account must not go on as
        another."""
        self.on_signed_out: Callable[[str], None] | None = None

    @property
    def notice(self) -> str:
        """Words about the file: why nobody is logged in, or why it cannot be kept."""
        return self._store.notice

    async def access(self, rejected: str | None = None) -> str:
        """An access token that is good for a while; another than `rejected`, which got a 401.

        Raises `SignedOut`, `Unreachable`, `ApiError`.
        """
        if self._token is None:
            raise SignedOut(self._gone)
        if rejected is not None and rejected == self._access:
            self._access = None
        now = time.monotonic()
        if self._access is not None and now < self._early_at:
            return self._access
        try:
            await self._renewed()
        except (Unreachable, ApiError):
            # The renewal was early: the old token is still valid while the server is away.
            if self._access is None or time.monotonic() >= self._expires_at:
                raise
            self._early_at = min(self._expires_at, time.monotonic() + EARLY_AGAIN_AFTER)
        if self._access is None:
            raise SignedOut(self._gone)
        return self._access

    async def set(self, granted: schemas.Session, asked_at: float) -> None:
        """A new session, kept in the file too; `asked_at` is `time.monotonic()` of the request."""
        await self.close()
        self.epoch += 1
        self._store.notice = ""
        self._apply(granted, asked_at)
        try:
            async with self._store.locked():
                await self._save(granted)
        except StoreBusy as error:
            self._store.notice = error.message

    async def resume(self) -> bool:
        """Sign in with what the file remembers; False, with `notice` set, where that is refused.

        Raises `Unreachable` and `ApiError` where the server could not decide.
        """
        stored = await self._store.peek()
        if stored is None:
            return False
        self.epoch += 1
        self.account = None
        self._token = stored.refresh_token
        self._access = None
        self._store.owned = True
        try:
            await self._renewed()
        except (Unreachable, ApiError):
            self._token = None
            raise
        except SignedOut as refusal:
            self._store.notice = refusal.message
            return False
        return True

    async def sign_out(self, tell: Callable[[str], Awaitable[None]] | None = None) -> None:
        """Forget the session here and in the file, having told the server by `tell` if given.

        `tell` gets the newest refresh token; what it raises is raised when all is forgotten.
        """
        if self._renewal is not None:
            await asyncio.wait({self._renewal})
        try:
            async with self._store.locked():
                await self._sign_out(tell)
        except StoreBusy:
            # A window that holds the lock for ever must not keep anybody logged in.
            await self._sign_out(tell)
        finally:
            self._clear(NOBODY)

    async def close(self) -> None:
        """Stop renewing; the saved key lets the next run repeat what was under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    async def _renewed(self) -> None:
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._renewal_done)
        # One caller that is cancelled must not take the renewal from the others.
        await asyncio.shield(self._renewal)

    def _renewal_done(self, task: asyncio.Task[None]) -> None:
        self._renewal = None
        if not task.cancelled():
            task.exception()

    async def _renew(self) -> None:
        try:
            async with self._store.locked():
                await self._renew_alone()
        except StoreBusy as error:
            raise Unreachable(error.message, _("session file locked")) from error
        except SignedOut as refusal:
            was_in = self.account is not None
            self._clear(refusal.message)
            if was_in and self.on_signed_out is not None:
                asyncio.get_running_loop().call_soon(self.on_signed_out, refusal.message)
            raise

    async def _renew_alone(self) -> None:
        loaded = await self._store.load(self.account.id if self.account else None)
        if loaded is not None:
            self._token, self._key = loaded.refresh_token, loaded.idempotency_key
        if self._token is None:
            raise SignedOut(NOBODY)
        if self._key is None:
            self._key = uuid.uuid4().hex
            if loaded is not None:
                await self._store.replace_file(replace(loaded, idempotency_key=self._key))
        asked_at = time.monotonic()
        try:
            granted = await self._refresh(self._token, self._key)
        except ApiError as refusal:
            if refusal.status in REFUSALS and not refusal.from_proxy:
                if loaded is not None:
                    await self._store.delete()
                why = refusal.message.rstrip(".")
                raise SignedOut(
                    _("Your session has ended ({why}). Please log in again.").format(why=why)
                ) from refusal
            if is_permanent(refusal):
                # Not our server, or not all of it: the refusal says nothing about the session.
                raise Unreachable(
                    _("The session could not be renewed: {message}").format(
                        message=refusal.message
                    ),
                    _("session not renewed"),
                ) from refusal
            raise
        self._apply(granted, asked_at)
        if loaded is not None:
            await self._save(granted)

    async def _sign_out(self, tell: Callable[[str], Awaitable[None]] | None) -> None:
        account_id = self.account.id if self.account else None
        token = self._token
        try:
            loaded = await self._store.load(account_id)
            if loaded is not None:
                token = loaded.refresh_token
        except SignedOut:
            pass
        try:
            if tell is not None and token is not None:
                await tell(token)
        finally:
            if account_id is not None:
                await self._store.delete(account_id)

    def _apply(self, granted: schemas.Session, asked_at: float) -> None:
        self.account = granted.account
        self._access = granted.access_token
        self._token = granted.refresh_token
        self._key = None
        early = min(EARLY_SECONDS, granted.expires_in * EARLY_SHARE)
        # Counted from the question, so that it never seems good for longer than it is.
        self._expires_at = asked_at + granted.expires_in
        self._early_at = self._expires_at - early

    async def _save(self, granted: schemas.Session) -> None:
        await self._store.save(StoredToken(granted.refresh_token, granted.account.id))

    def _clear(self, words: str) -> None:
        self.epoch += 1
        self.account = None
        self._access = self._token = self._key = None
        self._store.owned = False
        self._gone = words
