"""The base of all streams: connect, read, reconnect after a loss, drop the connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from tui.common.client.errors import ApiError, ClientError, Unreachable
from tui.common.client.meter import CUT, Pattern, State, Wire
from tui.common.client.retry import Backoff, is_permanent, pause, short_message
from tui.common.language import _

if TYPE_CHECKING:
    from types import TracebackType

    from tui.common.client.meter import Meter
    from tui.common.client.request import RequestContext
    from tui.common.client.session import Session

RESUMED = _("connecting again after a suspend")


class Connection(Protocol):
    """A connection that stands."""

    def close(self) -> None:
        """Close it."""


ConnectionT = TypeVar("ConnectionT", bound=Connection)
ItemT = TypeVar("ItemT")


class AsyncReader(Generic[ItemT]):
    """Read by `async for item in it`, inside `async with`."""

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

    async def __anext__(self) -> ItemT:
        raise NotImplementedError

    async def aclose(self) -> None:
        """End for good."""
        raise NotImplementedError


class Stream(AsyncReader[ItemT], Generic[ConnectionT, ItemT]):
    """One connection that is opened again and again, and an iterator over what it brings.

    Meant for one reader, inside `async with`. Cancelling the reader closes the connection; reading
    on opens it again. Subclasses say in `_receive` how it is read.
    """

    def __init__(self, session: Session, meter: Meter, backoff: Backoff | None = None) -> None:
        self._session = session
        self._meter = meter
        self._backoff = backoff or Backoff()
        self._epoch: int | None = None
        self._connection: ConnectionT | None = None
        self._opening: asyncio.Task[ConnectionT] | None = None
        self._pending: deque[ItemT] = deque()
        self._dropped: Unreachable | None = None
        self._lost_before = False
        self._finished = False
        self.gap: Callable[[Meter], AsyncReader[Any]] | None = None
        """Opens what counts the events missed while the line is cut; `gap_size` counts them."""
        self.gap_size: Callable[[Any], int] | None = None
        self.accepted = False
        """Whether the server has ever answered with what was asked for."""

    async def __anext__(self) -> ItemT:
        try:
            while not self._pending:
                if self._finished:
                    raise StopAsyncIteration
                try:
                    if self._meter.is_cut:
                        await self._wait_uncut()
                    await self._receive()
                except ClientError as error:
                    await self._recover(error)
        except asyncio.CancelledError:
            self._drop()
            self._meter.set_state(State.IDLE)
            raise
        news = self._pending.popleft()
        self._deliver(news)
        return news

    def resume_from(self, cursor: str | None) -> None:
        """Open the next connection from there; what was read and not handed out is dropped."""
        raise NotImplementedError

    @property
    def position(self) -> str | None:
        """The cursor after all that was handed out."""
        raise NotImplementedError

    async def _open_connection(self) -> ConnectionT:
        """Open the connection."""
        raise NotImplementedError

    def _on_sent(self) -> None:
        """The request for it has left."""

    def _on_received(self, *, heartbeat: bool) -> None:
        """Something has come over it, a heartbeat or not."""

    async def _receive(self) -> None:
        """Read what has come into `_pending`, opening the connection first where there is none."""
        raise NotImplementedError

    def _deliver(self, news: ItemT) -> None:
        """The reader gets it now. Raises where it is not meant for the reader."""

    def drop_connection(self) -> None:
        """Drop the connection now; it comes back by itself. Nothing happens where there is none."""
        self._fail_connection(
            Unreachable(_("You have cut the connection; it comes back by itself."), CUT)
        )

    def on_resumed(self) -> None:
        """This machine was suspended: the connection may have died without a sign of it."""
        self._fail_connection(
            Unreachable(_("This machine or window was suspended; connecting again."), RESUMED)
        )

    def _fail_connection(self, error: Unreachable) -> None:
        """Drop the connection as if that had happened to it."""
        if self._opening is not None:
            self._dropped = error
            self._opening.cancel()
        elif self._connection is not None:
            self._dropped = error
            self._connection.close()

    async def aclose(self) -> None:
        """End for good and close the connection."""
        self._finished = True
        self._drop()
        if self._opening is not None:
            self._opening.cancel()
        if self._meter.state is not State.DOWN:
            self._meter.set_state(State.IDLE)

    def _bind_epoch(self) -> int:
        """The session that this belongs to: the one at which it was first opened."""
        if self._epoch is None:
            self._epoch = self._session.epoch
            self._meter.begin_news()
        return self._epoch

    async def _connect(self, opening: Coroutine[Any, Any, ConnectionT]) -> ConnectionT:
        """Wait until the connection is open; `drop_connection` can end the wait."""
        self._dropped = None  # it was about the connection before
        self._session.suspend_watch.add(self)
        opened = self._opening = asyncio.ensure_future(opening)
        try:
            self._connection = await opened
        except asyncio.CancelledError:
            if opened.done() and not opened.cancelled() and opened.exception() is None:
                opened.result().close()  # it opened just as we were cancelled
            task = asyncio.current_task()
            if (task is not None and task.cancelling()) or not (self._dropped or self._finished):
                raise
            raise self._pop_drop_error() or Unreachable(
                _("This has been closed."), "closed"
            ) from None
        finally:
            self._opening = None
        # It may have opened in the tick in which it was to be cancelled.
        dropped = self._pop_drop_error()
        if dropped is not None or self._finished:
            self._drop()
            raise dropped or Unreachable(_("This has been closed."), "closed")
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _finish(self, state: State, detail: str = "") -> None:
        """Bring no more, and close the connection."""
        self._pending.clear()
        self._finished = True
        self._drop()
        self._meter.set_state(state, detail)

    def _pop_drop_error(self) -> Unreachable | None:
        """Why we dropped the connection ourselves; asked once."""
        error, self._dropped = self._dropped, None
        return error

    def _set_open(self, state: State) -> None:
        """The stream is open, in `state`."""
        if self._lost_before:
            self._lost_before = False
            self._meter.reconnected()
        self._meter.set_state(state)

    async def _recover(self, error: ClientError) -> None:
        """Wait until it is time to ask again. Raises `error` where there is no use in that."""
        self._drop()
        if self._finished or self._meter.is_cut:
            return
        error = self._pop_drop_error() or error
        if self._gives_up_on(error):
            self._finished = True
            self._meter.set_state(State.DOWN, short_message(error))
            raise error
        await self._wait(short_message(error), self._delay(error))

    def _gives_up_on(self, error: ClientError) -> bool:
        """Whether to ask no more after that."""
        return is_permanent(error)

    def _delay(self, error: ClientError) -> float:
        """Seconds to wait after that before asking again."""
        retry_after = error.retry_after if isinstance(error, ApiError | Unreachable) else None
        return self._backoff.lost(retry_after)

    def _delay_after_end(self) -> float:
        """Seconds to wait after the server ended it before opening it again."""
        return self._backoff.ended()

    async def _wait_uncut(self) -> None:
        """Wait without a connection until the line is cut no more."""
        self._drop()
        self._dropped = None
        self._lost_before = True
        counting = asyncio.create_task(self._count_missed(), name="missed while cut")
        try:
            await self._meter.uncut()
        finally:
            counting.cancel()
        self._backoff.reset()
        self._meter.set_state(State.CONNECTING)

    def _open_gap(self, meter: Meter) -> AsyncReader[Any] | None:
        """A poll for what comes after all that was handed out, over another connection: it counts
        what is missed while the line is cut. None where there is none."""
        return None if self.gap is None else self.gap(meter)

    def _gap_size(self, news: Any) -> int:
        """How many events are in what that poll brings."""
        return 1 if self.gap_size is None else self.gap_size(news)

    async def _count_missed(self) -> None:
        counter = Wire().meter("missed", Pattern.LONG_POLL)  # shown nowhere: it is no part of it
        gap, outage = self._open_gap(counter), self._meter.outage
        if gap is None or outage is None:
            return
        outage.counted = 0  # what a stream before this one missed is in the snapshot since
        outage.counts = lambda: counter.state is State.WAITING
        try:
            async with gap:
                async for news in gap:
                    self._meter.missed(self._gap_size(news))
        except ClientError:
            return  # its state says that it counts no more
        counter.set_state(State.WAITING)  # there is nothing more to come

    async def _wait(self, detail: str, delay: float) -> None:
        self._lost_before = True
        self._meter.retrying(detail, delay)
        await pause(delay)
        self._meter.set_state(State.CONNECTING, detail)


class RequestStream(Stream["RequestContext", ItemT]):
    """A stream whose connection is one request with a long answer."""

    async def _open(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float,
        on_sent: Callable[[], None] | None = None,
    ) -> RequestContext:
        """Send the request and wait for the answer's head."""
        return await self._connect(
            self._session.open_request(
                "GET",
                path,
                meter=self._meter,
                params=params,
                headers=headers,
                total=None,
                silence=silence,
                on_sent=on_sent,
                epoch=self._bind_epoch(),
            )
        )


class Poll(RequestStream[ItemT]):
    """One answer, asked for again and again; subclasses say what `path` answers with, and when to
    ask."""

    def __init__(self, session: Session, path: str, meter: Meter, backoff: Backoff | None) -> None:
        super().__init__(session, meter, backoff)
        self.path = path

    def _parse(self, body: bytes) -> ItemT:
        """Raises ValueError."""
        raise NotImplementedError

    def _name(self, news: ItemT) -> str:
        """What it is on the wire."""
        raise NotImplementedError

    def _parsed(self, body: bytes) -> ItemT:
        """The news that has come; from a server that is one of ours."""
        try:
            news = self._parse(body)
        except ValueError as fault:
            raise Unreachable(
                _(
                    "What answers at {base_url} is not a Tiffin server, or another version of it."
                ).format(base_url=self._session.base_url),
                _("answer not understood"),
            ) from fault
        self.accepted = True
        return news
