"""Where one driver is: by a stream, and by long polling while no stream comes through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Self

from tui.common.client.errors import ApiError, ClientTrouble, ResetStream
from tui.common.client.location_poll import LocationPoll, is_newer
from tui.common.client.reconnect import Backoff, in_short
from tui.common.client.watched_stream import Patience, WatchedStream
from tui.common.client.wire import Meter, Pattern, State

if TYPE_CHECKING:
    from types import TracebackType

    from server.features.drivers.schemas import DriverLocation
    from tui.common.client.session import Session
    from tui.common.client.sse_parser import ServerSentEvent

LOCATION = "location"
END = "end"
REASSIGNED = "reassigned"
OVER = "over"
"""Why it ended, where the server did not say."""
NOT_FOUND = 404


class LocationStream:
    """`async for location in stream`, inside `async with`: one driver's places, the newest at once.

    `seq` rises; a reader that is slow gets the newest and no backlog. It ends when there is no
    more to be told to this account, and `ended` says why. Raises `ApiError` when the server
    refuses for good, `SignedOut`.

    A stream of events carries it. While that is refused, lost, or brings nothing, long polling
    does; the stream is tried again meanwhile, and carries once it is heard. `on_carrier` is called
    in the loop whenever `carrier` and `meter` have changed.

    Meant for one reader. Cancelling the reader closes the connections; reading on opens them again.
    """

    def __init__(
        self,
        session: Session,
        driver_id: str,
        name: str,
        *,
        on_carrier: Callable[[], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.driver_id = driver_id
        self.name = name
        self.carrier = Pattern.SSE
        """What brings the news now."""
        self.ended: str | None = None
        """`delivered`, `cancelled`, `reassigned` (another driver brings it), or `over`."""
        self._session = session
        self._on_carrier = on_carrier
        self._patience = patience
        self._stream_meter = session.wire.meter(name, Pattern.SSE)
        self._poll_meter: Meter | None = None
        self._stream: WatchedStream | None = None
        self._poll: LocationPoll | None = None
        self._poll_backoff = Backoff()
        self._polling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._newest: DriverLocation | None = None
        self._unread: DriverLocation | None = None
        self._granted = False
        self._finished = False
        self._fault: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DriverLocation:
        while True:
            if self._unread is not None:
                location, self._unread = self._unread, None
                return location
            if self._finished:
                await self._conclude()
                raise StopAsyncIteration
            if not self._tasks:
                self._carry(Pattern.SSE)
                self._start(self._follow())
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                await self._halt()
                raise

    @property
    def meter(self) -> Meter:
        """The meter of what carries now."""
        if self.carrier is Pattern.SSE or self._poll_meter is None:
            return self._stream_meter
        return self._poll_meter

    def cut(self) -> None:
        """Drop the connection that carries; it comes back by itself."""
        carrier = self._stream if self.carrier is Pattern.SSE else self._poll
        if carrier is not None:
            carrier.cut()

    async def aclose(self) -> None:
        """End for good and close the connections."""
        self._finished = True
        self._unread = None
        await self._halt()

    async def _follow(self) -> None:
        """Read the stream, and a new one where the server cannot go on with the old."""
        backoff = Backoff()
        while True:
            path = f"/drivers/{self.driver_id}/location/stream"
            self._stream = WatchedStream(
                self._session,
                path,
                self._stream_meter,
                on_alive=self._let_go,
                on_doubt=self._bridge,
                patience=self._patience,
            )
            try:
                async with self._stream:
                    async for event in self._stream:
                        self._read(event)
            except ResetStream as trouble:
                self._bridge(in_short(trouble))
                await asyncio.sleep(backoff.ended())
            except ClientTrouble as trouble:
                self._end(fault=trouble)
                return
            else:
                # Where it did not end with `end`, it has been told not to come back.
                self._bridge("no more events")
                return
            finally:
                self._granted = self._granted or self._stream.accepted

    def _read(self, event: ServerSentEvent) -> None:
        from server.features.drivers.schemas import DriverLocation

        if event.type == END:
            self._end(reason=_reason(event.data))
        elif event.type == LOCATION:
            try:
                self._offer(DriverLocation.model_validate_json(event.data))
            except ValueError:  # of a newer server: no reason to lose the others
                return

    async def _ask(self, poll: LocationPoll, meter: Meter) -> None:
        """Poll until it is let go."""
        try:
            async with poll:
                async for location in poll:
                    self._offer(location)
        except ClientTrouble as trouble:
            granted = poll.accepted or self._has_access
            if isinstance(trouble, ApiError) and trouble.status == NOT_FOUND and granted:
                meter.set_state(State.IDLE)
                self._end(reason=OVER)
            else:
                self._end(fault=trouble)

    def _bridge(self, words: str) -> None:
        """The stream does not carry, for that reason: let the poll."""
        if self._finished:
            return
        if self._poll is None:
            # Made once it is needed: a pattern that is not in use is none of the wire's business.
            meter = self._session.wire.meter(f"{self.name} (poll)", Pattern.LONG_POLL)
            self._poll_meter = meter
            meter.set_state(State.CONNECTING)
            self._poll = LocationPoll(
                self._session, self.driver_id, meter, self._newest, backoff=self._poll_backoff
            )
            self._polling = self._start(self._ask(self._poll, meter))
        self._poll.explain(f"no stream: {words}")
        self._carry(Pattern.LONG_POLL)

    def _let_go(self) -> None:
        """The stream carries: the poll is not needed."""
        if self._finished:
            return
        if self._polling is not None:
            self._polling.cancel()
            self._polling = None
        if self._poll is not None:
            self._granted = self._granted or self._poll.accepted
            self._poll = None
        self._carry(Pattern.SSE)

    def _carry(self, carrier: Pattern) -> None:
        if carrier is not self.carrier:
            self.carrier = carrier
            if self._on_carrier is not None:
                self._on_carrier()

    def _offer(self, location: DriverLocation) -> None:
        if self._finished or not is_newer(location, self._newest):
            return
        self._newest = self._unread = location
        if self._poll is not None:
            self._poll.newest = location
        self._changed.set()

    @property
    def _has_access(self) -> bool:
        """Whether the server has ever told this account of this driver."""
        return self._granted or (self._stream is not None and self._stream.accepted)

    def _end(self, reason: str | None = None, fault: BaseException | None = None) -> None:
        """Nothing comes any more; the reader finds out, and lets go of the connections."""
        if not self._finished:
            self._finished = True
            self.ended, self._fault = reason, fault
            self._changed.set()

    async def _conclude(self) -> None:
        """Close the connections and say why there is nothing more, where that was a fault."""
        await self._halt()
        fault, self._fault = self._fault, None
        if fault is None:
            return
        words = in_short(fault) if isinstance(fault, ClientTrouble) else "failed"
        for meter in (self._stream_meter, self._poll_meter):
            if meter is not None:
                meter.set_state(State.DOWN, words)
        raise fault

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"locations of {self.driver_id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._end(fault=fault)

    async def _halt(self) -> None:
        """Close both connections."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._granted = self._granted or (self._poll is not None and self._poll.accepted)
        self._stream = self._poll = self._polling = None


def _reason(data: str) -> str:
    """What the last event says."""
    from server.features.drivers.schemas import WatchEnd

    try:
        status = WatchEnd.model_validate_json(data).status
    except ValueError:
        return OVER
    return status.value if status.terminal else REASSIGNED
