"""Where one driver is, by a stream or its fallback: only the newest location counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.common.client.errors import ApiError, ClientError, ResetStream
from tui.common.client.fallback import FallbackStream
from tui.common.client.long_polling import HOLD_SECONDS, LongPoll
from tui.common.client.meter import Pattern
from tui.common.client.monitored import MonitoredEventStream
from tui.common.client.retry import Backoff, pause, short_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from server.features.drivers.schemas import DriverLocation
    from tui.common.client.meter import Meter
    from tui.common.client.monitored import Timeouts
    from tui.common.client.session import Session

LOCATION = "location"
END = "end"
REASSIGNED = "reassigned"
OVER = "over"
"""Why it ended, where the server did not say."""
NOT_FOUND = 404
GRACE_SECONDS = 5.0
"""A location is soon old: a connection that has died in silence has to be noticed early."""


class LocationPoll(LongPoll["DriverLocation"]):
    """The locations of one driver, as far as the poll is quick enough; the newest is always seen.

    `newest` is what the reader already knows; it moves with each location handed out.
    """

    def __init__(
        self,
        session: Session,
        driver_id: str,
        meter: Meter,
        newest: DriverLocation | None = None,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        path = f"/drivers/{driver_id}/location"
        super().__init__(
            session, path, meter, hold=HOLD_SECONDS, grace=GRACE_SECONDS, backoff=backoff
        )
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

    def _deliver(self, news: DriverLocation) -> None:
        self.newest = news


class LocationStream(FallbackStream["DriverLocation"]):
    """`async for location in stream`, inside `async with`: the locations of one driver.

    `seq` rises; a reader that is slow gets the newest and no backlog. It ends when there is no
    more to be told to this account, and `ended` says why. Raises `ApiError` when the server
    refuses for good, `SignedOut`.
    """

    NEWEST_ONLY = True

    def __init__(
        self,
        session: Session,
        driver_id: str,
        name: str,
        *,
        on_carrier: Callable[[], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        super().__init__(session, name, Pattern.SSE, on_carrier=on_carrier, timeouts=timeouts)
        self.driver_id = driver_id
        self.ended: str | None = None
        """`delivered`, `cancelled`, `reassigned` (another driver brings it), or `over`."""
        self._newest: DriverLocation | None = None
        self._counted = 0
        """The `seq` up to which was counted what is missed while the line is cut."""

    def _open_primary(self, cursor: str | None) -> MonitoredEventStream:
        path = f"/drivers/{self.driver_id}/location/stream"
        stream = MonitoredEventStream(self._session, path, self._primary_meter, cursor)
        return stream.monitor(self, self._timeouts)

    def _open_poll(self, meter: Meter, cursor: str | None) -> LocationPoll:
        return LocationPoll(
            self._session, self.driver_id, meter, self._newest, backoff=self._poll_backoff
        )

    async def _read_primary(self) -> None:
        backoff = Backoff()
        while True:
            try:
                return await super()._read_primary()
            except ResetStream as error:
                self.on_suspect(short_message(error), None, blocked=False)
                self.cursor = None  # there is no snapshot to read: a new stream tells the newest
                await pause(backoff.ended())

    def _from_primary(self, item: Any) -> None:
        from server.features.drivers.schemas import DriverLocation

        if item.type == END:
            self.ended = _end_reason(item.data)
            self._end()
        elif item.type == LOCATION:
            try:
                self._deliver((DriverLocation.model_validate_json(item.data),))
            except ValueError:  # of a newer server: no reason to lose the others
                return

    def _gap_size(self, item: Any) -> int:
        # Not all that a driver reports is seen by a poll, but all of it is counted.
        before = max(self._counted, self._newest.seq if self._newest is not None else item.seq - 1)
        self._counted = item.seq
        return max(1, int(item.seq) - before)

    def _from_poll(self, item: Any) -> None:
        self._deliver((item,))

    def _deliver(self, items: Iterable[DriverLocation]) -> None:
        newer = [location for location in items if is_newer(location, self._newest)]
        if newer and not self._finished:
            self._newest = newer[-1]
            self._unread.clear()
            super()._deliver(newer[-1:])

    def _on_refused(self, error: ClientError) -> None:
        if isinstance(error, ApiError) and error.status == NOT_FOUND and self._has_access:
            self.ended = OVER
            self._end()
        else:
            super()._on_refused(error)


def is_newer(location: DriverLocation, known: DriverLocation | None) -> bool:
    """Whether it comes after the known one; also where the server's count has begun anew."""
    if known is None or location.seq > known.seq:
        return True
    return location.seq < known.seq and location.at > known.at


def _end_reason(data: str) -> str:
    """What the last event says."""
    from server.features.drivers.schemas import WatchEnd

    try:
        status = WatchEnd.model_validate_json(data).status
    except ValueError:
        return OVER
    return status.value if status.terminal else REASSIGNED
