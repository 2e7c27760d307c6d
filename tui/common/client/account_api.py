"""What typed calls of the REST API are made of, and those about one's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Secret

from server.features.accounts.schemas import (
    Account,
    AccountDeletion,
    ActiveSession,
    PasswordChange,
    ProfileChange,
)
from server.features.shared.schemas import Page
from tui.common.client.errors import SignedOut, Unreachable
from tui.common.client.request import ModelT, parse
from tui.common.language import _

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from typing import Unpack

    from tui.common.client.http import RequestOptions
    from tui.common.client.session import Session


PageT = TypeVar("PageT", bound=Page[Any])

PAGES = 200
"""Of a list that is read to its end, some 40,000 rows; one that has no end is not read on."""
EXPORT_SECONDS = 600.0
"""For all that is stored of an account, on a slow line."""


class Calls:
    """What every group of calls is made of."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def _all(self, model: type[ModelT], path: str, **more: str) -> list[ModelT]:
        """Every page of a list."""
        page_type: type[Page[ModelT]] = Page[model]  # type: ignore[valid-type]
        pages = self._pages(page_type, path, **more)
        return [item async for page in pages for item in page.items]

    async def _pages(self, page_type: type[PageT], path: str, **more: str) -> AsyncIterator[PageT]:
        before = None
        for _page in range(PAGES):
            page = await self._page(page_type, path, before, 200, **more)
            yield page
            if page.next is None or not page.items:
                return
            before = page.next
        raise Unreachable(
            _(
                "The server's list {path} goes on after {pages} pages; the rest was not read."
            ).format(path=path, pages=PAGES),
            _("list too long"),
        )

    async def _page(
        self, page_type: type[PageT], path: str, before: str | None, limit: int, **more: str
    ) -> PageT:
        params: dict[str, str | int] = {"limit": limit, **more}
        if before is not None:
            params["before"] = before
        return parse(page_type, await self._session.request("GET", path, params=params), "list")

    async def _ask(
        self, model: type[ModelT], method: str, path: str, **options: Unpack[RequestOptions]
    ) -> ModelT:
        return parse(model, await self._session.request(method, path, **options))


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
