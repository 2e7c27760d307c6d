"""Pagination: positions in a list that is read page by page."""

import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic_core import from_json

from server.core.errors import Problem, invalid
from server.core.queries import Row

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", bound=Row)

PAGE_BYTES = 256 * 1024
"""The text of a page, five times as much as 200 usual entries have. A page of the 200 longest ones
would be as large as a photo, and cost the server as much as a hundred other requests."""
BEGINNING = (2**63 - 1, "~")
"""The position before the first entry of a list in descending order of a number."""


def unknown() -> Problem:
    """422: no page gave this `before`."""
    return invalid(["before"], "Send the `next` of the previous page back, unchanged.")


def after(key: str, identifier: str) -> str:
    """The opaque `before` of the page that follows the entry with that sort key and id."""
    return base64.urlsafe_b64encode(json.dumps([key, identifier]).encode()).decode().rstrip("=")


def parse(before: str | None) -> tuple[str, str] | None:
    """The sort key and id in such a text. Raises Problem 422 for any other text."""
    if before is None:
        return None
    try:
        match from_json(base64.urlsafe_b64decode(before + "=" * (-len(before) % 4))):
            case [str(key), str(identifier)]:
                return key, identifier
    except ValueError:
        pass
    raise unknown()


def numbered(before: str | None) -> tuple[int, str]:
    """The same for a list in descending order of a number and an id; without a text, BEGINNING.

    Raises Problem 422 for a text that no such list gave.
    """
    if before is None:
        return BEGINNING
    key, identifier = parse(before) or ("", "")
    if not (key.isascii() and key.isdecimal() and len(key) < 19):
        raise unknown()
    return int(key), identifier


def numbered_page(
    found: Sequence[RowT], limit: int, number: str
) -> tuple[Sequence[RowT], str | None]:
    """The rows of a page of such a list, and the next one's `before`; `number` names the column."""
    rows, more = page_of(found, limit)
    return rows, following(rows, more, lambda row: (str(row[number]), row["id"]))


def page_of(found: Sequence[RowT], limit: int) -> tuple[Sequence[RowT], bool]:
    """The rows of a page, and whether more follow; `found` may have more than `limit` rows.

    A page also ends after PAGE_BYTES of text, but has at least one row.
    """
    size = 0
    for count, row in enumerate(found[:limit], start=1):
        size += sum(len(value.encode()) for value in row.values() if isinstance(value, str))
        if size > PAGE_BYTES:
            return found[:count], len(found) > count
    return found[:limit], len(found) > limit


def following(
    page: Sequence[ItemT], more: bool, position: Callable[[ItemT], tuple[str, str]]
) -> str | None:
    """The next page's `before`; None where there is no next page."""
    return after(*position(page[-1])) if more else None


def cut(
    items: Sequence[ItemT],
    before: str | None,
    limit: int,
    position: Callable[[ItemT], tuple[str, str]],
) -> tuple[list[ItemT], str | None]:
    """A page of a list that is in memory, in ascending order of `position`, and the next one's
    `before`. Raises Problem 422."""
    start = parse(before)
    rest = [item for item in items if start is None or position(item) > start]
    page = rest[:limit]
    return page, following(page, len(rest) > limit, position)


async def every_page(
    fetch: Callable[[str | None], Awaitable[tuple[Sequence[ItemT], str | None]]],
) -> AsyncGenerator[Sequence[ItemT]]:
    """All pages of a list; `fetch` gives the one at a `before`, and the next one's `before`."""
    before = None
    while True:
        page, before = await fetch(before)
        yield page
        if before is None:
            return
