"""Days and hours by the restaurant's clock: what is typed for them, and how they are shown."""

import re
from datetime import date, datetime, time, timedelta

from textual.binding import Binding

from tui.common.client.errors import ClientError
from tui.common.format import day_name, time_of_day
from tui.common.language import _

DAY = timedelta(days=1)
DAY_KEYS = (
    Binding("left", "screen.day(-1)", _("Day before")),
    Binding("right", "screen.day(1)", _("Day after")),
)
"""Of what shows a day: its screen goes to the one before or after."""
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TIME = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(am|pm)?", re.IGNORECASE)


class SpanError(ClientError):
    """What is wrong with what was typed."""


def span_of(day: date, since: str, until: str) -> tuple[datetime, datetime]:
    """From when until when, without a zone, of two texts: a time of `day` such as `18`, `18:30` or
    `6pm`, a day such as `2026-01-31`, or both. The end may be a day, to its end, and a time that
    comes first on the next day. Empty is the beginning and the end of the day. Raises SpanError."""
    start = _moment(since, day) or datetime.combine(day, time())
    end = _moment(until, start.date(), end=True) or datetime.combine(start.date(), time()) + DAY
    if end <= start and not _DATE.match(until.strip()):
        end += DAY
    if end <= start:
        raise SpanError(_("The end is before the beginning."))
    return start, end


def span_name(start: datetime, end: datetime) -> str:
    """How a span is shown: `Sat 28 Nov 2026`, `Sat 28 Nov 2026 18:00 to 20:30`. Midnight after
    `start` is that day's end; any other day is named."""
    first = day_name(start.date())
    if start.time() == time() and end - start == DAY:
        return first
    until = time_of_day(end.hour, end.minute)
    if end == datetime.combine(start.date(), time()) + DAY:
        until = time_of_day(24)
    elif end.date() != start.date():
        until = f"{day_name(end.date())} {until}"
    since = f"{first} {time_of_day(start.hour, start.minute)}"
    return _("{start} to {end}").format(start=since, end=until)


def _moment(text: str, day: date, *, end: bool = False) -> datetime | None:
    rest = text.strip()
    if not rest:
        return None
    try:
        if found := _DATE.match(rest):
            day = date(*map(int, found.groups()))
            rest = rest[found.end() :].strip(" T")
            if not rest:
                return datetime.combine(day, time()) + (DAY if end else timedelta(0))
        if clock := _TIME.fullmatch(rest):
            hour, minute = int(clock[1]), int(clock[2] or 0)
            if half := clock[3]:
                hour = time(hour % 12 if 1 <= hour <= 12 else 24).hour
                hour += 12 * (half.lower() == "pm")
            if (hour, minute) == (24, 0):
                return datetime.combine(day, time()) + DAY
            return datetime.combine(day, time(hour, minute))
    except ValueError:
        pass
    words = _("“{text}” is no time. Type 18, 18:30, 6pm or 2026-01-31 18:30.")
    raise SpanError(words.format(text=text.strip()))
