"""What the server's clock shows, which need not be what this machine's shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

TOLERANCE_SECONDS = 2.0
"""As far as the two may be apart without a correction: `Date` is in whole seconds, and takes its
time on the way."""
SLOWEST_SECONDS = 1.0
"""An answer that took longer says too little: it may have been held, here, there or in between."""

_YEARS = range(1970, 9000)
"""A date outside of them is no time of any clock, and arithmetic with it may leave the calendar."""


def read_http_date(text: str) -> datetime | None:
    """The moment that a header's date names, in UTC; None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
        # A zone need not be said, and is UTC then.
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


class ServerClock:
    """This machine's clock, corrected by the `Date` of the newest quick answer.

    Until there is one, and within two seconds, it is this machine's clock.
    """

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def note(self, date: str | None, took: float) -> None:
        """An answer with that `Date` has just come, `took` seconds after its request left."""
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
