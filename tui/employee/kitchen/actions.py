"""What a person does with an order: asks what has to be asked, sends it, tells what came of it."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from pydantic import ValidationError

from server.features.orders.schemas import STEPS, Order, OrderStatus, StatusChange
from tui.common.client.errors import ApiError, ClientError
from tui.employee.kitchen.board import NAMES
from tui.employee.kitchen.dialogs import AcceptScreen, DriverScreen, ReasonScreen

if TYPE_CHECKING:
    from tui.employee.kitchen.panel import KitchenPanel

USUAL_MINUTES = 20
"""Until the restaurant's own has been read."""


class Actions:
    """The hands of a kitchen panel. Every change says which version of the order it means."""

    def __init__(self, panel: "KitchenPanel") -> None:
        self._panel = panel
        self._busy: set[str] = panel.view.busy

    def step(self, order: Order) -> None:
        """The usual next step, with the question that belongs to it."""
        following = STEPS[STEPS.index(order.status) + 1]
        if order.status is OrderStatus.PLACED:
            self._ask_minutes(order, "Accept", following)
        elif following is OrderStatus.OUT_FOR_DELIVERY and order.driver is None:
            self._ask_driver(order, "Who brings", following)
        else:
            self._send(order, StatusChange(status=following, expected_version=order.version))

    def change_minutes(self, order: Order) -> None:
        """Another time for an order that is being made."""
        if order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING):
            self._ask_minutes(order, "More time for", order.status)
        elif order.status is OrderStatus.PLACED:
            self.step(order)
        else:
            self._panel.say(f"#{order.number} is cooked already; its time is the driver's now.")

    def change_driver(self, order: Order) -> None:
        """Name a driver, or another one."""
        self._ask_driver(order, "Who brings", order.status)

    def assign(self, order: Order, driver_id: str) -> None:
        """Give it to that driver; what is ready leaves with them at once."""
        ready = order.status is OrderStatus.READY
        status = OrderStatus.OUT_FOR_DELIVERY if ready else order.status
        self._send(
            order,
            StatusChange(status=status, expected_version=order.version, driver_id=driver_id),
        )

    def refuse(self, order: Order) -> None:
        """Reject a new order, or call an accepted one off; either wants a reason."""

        def answered(reason: str | None) -> None:
            if reason:
                self._send(
                    order,
                    StatusChange(
                        status=OrderStatus.CANCELLED, expected_version=order.version, reason=reason
                    ),
                )

        self._panel.app.push_screen(ReasonScreen(order), answered)

    def _ask_minutes(self, order: Order, verb: str, status: OrderStatus) -> None:
        feed = self._panel.feed
        usual = feed.restaurant.preparation_minutes if feed and feed.restaurant else USUAL_MINUTES

        def answered(minutes: int | None) -> None:
            if minutes is not None:
                self._run(order, self._with_minutes(order, status, minutes, usual))

        self._panel.app.push_screen(AcceptScreen(order, verb, usual), answered)

    def _ask_driver(self, order: Order, verb: str, status: OrderStatus) -> None:
        def answered(driver_id: str | None) -> None:
            if driver_id is not None:
                self._send(
                    order,
                    StatusChange(
                        status=status, expected_version=order.version, driver_id=driver_id
                    ),
                )

        self._panel.app.push_screen(DriverScreen(order, verb), answered)

    def _send(self, order: Order, change: StatusChange) -> None:
        self._run(order, self._change(order, change))

    def _run(self, order: Order, work: Coroutine[object, object, object]) -> None:
        if order.id in self._busy:
            work.close()
            return
        self._busy.add(order.id)
        self._panel.needs_redraw = True
        self._panel.run_worker(self._told(order, work), group="kitchen-steps", exit_on_error=True)

    async def _told(self, order: Order, work: Coroutine[object, object, object]) -> None:
        try:
            await work
        except ApiError as refusal:
            if refusal.status in (404, 409):
                await self._explain(order, refusal)
            else:
                self._panel.say(f"#{order.number}: {refusal.message}", error=True)
        except ClientError as error:
            self._panel.say(
                f"#{order.number} may be unchanged: {error.message} Look at it and try again.",
                error=True,
            )
        finally:
            self._busy.discard(order.id)
            self._panel.needs_redraw = True

    async def _change(self, order: Order, change: StatusChange) -> Order:
        changed = await self._panel.api.set_status(order.id, change)
        if changed.status is not order.status:
            self._panel.leave_for_next(order)
        self._panel.learn(changed)
        return changed

    async def _with_minutes(
        self, order: Order, status: OrderStatus, minutes: int, usual: int
    ) -> None:
        """The minutes are the kitchen's; what is sent goes to the door, so the ride is added.

        The server knows the ride once it has accepted the order: `eta` less `ready_by`.
        """
        if status is not order.status:
            change = StatusChange(status=status, expected_version=order.version)
            order = await self._change(order, change)
            if minutes == usual:
                return
        ride = 0
        if order.eta is not None and order.ready_by is not None:
            ride = round((order.eta - order.ready_by).total_seconds() / 60)
        await self._change(
            order,
            StatusChange(
                status=status,
                expected_version=order.version,
                eta_minutes=minutes + ride,
            ),
        )

    async def _explain(self, order: Order, refusal: ApiError) -> None:
        """Say what stands in the way, and show the order as it is now."""
        present = order_in(refusal)
        if present is None and refusal.status != 404:
            try:
                present = await self._panel.api.order(order.id)
            except ClientError:
                present = None
        if present is None:
            self._panel.say(f"#{order.number}: {refusal.message}", error=True)
            return
        self._panel.learn(present)
        self._panel.say(what_happened(order, present, refusal.message), error=True)


def order_in(refusal: ApiError) -> Order | None:
    """The present order that a conflict carries."""
    extra = refusal.problem.model_extra or {}
    try:
        return Order.model_validate(extra.get("order"))
    except ValidationError:
        return None


def what_happened(seen: Order, present: Order, words: str) -> str:
    """Why a step was refused: who has changed the order since it was seen, and to what."""
    number = f"#{present.number}"
    if present.version == seen.version:
        return f"{number}: {words}"
    last = present.timeline[-1]
    if present.status is not seen.status:
        reason = f" ({last.reason})" if last.reason else ""
        return (
            f"{last.by.name} was quicker: {number} is now “{NAMES[present.status]}”{reason}, "
            f"not “{NAMES[seen.status]}” any more. Nothing was changed by you."
        )
    driver = present.driver.name if present.driver else "nobody"
    return (
        f"{number} has changed meanwhile: {driver} brings it now. Nothing was changed by you; "
        "look at it and press the key again."
    )
