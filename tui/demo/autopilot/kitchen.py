"""The autopilot: one employee's account that runs its restaurant without a screen."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from server.features.accounts.schemas import Credentials, Role
from server.features.announcements.schemas import Audience, NewAnnouncement, Severity
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.api import Api
from tui.common.client.errors import ApiError, ClientError, Unreachable
from tui.common.client.fallback import LogStream
from tui.common.client.meter import Wire
from tui.common.client.retry import is_permanent, sync_loop
from tui.common.client.session import Session
from tui.common.tracking.track import point_of
from tui.demo.autopilot.drivers import DriverBots
from tui.demo.autopilot.news import Newsroom
from tui.demo.autopilot.rules import Step, change_for, choose_driver, soonest, touched_by_person
from tui.demo.autopilot.support import Assistant, ChatClaims

STEP_GAP_SECONDS = 1.0
"""Between two steps of one kitchen, at pace 1: overdue ones do not happen all at once."""
POSTPONE_SECONDS = 5.0
"""Until an order that had no driver or was refused is tried again, at pace 1."""
PERSON_SECONDS = 45.0
"""How long a new order is left to a person who is signed in, at pace 1."""
SAID_FOR = timedelta(minutes=10)
MAX_PAGES = 10
"""Of 200 orders each, in which open ones are looked for."""

log = logging.getLogger("autopilot")


class _CannotWorkError(ClientError):
    """Wrong password, or not an employee of a restaurant: trying again cannot help."""


class Autopilot:
    """One account at work in its restaurant, until cancelled or refused permanently."""

    def __init__(
        self,
        server: str,
        credentials: Credentials,
        own_ids: set[str],
        pace: float = 1,
        newsroom: Newsroom | None = None,
        claims: ChatClaims | None = None,
        hurried: Collection[str] = (),
    ) -> None:
        """`newsroom`, `claims` and `hurried` are shared by the autopilots of one process; without
        `claims` no chats are answered. Orders in `hurried` (ids) leave as fast as they can."""
        self.session = Session(server, Wire())
        self.api = Api(self.session)
        self.orders: dict[str, Order] = {}
        """The open orders by id."""
        self._credentials = credentials
        self._own_ids = own_ids
        self._pace = pace
        self._newsroom = newsroom or Newsroom()
        self._name = credentials.email
        self._restaurant_id = ""
        self._hurried = hurried
        self._persons: set[str] = set()
        """Employees who were told that new orders are left to them, while they are signed in."""
        self._told: set[str] = set()
        """Orders that a person has taken over, which has been said."""
        self._postponed: dict[str, float] = {}
        self._news = asyncio.Event()
        self.driver_bots = DriverBots(self.api, pace, self._news.set)
        """Deliver what has left."""
        self._assistant = (
            None if claims is None else Assistant(self.session, self.api, claims, own_ids, pace)
        )

    async def run(self) -> None:
        """Work; after an error start again from what the server says.

        Returns when that cannot help: wrong password, no employee.
        """
        await sync_loop(
            self._begin_shift,
            self._run_shift,
            on_error=self._on_error,
            is_final=lambda error: isinstance(error, _CannotWorkError),
            cap=15,
        )

    async def close(self) -> None:
        """Stop the drivers, log out if the server answers, and close the connections."""
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
            log.warning("%s: %s Retrying in %.1f s.", self._name, error.message, wait)

    async def _log_in(self) -> str:
        """Log in if needed. Returns the account's restaurant. Raises `_CannotWorkError`."""
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
        cursor = await self._read_orders()
        log.info("%s: started, %d open orders", self._name, len(self.orders))
        return cursor

    async def _run_shift(self, cursor: str | None) -> None:
        restaurant_id = self._restaurant_id
        tasks = [
            asyncio.create_task(self._read_events(restaurant_id, cursor)),
            asyncio.create_task(self._work()),
            asyncio.create_task(
                self._newsroom.announce(self.session, self.api, self._pace, self._name)
            ),
        ]
        # It handles its own errors: a kitchen goes on without it.
        optional = []
        if self._assistant is not None:
            optional.append(asyncio.create_task(self._assistant.run(restaurant_id)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *optional):
                task.cancel()
            await asyncio.gather(*tasks, *optional, return_exceptions=True)

    async def _read_orders(self) -> str | None:
        # The first page's cursor is the oldest: the stream repeats what later pages already have,
        # and the versions tell.
        page = await self.api.orders(limit=200)
        cursor, found = page.cursor, list(page.items)
        for _ in range(MAX_PAGES - 1):
            if page.next is None:
                break
            page = await self.api.orders(before=page.next, limit=200)
            found += page.items
        # Replaced at once: the drivers on the road read it.
        self.orders = {order.id: order for order in found if not order.status.terminal}
        self._postponed.clear()
        self._on_change()
        return cursor

    async def _read_events(self, restaurant_id: str, cursor: str | None) -> None:
        path = f"/restaurants/{restaurant_id}/orders"
        async with LogStream(
            self.session, f"{path}/stream", f"{path}/events", "kitchen", cursor
        ) as stream:
            async for event in stream:
                try:
                    self._apply(Order.model_validate_json(event.data))
                except ValidationError:
                    log.debug("%s: ignored an event %r", self._name, event.type)
        raise Unreachable("The stream of orders has ended.")

    def _apply(self, order: Order) -> None:
        known = self.orders.get(order.id)
        if order.status.terminal:
            self.orders.pop(order.id, None)
            self._postponed.pop(order.id, None)
        elif known is None or order.version >= known.version:
            self.orders[order.id] = order
        self._on_change()

    def _on_change(self) -> None:
        self.driver_bots.update(self.orders.values(), self._own_ids)
        self._news.set()

    async def _work(self) -> None:
        while True:
            self._news.clear()
            now = time.monotonic()
            postponed = {key: at for key, at in self._postponed.items() if at > now}
            due = [order for order in self.orders.values() if order.id not in postponed]
            step = soonest(
                due,
                self._own_ids,
                datetime.now(UTC),
                self._pace,
                self.driver_bots.delivery,
                self._hurried,
            )
            for order in self._taken_over():
                await self._say(
                    f"#{order.number:04d} is yours now",
                    "You have taken it over: I leave it to you until it is delivered, and go on"
                    " with the others.",
                )
            if step is not None and step.seconds <= 0 and not await self._leaves_it(step.order):
                await self._take_step(step)
                await asyncio.sleep(STEP_GAP_SECONDS * self._pace)
                continue
            until = [at - now for at in postponed.values()] + ([step.seconds] if step else [])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(until, default=None)):
                    await self._news.wait()

    def _taken_over(self) -> list[Order]:
        """Orders that it had begun and a person has changed since, each once."""
        found = [
            order
            for order in self.orders.values()
            if order.id not in self._told
            and touched_by_person(order, self._own_ids)
            and any(entry.by.id in self._own_ids for entry in order.timeline)
        ]
        self._told |= {order.id for order in found}
        return found

    async def _leaves_it(self, order: Order) -> bool:
        """Whether a new order is left to a person for now, who is told so once; it is looked at
        again when their time is over."""
        if order.status is not OrderStatus.PLACED or order.id in self._hurried:
            return False
        staff = await self.api.staff(self._restaurant_id)
        persons = {one.id for one in staff if one.id not in self._own_ids}
        new, self._persons = persons - self._persons, persons
        if new:
            await self._say(
                "New orders are yours",
                f"While you are signed in I leave each one to you for {PERSON_SECONDS:.0f} seconds;"
                " then I take it. What you have changed stays yours.",
            )
        age = (datetime.now(UTC) - order.timeline[-1].at).total_seconds()
        left = min(PERSON_SECONDS * self._pace - age, PERSON_SECONDS * self._pace)
        if not persons or left <= 0:
            return False
        log.info("%s: #%d is left to a person for %.0f s", self._name, order.number, left)
        self._postponed[order.id] = time.monotonic() + left
        return True

    async def _say(self, title: str, body: str) -> None:
        """Tell employees; it is gone when it is of no use any more."""
        log.info("%s: %s. %s", self._name, title, body)
        new = NewAnnouncement(
            title=title,
            body=body,
            severity=Severity.INFO,
            audience=Audience.EMPLOYEES,
            expires_at=self.session.server_now() + SAID_FOR,
        )
        await self.api.announce(new, uuid.uuid4().hex)

    async def _take_step(self, step: Step) -> None:
        order, driver = step.order, None
        if step.to is OrderStatus.OUT_FOR_DELIVERY:
            drivers = await self.api.drivers()
            driver = choose_driver(
                drivers, point_of(order.restaurant), self.driver_bots.with_persons
            )
            if driver is None:
                log.info("%s: #%d waits for a driver", self._name, order.number)
                self._postpone(order)
                return
        try:
            changed = await self.api.set_status(order.id, change_for(step, driver, self._pace))
        except ApiError as refusal:
            if not is_permanent(refusal) or refusal.status == 401:
                raise
            log.info("%s: #%d %s", self._name, order.number, refusal.message)
            await self._refresh_order(order)
        else:
            log.info("%s: #%d %s", self._name, order.number, changed.status)
            self._apply(changed)

    async def _refresh_order(self, order: Order) -> None:
        # Somebody was quicker, or the step is not allowed: the order as it is now decides.
        self._postpone(order)
        try:
            self._apply(await self.api.order(order.id))
        except ApiError as error:
            if error.status != 404:
                raise
            self.orders.pop(order.id, None)
            self._postponed.pop(order.id, None)
            self._on_change()

    def _postpone(self, order: Order) -> None:
        self._postponed[order.id] = time.monotonic() + POSTPONE_SECONDS * self._pace
