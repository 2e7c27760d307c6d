"""The current time, and times as text."""

from datetime import UTC, datetime


def now() -> datetime:
    """The time in UTC, truncated to milliseconds, as it is stored and sent."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as it is sent to clients; it sorts as text."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"  # instead of +00:00


def from_text(text: str) -> datetime:
    """The time of such a text."""
    return datetime.fromisoformat(text)
