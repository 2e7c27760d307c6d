"""Steps that wait some seconds before they are sent, so that they can be undone.

Nothing of them is stored: until it is sent, a step has not been taken, and every screen shows the
order as the server has it. An app that is killed leaves it there, and so does the next start.
"""

import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from math import ceil

from textual import events
from textual.message import Message

from server.features.orders.schemas import Order, OrderStatus
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.format import STATUS_LOOKS
from tui.common.language import _
from tui.employee.kitchen.host import Host, Timer
from tui.employee.staleness import Banner

Sending = Callable[[Order], Coroutine[object, object, Order]]
"""Sends the step of that order, whose version it names."""
Explain = Callable[[Order, Order, str], str]
"""What has become of an order since it was seen: `conflict_message`."""
HOLD_SECONDS = 5.0
"""How long a step can be undone, at most."""
BUSY_SECONDS = 0.1


def hold_seconds() -> float:
    """How long a step can be undone: TIFFIN_HOLD_SECONDS, by default and at most 5; 0 sends it at
    once."""
    try:
        seconds = float(os.environ.get("TIFFIN_HOLD_SECONDS") or HOLD_SECONDS)
    except ValueError:
        seconds = HOLD_SECONDS
    return max(0.0, min(HOLD_SECONDS, seconds))  # in this order 5 for `nan` too


@dataclass(frozen=True, slots=True)
class Held:
    """A step that waits: `order` is as it was when the key was pressed."""

    order: Order
    status: OrderStatus
    send: Sending
    until: float
    """`time.monotonic()` at which it is sent."""
    timer: Timer

    @property
    def name(self) -> str:
        """What it makes of the order."""
        return STATUS_LOOKS[self.status][1]

    @property
    def seconds(self) -> int:
        """Whole seconds left, at least 1."""
        return max(1, ceil(self.until - time.monotonic()))


class HeldSteps:
    """At most one step an order; the last one pressed is the last."""

    def __init__(
        self, host: Host, run: Callable[[Order, Coroutine[object, object, object]], None]
    ) -> None:
        """`run` sends a step in the background and reports its errors."""
        self.hold_for = hold_seconds()
        self._host = host
        self._run = run
        self._held: dict[str, Held] = {}

    @property
    def all(self) -> list[Held]:
        """What waits now."""
        return list(self._held.values())

    def of(self, order_id: str) -> Held | None:
        """The step of that order that waits."""
        return self._held.get(order_id)

    def hold(self, order: Order, status: OrderStatus, send: Sending) -> None:
        """Send that step in some seconds, unless it is undone."""
        if not self.hold_for:
            self._run(order, send(order))
            return
        self.take(order.id)  # another step was chosen instead of the one that waits
        timer = self._host.call_in(self.hold_for, lambda: self.send_now(order.id))
        until = time.monotonic() + self.hold_for
        self._held[order.id] = Held(order, status, send, until, timer)
        self._host.request_redraw()

    def take(self, order_id: str) -> Held | None:
        """The step of that order, which no longer waits."""
        held = self._held.pop(order_id, None)
        if held is not None:
            held.timer.stop()
            self._host.request_redraw()
        return held

    def undo(self, order_id: str | None) -> bool:
        """Drop the step of that order, else the last one; False where none waits."""
        found = order_id if order_id in self._held else next(reversed(self._held), None)
        held = self.take(found) if found is not None else None
        if held is not None:
            words = _("Undone: #{number} stays “{status}”.")
            stays = STATUS_LOOKS[held.order.status][1]
            self._host.toast(words.format(number=held.order.number, status=stays))
        return held is not None

    def send_now(self, order_id: str) -> None:
        """Send the step of that order; while another change of it is on its way, once that is over
        and has not made it another order."""
        held = self._held.get(order_id)
        if held is not None and order_id in self._host.busy:
            timer = self._host.call_in(BUSY_SECONDS, lambda: self.send_now(order_id))
            self._held[order_id] = replace(held, timer=timer)
        elif (held := self.take(order_id)) is not None:
            self._run(held.order, held.send(held.order))

    def check(self, present: Callable[[str], Order | None], explain: Explain) -> None:
        """Stop the steps of orders that somebody else has changed meanwhile, and ask.

        `present` gives an order as it is now; `explain` says what has become of one.
        """
        for held in self.all:
            now = present(held.order.id)
            if now is not None and now.version == held.order.version:
                continue
            self.take(held.order.id)
            if now is None:
                words = _("#{number} has left the board meanwhile; “{status}” was not sent.")
                self._host.toast(
                    words.format(number=held.order.number, status=held.name), error=True
                )
            elif now.status is held.order.status or (
                held.status is OrderStatus.CANCELLED and not now.status.terminal
            ):
                self._ask(held, now)
            else:
                self._host.toast(explain(held.order, now, ""), error=True)

    def _ask(self, held: Held, now: Order) -> None:
        question = _(
            "#{number} has changed while your step waited: it is “{now}”, and {driver} delivers it."
            " Make it “{status}” all the same?"
        ).format(
            number=now.number,
            now=STATUS_LOOKS[now.status][1],
            driver=now.driver.name if now.driver else _("nobody"),
            status=held.name,
        )

        def answered(yes: bool) -> None:
            if yes:
                self._run(now, held.send(now))

        self._host.ask(
            ConfirmScreen(_("Changed meanwhile"), question, yes=_("Send it"), no=_("Leave it")),
            answered,
        )


def format_held(held: list[Held]) -> str:
    """The line above the board; "" while nothing waits."""
    if not held:
        return ""
    last = held[-1]
    words = _("#{number} → {status} in {seconds} s · u undoes")
    if len(held) > 1:
        words = _("#{number} → {status} in {seconds} s, and {more} more · u undoes")
    return words.format(
        number=last.order.number, status=last.name, seconds=last.seconds, more=len(held) - 1
    )


class HeldLine(Banner):
    """The step that waits; a click undoes it."""

    class Undo(Message):
        """It was clicked."""

    def on_click(self, event: events.Click) -> None:
        """Undo."""
        event.stop()
        self.post_message(self.Undo())
