"""One call of the REST API, or all pages of a list, as checked models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from server.features.shared.schemas import Page
from tui.common.client.errors import Unreachable
from tui.common.client.request import ModelT, parse
from tui.common.language import _

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    from tui.common.client.http import RequestOptions
    from tui.common.client.session import Session

PageT = TypeVar("PageT", bound=Page[Any])

PAGES = 200
"""Of a list that is read to its end, some 40,000 rows; one that has no end is not read on."""


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
