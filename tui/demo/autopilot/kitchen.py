"""An employee without a screen: one account at work in its restaurant's kitchen."""

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime

from pydantic import ValidationError

from server.features.accounts.schemas import Credentials, Role
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.api import Api
from tui.common.client.errors import ApiError, ClientError, Unreachable
from tui.common.client.fallback import LogStream
from tui.common.client.meter import Wire
from tui.common.client.retry import is_permanent, sync_loop
from tui.common.client.session import Session
from tui.common.tracking.track import point_of
from tui.demo.autopilot.drivers import DriverBots
from tui.demo.autopilot.news import NewsTurn
from tui.demo.autopilot.rules import Step, change_for, choose_driver, soonest
from tui.demo.autopilot.support import Assistant, ChatClaims

BREATH_SECONDS = 1.0
"""Between two steps of one kitchen, at pace 1: what is overdue does not happen all at once."""
LATER_SECONDS = 5.0
"""Until an order is looked at again that had no driver or was refused, at pace 1."""
PAGES_READ = 10
"""Pages of 200 orders in which open ones are looked for."""

log = logging.getLogger("autopilot")


class _CannotWorkError(ClientError):
    """Wrong password, or no employee of a restaurant: trying again is of no use."""


class Autopilot:
    """One account at work in its restaurant, until cancelled or refused for good."""

    def __init__(
        self,
        server: str,
        credentials: Credentials,
        own_ids: set[str],
        pace: float = 1,
        turn: NewsTurn | None = None,
        claims: ChatClaims | None = None,
    ) -> None:
        """`turn` is shared by those of whom one announces things, `claims` by those that answer
        chats together; without a desk none are answered."""
        self.session = Session(server, Wire())
        self.api = Api(self.session)
        self.orders: dict[str, Order] = {}
        """The open orders by id, as last heard."""
        self._credentials = credentials
        self._own_ids = own_ids
        self._pace = pace
        self._turn = turn or NewsTurn()
        self._name = credentials.email
        self._restaurant_id = ""
        self._later: dict[str, float] = {}
        self._news = asyncio.Event()
        self.driver_bots = DriverBots(self.api, pace, self._news.set)
        """Those who bring what has left."""
        self._assistant = (
            None if claims is None else Assistant(self.session, self.api, claims, own_ids, pace)
        )

    async def run(self) -> None:
        """Work, and after any trouble start over from what the server says.

        Returns when coming back is of no use: wrong password, no employee.
        """
        await sync_loop(
            self._begin_shift,
            self._shift,
            on_error=self._on_error,
            is_final=lambda error: isinstance(error, _CannotWorkError),
            cap=15,
        )

    async def close(self) -> None:
        """Stop the drivers, log out, if the server listens, and close the connections."""
        await self.driver_bots.close()
        with contextlib.suppress(ClientError, TimeoutError):
            if self.session.account is not None:
                async with asyncio.timeout(2):
                    await self.session.log_out()
        await self.session.close()

    def _on_error(self, error: ClientError, wait: float | None) -> None:
        if wait is None:
            log.error("%s: %s", self._name, error.message)
        else:
            log.warning("%s: %s Again in %.1f s.", self._name, error.message, wait)

    async def _log_in(self) -> str:
        """Log in where needed; the restaurant of this account. Raises `_CannotWorkError`."""
        account = self.session.account
        if account is None:
            try:
                account = await self.session.log_in(
                    self._credentials.email, self._credentials.password
                )
            except ApiError as refusal:
                if not is_permanent(refusal):
                    raise
                raise _CannotWorkError(refusal.message) from refusal
        if account.role is not Role.EMPLOYEE or not account.restaurant_id:
            raise _CannotWorkError("not an employee of a restaurant; nothing to do here")
        self._own_ids.add(account.id)
        return account.restaurant_id

    async def _begin_shift(self) -> str | None:
        self._restaurant_id = await self._log_in()
        cursor = await self._read_board()
        log.info("%s: on duty, %d open orders", self._name, len(self.orders))
        return cursor

    async def _shift(self, cursor: str | None) -> None:
        restaurant_id = self._restaurant_id
        hands = [
            asyncio.create_task(self._follow(restaurant_id, cursor)),
            asyncio.create_task(self._work()),
            asyncio.create_task(
                self._turn.announce_for_ever(self.session, self.api, self._pace, self._name)
            ),
        ]
        # It minds its own troubles: a kitchen goes on without it.
        aside = [] if self._assistant is None else [self._assistant.run(restaurant_id)]
        besides = [asyncio.create_task(work) for work in aside]
        try:
            done, _ = await asyncio.wait(hands, return_when=asyncio.FIRST_COMPLETED)
            for hand in done:
                hand.result()
        finally:
            for hand in (*hands, *besides):
                hand.cancel()
            await asyncio.gather(*hands, *besides, return_exceptions=True)

    async def _read_board(self) -> str | None:
        # The first page's cursor is the oldest: what later pages already know comes once more by
        # the stream, and the versions tell.
        page = await self.api.orders(limit=200)
        cursor, found = page.cursor, list(page.items)
        for _ in range(PAGES_READ - 1):
            if page.next is None:
                break
            page = await self.api.orders(before=page.next, limit=200)
            found += page.items
        # All at once: drivers are on the road meanwhile, with what is open here.
        self.orders = {order.id: order for order in found if not order.status.terminal}
        self._later.clear()
        self._told()
        return cursor

    async def _follow(self, restaurant_id: str, cursor: str | None) -> None:
        path = f"/restaurants/{restaurant_id}/orders"
        async with LogStream(
            self.session, f"{path}/stream", f"{path}/events", "kitchen", cursor
        ) as stream:
            async for event in stream:
                try:
                    self._note(Order.model_validate_json(event.data))
                except ValidationError:
                    log.debug("%s: passing over an event %r", self._name, event.type)
        raise Unreachable("The stream of orders has ended.")

    def _note(self, order: Order) -> None:
        known = self.orders.get(order.id)
        if order.status.terminal:
            self.orders.pop(order.id, None)
            self._later.pop(order.id, None)
        elif known is None or order.version >= known.version:
            self.orders[order.id] = order
        self._told()

    def _told(self) -> None:
        self.driver_bots.update(self.orders.values(), self._own_ids)
        self._news.set()

    async def _work(self) -> None:
        while True:
            self._news.clear()
            now = time.monotonic()
            waiting = {key: at for key, at in self._later.items() if at > now}
            at_hand = [order for order in self.orders.values() if order.id not in waiting]
            step = soonest(
                at_hand, self._own_ids, datetime.now(UTC), self._pace, self.driver_bots.delivery
            )
            if step is not None and step.seconds <= 0:
                await self._take(step)
                await asyncio.sleep(BREATH_SECONDS * self._pace)
                continue
            until = [at - now for at in waiting.values()] + ([step.seconds] if step else [])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(until, default=None)):
                    await self._news.wait()

    async def _take(self, step: Step) -> None:
        order, driver = step.order, None
        if step.to is OrderStatus.OUT_FOR_DELIVERY:
            drivers = await self.api.drivers()
            driver = choose_driver(drivers, point_of(order.restaurant), self.driver_bots.persons)
            if driver is None:
                log.info("%s: #%d waits for a driver", self._name, order.number)
                self._put_off(order)
                return
        try:
            changed = await self.api.set_status(order.id, change_for(step, driver, self._pace))
        except ApiError as refusal:
            if not is_permanent(refusal) or refusal.status == 401:
                raise
            log.info("%s: #%d %s", self._name, order.number, refusal.message)
            await self._look_again(order)
        else:
            log.info("%s: #%d %s", self._name, order.number, changed.status)
            self._note(changed)

    async def _look_again(self, order: Order) -> None:
        # Somebody was quicker, or the step is not to be had: what the server says now decides.
        self._put_off(order)
        try:
            self._note(await self.api.order(order.id))
        except ApiError as error:
            if error.status != 404:
                raise
            self.orders.pop(order.id, None)
            self._later.pop(order.id, None)
            self._told()

    def _put_off(self, order: Order) -> None:
        self._later[order.id] = time.monotonic() + LATER_SECONDS * self._pace
