"""What the feeds that read a log have in common: one stream at a time, and what was replayed."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.common.client.fallback import LogStream
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

MARK_SECONDS = 30.0
MARK = "↺"
"""Before a row that was replayed after an outage, for so long."""


class LogFeed:
    """A feed follows one log at a time; `changed` is called when another transport brings it."""

    def __init__(self, session: "Session", meter: "Meter", changed: Callable[[], None]) -> None:
        """`meter` is the one that stands while there is no stream."""
        self._session = session
        self._meter = meter
        self._changed = changed
        self._stream: LogStream | None = None
        self._replaying = False
        """Whether the event that is handled was missed while the connection was lost."""

    @property
    def meter(self) -> "Meter":
        """The meter of the transport in use."""
        return self._meter if self._stream is None else self._stream.meter

    def drop_connection(self) -> bool:
        """Drop the connection, which then reconnects; False if there is none."""
        if self._stream is None:
            return False
        self._stream.drop_connection()
        return True

    async def _follow_log(
        self, path: str, cursor: str | None, handle: Callable[[str, str], None], query: str = ""
    ) -> None:
        """Call `handle` with type and data of every event of `path` after `cursor`."""
        from tui.common.client.fallback import LogStream  # not before the first paint

        async with LogStream(
            self._session,
            f"{path}/stream{query}",
            f"{path}/events{query}",
            self._meter.name,
            cursor,
            on_carrier=self._changed,
        ) as self._stream:
            try:
                async for event in self._stream:
                    self._replaying = event.replayed
                    handle(event.type, event.data)
            finally:
                self._stream = None


class ReplayedRows:
    """Ids of what was replayed after an outage, each for `MARK_SECONDS`."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, row: str) -> None:
        """It has come back now."""
        self._until[row] = time.monotonic() + MARK_SECONDS

    def __contains__(self, row: object) -> bool:
        return self._until.get(str(row), 0.0) > time.monotonic() if self._until else False

    @property
    def left(self) -> float | None:
        """Seconds until the next mark goes; None where there is none. Those that are gone are
        forgotten."""
        if not self._until:
            return None
        now = time.monotonic()
        self._until = {row: until for row, until in self._until.items() if until > now}
        return min(self._until.values()) - now if self._until else None
