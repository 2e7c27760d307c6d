"""The employee's plain mode: the kitchen's orders, the menu and support by typed commands."""

import uuid
from collections.abc import Sequence

from server.features.accounts.schemas import Account, Role
from server.features.announcements.schemas import Audience, NewAnnouncement, Severity
from server.features.chat.schemas import Chat
from server.features.orders.schemas import Order, OrderStatus, StatusChange
from server.features.restaurants.schemas import MenuItemChange
from tui.common.client.errors import ApiError
from tui.common.client.meter import Meter, Pattern
from tui.common.format import money
from tui.common.language import _
from tui.common.tracking.format import vehicle_name
from tui.employee.kitchen.feed import KitchenFeed
from tui.employee.kitchen.model import COLUMNS, OrderBoard
from tui.employee.support.queue import Queue, QueueFeed
from tui.plain import words
from tui.plain.errors import Failed, UsageError
from tui.plain.shell import Shell


class EmployeeShell(Shell):
    """Steps name the version of the order that was printed, so nobody's change is overwritten."""

    ROLE = "employee"

    def __init__(self, server: str, *, as_json: bool) -> None:
        super().__init__(server, as_json=as_json)
        self._board = OrderBoard()
        self._kitchen: KitchenFeed | None = None
        self._queue = Queue()
        self._support: QueueFeed | None = None
        self._told: dict[str, OrderStatus] = {}
        """The status of each open order as it was last printed."""
        self._numbers: list[str] = []
        """Ids of chats: each keeps its number as long as the program runs."""

    # -- news

    def start_news(self, account: Account) -> None:
        """Print what happens in the kitchen, and who waits for support."""
        if self._live:
            return
        super().start_news(account)
        wire = self.session.wire
        if account.restaurant_id is not None and account.role is Role.EMPLOYEE:
            self._board, self._told = OrderBoard(account.id), {}
            self._kitchen = KitchenFeed(
                self.session,
                self.api,
                account.restaurant_id,
                self._board,
                wire.meter("kitchen", Pattern.SSE),
                self._kitchen_changed,
            )
            self.work(self._kitchen.run(), "kitchen")
        if account.support is not False:
            self._queue.mine = account.id
            meter = wire.meter("support", Pattern.SSE)
            self._support = QueueFeed(
                self.session, self.api, self._queue, meter, self._heard, lambda: None
            )
            self.work(self._support.run(), "support")

    def meters(self) -> list[Meter]:
        """Of the connections that bring news."""
        own = [feed.meter for feed in (self._kitchen, self._support) if feed is not None]
        return [*super().meters(), *(own if self._live else ())]

    def _kitchen_changed(self) -> None:
        assert self._kitchen is not None
        self._kitchen.apply_events()
        if not self._kitchen.loaded:
            return
        now = {order.id: order for status in COLUMNS for order in self._board.column(status)}
        for order in now.values():
            if self._told.get(order.id) is not order.status:
                new = _("New. ") if order.status is OrderStatus.PLACED else ""
                self.console.say(new + words.for_kitchen(order), "order", order)
                self._told[order.id] = order.status
        for order_id in self._board.cancelled:
            self._board.dismiss(order_id)
        for order_id in self._told.keys() - now.keys():
            del self._told[order_id]
            self.work(self._tell_end(order_id), f"end-{order_id}")

    async def _tell_end(self, order_id: str) -> None:
        """Print how an order has ended that the board does not have any more."""
        try:
            order = await self.api.order(order_id)
        except ApiError:
            return
        self.console.say(words.for_kitchen(order), "order", order)

    def _heard(self, before: Chat | None, chat: Chat) -> None:
        if chat.id not in self._chats and self._queue.is_news(before, chat):
            self.console.say(
                _("Chat {chat}: {chat_2}").format(
                    chat=self._number(chat), chat_2=words.of_chat(chat)
                ),
                "chat",
                chat,
            )

    # -- orders

    async def do_orders(self) -> None:
        """orders: the open orders, the oldest first"""
        self._restaurant_id()
        orders = await self.api.open_orders()
        if not orders:
            self.console.say(_("There are no open orders."))
        for order in reversed(orders):
            self.console.say(words.for_kitchen(order), data=order)

    async def do_follow(self) -> None:
        """follow: print orders and chats as they come"""
        await self.follow()

    async def do_accept(self, number: str) -> None:
        """accept NUMBER: accept a new order"""
        await self._step(number, OrderStatus.ACCEPTED)

    async def do_preparing(self, number: str) -> None:
        """preparing NUMBER: it is being prepared"""
        await self._step(number, OrderStatus.PREPARING)

    async def do_ready(self, number: str) -> None:
        """ready NUMBER: it is ready for its driver"""
        await self._step(number, OrderStatus.READY)

    async def do_out(self, number: str, *driver: str) -> None:
        """out NUMBER DRIVER: it has left with that driver, by number or name"""
        order = await self._find(number)
        driver_id = None
        if driver or order.driver is None:
            drivers = await self.api.drivers()
            names = [one.name for one in drivers]
            if not driver:
                raise UsageError(
                    _("Say with whom: {names}.").format(
                        names=", ".join(names) or _("there are no drivers")
                    )
                )
            driver_id = words.choose(" ".join(driver), names, drivers, _("driver")).id
        await self._send(order, OrderStatus.OUT_FOR_DELIVERY, driver_id=driver_id)

    async def do_delivered(self, number: str) -> None:
        """delivered NUMBER: it has arrived"""
        await self._step(number, OrderStatus.DELIVERED)

    async def do_reject(self, number: str, reason: str, *more: str) -> None:
        """reject NUMBER REASON: reject or cancel an order; the customer reads the reason"""
        order = await self._find(number)
        await self._send(order, OrderStatus.CANCELLED, reason=" ".join([reason, *more]))

    async def do_drivers(self) -> None:
        """drivers: the drivers, and what each carries"""
        for at, one in enumerate(await self.api.drivers(), 1):
            carries = words.orders(len(one.carrying))
            self.console.say(
                _("{at}: {name}, {vehicle}, carries {carries}.").format(
                    at=at, name=one.name, vehicle=vehicle_name(one.vehicle), carries=carries
                ),
                data=one,
            )

    async def _step(self, number: str, status: OrderStatus) -> None:
        await self._send(await self._find(number), status)

    async def _send(
        self,
        order: Order,
        status: OrderStatus,
        *,
        driver_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        change = StatusChange(
            status=status, expected_version=order.version, driver_id=driver_id, reason=reason
        )
        told = self._told.get(order.id)
        if told is not None and not status.terminal:
            self._told[order.id] = status  # its event comes before the answer, or after it
        elif told is not None:
            del self._told[order.id]
        try:
            changed = await self.api.set_status(order.id, change)
        except ApiError as error:
            if told is not None:
                self._told[order.id] = told
            if error.status != 409:
                raise
            now = await self.api.order(order.id)
            self._board.apply(now)
            raise Failed(
                _("{message} Nothing was changed. {now}").format(
                    message=error.message, now=words.for_kitchen(now)
                )
            ) from error
        self._board.apply(changed)
        self.console.say(words.for_kitchen(changed), data=changed)

    async def _find(self, number: str) -> Order:
        """The open order of that number, as it was last printed where it was."""
        self._restaurant_id()
        given = number.lstrip("#")
        if not (given.isascii() and given.isdigit()):
            raise UsageError(_("“{number}” is not the number of an order.").format(number=number))
        for order in await self.api.open_orders():
            if order.number == int(given[:12]):
                return self._board.order(order.id) or order
        raise Failed(
            _("There is no open order {given}. Type orders for those that there are.").format(
                given=given
            )
        )

    # -- the menu

    async def do_menu(self) -> None:
        """menu: the dishes, with their numbers"""
        restaurant = await self.api.restaurant(self._restaurant_id())
        for number, dish in enumerate(restaurant.menu, 1):
            sold_out = "" if dish.available else _(" Sold out.")
            price = money(dish.price_cents, restaurant.currency, spoken=True)
            self.console.say(f"{number}: {dish.name}, {price}.{sold_out}", data=dish)

    async def do_sold_out(self, dish: str, *more: str) -> None:
        """sold-out DISH: customers cannot order it any more"""
        await self._offer([dish, *more], available=False)

    async def do_available(self, dish: str, *more: str) -> None:
        """available DISH: it can be ordered again"""
        await self._offer([dish, *more], available=True)

    async def _offer(self, dish: Sequence[str], *, available: bool) -> None:
        restaurant_id = self._restaurant_id()
        menu = (await self.api.restaurant(restaurant_id)).menu
        item = words.choose(" ".join(dish), [one.name for one in menu], menu, _("dish"))
        change = MenuItemChange(available=available)
        changed = await self.api.change_menu_item(restaurant_id, item.id, change)
        state = _("can be ordered") if changed.available else _("is sold out")
        self.console.say(f"{changed.name} {state}.", data=changed)

    def _restaurant_id(self) -> str:
        account = self.session.account
        if account is None or account.restaurant_id is None:
            raise Failed(
                _(
                    "This account belongs to no restaurant. The server's administrator can "
                    "change that with python -m server add-employee."
                )
            )
        return account.restaurant_id

    # -- support and announcements

    async def do_chats(self) -> None:
        """chats: the open chats with their numbers, those that nobody has taken first"""
        await self._read_chats()
        if not len(self._queue):
            self.console.say(_("There are no open chats."))
        for chat in self._queue:
            self.console.say(
                _("Chat {chat}: {chat_2}").format(
                    chat=self._number(chat), chat_2=words.of_chat(chat)
                ),
                data=chat,
            )

    async def do_take(self, number: str) -> None:
        """take NUMBER: take a chat, and hear what is written in it"""
        taken = await self.api.take_chat((await self._find_chat(number)).id)
        self._queue.put(taken)
        await self.tell_newest(taken)
        self.console.say(
            _("You have taken chat {taken}. Type say and your answer.").format(
                taken=self._number(taken)
            )
        )

    async def do_say(self, number: str, text: str, *more: str) -> None:
        """say NUMBER TEXT: write in a chat that you have taken"""
        chat = await self._find_chat(number)
        if not self._queue.is_mine(chat):
            raise Failed(
                _("Chat {number} is not yours. Type take {number} first.").format(number=number)
            )
        await self.send(chat, " ".join([text, *more]))

    async def do_close(self, number: str) -> None:
        """close NUMBER: close a chat"""
        closed = await self.api.close_chat((await self._find_chat(number)).id)
        self.console.say(
            _("Chat {number} with {customer} is closed.").format(
                number=number, customer=closed.customer.name
            ),
            data=closed,
        )

    async def do_announce(
        self, severity: str, audience: str, title: str, text: str, *more: str
    ) -> None:
        """announce info|warning|critical everyone|customers|employees "TITLE" TEXT: announce it"""
        try:
            new = NewAnnouncement(
                severity=Severity(severity),
                audience=Audience(audience),
                title=title,
                body=" ".join([text, *more]),
            )
        except ValueError as error:
            if severity in list(Severity) and audience in list(Audience):
                raise
            raise UsageError((self.do_announce.__doc__ or "").rpartition(": ")[0]) from error
        made = await self.api.announce(new, str(uuid.uuid4()))
        reach = (await self.api.acks(made.id)).audience_size
        people = words.people(reach)
        self.console.say(
            _("Announced “{title}” to {people}.").format(title=made.title, people=people), data=made
        )

    async def _read_chats(self) -> None:
        account = self.session.account
        self._queue.mine = "" if account is None else account.id
        self._queue.replace((await self.api.open_chats()).items)
        for chat in self._queue:
            self._number(chat)

    async def _find_chat(self, number: str) -> Chat:
        await self._read_chats()
        at = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0
        if not 1 <= at <= len(self._numbers):
            raise Failed(
                _("There is no chat {number}. Type chats for those that there are.").format(
                    number=number
                )
            )
        chat = self._queue.get(self._numbers[at - 1])
        if chat is None:
            raise Failed(_("Chat {number} is closed.").format(number=number))
        return chat

    def _number(self, chat: Chat) -> int:
        if chat.id not in self._numbers:
            self._numbers.append(chat.id)
        return self._numbers.index(chat.id) + 1
