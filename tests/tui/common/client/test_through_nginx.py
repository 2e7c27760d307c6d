"""The client library through a real nginx: as deployed, holding back, or passing no WebSocket."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from support.cast import Cast, cast_of
from support.live_server import running_server, settings_for
from support.news import announce
from support.nginx import nginx_to
from support.room import open_chat
from support.town import PASSWORD
from support.waiting import wait_until
from tui.common.client.api import Api
from tui.common.client.chat_stream import BLOCKED, ChatStream
from tui.common.client.fallback import FallbackStream, LogStream
from tui.common.client.locations import LocationStream
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.outbox import Outbox, UnsentMessage
from tui.common.client.session import Session

INTERVAL = 0.5
"""Seconds between two changes of each kind."""
CHANGES = 5
SOON = INTERVAL + 3.0
BLOCKED_BY = {"deployed": None, "buffering": Pattern.SSE, "no_upgrade": Pattern.WEBSOCKET}
CARRIED = 10.0
"""Seconds until a feed runs, by whatever carries it: what is silent otherwise is given 15."""


@dataclass
class Scene:
    """Everybody at a live server, and the way there."""

    cast: Cast
    url: str
    stack: AsyncExitStack
    blocked: Pattern | None

    async def session(self, email: str, password: str = PASSWORD) -> Session:
        session = Session(self.url, Wire())
        self.stack.push_async_callback(session.close)
        await session.log_in(email, password)
        return session


@pytest.fixture(params=["deployed", "buffering", "no_upgrade"])
async def scene(
    data_dir: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Scene]:
    async with (
        AsyncExitStack() as stack,
        running_server(settings_for(data_dir, heartbeat_seconds=1)) as server,
        cast_of(server) as cast,
    ):
        folder = tmp_path / "nginx"
        folder.mkdir()
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "fullchain.pem"))
        with nginx_to(request.param, server.url, folder) as url:
            async with stack:
                yield Scene(cast, url, stack, BLOCKED_BY[request.param])


@dataclass
class Feed:
    """One feed that is read, and what keeps changing it."""

    stream: FallbackStream[Any]
    name_of: Callable[[Any], str | None]
    change: Callable[[int], Awaitable[str]]
    """Makes the n-th change; what it will be called."""
    made: dict[str, float] = field(default_factory=dict)
    seen: list[tuple[str, float]] = field(default_factory=list)
    why: str = ""
    """What the wire said of the carrier."""

    async def read(self) -> None:
        async with self.stream:
            async for news in self.stream:
                name = self.name_of(news)
                if name is not None:
                    self.seen.append((name, time.monotonic()))

    async def run(self, carrier: Pattern) -> None:
        """Carried by that: everything once, in order, and soon."""
        began = time.monotonic()
        reading = asyncio.create_task(self.read())
        try:
            states = (State.LIVE, State.WAITING)
            await wait_until(
                lambda: self.stream.carrier is carrier and self.stream.meter.state in states,
                what=f"{self.stream.name} by {carrier}",
            )
            assert time.monotonic() - began < CARRIED
            for number in range(CHANGES):
                at = time.monotonic()
                self.made[await self.change(number)] = at
                await asyncio.sleep(INTERVAL)
            names = list(self.made)
            await wait_until(lambda: self.seen[-1:] and self.seen[-1][0] == names[-1])
            self.why = self.stream.meter.detail
            seen = [name for name, _ in self.seen]
            newest_only = isinstance(self.stream, LocationStream)
            assert seen == ([name for name in names if name in seen] if newest_only else names)
            # One of them may be held up by the machine; what the way does is done to all.
            assert median(at - self.made[name] for name, at in self.seen) < SOON
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def kitchen(scene: Scene) -> Feed:
    session = await scene.session(scene.cast.place.employees[0])
    page = await Api(session).orders()
    path = f"/restaurants/{scene.cast.place.id}/orders"
    stream = LogStream(session, f"{path}/stream", f"{path}/events", "Kitchen", page.cursor)

    async def change(_: int) -> str:
        return f'"id":"{(await scene.cast.order())["id"]}"'

    return Feed(stream, lambda event: event.data.partition(",")[0][1:], change)


async def desk(scene: Scene) -> Feed:
    session = await scene.session(scene.cast.place.employees[0])
    page = await Api(session).open_chats()
    stream = LogStream(session, "/chats/stream", "/chats/events", "Desk", page.cursor)

    async def change(number: int) -> str:
        return f'"id":"{await open_chat(scene.cast.stranger, subject=f"Number {number}")}"'

    def name_of(event: Any) -> str | None:
        ours = event.type == "chat.opened" and "Number" in event.data
        return event.data.partition(",")[0][1:] if ours else None

    return Feed(stream, name_of, change)


async def announcements(scene: Scene) -> Feed:
    session = await scene.session("bram@example.com", "correct horse")
    page = await Api(session).announcements()
    stream = LogStream(
        session, "/announcements/stream", "/announcements/events", "News", page.cursor
    )

    async def change(number: int) -> str:
        return f'"id":"{(await announce(scene.cast.employee, title=f"Number {number}"))["id"]}"'

    return Feed(stream, lambda event: event.data.partition(",")[0][1:], change)


async def driver(scene: Scene) -> Feed:
    session = await scene.session(scene.cast.place.employees[1])
    driver_id = scene.cast.place.drivers[0]
    stream = LocationStream(session, driver_id, "Driver")

    async def change(number: int) -> str:
        lat = 48.86 + 0.0001 * number
        path = f"/drivers/{driver_id}/location"
        (await scene.cast.employee.put(path, {"lat": lat, "lng": 2.36})).must(204)
        return f"{lat:.4f}"

    return Feed(stream, lambda location: f"{location.lat:.4f}", change)


async def chat(scene: Scene) -> Feed:
    """Both sides write: the other one over REST, this one into its outbox."""
    session = await scene.session("ana@example.com", "correct horse")
    chat_id = await open_chat(scene.cast.customer)
    (await scene.cast.employee.post(f"/chats/{chat_id}/take")).must(200)
    page = await Api(session).messages(chat_id)
    outbox = Outbox()
    stream = ChatStream(session, chat_id, "Chat", page.cursor, outbox=outbox)

    async def change(number: int) -> str:
        text = f"Message {number}"
        if number % 2:
            outbox.put(UnsentMessage(text))
        else:
            body = {"client_id": str(number), "text": text}
            (await scene.cast.employee.post(f"/chats/{chat_id}/messages", body)).must(201)
        return text

    return Feed(stream, lambda frame: getattr(frame, "text", None), change)


FEEDS = {
    "kitchen": (kitchen, Pattern.SSE),
    "desk": (desk, Pattern.SSE),
    "announcements": (announcements, Pattern.SSE),
    "driver": (driver, Pattern.SSE),
    "chat": (chat, Pattern.WEBSOCKET),
}


async def test_every_feed_is_current_and_says_what_carries_it(scene: Scene) -> None:
    """All five at once, as in an app."""
    feeds = {name: await make(scene) for name, (make, _) in FEEDS.items()}
    carriers = {
        name: Pattern.LONG_POLL if pattern is scene.blocked else pattern
        for name, (_, pattern) in FEEDS.items()
    }
    await asyncio.gather(*(feed.run(carriers[name]) for name, feed in feeds.items()))
    for name, (_, pattern) in FEEDS.items():
        meter, why = feeds[name].stream.meter, ""
        if pattern is scene.blocked:
            why = BLOCKED if name == "chat" else "no stream: nothing came for "
        assert (name, meter.pattern, meter.events > 3) == (name, carriers[name], True)
        said = feeds[name].why
        assert said.startswith(why) if why else not said
