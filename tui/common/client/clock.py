"""The server's clock as its answers tell it, and how old its news is by that."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import inf

TOLERANCE_SECONDS = 2.0
"""Clocks that differ by less are not corrected: `Date` is in whole seconds, and takes time on the
way."""
SLOWEST_SECONDS = 1.0
"""A slower answer's `Date` is not used: it may have been delayed on either way."""
PRECISION_SECONDS = 0.001
"""Of `Tiffin-Time`, which is cut to milliseconds."""
DRIFT = 50e-6
"""Seconds that two clocks may move apart in one: a measurement is worth less as it ages."""
_YEARS = range(1970, 9000)
"""A date outside of them is no time of any clock, and arithmetic with it may leave the calendar."""


def read_http_date(text: str) -> datetime | None:
    """The moment that a header's date names, in UTC; None for an invalid date."""
    try:
        moment = parsedate_to_datetime(text)
        # A zone need not be said, and is UTC then.
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


def read_time(text: str) -> datetime | None:
    """The moment of an RFC 3339 text with its zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.year in _YEARS else None


class ServerClock:
    """This machine's clock, corrected by what the server's answers say.

    The time in `Tiffin-Time` was read between a request's leaving and its answer's coming, so the
    offset is known to half of that time; the best of these is kept, and serves for the age of news.
    `Date`, which every server sends, is enough for what people read: `now` uses the newest, and is
    this machine's clock until there is one, and within two seconds.
    """

    def __init__(self) -> None:
        self._ahead = timedelta(0)
        self._offset = 0.0
        """Seconds by which the server's clock is ahead of `time.time`."""
        self._error = inf
        self._measured_at = 0.0
        """`time.time()` of that measurement."""

    def record(self, date: str | None, took: float, precise: str | None = None) -> None:
        """Use an answer's `Date` and `Tiffin-Time`; it came `took` seconds after its request left,
        and just now."""
        if precise is not None and (moment := read_time(precise)) is not None and took >= 0:
            self._measure(moment.timestamp() + PRECISION_SECONDS / 2, took)
        if date is None or not 0 <= took <= SLOWEST_SECONDS:
            return
        said = read_http_date(date)
        if said is None:
            return
        # In the middle of the second it names, and of the way there and back.
        shown = said + timedelta(seconds=0.5)
        self._ahead = shown - (datetime.now(UTC) - timedelta(seconds=took / 2))

    def now(self) -> datetime:
        """The time there, in UTC."""
        here = datetime.now(UTC)
        if abs(self._ahead.total_seconds()) <= TOLERANCE_SECONDS:
            return here
        return here + self._ahead

    @property
    def error_ms(self) -> float | None:
        """By how many milliseconds an age may be wrong; None while the offset is not known."""
        return None if self._error == inf else self._error_at(time.time()) * 1000

    def age_ms(self, logged_at: datetime | str) -> float | None:
        """Milliseconds since that moment by the server's clock, at least 0; None while the offset
        is not known, and for what is no time."""
        moment = read_time(logged_at) if isinstance(logged_at, str) else logged_at
        if moment is None or self._error == inf:
            return None
        return max(0.0, time.time() + self._offset - moment.timestamp()) * 1000

    def _error_at(self, now: float) -> float:
        return self._error + DRIFT * abs(now - self._measured_at)

    def _measure(self, theirs: float, took: float) -> None:
        now = time.time()
        offset, error = theirs - (now - took / 2), (took + PRECISION_SECONDS) / 2
        known = self._error_at(now)
        # Where they contradict each other, one of the clocks was set.
        if error <= known or abs(offset - self._offset) > error + known:
            self._offset, self._error, self._measured_at = offset, error, now
