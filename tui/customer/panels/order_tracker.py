"""Follows every open order by long polling, one held request an order."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from tui.common.client.errors import ClientTrouble, SignedOut
from tui.common.client.wire import Pattern
from tui.common.text import plain

if TYPE_CHECKING:
    from server.features.orders.schemas import Order, TrackedStatus
    from tui.common.client.long_polling import StatusPoll
    from tui.common.client.session import Session
    from tui.common.client.wire import Meter, Wire

MOST_POLLS = 16
"""Fewer than the streams that the server allows an account, whose other panels stream too."""


Work = Callable[[Coroutine[object, object, None], str], None]
"""Runs a coroutine in the background, in the group named."""


class OrderTracker:
    """Each open order's poll and meter. `on_status` is called with every answer, in the loop.

    A poll ends by itself with a terminal status. One that the server refuses for good ends, and
    `on_refused` is called with the order's id and the reason in words.
    """

    def __init__(
        self,
        work: Work,
        session: "Session",
        wire: "Wire",
        on_status: Callable[["TrackedStatus"], None],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._work = work
        self._session = session
        self._wire = wire
        self._on_status = on_status
        self._on_refused = on_refused
        self._polls: dict[str, StatusPoll] = {}
        self._meters: dict[str, Meter] = {}
        self._refused: set[str] = set()

    def follow(self, order: "Order") -> None:
        """Poll this order from now on, unless it is over or polled already."""
        if order.status.terminal or order.id in self._polls or order.id in self._refused:
            return
        if len(self._polls) >= MOST_POLLS:
            return  # it is asked for again with every change, and gets the next place
        from tui.common.client.long_polling import StatusPoll

        # Every restaurant counts its own orders: the number alone is no name.
        name = plain(f"#{order.number:04d} {order.restaurant.name}")
        meter = self._wire.meter(name, Pattern.LONG_POLL)
        self._meters[order.id] = meter
        # Without the status we know, the first answer comes at once: it is news if the order has
        # moved since it was read, and a round trip to measure in any case.
        self._polls[order.id] = StatusPoll(self._session, order.id, meter)
        self._work(self._run(order.id), f"track-{order.id}")

    def forgive(self) -> None:
        """Follow again, when asked to, what the server has refused to tell of."""
        self._refused.clear()

    def meter_of(self, order_id: str) -> "Meter | None":
        """The meter of an order that is or was followed here."""
        return self._meters.get(order_id)

    def follows(self, order_id: str) -> bool:
        """Whether that order is polled now."""
        return order_id in self._polls

    def cut(self, order_id: str) -> bool:
        """Drop the held request of that order; whether there is a poll to drop it from."""
        poll = self._polls.get(order_id)
        if poll is not None:
            poll.cut()
        return poll is not None

    async def _run(self, order_id: str) -> None:
        poll = self._polls[order_id]
        try:
            async with poll:
                async for tracked in poll:
                    self._on_status(tracked)
        except SignedOut:
            return  # the app shows the log-in screen and says why
        except ClientTrouble as trouble:
            self._refused.add(order_id)
            self._on_refused(order_id, trouble.words)
        finally:
            self._polls.pop(order_id, None)
