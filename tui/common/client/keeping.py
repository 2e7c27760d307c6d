"""The token file as one sign-in uses it: what is ours in it, and doing without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tui.common.client.errors import SignedOut
from tui.common.client.tokens import (
    BrokenTokenFile,
    Remembered,
    StoreBusy,
    StoreTrouble,
    TokenStore,
)

ELSEWHERE = "You have signed out in another window."


class Keeping:
    """A sign-in's hold on a file that other windows use too.

    A file that cannot be used is no reason to stop: `notice` says so, and the sign-in goes on in
    memory. Every method but `locked` and `look` is for inside `locked`.
    """

    def __init__(self, store: TokenStore | None) -> None:
        self._store = store
        self._usable = False
        self.ours = False
        """Whether the file has held this sign-in: if it is gone then, we have been signed out."""
        self.notice = ""

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Alone with the file, or without one where it cannot be locked. Raises `StoreBusy`."""
        if self._store is None:
            yield
            return
        try:
            async with self._store.locked():
                self._usable = True
                try:
                    yield
                finally:
                    self._usable = False
        except StoreBusy:
            raise
        except StoreTrouble as trouble:
            self._without(trouble)
            yield

    async def look(self) -> Remembered | None:
        """What is remembered, None if nothing is or nothing that can be read; `notice` says why."""
        self.notice = ""
        if self._store is None:
            return None
        try:
            return await self._store.read()
        except StoreTrouble as trouble:
            self.notice = trouble.words
            return None

    async def found(self, account_id: str | None) -> Remembered | None:
        """The file's sign-in, if it is this account's (None: whoever's it is).

        Raises `SignedOut` where the file has been ours and is now gone or broken.
        """
        if self._store is None or not self._usable:
            return None
        try:
            remembered = await self._store.read()
        except BrokenTokenFile as trouble:
            if self.ours:
                raise SignedOut(trouble.words) from trouble
            return None
        except StoreTrouble as trouble:
            self._without(trouble)
            return None
        if remembered is None:
            if self.ours:
                raise SignedOut(ELSEWHERE)
            return None
        self.ours = account_id is None or remembered.account_id == account_id
        return remembered if self.ours else None

    async def save(self, remembered: Remembered) -> None:
        """Put a new sign-in or a new token there; what was there is used up."""
        if not await self.note(remembered) and self._usable:
            words = self.notice
            # A used token left behind would look like theft when the next window sends it.
            await self.delete()
            self.notice = words

    async def note(self, remembered: Remembered) -> bool:
        """Replace the file; whether that went well."""
        if self._store is None or not self._usable:
            return False
        try:
            await self._store.write(remembered)
        except StoreTrouble as trouble:
            self._without(trouble)
            return False
        self.ours = True
        return True

    async def delete(self, account_id: str | None = None) -> None:
        """Delete the file, if it is this account's (None: whoever's it is), locked or not."""
        if self._store is None:
            return
        try:
            if account_id is not None:
                remembered = await self._store.read()
                if remembered is None or remembered.account_id != account_id:
                    return
            await self._store.delete()
        except StoreTrouble as trouble:
            self.notice = trouble.words

    def _without(self, trouble: StoreTrouble) -> None:
        self.ours = False
        self.notice = trouble.words
