"""The calls about one's own account."""

from collections.abc import AsyncGenerator

from pydantic import Secret

from server.features.accounts.schemas import (
    Account,
    AccountDeletion,
    ActiveSession,
    PasswordChange,
    ProfileChange,
)
from tui.common.client.calls import Calls
from tui.common.client.errors import SignedOut

EXPORT_SECONDS = 600.0
"""For all that is stored of an account, on a slow line."""


class AccountApi(Calls):
    """Profile, password, sessions, export and deletion."""

    async def me(self) -> Account:
        """One's own account, as it stands on the server; the session's copy follows."""
        return self._set_account(await self._ask(Account, "GET", "/me"))

    async def change_profile(self, change: ProfileChange) -> Account:
        """Change the fields that are set; one set to None is emptied."""
        return self._set_account(await self._ask(Account, "PATCH", "/me", json=change))

    async def change_password(self, current: str | Secret[str], new: str | Secret[str]) -> None:
        """Set a new password; the server may end other sessions for it."""
        change = PasswordChange(current_password=current, new_password=new)
        await self._session.request("PUT", "/me/password", json=change)

    async def delete_account(self, password: str | Secret[str]) -> None:
        """Delete the account for good, and sign out here; `ApiError` 422 for a wrong password."""
        session = self._session
        # The server ends the session, of which streams may learn before the answer is here.
        on_signed_out, session.on_signed_out = session.on_signed_out, None
        try:
            await session.request("DELETE", "/me", json=AccountDeletion(password=password))
            await session.forget()
        except SignedOut as error:
            if on_signed_out is not None:
                on_signed_out(error.message)
            raise
        finally:
            session.on_signed_out = on_signed_out

    async def sessions(self) -> list[ActiveSession]:
        """The account's sessions, the last used first."""
        return await self._all(ActiveSession, "/me/sessions")

    async def end_session(self, session_id: str) -> None:
        """End a session of the account; `ApiError` 404 where it has ended."""
        await self._session.request("DELETE", f"/me/sessions/{session_id}")

    async def end_other_sessions(self) -> None:
        """End every session of the account but this one."""
        await self._session.request("DELETE", "/me/sessions")

    def export(self) -> AsyncGenerator[bytes, None]:
        """What the server stores of the account, as JSON, in parts."""
        return self._session.download("/me/export", total=EXPORT_SECONDS)

    def _set_account(self, account: Account) -> Account:
        self._session.account = account
        return account
