"""Long polling: a request held until the next event, the timeout, or an end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

from server.core.errors import unauthorized
from server.core.routing import GATE, HELD, identity_of, mark_held
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.transports.connections import CONNECTIONS, End

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Held(Generic[FoundT]):
    """How a hold ended: with what was found, or with nothing and a time to come back after.

    `over` is what `until` returned, where that ended it.
    """

    found: FoundT | None
    retry_after: int | None = None
    over: str | None = None


async def hold(
    request: web.Request,
    hub: Hub,
    topic: str,
    subject: str,
    *,
    timeout: float,
    look: Callable[[], Awaitable[FoundT | None]],
    changed: Callable[[Event], FoundT | None],
    until: Callable[[], Awaitable[str]] | None = None,
) -> Held[FoundT]:
    """Answer at once with what `look` finds, else hold for an event that `changed` makes
    something of, or until `until` returns; `timeout` in seconds.

    It registers first and looks then, so nothing falls between; it looks again after an event
    that `changed` makes nothing of, and where events were missed. Raises Problem 401 where the
    token ends meanwhile.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    identity = identity_of(request)
    ended: asyncio.Future[End] = loop.create_future()
    over: asyncio.Future[str]

    def end(why: End) -> None:
        if not ended.done():
            ended.set_result(why)

    over = asyncio.ensure_future(until()) if until is not None else loop.create_future()
    with contextlib.ExitStack() as place:
        place.callback(over.cancel)
        while True:
            async with hub.watch(topic, subject) as change:
                found = await look()
                if found is not None:
                    return Held(found)
                if request.method == "HEAD":
                    return Held(None)
                if not request.get(HELD):
                    mark_held(request, lambda: end(End.RELEASED))
                    connections = request.app[CONNECTIONS]
                    place.enter_context(connections.hold(identity, end, poll=True))
                    await request.app[GATE].check(identity)
                await asyncio.wait(
                    (change, ended, over),
                    timeout=max(0.0, deadline - loop.time()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if ended.done() and ended.result() in (End.EXPIRED, End.REVOKED):
                return _ended(ended.result())  # what happened at the same time is not for them
            if change.done() and not change.cancelled():  # left alone, it is cancelled by now
                event = change.result()
                found = changed(event) if event is not None else None
                if found is not None:
                    return Held(found)
            elif over.done():
                return Held(None, over=over.result())
            elif ended.done():
                return _ended(ended.result())
            if loop.time() >= deadline:
                return Held(None)


def _ended(why: End) -> Held[FoundT]:
    if why is End.EXPIRED:
        raise unauthorized("The access token has expired. Refresh it.", kind="token-expired")
    if why is End.REVOKED:
        raise unauthorized("The session was ended. Log in again.", kind="session-ended")
    return Held(None, retry_after=1)
