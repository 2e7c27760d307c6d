"""An employee without a screen: takes orders along at a believable pace, over the public API."""

import argparse
import asyncio
import contextlib
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from server.features.accounts.schemas import Credentials, Role
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.api import Api
from tui.common.client.errors import ApiError, ClientTrouble, ResetStream, Unreachable
from tui.common.client.reconnect import Backoff, is_final
from tui.common.client.session import Session
from tui.common.client.sse import EventStream
from tui.common.client.wire import Pattern, Wire
from tui.employee.autopilot_rules import Step, change_for, choose_driver, soonest

BREATH_SECONDS = 1.0
"""Between two steps of one kitchen, at pace 1: what is overdue does not happen all at once."""
LATER_SECONDS = 5.0
"""Until an order is looked at again that had no driver or was refused, at pace 1."""
PAGES_READ = 10
"""Pages of 200 orders in which open ones are looked for."""

log = logging.getLogger("autopilot")


class Autopilot:
    """One account at work in its restaurant, until cancelled or refused for good."""

    def __init__(
        self, server: str, credentials: Credentials, own_ids: set[str], pace: float = 1
    ) -> None:
        self.session = Session(server, Wire())
        self.api = Api(self.session)
        self.orders: dict[str, Order] = {}
        """The open orders by id, as last heard."""
        self._credentials = credentials
        self._own_ids = own_ids
        self._pace = pace
        self._name = credentials.email
        self._later: dict[str, float] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Work, and after any trouble start over from what the server says.

        Returns when coming back is of no use: wrong password, no employee.
        """
        backoff = Backoff(cap=15)
        while True:
            try:
                restaurant_id = await self._restaurant()
                if restaurant_id is None:
                    return
                await self._shift(restaurant_id, backoff)
            except ResetStream:
                log.info("%s: reading the board again", self._name)
                await asyncio.sleep(backoff.ended())
            except ClientTrouble as trouble:
                wait = backoff.lost(getattr(trouble, "retry_after", None))
                log.warning("%s: %s Again in %.1f s.", self._name, trouble.words, wait)
                await asyncio.sleep(wait)

    async def close(self) -> None:
        """Log out, if the server listens, and close the connections."""
        with contextlib.suppress(ClientTrouble, TimeoutError):
            if self.session.account is not None:
                await asyncio.wait_for(self.session.log_out(), timeout=2)
        await self.session.close()

    async def _restaurant(self) -> str | None:
        """Where this account works, logged in; None where it cannot work at all."""
        account = self.session.account
        if account is None:
            try:
                account = await self.session.log_in(
                    self._credentials.email, self._credentials.password
                )
            except ApiError as refusal:
                if not is_final(refusal):
                    raise
                log.error("%s: %s", self._name, refusal.words)
                return None
        if account.role is not Role.EMPLOYEE or not account.restaurant_id:
            log.error("%s: not an employee of a restaurant; nothing to do here", self._name)
            return None
        self._own_ids.add(account.id)
        return account.restaurant_id

    async def _shift(self, restaurant_id: str, backoff: Backoff) -> None:
        cursor = await self._read_board()
        backoff.opened()
        log.info("%s: on duty, %d open orders", self._name, len(self.orders))
        hands = [
            asyncio.create_task(self._follow(restaurant_id, cursor)),
            asyncio.create_task(self._work()),
        ]
        try:
            done, _ = await asyncio.wait(hands, return_when=asyncio.FIRST_COMPLETED)
            for hand in done:
                hand.result()
        finally:
            for hand in hands:
                hand.cancel()
            await asyncio.gather(*hands, return_exceptions=True)

    async def _read_board(self) -> str | None:
        # The first page's cursor is the oldest: what later pages already know comes once more by
        # the stream, and the versions tell.
        page = await self.api.orders(limit=200)
        cursor = page.cursor
        self.orders.clear()
        self._later.clear()
        for _ in range(PAGES_READ):
            for order in page.items:
                self._note(order)
            if page.next is None:
                break
            page = await self.api.orders(before=page.next, limit=200)
        return cursor

    async def _follow(self, restaurant_id: str, cursor: str | None) -> None:
        meter = self.session.wire.meter("kitchen", Pattern.SSE)
        path = f"/restaurants/{restaurant_id}/orders/stream"
        async with EventStream(self.session, path, meter, cursor) as stream:
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
        self._news.set()

    async def _work(self) -> None:
        while True:
            self._news.clear()
            now = time.monotonic()
            waiting = {key: at for key, at in self._later.items() if at > now}
            at_hand = [order for order in self.orders.values() if order.id not in waiting]
            step = soonest(at_hand, self._own_ids, datetime.now(UTC), self._pace)
            if step is not None and step.seconds <= 0:
                await self._take(step)
                await asyncio.sleep(BREATH_SECONDS * self._pace)
                continue
            until = [at - now for at in waiting.values()] + ([step.seconds] if step else [])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(until, default=None))

    async def _take(self, step: Step) -> None:
        order, driver = step.order, None
        if step.to is OrderStatus.OUT_FOR_DELIVERY:
            driver = choose_driver(await self.api.drivers())
            if driver is None:
                log.info("%s: #%d waits for a driver", self._name, order.number)
                self._put_off(order)
                return
        try:
            changed = await self.api.set_status(order.id, change_for(step, driver, self._pace))
        except ApiError as refusal:
            if not is_final(refusal) or refusal.status == 401:
                raise
            log.info("%s: #%d %s", self._name, order.number, refusal.words)
            await self._look_again(order)
        else:
            log.info("%s: #%d %s", self._name, order.number, changed.status)
            self._note(changed)

    async def _look_again(self, order: Order) -> None:
        # Somebody was quicker, or the step is not to be had: what the server says now decides.
        self._put_off(order)
        try:
            self._note(await self.api.order(order.id))
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            self.orders.pop(order.id, None)
            self._later.pop(order.id, None)

    def _put_off(self, order: Order) -> None:
        self._later[order.id] = time.monotonic() + LATER_SECONDS * self._pace


async def work(server: str, accounts: Sequence[Credentials], pace: float = 1) -> None:
    """Put an autopilot at each account's restaurant; returns when all have been refused."""
    own_ids: set[str] = set()
    pilots = [Autopilot(server, account, own_ids, pace) for account in accounts]
    try:
        await asyncio.gather(*(pilot.run() for pilot in pilots))
    finally:
        await asyncio.gather(*(pilot.close() for pilot in pilots), return_exceptions=True)


def read_accounts(path: Path) -> list[Credentials]:
    """The accounts in a JSON file `[{"email": ..., "password": ...}]`; ValueError in words."""
    try:
        return TypeAdapter(list[Credentials]).validate_python(json.loads(path.read_text()))
    except FileNotFoundError:
        raise ValueError(
            f"{path} is not there: `python -m server --demo` writes it, or name accounts "
            "with --account EMAIL:PASSWORD."
        ) from None
    except (OSError, ValueError) as trouble:
        raise ValueError(f"{path} is no list of accounts: {trouble}") from None


def _account(text: str) -> Credentials:
    email, colon, password = text.partition(":")
    if not (email and colon and password):
        raise argparse.ArgumentTypeError("must be EMAIL:PASSWORD")
    return Credentials(email=email, password=password)


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = math.nan
    if not 0 < pace < math.inf:
        raise argparse.ArgumentTypeError("must be a number above 0; 2 takes twice as long")
    return pace


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0 when told to stop, 1 when refused, 2 when there is no account."""
    data_dir = Path(os.environ.get("TIFFIN_DATA_DIR", ".tiffin"))
    parser = argparse.ArgumentParser(prog="python -m tui.employee.autopilot", description=__doc__)
    parser.add_argument("--server", default="http://127.0.0.1:8080", metavar="URL")
    parser.add_argument("--accounts", type=Path, default=data_dir / "demo-accounts.json")
    parser.add_argument("--account", type=_account, action="append", metavar="EMAIL:PASSWORD")
    parser.add_argument("--pace", type=_pace, default=1.0, help="2 takes twice as long")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        accounts = options.account or read_accounts(options.accounts)
    except ValueError as trouble:
        log.error("%s", trouble)
        return 2
    return asyncio.run(_until_told(work(options.server, accounts, options.pace)))


async def _until_told(job: Coroutine[None, None, None]) -> int:
    task = asyncio.ensure_future(job)
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(sign, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
