"""A driver's location by long polling, for where no stream comes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.common.client.long_polling import LongPoll

if TYPE_CHECKING:
    from server.features.drivers.schemas import DriverLocation
    from tui.common.client.reconnect import Backoff
    from tui.common.client.session import Session
    from tui.common.client.wire import Meter

HOLD_SECONDS = 25
GRACE_SECONDS = 5.0
"""A location is soon old: a connection that has died in silence has to be noticed early."""


class LocationPoll(LongPoll["DriverLocation"]):
    """Each place of one driver, as far as the poll is quick enough; the newest is always seen.

    `newest` is what the reader already knows; it moves with each location handed out, and whoever
    gets to know a newer one elsewhere may set it.
    """

    def __init__(
        self,
        session: Session,
        driver_id: str,
        meter: Meter,
        newest: DriverLocation | None = None,
        *,
        hold: int = HOLD_SECONDS,
        grace: float = GRACE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        path = f"/drivers/{driver_id}/location"
        super().__init__(session, path, meter, hold=hold, grace=grace, backoff=backoff)
        self.newest = newest

    def _known(self) -> dict[str, str | int]:
        return {} if self.newest is None else {"after": self.newest.seq}

    def _parse(self, body: bytes) -> DriverLocation:
        from server.features.drivers.schemas import DriverLocation

        return DriverLocation.model_validate_json(body)

    def _is_news(self, news: DriverLocation) -> bool:
        return is_newer(news, self.newest)

    def _name(self, news: DriverLocation) -> str:
        return f"location {news.seq}"

    def _take(self, news: DriverLocation) -> None:
        self.newest = news


def is_newer(location: DriverLocation, known: DriverLocation | None) -> bool:
    """Whether it comes after the known one; also where the server's count has begun anew."""
    if known is None or location.seq > known.seq:
        return True
    return location.seq < known.seq and location.at > known.at
