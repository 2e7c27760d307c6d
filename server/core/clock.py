"""The current time, and times as text."""

import time
from datetime import UTC, datetime

_ahead = 0.0


def set_ahead(seconds: float) -> None:
    """By how much the database's clock is ahead of this machine's: leases and expiries, which
    several machines read, are by that one clock."""
    global _ahead
    _ahead = seconds


def ahead() -> float:
    """By how many seconds the database's clock is ahead of this machine's."""
    return _ahead


def seconds() -> float:
    """The time in seconds since 1970."""
    return time.time() + _ahead


def now() -> datetime:
    """The time in UTC, truncated to milliseconds, as it is stored and sent."""
    moment = datetime.fromtimestamp(time.time() + _ahead, UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as it is sent to clients; it sorts as text."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"  # instead of +00:00


def from_text(text: str) -> datetime:
    """The time of such a text."""
    return datetime.fromisoformat(text)
