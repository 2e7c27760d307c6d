"""What every stream that comes back by itself has in common: opening, losing, waiting, cutting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from tui.common.client.errors import ApiError, ClientTrouble, Unreachable
from tui.common.client.reconnect import Backoff, in_short, is_final
from tui.common.client.wire import State

if TYPE_CHECKING:
    from types import TracebackType

    from tui.common.client.exchange import Exchange
    from tui.common.client.session import Session
    from tui.common.client.wire import Meter

CUT = "cut by you"


class Stream:
    """One request that is asked again and again; subclasses iterate over what it brings.

    Meant for one reader, inside `async with`. Cancelling the reader closes the connection; reading
    on opens it again.
    """

    def __init__(self, session: Session, meter: Meter, backoff: Backoff | None = None) -> None:
        self._session = session
        self._meter = meter
        self._backoff = backoff or Backoff()
        self._epoch: int | None = None
        self._exchange: Exchange | None = None
        self._opening: asyncio.Task[Exchange] | None = None
        self._cut = False
        self._lost_before = False
        self._finished = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def cut(self) -> None:
        """Drop the connection now; it comes back by itself. Nothing happens where there is none."""
        if self._opening is not None:
            self._cut = True
            self._opening.cancel()
        elif self._exchange is not None:
            self._cut = True
            self._exchange.close()

    async def aclose(self) -> None:
        """End for good and close the connection."""
        self._finished = True
        self._drop()
        if self._opening is not None:
            self._opening.cancel()
        if self._meter.state is not State.DOWN:
            self._meter.set_state(State.IDLE)

    async def _open(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float,
        on_sent: Callable[[], None] | None = None,
    ) -> Exchange:
        """Send the request and wait for the answer's head, so that `cut` can end the wait."""
        if self._epoch is None:
            self._epoch = self._session.epoch
        self._opening = asyncio.ensure_future(
            self._session.exchange(
                "GET",
                path,
                meter=self._meter,
                params=params,
                headers=headers,
                total=None,
                silence=silence,
                on_sent=on_sent,
                epoch=self._epoch,
            )
        )
        try:
            self._exchange = await self._opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if (task is not None and task.cancelling()) or not (self._cut or self._finished):
                raise
            raise self._cut_trouble() from None
        finally:
            self._opening = None
        if self._cut:
            self._drop()
            raise self._cut_trouble()
        return self._exchange

    def _drop(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def _cut_trouble(self) -> Unreachable:
        self._cut = False
        return Unreachable("You have cut the connection; it comes back by itself.", CUT)

    def _note_open(self, state: State) -> None:
        """The stream stands, in `state`."""
        if self._lost_before:
            self._lost_before = False
            self._meter.reconnected()
        self._meter.set_state(state)

    async def _after(self, trouble: ClientTrouble) -> None:
        """Wait until it is time to ask again. Raises `trouble` where there is no use in that."""
        self._drop()
        if self._finished:
            return
        if self._cut:
            trouble = self._cut_trouble()
        if is_final(trouble):
            self._finished = True
            self._meter.set_state(State.DOWN, in_short(trouble))
            raise trouble
        retry_after = trouble.retry_after if isinstance(trouble, ApiError | Unreachable) else None
        await self._wait(in_short(trouble), self._backoff.lost(retry_after))

    async def _wait(self, detail: str, delay: float) -> None:
        self._lost_before = True
        self._meter.retrying(detail, delay)
        await asyncio.sleep(delay)
        self._meter.set_state(State.CONNECTING, detail)
