"""What announcements say on the wire."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from server.features.shared.schemas import (
    LINE_ENDS,
    LINES,
    ONE_LINE,
    SHOWN,
    Actor,
    GivenTime,
    Page,
    Timestamp,
    Whole,
    Wire,
    absent,
)


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Audience(StrEnum):
    """Whom it is for; support is among the employees."""

    EVERYONE = "everyone"
    CUSTOMERS = "customers"
    EMPLOYEES = "employees"


class Scope(StrEnum):
    """Which announcements: those for the caller, or, for support, those for anybody."""

    OWN = "own"
    ALL = "all"


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120),
    LINE_ENDS,
    ONE_LINE,
    SHOWN,
]
Body = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000),
    LINE_ENDS,
    LINES,
    SHOWN,
]


class NewAnnouncement(Wire):
    """An announcement to be made. With `expires_at`, it is gone from then on by itself."""

    title: Title
    body: Body
    severity: Severity
    audience: Audience
    expires_at: GivenTime | None = None


class Announcement(Wire):
    """An announcement, as everybody in its audience gets it."""

    id: str
    title: str
    body: str
    severity: Severity
    audience: Audience
    by: Actor
    published_at: Timestamp
    expires_at: Timestamp | None = absent()


class ReadAnnouncement(Announcement):
    """An announcement, and whether the caller has acknowledged it."""

    acknowledged: bool


class AnnouncementPage(Page[ReadAnnouncement]):
    """Announcements, newest first. `cursor` goes on in the stream of the same scope.

    `unread` counts the announcements for the caller, on this page or not, that the caller has
    neither made nor acknowledged, among the newest 1,000 to everyone and the newest 1,000 to the
    caller's role alone.
    """

    cursor: str
    unread: Whole | None = absent()


class AnnouncementWithdrawn(Wire):
    """An announcement that was withdrawn."""

    id: str
    withdrawn_at: Timestamp


class AnnouncementAcknowledged(Wire):
    """An announcement that the reader's own account has acknowledged, in any window."""

    id: str


class AudienceSizes(Wire):
    """How many accounts there are in each audience now."""

    everyone: Whole
    customers: Whole
    employees: Whole


class AckCount(Wire):
    """How many have acknowledged an announcement, and how many it is for."""

    acknowledged: Whole
    audience_size: Whole
