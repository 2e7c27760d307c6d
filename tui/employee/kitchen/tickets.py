"""An order as a ticket, and its way to a printer, a device or a file.

A printer gets ESC/POS in code page 858 (Western Europe and the euro); a character that it lacks is
printed as `?`. A file has UTF-8 text, whole.
"""

import asyncio
import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from textual.widget import Widget

from server.features.orders.schemas import Order
from tui.common.config import Config
from tui.common.dialogs.save import save_text
from tui.common.format import beside_dishes, fit, hours_minutes, money, sides, wrapped
from tui.common.hosted import hosted_where
from tui.common.language import _, without_isolates
from tui.common.services import services_of
from tui.employee.kitchen.host import Host

SEND_SECONDS = 10.0
"""Until a printer that takes nothing counts as off or full."""
RETRY_SECONDS = 0.05
INIT, PAGE_858, CUT = b"\x1b@", b"\x1bt\x13", b"\n\n\n\x1dV\x01"
HOST = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})")


class TicketError(Exception):
    """Why a ticket was not printed, and what to do about it."""


@dataclass(frozen=True, slots=True)
class TicketSettings:
    """Where tickets go and how they look."""

    target: str = ""
    """A file, a device or `host:9100`; "" is nowhere."""
    width: int = 42
    escpos: bool = False
    by_itself: bool = False
    """A ticket for each order that arrives while the window is open."""

    @classmethod
    def of(cls, config: Config) -> "TicketSettings":
        """Those of the user. By default a printer on the network and a device get ESC/POS, a file
        text. A visitor reaches none of these."""
        if hosted_where():
            return cls()
        target = os.path.expanduser(config.tickets.strip())
        printer = bool(HOST.fullmatch(target)) or target.startswith("/dev/")
        return cls(
            target,
            int(config.tickets_width),
            printer if config.tickets_format == "auto" else config.tickets_format == "escpos",
            config.tickets_auto,
        )


def ticket_lines(order: Order, width: int) -> list[str]:
    """The ticket in lines of at most `width` cells, without anything that steers a printer."""
    rule = "-" * width
    placed = order.timeline[0].at.astimezone()
    lines = [
        fit(order.restaurant.name, width),
        sides(f"#{order.number}", f"{placed:%d.%m.%Y} {hours_minutes(placed)}", width),
    ]
    if order.ready_by is not None:
        lines.append(_("Ready by {time}").format(time=hours_minutes(order.ready_by)))
    lines.append(rule)
    for item in order.items:
        price = money(item.price_cents * item.quantity, order.currency)
        first, *more = wrapped(f"{item.quantity}x {item.name}", width - len(price) - 1) or ("",)
        lines += [sides(first, price, width), *(f"   {line}" for line in more)]
        if item.note:
            lines += [f"  ! {line}" for line in wrapped(item.note, width - 4)]
    lines.append(rule)
    lines += [sides(name, price, width) for name, price in beside_dishes(order)]
    lines.append(sides(_("Total"), money(order.total_cents, order.currency), width))
    if order.note:
        lines += [f"! {line}" for line in wrapped(order.note, width - 2)]
    lines.append(rule)
    # each line is marked: a name or an address could be made to look like the line of a total
    for text in (order.customer.name, order.customer.phone, order.address.text):
        lines += [f"> {line}" for line in wrapped(text or "", width - 2)]
    return lines


def ticket_text(order: Order, width: int) -> str:
    """The same as text."""
    return without_isolates("\n".join(ticket_lines(order, width)) + "\n")


def ticket_bytes(order: Order, settings: TicketSettings) -> bytes:
    """The ticket as it is sent."""
    text = ticket_text(order, settings.width)
    if not settings.escpos:
        return (text + "\n").encode()
    return INIT + PAGE_858 + text.encode("cp858", errors="replace") + CUT


class Tickets:
    """Sends one ticket after another; nothing of it holds up the screen."""

    def __init__(self, settings: TicketSettings) -> None:
        self.settings = settings
        self._turn = asyncio.Lock()

    async def send(self, order: Order) -> None:
        """Print or save the order. Raises TicketError."""
        target = self.settings.target
        data = ticket_bytes(order, self.settings)
        async with self._turn:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    if network := HOST.fullmatch(target):
                        await _to_network(network["host"].strip("[]"), int(network["port"]), data)
                    else:
                        await _to_file(target, data)
            except TimeoutError:
                raise TicketError(
                    _(
                        "{target} takes nothing. Check that it is on and has paper, then press p."
                    ).format(target=target)
                ) from None
            except (OSError, OverflowError, UnicodeError) as error:  # a port, a host that cannot be
                why = error.strerror if isinstance(error, OSError) else None
                raise TicketError(
                    _("{target}: {why}. Check the printer or the path, then press p.").format(
                        target=target, why=why or error
                    )
                ) from None


class TicketDesk:
    """Prints what the panel says, and what arrives by itself."""

    def __init__(self, host: Host, here: Widget) -> None:
        """`here` is where dialogs are opened from."""
        self._host, self._here = host, here
        self._printed: set[str] = set()
        """New orders that have had their ticket by themselves."""

    @cached_property
    def tickets(self) -> Tickets:
        """The way to the printer; once `here` is in the app."""
        return Tickets(TicketSettings.of(services_of(self._here).config))

    def print(self, order: Order, *, quiet: bool = False) -> None:
        """Print or save an order's ticket in the background; `quiet` says only what goes wrong.
        Without a printer, ask where to save it."""
        if not self.tickets.settings.target:
            text = ticket_text(order, self.tickets.settings.width)
            save_text(self._here, text, f"ticket-{order.number}.txt", _("Save the ticket"))
            return
        self._host.run_change(self._print(order, quiet))

    def arrived(self, orders: Sequence[Order], since: datetime) -> None:
        """A ticket for each of these new orders that was placed after `since`, once."""
        if not (self.tickets.settings.by_itself and self.tickets.settings.target):
            return
        for order in orders:
            if order.timeline[0].at >= since and order.id not in self._printed:
                self._printed.add(order.id)
                self.print(order, quiet=True)

    async def _print(self, order: Order, quiet: bool) -> None:
        try:
            await self.tickets.send(order)
        except TicketError as error:
            words = _("#{number} was not printed. {why}")
            self._host.toast(words.format(number=order.number, why=error), error=True)
        else:
            if not quiet:
                words = _("#{number} went to {target}.")
                self._host.toast(
                    words.format(number=order.number, target=self.tickets.settings.target)
                )


async def _to_network(host: str, port: int, data: bytes) -> None:
    _, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        # 0: it is drained only once the system has all of it
        writer.transport.set_write_buffer_limits(0)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    finally:
        writer.transport.abort()


async def _to_file(path: str, data: bytes) -> None:
    """Never waits in the system: a device that is busy is asked again until it takes more."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, _("nothing reads there")) from None
        raise
    try:
        while data:
            try:
                data = data[os.write(handle, data) :]
            except BlockingIOError:
                await asyncio.sleep(RETRY_SECONDS)
    finally:
        os.close(handle)
