"""Orders by long polling: one order's status, and whichever order of a customer's changes."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from server.core.auth import Gate, Identity
from server.core.errors import forbidden, invalid
from server.core.routing import (
    CUSTOMER_OR_EMPLOYEE,
    HELD,
    Answer,
    Before,
    Encoded,
    Limit,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.accounts.schemas import Role
from server.features.orders.history import OrderHistory
from server.features.orders.schemas import STEPS, OrderPage, OrderStatus, TrackedStatus
from server.features.orders.service import (
    OrderService,
    Tracked,
    topic_of_customer,
    tracked_in,
)
from server.features.shared.schemas import Id
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports import long_polling, sse

router = Router("orders")


@router.route("GET", "/orders", roles=CUSTOMER_OR_EMPLOYEE, empty=(204,), problems=(403, 410))
async def list_orders(
    request: web.Request,
    before: Before = None,
    limit: Limit = 50,
    open: bool = False,
    find: Annotated[str | None, Field(min_length=1, max_length=80)] = None,
    since: Annotated[str | None, Field(alias="from", max_length=40)] = None,
    until: Annotated[str | None, Field(alias="to", max_length=40)] = None,
    after: sse.After = None,
    timeout: long_polling.Seconds = 60,
) -> Answer[OrderPage]:
    """The customer's orders, or the employee's restaurant's, newest first.

    With `open=true` only those that are neither delivered nor cancelled.

    With `find`, for employees, only those of that number (`1234`, `#1234`), or with that text in
    the customer's or a dish's name. A page then ends after so many orders looked at, found or not:
    it may be short or empty and still have a `next`.

    With `from` or `to`, for employees, only those placed from `from` on and before `to`, open or
    not: a day or a time each, by the restaurant's clock unless they name a zone. By default `from`
    is the beginning of today, and `to` a day later.

    With `after`, the `cursor` of an answer before, a customer's request is held until one of their
    orders is placed or changes, in whichever window: those that did since then, the longest
    unchanged first, at most `limit`, and a new `cursor`; 204 after `timeout` seconds. 410 (`type`
    `urn:tiffin:problem:reset`): ask again without `after`.
    """
    orders, identity = service(request, OrderService), identity_of(request)
    spanned = since is not None or until is not None
    if (find is not None or spanned) and identity.role == Role.CUSTOMER:
        raise forbidden(
            "`find`, `from` and `to` are for employees. Leave them out: the answer has all your"
            " orders."
        )
    if find is not None and spanned:
        raise invalid(["find"], "Send `find`, or `from` and `to`, not both.")
    history = service(request, OrderHistory)
    if spanned:
        return Answer(Encoded(await history.placed(identity, since, until, before, limit)))
    if find is not None:
        found = await history.found(identity, find, before, limit, open_only=open)
        return Answer(Encoded(found))
    if after is None:
        return Answer(Encoded(await orders.orders(identity, before, limit, open_only=open)))
    if identity.role != Role.CUSTOMER:
        raise forbidden(
            "`after` is for customers. A restaurant's changes are at"
            " `GET /restaurants/{id}/orders/events`."
        )

    async def fetch() -> Encoded[OrderPage] | None:
        found = await orders.changed(identity, after, limit)
        if found is None:
            return None
        if request[HELD]:
            # What tells of the session's end may be on its way from another process.
            await service(request, Gate).check(identity)
        return Encoded(found)

    result: long_polling.PollResult[OrderPage] = await long_polling.hold(
        request,
        service(request, Hub),
        topic_of_customer(identity.account_id),
        "",
        timeout=min(timeout, service(request, Settings).long_poll_seconds),
        fetch=fetch,
        from_event=lambda event: None,
    )
    return result.answer


@router.route("GET", "/orders/{id}/status", roles=CUSTOMER_OR_EMPLOYEE, empty=(204,))
async def follow_status(
    request: web.Request,
    id: Id,
    last_status: OrderStatus | None = None,
    timeout: long_polling.Seconds = 60,
) -> Answer[TrackedStatus]:
    """Held until the order is no longer at `last_status`; 204 after `timeout` seconds."""
    orders, identity = service(request, OrderService), identity_of(request)
    topic = await orders.topic_for(identity, id)
    poll = _StatusPoll(orders, identity, id, last_status)
    result: long_polling.PollResult[TrackedStatus] = await long_polling.hold(
        request,
        service(request, Hub),
        topic,
        id,
        timeout=min(timeout, service(request, Settings).long_poll_seconds),
        fetch=poll.fetch,
        from_event=poll.from_event,
        state=last_status,
    )
    return result.answer


class _StatusPoll:
    """What ends a held request; closures would take a kilobyte of memory each."""

    __slots__ = ("_id", "_identity", "_last_status", "_orders")

    def __init__(
        self, orders: OrderService, identity: Identity, id: str, last_status: OrderStatus | None
    ) -> None:
        self._orders, self._identity = orders, identity
        self._id, self._last_status = id, last_status

    async def fetch(self) -> Encoded[TrackedStatus] | None:
        """The order's status, if it is another one or the last."""
        return self._changed(await self._orders.tracked(self._identity, self._id))

    def from_event(self, event: Event) -> Encoded[TrackedStatus] | None:
        """The same out of an event, unless it comes late from another process and is of before the
        status that the client knows."""
        now = tracked_in(event)
        if not now.status.terminal and self._last_status in STEPS[STEPS.index(now.status) :]:
            return None
        return self._changed(now)

    def _changed(self, now: Tracked) -> Encoded[TrackedStatus] | None:
        changed = now.status.terminal or now.status is not self._last_status
        return Encoded(now.json) if changed else None
