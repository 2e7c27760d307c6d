"""Shared parts of the tests of announcements."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from support.event_stream import EventStream, event_stream
from support.news import NEWS, announce
from support.rest import Rest

__all__ = ["NEWS", "announce", "history", "stream", "titles"]


async def history(who: Rest, query: str = "") -> dict[str, Any]:
    """The first page as that account sees it."""
    found: dict[str, Any] = (await who.get(f"/announcements{query}")).must(200).json
    return found


async def titles(who: Rest, query: str = "") -> list[str]:
    """The titles on it."""
    return [item["title"] for item in (await history(who, query))["items"]]


def stream(
    who: Rest, after: str | None = None, query: str = "", **headers: str
) -> AbstractAsyncContextManager[EventStream]:
    """That account's stream."""
    return event_stream(who, f"/announcements/stream{query}", after, **headers)
