"""What an employee does with an order: asks for what is missing, sends it, reports the result."""

import asyncio
import contextlib
from collections.abc import Coroutine

from pydantic import ValidationError

from server.features.orders.schemas import STEPS, Order, OrderStatus, StatusChange
from server.features.restaurants.schemas import MenuItemChange
from tui.common.client.errors import ApiError, ClientError
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.format import STATUS_LOOKS, fit
from tui.common.language import _, listed, without_isolates
from tui.employee.kitchen.dialogs import (
    SOLD_OUT,
    AcceptScreen,
    DriverScreen,
    ReasonScreen,
    SoldOutScreen,
)
from tui.employee.kitchen.hold import Held, HeldSteps, Sending
from tui.employee.kitchen.host import Host

REASON_CELLS = 400
FLUSH_SECONDS = 3.0
"""How long quitting waits for the answers to what it sends."""
JUST_NOW_SECONDS = 1.0
"""A key pressed so soon after somebody else's change was meant for what was there before."""


class OrderActions:
    """Every change names the version of the order that the employee saw.

    A new status waits some seconds before it is sent, and can be undone (`held`).
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.held = HeldSteps(host, self._run)
        self._sending: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._not_sent = 0
        """How many changes the server has refused, or not been there for."""

    def step(self, order: Order) -> None:
        """Take the next step, after asking for what it needs; and first of all whether it is the
        one that was meant, where somebody else has just changed the order. One that waits is sent
        first."""
        if (first := self.held.take(order.id)) is not None:
            self._run(order, self._both(first))
            return
        last = order.timeline[-1]
        session = self._host.session
        account = session.account
        age = (session.server_now() - last.at).total_seconds()
        by_another = account is not None and last.by.id != account.id
        if by_another and order.status is not OrderStatus.PLACED and age < JUST_NOW_SECONDS:
            now = STATUS_LOOKS[order.status][1]
            question = _("{name} has just changed #{number}: it is now “{status}”.").format(
                name=last.by.name, number=order.number, status=now
            )
            title, yes, no = _("The next step as well?"), _("Next step"), _("Leave it")
            self._host.ask(
                ConfirmScreen(title, question, yes=yes, no=no),
                lambda yes: self._step(order) if yes else None,
            )
        else:
            self._step(order)

    def _step(self, order: Order) -> None:
        following = STEPS[STEPS.index(order.status) + 1]
        if order.status is OrderStatus.PLACED:
            self._ask_minutes(order, _("Accept #{number}"), following)
        elif following is OrderStatus.OUT_FOR_DELIVERY and order.driver is None:
            self._ask_driver(order, following)
        else:
            self._send(order, StatusChange(status=following, expected_version=order.version))

    async def _both(self, first: Held) -> None:
        changed = await first.send(first.order)
        self._host.call_in(0.01, lambda: self.step(changed))  # once this change is over

    async def settled(self) -> bool:
        """Send what waits, and wait for the answers, up to FLUSH_SECONDS; what has none by then
        goes on. False where the server refused one or was not there, which is said."""
        not_sent = self._not_sent
        for held in self.held.all:
            self.held.take(held.order.id)
            send = asyncio.create_task(self._report_errors(held.order, held.send(held.order)))
            self._tasks.add(send)
            send.add_done_callback(self._tasks.discard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.gather(
                    *map(asyncio.shield, self._tasks), *(sent.wait() for sent in self._sending)
                )
        return self._not_sent == not_sent

    def change_minutes(self, order: Order) -> None:
        """Change the time of an order that is being made."""
        if order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING):
            self._ask_minutes(order, _("More time for #{number}"), order.status)
        elif order.status is OrderStatus.PLACED:
            self.step(order)
        else:
            words = _("#{number} is cooked already; only the driver can be late now.")
            self._host.toast(words.format(number=order.number))

    def change_driver(self, order: Order) -> None:
        """Assign a driver, or another one."""
        self._ask_driver(order, order.status)

    def assign(self, order: Order, driver_id: str) -> None:
        """Assign that driver; a ready order leaves at once."""
        ready = order.status is OrderStatus.READY
        status = OrderStatus.OUT_FOR_DELIVERY if ready else order.status
        self._send(
            order,
            StatusChange(status=status, expected_version=order.version, driver_id=driver_id),
        )

    def reject(self, order: Order) -> None:
        """Reject a new order, or cancel an accepted one; both need a reason. Where that is a dish
        which is sold out, ask which, and mark it on the menu as well."""

        def answered(reason: str) -> None:
            if reason == SOLD_OUT:
                self._host.ask(SoldOutScreen(order), lambda ids: self._sold_out(order, ids))
            else:
                self._send(order, _cancelled(order, reason))

        self._host.ask(ReasonScreen(order), answered)

    def _sold_out(self, order: Order, ids: list[str]) -> None:
        """Cancel the order since these dishes are sold out, and mark them: both or, while it waits
        and is undone, neither."""
        dishes = {item.menu_item_id: item.name for item in order.items}
        names = listed(dishes[one] for one in ids)
        change = _cancelled(order, fit(_("Sold out: {names}.").format(names=names), REASON_CELLS))

        async def send(now: Order) -> Order:
            for one in ids:
                await self._mark_sold_out(now.restaurant.id, one)
            self._host.menu_changed()
            changed = await self._change(
                now, change.model_copy(update={"expected_version": now.version})
            )
            words = _("On the menu, this is sold out now: {names}. s changes the menu.")
            self._host.toast(words.format(names=names))
            return changed

        self._hold(order, OrderStatus.CANCELLED, send)

    async def _mark_sold_out(self, restaurant_id: str, dish_id: str) -> None:
        try:
            await self._host.api.change_menu_item(
                restaurant_id, dish_id, MenuItemChange(available=False)
            )
        except ApiError as refusal:
            if refusal.status != 404:  # it is on the menu no more
                raise

    def _ask_minutes(self, order: Order, title: str, status: OrderStatus) -> None:
        self._host.ask(
            AcceptScreen(order, title, self._host.preparation_minutes),
            lambda minutes: self._hold(
                order, status, lambda now: self._with_minutes(now, status, minutes)
            ),
        )

    def _ask_driver(self, order: Order, status: OrderStatus) -> None:
        self._host.ask(
            DriverScreen(order),
            lambda driver_id: self._send(
                order,
                StatusChange(status=status, expected_version=order.version, driver_id=driver_id),
            ),
        )

    def _send(self, order: Order, change: StatusChange) -> None:
        def send(now: Order) -> Coroutine[object, object, Order]:
            return self._change(now, change.model_copy(update={"expected_version": now.version}))

        self._hold(order, change.status, send)

    def _hold(self, order: Order, status: OrderStatus, send: Sending) -> None:
        """A new status waits; a change of driver or minutes alone is sent at once."""
        if status is order.status:
            self._run(order, send(order))
        elif order.id not in self._host.busy:
            self.held.hold(order, status, send)
            if self.held.of(order.id) is not None:
                self._host.advance_cursor(order)

    def _run(self, order: Order, change: Coroutine[object, object, object]) -> None:
        if order.id in self._host.busy:
            change.close()
            return
        self._host.run_change(self._report_errors(order, change))

    def _report_errors(
        self, order: Order, change: Coroutine[object, object, object]
    ) -> Coroutine[object, object, None]:
        sent = asyncio.Event()
        self._sending.add(sent)
        self._host.busy.add(order.id)
        self._host.request_redraw()
        return self._reporting(order, change, sent)

    async def _reporting(
        self, order: Order, change: Coroutine[object, object, object], sent: asyncio.Event
    ) -> None:
        try:
            await change
        except ApiError as refusal:
            self._not_sent += 1
            if refusal.status in (404, 409):
                await self._report_conflict(order, refusal)
            else:
                self._host.toast(f"#{order.number}: {refusal.message}", error=True)
        except ClientError as error:
            self._not_sent += 1
            words = _("#{number} may not have changed: {why} Check it and try again.")
            self._host.toast(words.format(number=order.number, why=error.message), error=True)
        finally:
            sent.set()
            self._sending.discard(sent)
            self._host.busy.discard(order.id)
            self._host.request_redraw()

    async def _change(self, order: Order, change: StatusChange) -> Order:
        changed = await self._host.api.set_status(order.id, change)
        if changed.status is not order.status:
            self._host.advance_cursor(order)
        self._host.apply_order(changed)
        return changed

    async def _with_minutes(self, order: Order, status: OrderStatus, minutes: int) -> Order:
        """Send minutes until the order is ready: the server takes them until it is delivered.

        So the trip is added, which the server knows once the order is accepted: `eta` less
        `ready_by`.
        """
        if status is not order.status:
            change = StatusChange(status=status, expected_version=order.version)
            order = await self._change(order, change)
            if order.ready_by is not None:  # as usual, which may have changed since it was asked
                given = order.ready_by - order.timeline[-1].at
                if round(given.total_seconds() / 60) == minutes:
                    return order
        trip = 0
        if order.eta is not None and order.ready_by is not None:
            trip = round((order.eta - order.ready_by).total_seconds() / 60)
        return await self._change(
            order,
            StatusChange(
                status=status,
                expected_version=order.version,
                eta_minutes=minutes + trip,
            ),
        )

    async def _report_conflict(self, order: Order, refusal: ApiError) -> None:
        """Explain the conflict, and show the order as it is now."""
        present = order_in_conflict(refusal)
        if present is None and refusal.status != 404:
            try:
                present = await self._host.api.order(order.id)
            except ClientError:
                present = None
        if present is None:
            self._host.toast(f"#{order.number}: {refusal.message}", error=True)
            return
        self._host.apply_order(present)
        self._host.toast(conflict_message(order, present, refusal.message), error=True)


def _cancelled(order: Order, reason: str) -> StatusChange:
    return StatusChange(
        status=OrderStatus.CANCELLED,
        expected_version=order.version,
        reason=without_isolates(reason),
    )


def order_in_conflict(refusal: ApiError) -> Order | None:
    """The current order, if the conflict carries it."""
    extra = refusal.problem.model_extra or {}
    try:
        return Order.model_validate(extra.get("order"))
    except ValidationError:
        return None


def conflict_message(seen: Order, present: Order, words: str) -> str:
    """Why a change was refused: who has changed the order since, and to what."""
    number = f"#{present.number}"
    if present.version == seen.version:
        return f"{number}: {words}"
    last = present.timeline[-1]
    if present.status is not seen.status:
        reason = f" ({last.reason})" if last.reason else ""
        return _(
            "{name} was quicker: {number} is now “{now}”{reason}, not “{before}” any more. You"
            " changed nothing."
        ).format(
            name=last.by.name,
            number=number,
            now=STATUS_LOOKS[present.status][1],
            reason=reason,
            before=STATUS_LOOKS[seen.status][1],
        )
    return _(
        "{number} has changed meanwhile: {driver} delivers it now. You changed nothing; check it"
        " and press the key again."
    ).format(number=number, driver=present.driver.name if present.driver else _("nobody"))
