"""An announcement that is being written: kept until it has been sent."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.features.announcements.schemas import Audience, NewAnnouncement, Severity

LASTS: tuple[tuple[str, timedelta | None], ...] = (
    ("until withdrawn", None),
    ("for one hour", timedelta(hours=1)),
    ("for four hours", timedelta(hours=4)),
    ("for a day", timedelta(days=1)),
    ("for a week", timedelta(days=7)),
)
"""How long it may stand."""


@dataclass
class Draft:
    """The fields as they are filled in; `lasts` is a place in LASTS."""

    title: str = ""
    body: str = ""
    severity: Severity = Severity.INFO
    audience: Audience = Audience.EVERYONE
    lasts: int = 0
    _tried: tuple[object, ...] = ()
    _attempt: tuple[NewAnnouncement, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet that could be lost."""
        return not (self.title.strip() or self.body.strip())

    def attempt(self, now: datetime) -> tuple[NewAnnouncement, str]:
        """What to send, with the key that makes it one announcement however often it arrives.

        The same again while no field has changed: an answer may have been lost. Raises
        ValidationError.
        """
        fields = (self.title, self.body, self.severity, self.audience, self.lasts)
        if self._attempt is None or fields != self._tried:
            lasts = LASTS[self.lasts][1]
            new = NewAnnouncement(
                title=self.title,
                body=self.body,
                severity=self.severity,
                audience=self.audience,
                expires_at=now + lasts if lasts is not None else None,
            )
            self._tried, self._attempt = fields, (new, str(uuid.uuid4()))
        return self._attempt
