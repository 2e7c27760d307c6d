"""Alerts that come close together, shown as one."""

from collections.abc import Callable
from typing import Generic, TypeVar

from textual.widget import Widget

ALERT_SECONDS = 1.0
"""What comes within that time of the first is one alert: also what is replayed after a reconnect,
which may turn out to have been read in another window."""

AlertT = TypeVar("AlertT")


class AlertCollector(Generic[AlertT]):
    """Calls `show` with all that was added, a second after the first of it."""

    def __init__(self, owner: Widget, show: Callable[[list[AlertT]], None]) -> None:
        """Nothing is shown once `owner` is removed."""
        self._owner = owner
        self._show = show
        self._alerts: list[AlertT] = []

    def add(self, alert: AlertT) -> None:
        """Show this with those that follow within `ALERT_SECONDS`."""
        self._alerts.append(alert)
        if len(self._alerts) == 1:
            self._owner.set_timer(ALERT_SECONDS, self._flush)

    def _flush(self) -> None:
        alerts, self._alerts = self._alerts, []
        self._show(alerts)
