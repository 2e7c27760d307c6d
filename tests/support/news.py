"""Announcements made by REST, and as objects."""

from datetime import UTC, datetime
from typing import Any

from server.features.announcements.schemas import Audience, ReadAnnouncement, Severity
from server.features.shared.schemas import Actor
from support.rest import Rest

NEWS = {"title": "Rain", "body": "Slow down.", "severity": "info", "audience": "everyone"}
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def announce(employee: Rest, **changes: Any) -> dict[str, Any]:
    """An announcement made by that employee."""
    found: dict[str, Any] = (await employee.post("/announcements", NEWS | changes)).must(201).json
    return found


def an_announcement(number: int, **changes: Any) -> ReadAnnouncement:
    """An announcement that no server has seen."""
    fields: dict[str, Any] = {
        "id": f"ann_{number}",
        "title": f"No. {number}",
        "body": "Slow down.",
        "severity": Severity.INFO,
        "audience": Audience.EVERYONE,
        "by": Actor(id="acc_maya", name="Maya", role="employee"),
        "published_at": NOON.replace(minute=number),
        "acknowledged": False,
    }
    return ReadAnnouncement(**(fields | changes))
