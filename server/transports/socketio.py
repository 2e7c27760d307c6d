"""Socket.IO: python-socketio's sessions, with a bounded way out, a pace, and tokens that end."""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import socketio
from aiohttp import web

from server.core.addresses import address_key
from server.core.auth import Gate
from server.core.errors import Problem, malformed, too_many, unauthorized, unavailable
from server.core.logging import log_failure
from server.core.routing import HELD, count_anonymous
from server.settings import Settings
from server.transports.connections import Connections, End, Unidentified
from server.transports.counted_websocket import check_upgrade
from server.transports.duplex import (
    CLOSE_SECONDS,
    CODES,
    FRAME_BYTES,
    PATIENCE,
    RETRY_MS,
    AccountPaces,
    CloseCode,
    Pace,
    Said,
    client_id_of,
    code_of,
    error,
)
from server.transports.socketio_engine import (
    BINARY,
    PACKETS,
    BoundedWebSocket,
    Server,
    count_all,
    is_packet,
    quiet,
    read_post,
    take_posted,
)
from server.transports.socketio_session import Session

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

PATH, METHODS = "/socket.io/", ("GET", "POST", "OPTIONS")
PLACE = web.RequestKey("place", ExitStack)
"""A handshake's place among those that have not said who they are."""
STAYS_AWAY = (End.EXPIRED, End.REVOKED, End.TOO_LARGE, End.TOO_FAST)
"""After these a client must not come back by itself: it is disconnected, not just cut off."""

Handle = Callable[[Session, Any], Awaitable[Mapping[str, Any]]]
"""Acts on an event's first argument and gives the acknowledgement. Raises Refused."""


class Refused(Exception):
    """An event was not taken; what to say about it."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.text)
        self.said = said


class SocketIo:
    """The server of Socket.IO, at PATH. What its events mean is what `on` says."""

    def __init__(
        self, settings: Settings, gate: Gate, connections: Connections, paces: AccountPaces
    ) -> None:
        self._gate, self._connections, self._paces = gate, connections, paces
        self._settings = settings
        self._unidentified = Unidentified(
            settings.max_unidentified, settings.max_unidentified_per_address
        )
        self._places: dict[str, ExitStack] = {}
        self._handlers: dict[str, Handle] = {}
        self._sessions: dict[str, Session] = {}
        self._by_engine: dict[str, Session] = {}
        self._busy: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server = Server(
            async_mode="aiohttp",
            async_handlers=False,  # a sender's events are taken one after the other
            ping_interval=settings.heartbeat_seconds,
            # The server's own patience: a ping waits behind what a slow line still has to carry.
            ping_timeout=settings.stalled_reader_seconds,
            max_http_buffer_size=FRAME_BYTES,
            http_compression=False,  # it would hold the loop for every answer to a poll
            engineio_logger=quiet,
        )
        self._server.arrived = self._arrived
        self._server.departed = self._departed
        self._server.unreadable = self._unreadable
        self._server.take = self._event
        self._server.closing = lambda: self._connections.draining
        self._server.eio.settings = settings
        self._server.eio.sessions_end = self._end
        self._server.eio.unreadable = self._unreadable
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)

    def add_to(self, app: web.Application) -> None:
        """Put PATH into the application's route table."""
        app.add_routes(web.route(method, PATH, self._serve) for method in METHODS)

    def on(self, name: str, handle: Handle) -> None:
        """Events of that name go there."""
        self._handlers[name] = handle

    async def close(self) -> None:
        """End what is left, and stop looking after it. No client is told to stay away."""
        for session in [*self._sessions.values()]:
            session.end(End.DRAINING)
        for eio_sid in [*self._server.eio.sockets]:
            self._dismiss(eio_sid)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        if self._server.eio.service_task_handle is not None:
            await self._server.shutdown()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        request[HELD] = True
        sid = request.query.get("sid")
        upgrades = request.headers.get("Upgrade", "").strip().lower() == "websocket"
        if sid not in self._server.eio.sockets:
            count_anonymous(request)
        if upgrades and request.method == "GET":
            check_upgrade(request)
        with ExitStack() as stack:
            if sid is None and request.method == "GET":
                if self._connections.draining:
                    raise unavailable("The server is shutting down. Come back in a moment.", 1)
                stack.enter_context(self._unidentified.place(address_key(request)))
                request[PLACE] = stack
            elif sid is not None and sid in self._server.eio.sockets and not upgrades:
                stack.enter_context(self._alone(sid, request.method))
            work: Coroutine[Any, Any, web.StreamResponse] = self._server.handle_request(request)
            try:
                if request.method == "POST":
                    return await self._take_post(request, work)
                if not upgrades:
                    return await work
            except (KeyError, ValueError):  # what engineio makes of a session that has just ended
                raise malformed("The session has ended. Connect again.") from None
            # A client that goes ends its own connection; cancelled in the middle of an event,
            # engineio would take that for an error of ours.
            return await asyncio.shield(self._start(work))

    @contextlib.contextmanager
    def _alone(self, sid: str, method: str) -> Iterator[None]:
        """One poll and one POST of a session at a time, as Engine.IO's protocol has it."""
        if (sid, method) in self._busy:
            raise malformed(f"One {method} of a session at a time. Wait for the answer.")
        self._busy.add((sid, method))
        try:
            yield
        finally:
            self._busy.discard((sid, method))

    async def _take_post(
        self, request: web.Request, work: Coroutine[Any, Any, web.StreamResponse]
    ) -> web.StreamResponse:
        """Take every packet of it, or none, and say so: each counts as a frame of a WebSocket."""
        sid = request.query.get("sid", "")
        if sid not in self._server.eio.sockets:
            return await work  # which refuses it, unread
        with contextlib.closing(work):
            try:
                packets = request[PACKETS] = await read_post(request)
            except UnicodeDecodeError:
                self._unreadable(sid, "bad_json")
                raise malformed("The body is not UTF-8.") from None
            except Problem as problem:
                if problem.status == 413:
                    self._end(sid, End.TOO_LARGE)
                raise
            engine = self._server.eio.sockets.get(sid)
            if engine is not None and (wait := count_all(engine.posts, packets)):
                self._end(sid, End.TOO_FAST)
                detail = f"{len(packets)} packets are too many at once. Connect again."
                raise too_many(detail, wait / 1000)
            answer = await work
        if sid not in self._by_engine and not all(map(is_packet, packets)):
            raise malformed("There was something that is no packet. Connect again.")
        return answer

    async def _connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> bool | None:
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            if not isinstance(token, str):
                raise unauthorized("Send an access token: `auth: {token}`.")
            claims = self._gate.tokens.verify(token)
            try:
                engine = self._engine_of(sid)
            except KeyError:  # it has gone, or the server is ending
                return False
            account = self._paces.admit(claims.limit_key)
            patience = self._settings.stalled_reader_seconds
            session = Session(sid, engine, engine.pace, patience)
            session.held.enter_context(self._connections.hold(claims, session.end))
            try:
                # Registered before it is checked, as with the other transports.
                session.identity = await self._gate.check(claims)
                if engine.closing or engine.closed:
                    raise ConnectionResetError("the client has gone in between")
            except BaseException:
                session.held.close()
                raise
        except Problem as problem:
            self._count_refused(sid)
            members: dict[str, Any] = {"code": code_of(problem), "reason": problem.kind or ""}
            if "Retry-After" in problem.headers:
                members["retry_after_ms"] = int(problem.headers["Retry-After"]) * 1000
            raise socketio.exceptions.ConnectionRefusedError(problem.detail, members) from None
        except ConnectionError:
            return False
        except Exception:
            logger.exception("a client could not be let in")
            return False
        account.join(session, session.pace)
        engine.account = account
        if (wire := _wire_of(engine)) is not None:
            wire.join(account)
        self._sessions[sid] = self._by_engine[engine.sid] = session
        self._leave_place(engine.sid)
        self._start(self._until_ended(session))
        return None

    def _count_refused(self, sid: str) -> None:
        """A client may try once more, with a newer token; stock clients connect again for that."""
        engine = self._engine_of(sid)
        if engine.refused:
            self._dismiss(engine.sid)
        engine.refused = True

    async def _disconnect(self, sid: str, reason: object = None) -> None:
        if (session := self._sessions.get(sid)) is not None:
            session.end(End.OVER)

    async def _event(self, name: str, sid: str, *arguments: Any) -> Mapping[str, Any] | None:
        session = self._sessions.get(sid)
        if session is None or not session.open:
            return None
        sent = arguments[0] if arguments else {}
        named = client_id_of(sent)
        more = {"client_id": named} if named else {}
        try:
            if session.behind:  # who does not read is not listened to either
                await session.ready()
            if wait := session.pace.take():
                if session.pace.exhausted:
                    session.end(End.TOO_FAST)
                raise Refused(session.pace.refusal(wait, named))
            handle = self._handlers.get(name)
            if handle is None:
                detail = f"There are these events, and no others: {', '.join(self._handlers)}."
                raise Refused(error("unknown_type", detail, **more))
            return await handle(session, sent)
        except Refused as refused:
            session.say(refused.said)
            found: Mapping[str, Any] = json.loads(refused.said.text)
            return found
        except ConnectionError:
            return None
        except Exception as failure:
            log_failure(logger, failure, "the event %s failed", name)
            session.end(End.FAILED)
            return None

    async def _until_ended(self, session: Session) -> None:
        try:
            why = await session.ended
            for place in [*session.places]:
                await session.leave(place)
            if why is not End.OVER:
                await self._finish(session, why)
        finally:
            session.held.close()
            del self._sessions[session.sid]
            if self._by_engine.get(session.engine.sid) is session:
                del self._by_engine[session.engine.sid]
                self._wait_again(session.engine)

    async def _finish(self, session: Session, why: End) -> None:
        code, reason = CODES[why]
        members: dict[str, Any] = {"code": int(code), "reason": reason}
        if code in (CloseCode.GOING_AWAY, CloseCode.FAILED):
            members["retry_after_ms"] = random.randint(*RETRY_MS)  # noqa: S311
        session.goodbye(members)
        wire = _wire_of(session.engine)
        with contextlib.suppress(TimeoutError, ConnectionError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                stays_away = why in STAYS_AWAY
                if stays_away:
                    await self._server.disconnect(session.sid)
                # Told that the session is over, Python's client would not come back. A poll that is
                # held takes everything along; there can be no other.
                await session.engine.close(wait=wire is not None, abort=not stays_away)
                if wire is not None:
                    await wire.end(int(code), json.dumps(members).encode())
        if wire is not None:
            wire.abort()

    def _arrived(self, eio_sid: str, request: web.Request) -> None:
        engine = self._server.eio.sockets[eio_sid]
        engine.address = address_key(request)
        engine.refused = False
        engine.account = None
        engine.pace = Pace(self._settings.frames_per_second)
        engine.posts = Pace(self._settings.frames_per_second, spare=2 * PATIENCE)
        engine.queue.overflow = partial(self._end, eio_sid, End.STALLED)
        engine.queue.tell_heartbeat(self._settings.heartbeat_seconds)
        engine.handle_post_request = partial(take_posted, engine)
        self._wait_for_token(engine, request[PLACE].pop_all())

    def _wait_for_token(self, engine: Any, place: ExitStack) -> None:
        """Keep that place for a client until it has said who it is, or its time is over."""
        if self._settings.identify_seconds:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._settings.identify_seconds, self._dismiss, engine.sid)
            place.callback(timer.cancel)
        self._places[engine.sid] = place

    def _wait_again(self, engine: Any) -> None:
        """A client may leave its session and say once more who it is, but not stay without one."""
        if engine.closing or engine.closed:
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(self._unidentified.place(engine.address))
            except Problem:
                self._start(self._cut(engine))
            else:
                self._wait_for_token(engine, stack.pop_all())

    def _leave_place(self, eio_sid: str) -> None:
        if (place := self._places.pop(eio_sid, None)) is not None:
            place.close()

    def _departed(self, eio_sid: str) -> None:
        self._leave_place(eio_sid)
        self._server.eio.forget(eio_sid)

    def _dismiss(self, eio_sid: str) -> None:
        """One that never said who it is, or was not believed."""
        engine = self._server.eio.sockets.get(eio_sid)
        if engine is not None and eio_sid not in self._by_engine:
            self._start(self._cut(engine))

    async def _cut(self, engine: Any) -> None:
        await engine.close(wait=False, abort=self._connections.draining)
        if (wire := _wire_of(engine)) is not None:
            with contextlib.suppress(TimeoutError, ConnectionError, OSError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await wire.end(CloseCode.UNAUTHORIZED, b"")
            wire.abort()

    def _unreadable(self, eio_sid: str, code: str) -> None:
        if (session := self._by_engine.get(eio_sid)) is not None:
            session.say(_UNREADABLE[code])
            if session.pace.take() and session.pace.exhausted:
                session.end(End.TOO_FAST)
        else:
            self._dismiss(eio_sid)

    def _end(self, eio_sid: str, why: End) -> None:
        if (session := self._by_engine.get(eio_sid)) is not None:
            session.end(why)
        else:
            self._dismiss(eio_sid)

    def _engine_of(self, sid: str) -> Any:
        eio_sid = self._server.manager.eio_sid_from_sid(sid, "/")
        return self._server.eio.sockets[eio_sid]

    def _start(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        task = asyncio.create_task(work, name="socketio")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _wire_of(engine: Any) -> BoundedWebSocket | None:
    """Its WebSocket, once it is on one."""
    return getattr(engine, "wire", None)


_UNREADABLE = {
    "binary": BINARY,
    "bad_json": error("bad_json", "This is no event of Socket.IO's."),
}
