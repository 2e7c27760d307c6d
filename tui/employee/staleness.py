"""Warns when what is shown may be out of date because its stream is away."""

import time
from datetime import datetime
from typing import TYPE_CHECKING

from textual.widgets import Static

from tui.common.client.meter import State
from tui.common.format import hours_minutes
from tui.common.language import _
from tui.common.sanitize import plain

if TYPE_CHECKING:
    from tui.common.client.meter import Meter

GRACE_SECONDS = 1.5
"""An outage as short as this is not worth a warning."""


class Staleness:
    """Remembers since when the stream has been away."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self._since = ""

    @staticmethod
    def away(meter: "Meter") -> bool:
        """Whether the stream is away."""
        return meter.state not in (State.LIVE, State.WAITING)

    def warning(self, meter: "Meter", server_now: datetime) -> str:
        """What the banner says; "" while all is well."""
        if not self.away(meter):
            self._lost_at = None
            return ""
        if self._lost_at is None:
            self._lost_at, self._since = time.monotonic(), hours_minutes(server_now)
        if meter.state is State.DOWN:
            return plain(
                _("✕ No updates since {since}, and none will come: {detail}").format(
                    since=self._since, detail=meter.detail
                )
            )
        if time.monotonic() - self._lost_at < GRACE_SECONDS:
            return ""
        return _("◌ No updates since {since}; this may be out of date.").format(since=self._since)


class Banner(Static):
    """One line of warning; hidden while there is none."""

    DEFAULT_CSS = """
    Banner {
        display: none; height: 1; color: $warning; text-style: bold;
        text-wrap: nowrap; text-overflow: ellipsis;
        &.-shown { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._text = ""

    def show(self, text: str) -> None:
        """Show `text`; "" hides the banner."""
        if text != self._text:
            self._text = text
            self.update(plain(text))
            self.set_class(bool(text), "-shown")
