"""The one place that asks what time it is."""

from datetime import UTC, datetime


def now() -> datetime:
    """The time in UTC, cut to the milliseconds that are stored and sent."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: sorts as text, and is what clients get."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """The moment such a text names."""
    return datetime.fromisoformat(text)
