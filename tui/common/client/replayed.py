"""Which rows have come back after an outage: they are marked for a while."""

import time

MARK_SECONDS = 30.0
MARK = "↺"


class ReplayedRows:
    """Ids of what was replayed, each for `MARK_SECONDS`."""

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
