"""An order's status by long polling, from the one known to the last there is."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from tui.common.client.errors import ClientTrouble, Unreachable
from tui.common.client.reconnect import parse_retry_after
from tui.common.client.stream import Stream
from tui.common.client.wire import State

if TYPE_CHECKING:
    from server.features.orders.schemas import OrderStatus, TrackedStatus
    from tui.common.client.exchange import Exchange
    from tui.common.client.reconnect import Backoff
    from tui.common.client.session import Session
    from tui.common.client.wire import Meter

HOLD_SECONDS = 50
"""Asked of the server; under the 60 s after which proxies cut an idle connection."""
GRACE_SECONDS = 15.0
"""More than was asked for before a request that nobody answers is given up."""
TOO_EARLY_SECONDS = 0.5
BUSY = "the server is busy and let us go early"


class StatusPoll(Stream):
    """`async for status in poll`: each change of one order's status, ending with a terminal one.

    `last_status` is what the reader already knows and moves with each status handed out; it is also
    the acknowledgement the server gets. Without one the first answer comes at once. An order that
    is quicker than the poll may pass through a status unseen; the last one is always seen. Raises
    `ApiError` when the server refuses for good, and `SignedOut`.

    Latency is only measured where `last_status` was not sent: any other answer may have been held,
    and how long the server waited is not how long the way was.
    """

    def __init__(
        self,
        session: Session,
        order_id: str,
        meter: Meter,
        last_status: OrderStatus | None = None,
        *,
        hold: int = HOLD_SECONDS,
        grace: float = GRACE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(session, meter, backoff)
        self.order_id = order_id
        self.last_status = last_status
        self._version: int | None = None
        self._hold = hold
        self._grace = grace
        self._finished = last_status is not None and last_status.terminal

    def __aiter__(self) -> StatusPoll:
        return self

    async def __anext__(self) -> TrackedStatus:
        try:
            while not self._finished:
                try:
                    news = await self._ask()
                except ClientTrouble as trouble:
                    await self._after(trouble)
                    continue
                if news is not None:
                    return self._hand_out(news)
        except asyncio.CancelledError:
            self._drop()
            self._meter.set_state(State.IDLE)
            raise
        raise StopAsyncIteration

    async def _ask(self) -> TrackedStatus | None:
        """One held request; None where it brought no news."""
        params: dict[str, str | int] = {"timeout": self._hold}
        if self.last_status is not None:
            params["last_status"] = self.last_status.value
        asked_at = time.monotonic()
        exchange = await self._open(
            f"/orders/{self.order_id}/status",
            params=params,
            headers={"Accept": "application/json"},
            silence=self._hold + self._grace,
            on_sent=lambda: self._note_open(State.WAITING),
        )
        body = await exchange.read()
        self._exchange = None
        if exchange.response.status == 204:
            await self._nothing_new(exchange, time.monotonic() - asked_at)
            return None
        news = self._parsed(body)
        if (news.status, news.version) == (self.last_status, self._version) or (
            news.status is self.last_status and not news.terminal
        ):
            # Not what was asked for; asking again at once would only be told the same.
            await self._pause("the server repeats itself", self._backoff.lost())
            return None
        self._backoff.reset()
        if self.last_status is None:
            self._meter.measured(exchange.latency_ms)
        self._meter.event(f"200 {news.status.value}", exchange.size)
        return news

    async def _nothing_new(self, exchange: Exchange, held: float) -> None:
        self._meter.frame("204 nothing new", exchange.size)
        retry_after = parse_retry_after(exchange.response.headers.get("Retry-After"))
        if retry_after is not None:
            self._backoff.reset()
            await self._pause(BUSY, retry_after * random.uniform(1.0, 1.1))  # noqa: S311
        elif held < TOO_EARLY_SECONDS:
            await self._pause("the server does not hold our request", self._backoff.lost())
        else:
            self._backoff.reset()

    async def _pause(self, detail: str, delay: float) -> None:
        """Wait before asking again though nothing has been lost."""
        lost_before = self._lost_before
        await self._wait(detail, delay)
        self._lost_before = lost_before

    def _parsed(self, body: bytes) -> TrackedStatus:
        from server.features.orders.schemas import TrackedStatus

        try:
            return TrackedStatus.model_validate_json(body)
        except ValueError as fault:
            raise Unreachable(
                f"What answers at {self._session.base_url} is not a Tiffin server, or another "
                "version of it.",
                "answer not understood",
            ) from fault

    def _hand_out(self, news: TrackedStatus) -> TrackedStatus:
        self.last_status = news.status
        self._version = news.version
        if news.terminal:
            self._finished = True
            self._meter.set_state(State.IDLE)
        return news
