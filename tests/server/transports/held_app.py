"""A small application built of the real parts, on a real port: a stream, a held request, a
WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import aiohttp
from aiohttp import web

from server.core.auth import AccessTokens, Claims, Gate, Identity
from server.core.bodies import BodyDeadlines
from server.core.databases import database_at
from server.core.errors import not_found
from server.core.limits import RequestLimits
from server.core.metrics import Metrics
from server.core.middleware import access_middleware, add_headers
from server.core.routing import (
    ANY_ROLE,
    Answer,
    Router,
)
from server.core.services import SERVICES, Services, service
from server.core.serving import Runner, Server
from server.features.shared.schemas import EventPage, Wire
from server.realtime.broker import MemoryBroker
from server.realtime.event import Cursor, Event
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.realtime.topic import Sink, Subscription
from server.settings import Settings
from server.transports import long_polling, sse, websocket
from server.transports.connections import Connections, End, Revocations
from server.transports.frame_limits import FrameLimits
from server.transports.heartbeat import Heartbeat
from server.transports.outbox import Frame, Outbox, OutboxSink
from support.server_process import UNLIMITED, new_database
from support.waiting import PATIENCE, wait_until

TOPIC = "restaurant:res_1"
OpenApp = Callable[..., Awaitable["HeldApp"]]
SECRET = "s" * 32


class Door(Wire):
    """What a poll finds."""

    state: str


class Doors:
    """The polled state."""

    def __init__(self) -> None:
        self.state = "closed"
        self.looks = 0
        self.ends: list[str] = []
        self.shut = False
        self.encoded = 0

    async def admit(self) -> None:
        """Raises Problem 404 once access has ended."""
        if self.shut:
            raise not_found("door")

    def tell(self, event: Event) -> long_polling.Entries:
        """The event as it is."""
        self.encoded += 1
        return long_polling.unchanged(event)


router = Router("held")


@router.route("GET", "/stream", roles=ANY_ROLE, media=("text/event-stream",))
async def stream(
    request: web.Request,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """The topic."""
    return await sse.stream(request, TOPIC, last_event_id or after)


@router.route("GET", "/door", roles=ANY_ROLE, empty=(204,))
async def door(request: web.Request, last: str, timeout: float = 5) -> Answer[Door]:
    """Held until the door's state differs."""
    doors = service(request, Doors)

    async def fetch() -> Door | None:
        doors.looks += 1
        return Door(state=doors.state) if doors.state != last else None

    def from_event(event: Event) -> Door | None:
        state = event.data.strip('"')
        return Door(state=state) if state != last else None

    result = await long_polling.hold(
        request,
        service(request, Hub),
        TOPIC,
        "door",
        timeout=timeout,
        fetch=fetch,
        from_event=from_event,
        state=last,
    )
    return result.answer


@router.route("GET", "/events", roles=ANY_ROLE, empty=(204,))
async def events(
    request: web.Request, after: sse.After = None, timeout: float = 5
) -> EventPage | web.StreamResponse:
    """The topic, by long polling."""
    doors = service(request, Doors)
    sources = [long_polling.Source(TOPIC, doors.tell)]
    return await long_polling.read(request, sources, after, timeout, admit=doors.admit)


class Echo:
    """Sends back what it receives."""

    def __init__(self, outbox: Outbox, subscription: Subscription) -> None:
        self._outbox = outbox
        self.close = subscription.close

    async def receive(self, text: str) -> None:
        if text == "fail":
            raise RuntimeError("as it was told to")
        self._outbox.send(Frame("echo", json.dumps({"echo": text})))


@router.route("GET", "/ws", roles=ANY_ROLE, status=101, refuse=websocket.refuse)
async def talk(request: web.Request, after: str | None = None) -> web.StreamResponse:
    """The topic, and an echo."""
    doors = service(request, Doors)

    def frames_of(event: Event) -> Sequence[Frame]:
        found: tuple[Frame] | None = event.encoded.get("frames")
        if found is None:
            text = f'{{"seq":{event.seq},"data":{event.data}}}'
            found = event.encoded["frames"] = (Frame("told", text),)
        return found

    async def attend(outbox: Outbox, identity: Identity) -> Echo:
        outbox.ended.add_done_callback(lambda ended: doors.ends.append(ended.result().value))
        sink = OutboxSink(outbox, frames_of, lambda: outbox.end(End.RESET))
        return Echo(outbox, await service(request, Hub).subscribe(TOPIC, after or None, sink))

    return await websocket.serve(request, attend)


class CountingHub(Hub):
    """The hub, and how many subscriptions were made."""

    made = 0

    async def subscribe(self, name: str, after: str | None, sink: Sink) -> Subscription:
        subscription = await super().subscribe(name, after, sink)
        self.made += 1
        return subscription


class HeldApp:
    """The running application and what a test may want to read of it."""

    def __init__(
        self,
        path: Path,
        *,
        most: int = 10_000,
        most_an_account: int = 10_000,
        heartbeat_seconds: float = 10,
        stalled_seconds: float = 90,
        **limits: float,
    ) -> None:
        self.where = new_database(path)
        self.database = database_at(self.where)
        self.log = EventLog(self.database)
        self.hub = CountingHub(self.database, self.log, MemoryBroker(), 0.1)
        self.connections = Connections(most, most_an_account)
        self.doors = Doors()
        self.revoked: set[str] = set()
        self._appended: dict[tuple[str, int], Event] = {}
        self.heartbeat = Heartbeat(heartbeat_seconds)
        app = web.Application(middlewares=[access_middleware])
        app.on_response_prepare.append(add_headers)
        self.gate = Gate(AccessTokens(SECRET, 60))
        self.gate.look_up = self.look_up
        settings = Settings.model_construct(
            stalled_reader_seconds=stalled_seconds,
            **(UNLIMITED | limits),
        )
        app[SERVICES] = self.services = Services(settings, self.database)
        self.services.add(self.hub, Hub)
        for one in (
            self.heartbeat,
            Revocations(self.hub, self.connections, self.gate),
            self.connections,
            self.gate,
            RequestLimits(settings),
            BodyDeadlines(),
            FrameLimits(settings),
            Metrics(),
            self.doors,
        ):
            self.services.add(one)
        self.running = AsyncExitStack()
        router.add_to(app)
        self.runner = Runner(app, settings)
        self.port = 0
        self.client: aiohttp.ClientSession

    async def look_up(self, claims: Claims) -> Identity | None:
        if claims.session_id in self.revoked:
            return None
        if isinstance(claims, Identity):  # looked up once more
            return claims
        return Identity(**asdict(claims), name="Ada", role="customer", restaurant_id=None)

    async def open(self) -> "HeldApp":
        await self.running.enter_async_context(self.services.opened())
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0, backlog=1024).start()
        self.port = self.runner.addresses[0][1]
        self.client = aiohttp.ClientSession(
            f"http://127.0.0.1:{self.port}/api/v1/",
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        return self

    async def close(self) -> None:
        await self.client.close()
        self.connections.drain()
        await self.runner.cleanup()
        await self.running.aclose()

    async def append(
        self, *data: str, topic: str = TOPIC, type: str = "changed", subject: str = "door"
    ) -> list[Event]:
        async def fn(tx: object) -> list[Event]:
            return [await self.log.append(tx, topic, type, one, subject) for one in data]  # type: ignore[arg-type]

        events = await self.database.write(fn)
        self._appended |= {(event.topic, event.seq): event for event in events}
        return events

    async def revoke(self, session: str) -> None:
        self.revoked.add(session)
        await self.append(
            f'{{"sessions":["{session}"]}}', topic="auth", type="session.revoked", subject="acc_1"
        )

    def cursor(self, seq: int) -> str:
        """The cursor of that event, which has no check where it is not there."""
        event = self._appended.get((TOPIC, seq))
        return self.log.cursor_of(event) if event else str(Cursor(self.log.epoch, TOPIC, seq))

    def logged_at(self, seq: int) -> str:
        """When that event was appended."""
        return self._appended[TOPIC, seq].at

    @property
    def ends(self) -> list[str]:
        """Why WebSockets were ended."""
        return self.doors.ends

    @property
    def buffered(self) -> int:
        """Bytes that wait in this process for all its readers."""
        assert isinstance(self.runner.server, Server)
        return self.runner.server.streams.buffered + sum(
            protocol.transport.get_write_buffer_size()
            for protocol in self.runner.server.connections
            if protocol.transport is not None
        )

    def headers(
        self, seconds: int = 60, session: str = "ses_1", account: str = "acc_1"
    ) -> dict[str, str]:
        token = AccessTokens(SECRET, seconds).issue(account, session)
        return {"Authorization": f"Bearer {token}"}

    @asynccontextmanager
    async def follow(
        self, after: str | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator["SseReader"]:
        """An open stream whose subscription is made."""
        made = self.hub.made
        async with self.client.get(
            "stream",
            params={"after": after} if after is not None else {},
            headers=self.headers() | dict(headers or {}),
        ) as answer:
            assert answer.status == 200, await answer.text()
            follower = SseReader(answer)
            assert set(await follower.block() or {}) == {"retry"}
            if not after and not (headers or {}).get("Last-Event-ID"):
                while set(block := await follower.block() or {}) == {""}:
                    pass  # a heartbeat
                assert set(block) == {"id"}
            await wait_until(lambda: self.hub.made > made)
            yield follower


class SseReader:
    """The blocks of a stream as they arrive."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def block(self) -> dict[str, str] | None:
        """The next block's fields; a comment's name is empty; None at the end."""
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while line := await self.answer.content.readline():
                if line == b"\n":
                    return dict(_field(one) for one in lines)
                lines.append(line.decode().rstrip("\n"))
        assert not lines, "the stream ended within a block"
        return None

    async def event(self) -> dict[str, str] | None:
        """The next block that is neither a comment nor says when to come back."""
        while (block := await self.block()) is not None:
            if not block.keys() & {"", "retry"}:
                return block
        return None


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")
