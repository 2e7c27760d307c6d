"""Places in a list that is read page by page."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic_core import from_json

from server.core.errors import invalid

ItemT = TypeVar("ItemT")


def after(key: str, identifier: str) -> str:
    """The opaque text that names the place behind the entry with that sort key and id."""
    return base64.urlsafe_b64encode(json.dumps([key, identifier]).encode()).decode().rstrip("=")


def parse(before: str | None) -> tuple[str, str] | None:
    """The place such a text names. Raises Problem 422 for any other text."""
    if before is None:
        return None
    try:
        match from_json(base64.urlsafe_b64decode(before + "=" * (-len(before) % 4))):
            case [str(key), str(identifier)]:
                return key, identifier
    except ValueError:
        pass
    raise invalid(["before"], "Send back the `next` of the page before, unchanged.")


def page_of(
    found: Sequence[ItemT], limit: int, place: Callable[[ItemT], tuple[str, str]]
) -> tuple[list[ItemT], str | None]:
    """A page of what was asked for, of which there may be more than `limit`, and the next one's
    `before`, where there is one."""
    page = list(found[:limit])
    return page, after(*place(page[-1])) if len(found) > limit else None


def cut(
    items: Sequence[ItemT],
    before: str | None,
    limit: int,
    place: Callable[[ItemT], tuple[str, str]],
) -> tuple[list[ItemT], str | None]:
    """A page of a list that is at hand whole, in ascending order of `place`, and the next one's
    `before`. Raises Problem 422."""
    start = parse(before)
    rest = [item for item in items if start is None or place(item) > start]
    return page_of(rest, limit, place)
