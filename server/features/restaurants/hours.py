"""When a restaurant is open: hours by weekday, as the clocks of its time zone show them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from server.features.shared.schemas import Wire

ClockTime = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""`11:00`; `24:00` is the end of the day."""


def _apart(span: list[str]) -> list[str]:
    if span[0] == span[1]:
        raise ValueError("opens and closes at the same time; write 00:00 to 24:00 for all day")
    if span[0] == "24:00":
        raise ValueError("opens at 24:00; write 00:00 on the next day")
    return span


Span = Annotated[list[ClockTime], Field(min_length=2, max_length=2), AfterValidator(_apart)]
"""From when until when; an end that is before the beginning is on the next day."""


def _none(spans: object) -> bool:
    return not spans


def _day() -> Any:
    return Field(default_factory=list, max_length=8, exclude_if=_none)


class OpeningHours(Wire):
    """A restaurant's hours by weekday, in its time zone: `{"mon": [["11:00", "22:00"]]}`.

    With no day at all it is always open; else a day that is left out is closed.
    """

    model_config = ConfigDict(extra="forbid")

    mon: list[Span] = _day()
    tue: list[Span] = _day()
    wed: list[Span] = _day()
    thu: list[Span] = _day()
    fri: list[Span] = _day()
    sat: list[Span] = _day()
    sun: list[Span] = _day()

    def week(self) -> tuple[list[Span], ...]:
        """The seven days from Monday on."""
        return (self.mon, self.tue, self.wed, self.thu, self.fri, self.sat, self.sun)


@lru_cache(maxsize=1024)
def hours_of(text: str) -> OpeningHours:
    """The hours as they are stored."""
    return OpeningHours.model_validate_json(text)


def zone_named(name: str) -> str:
    """The name, if it is a time zone's. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone such as Europe/Vienna or UTC") from None
    return name


def zone_of(name: str) -> tzinfo:
    """The time zone; UTC for one that only the machine knew which stored it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def opens_at(
    hours: OpeningHours, time_zone: str, paused_until: datetime | None, at: datetime
) -> datetime | None:
    """When it next takes orders: `at` itself if it is open then; None where it never will."""
    start = max(at, paused_until) if paused_until else at
    if not any(hours.week()):
        return start
    spans = _spans(hours, time_zone, start)
    following = ((max(opens, start), closes) for opens, closes in spans)
    return min((opens for opens, closes in following if opens < closes), default=None)


def _spans(
    hours: OpeningHours, time_zone: str, around: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Every span of the hours from the day before to a week later.

    They are moments and not the clock's times, so a night in which the clocks are changed neither
    opens twice nor closes twice.
    """
    zone = zone_of(time_zone)
    today = around.astimezone(zone).date()
    for days in range(-1, 8):
        day = today + timedelta(days=days)
        for opens, closes in hours.week()[day.weekday()]:
            later = closes <= opens
            yield _moment(day, opens, zone), _moment(day + timedelta(days=later), closes, zone)


def _moment(day: date, clock: str, zone: tzinfo) -> datetime:
    hour, minute = int(clock[:2]), int(clock[3:])
    day, hour = day + timedelta(days=hour // 24), hour % 24
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
