"""Socket.IO: python-socketio with bounded outboxes, frame limits, and tokens that expire."""

import asyncio
import contextlib
import json
import logging
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
from server.transports.frame_limits import MAX_REFUSALS, FrameLimit, FrameLimits
from server.transports.outbox import (
    CODES,
    FRAME_BYTES,
    CloseCode,
    Frame,
    client_id_of,
    code_of,
    error,
)
from server.transports.outlet import CLOSE_SECONDS
from server.transports.socketio_engine import (
    BINARY,
    PACKETS,
    Server,
    count_all,
    is_packet,
    is_repeated,
    quiet,
    read_post,
    receive_posted,
    websocket_of,
)
from server.transports.socketio_session import Session

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

PATH, METHODS = "/socket.io/", ("GET", "POST", "OPTIONS")
SLOT = web.RequestKey("slot", ExitStack)
"""A handshake's slot among the clients that have not identified themselves."""
FINAL = (End.EXPIRED, End.REVOKED, End.TOO_LARGE, End.TOO_FAST)
"""After these a client must not reconnect by itself: it is disconnected, not just cut off."""

Handle = Callable[[Session, Any], Awaitable[Mapping[str, Any]]]
"""Acts on an event's first argument and gives the acknowledgement. Raises Refused."""


class Refused(Exception):
    """An event was refused; the frame that says why."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.text)
        self.frame = frame


class SocketIo:
    """The Socket.IO server at PATH. `on` registers what handles its events."""

    def __init__(
        self, settings: Settings, gate: Gate, connections: Connections, limits: FrameLimits
    ) -> None:
        self._gate, self._connections, self._limits = gate, connections, limits
        self._settings = settings
        self._unidentified = Unidentified(
            settings.max_unidentified, settings.max_unidentified_per_address
        )
        self._slots: dict[str, ExitStack] = {}
        self._handlers: dict[str, Handle] = {}
        self._sessions: dict[str, Session] = {}
        self._by_engine: dict[str, Session] = {}
        self._busy: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server = Server(
            async_mode="aiohttp",
            async_handlers=False,  # a sender's events are handled one after the other
            ping_interval=settings.heartbeat_seconds,
            # The server's own timeout: on a slow line a ping waits behind what was sent before.
            ping_timeout=settings.stalled_reader_seconds,
            max_http_buffer_size=FRAME_BYTES,
            http_compression=False,  # it would block the loop for every answer to a poll
            engineio_logger=quiet,
        )
        self._server.on_connect = self._on_engine_connect
        self._server.on_disconnect = self._on_engine_disconnect
        self._server.on_invalid = self._on_invalid
        self._server.on_event = self._event
        self._server.is_draining = lambda: self._connections.draining
        self._server.eio.settings = settings
        self._server.eio.on_end = self._end
        self._server.eio.on_invalid = self._on_invalid
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)

    def add_to(self, app: web.Application) -> None:
        """Add PATH to the application's routes."""
        app.add_routes(web.route(method, PATH, self._serve) for method in METHODS)

    def on(self, name: str, handle: Handle) -> None:
        """Have `handle` handle events of that name."""
        self._handlers[name] = handle

    async def close(self) -> None:
        """Wait until `Connections.drain` has ended the sessions. Every client may reconnect."""
        for session in [*self._sessions.values()]:
            # One that polls cannot send another request to this process.
            if websocket_of(session.engine) is None:
                session.end(End.DRAINING)
        for eio_sid in [*self._server.eio.sockets]:
            self._cut_unidentified(eio_sid)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.shutdown_seconds)
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
                stack.enter_context(self._unidentified.slot(address_key(request)))
                request[SLOT] = stack
            elif sid is not None and sid in self._server.eio.sockets and not upgrades:
                stack.enter_context(self._alone(sid, request))
            work: Coroutine[Any, Any, web.StreamResponse] = self._server.handle_request(request)
            try:
                if request.method == "POST":
                    return await self._handle_post(request, work)
                if not upgrades:
                    return await work
            except (KeyError, ValueError):  # engineio's answer where the session has just ended
                raise malformed("The session has ended. Connect again.") from None
            # A client that goes cancels its request; in the middle of an event engineio would
            # take that for an error of the server.
            return await asyncio.shield(self._start(work))

    @contextlib.contextmanager
    def _alone(self, sid: str, request: web.Request) -> Iterator[None]:
        """One poll and one POST of a session at a time, as Engine.IO's protocol requires."""
        busy = (sid, request.method)
        if busy in self._busy:
            raise malformed(f"One {request.method} of a session at a time. Wait for the answer.")
        if request.method == "GET" and is_repeated(self._server.eio.sockets[sid], request):
            self._end(sid, End.RELEASED)
            raise malformed("The answer to this poll is lost. Connect again.")
        self._busy.add(busy)
        try:
            yield
        finally:
            self._busy.discard(busy)

    async def _handle_post(
        self, request: web.Request, work: Coroutine[Any, Any, web.StreamResponse]
    ) -> web.StreamResponse:
        """Accept all of its packets or none: each counts as a frame of a WebSocket."""
        sid = request.query.get("sid", "")
        if sid not in self._server.eio.sockets:
            return await work  # which refuses it without reading it
        with contextlib.closing(work):
            try:
                packets = request[PACKETS] = await read_post(request)
            except UnicodeDecodeError:
                self._on_invalid(sid, "bad_json")
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
            raise malformed("The body contains something that is not a packet. Connect again.")
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
            account = self._limits.admit(claims.limit_key)
            stalled_seconds = self._settings.stalled_reader_seconds
            session = Session(sid, engine, engine.limit, stalled_seconds)
            session.slot.enter_context(self._connections.hold(claims, session.end))
            try:
                # Registered first and checked then, as with the other transports.
                session.identity = await self._gate.check(claims)
                if engine.closing or engine.closed:
                    raise ConnectionResetError("the client has gone meanwhile")
            except BaseException:
                session.slot.close()
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
            logger.exception("a client could not be connected")
            return False
        account.add(session, session.limit)
        engine.account = account
        if (websocket := websocket_of(engine)) is not None:
            websocket.count_for(account)
        self._sessions[sid] = self._by_engine[engine.sid] = session
        self._release_slot(engine.sid)
        self._start(self._until_ended(session))
        return None

    def _count_refused(self, sid: str) -> None:
        """A client may try once more with a newer token; stock clients reconnect for that."""
        engine = self._engine_of(sid)
        if engine.refused:
            self._cut_unidentified(engine.sid)
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
            if session.backlogged:  # a client that does not read is not read from
                await session.ready()
            if wait := session.limit.consume():
                if session.limit.exhausted:
                    session.end(End.TOO_FAST)
                raise Refused(session.limit.refusal(wait, named))
            handle = self._handlers.get(name)
            if handle is None:
                detail = f"The events are: {', '.join(self._handlers)}."
                raise Refused(error("unknown_type", detail, **more))
            return await handle(session, sent)
        except Refused as refused:
            session.send(refused.frame)
            found: Mapping[str, Any] = json.loads(refused.frame.text)
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
            for room in [*session.rooms]:
                await session.leave(room)
            if why is not End.OVER:
                await self._finish(session, why)
        finally:
            session.slot.close()
            del self._sessions[session.sid]
            if self._by_engine.get(session.engine.sid) is session:
                del self._by_engine[session.engine.sid]
                self._wait_for_token_again(session.engine)

    async def _finish(self, session: Session, why: End) -> None:
        code, reason = CODES[why]
        members: dict[str, Any] = {"code": int(code), "reason": reason}
        if code in (CloseCode.GOING_AWAY, CloseCode.FAILED):
            members["retry_after_ms"] = why.retry_ms
        session.send_goodbye(members)
        websocket = websocket_of(session.engine)
        with contextlib.suppress(TimeoutError, ConnectionError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                final = why in FINAL
                if final:
                    await self._server.disconnect(session.sid)
                # Python's client does not reconnect once it is told that the session is over. The
                # one poll that may be held carries everything that waits.
                await session.engine.close(wait=websocket is not None, abort=not final)
                if websocket is not None:
                    await websocket.close_with(int(code), json.dumps(members).encode())
        if websocket is not None:
            websocket.abort()

    def _on_engine_connect(self, eio_sid: str, request: web.Request) -> None:
        engine = self._server.eio.sockets[eio_sid]
        engine.address = address_key(request)
        engine.refused = False
        engine.account = engine.last_poll = None
        engine.limit = FrameLimit(self._settings.frames_per_second)
        engine.posts = FrameLimit(self._settings.frames_per_second, extra_burst=2 * MAX_REFUSALS)
        engine.queue.overflow = partial(self._end, eio_sid, End.STALLED)
        engine.queue.set_heartbeat(self._settings.heartbeat_seconds)
        engine.handle_post_request = partial(receive_posted, engine)
        self._wait_for_token(engine, request[SLOT].pop_all())

    def _wait_for_token(self, engine: Any, slot: ExitStack) -> None:
        """Keep the slot until the client has identified itself, or its time is over."""
        if self._settings.identify_seconds:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(
                self._settings.identify_seconds, self._cut_unidentified, engine.sid
            )
            slot.callback(timer.cancel)
        self._slots[engine.sid] = slot

    def _wait_for_token_again(self, engine: Any) -> None:
        """A client may end its session and identify itself again, but not stay without one."""
        if engine.closing or engine.closed:
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(self._unidentified.slot(engine.address))
            except Problem:
                self._start(self._cut(engine))
            else:
                self._wait_for_token(engine, stack.pop_all())

    def _release_slot(self, eio_sid: str) -> None:
        if (slot := self._slots.pop(eio_sid, None)) is not None:
            slot.close()

    def _on_engine_disconnect(self, eio_sid: str) -> None:
        self._release_slot(eio_sid)
        self._server.eio.remove(eio_sid)

    def _cut_unidentified(self, eio_sid: str) -> None:
        """Cut a client that has not identified itself, or whose tokens were refused."""
        engine = self._server.eio.sockets.get(eio_sid)
        if engine is not None and eio_sid not in self._by_engine:
            self._start(self._cut(engine))

    async def _cut(self, engine: Any) -> None:
        await engine.close(wait=False, abort=self._connections.draining)
        if (websocket := websocket_of(engine)) is not None:
            with contextlib.suppress(TimeoutError, ConnectionError, OSError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await websocket.close_with(CloseCode.UNAUTHORIZED, b"")
            websocket.abort()

    def _on_invalid(self, eio_sid: str, code: str) -> None:
        if (session := self._by_engine.get(eio_sid)) is not None:
            session.send(_INVALID[code])
            if session.limit.consume() and session.limit.exhausted:
                session.end(End.TOO_FAST)
        else:
            self._cut_unidentified(eio_sid)

    def _end(self, eio_sid: str, why: End) -> None:
        if (session := self._by_engine.get(eio_sid)) is not None:
            session.end(why)
        else:
            self._cut_unidentified(eio_sid)

    def _engine_of(self, sid: str) -> Any:
        eio_sid = self._server.manager.eio_sid_from_sid(sid, "/")
        return self._server.eio.sockets[eio_sid]

    def _start(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        task = asyncio.create_task(work, name="socketio")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_INVALID = {
    "binary": BINARY,
    "bad_json": error("bad_json", "This is not a Socket.IO event."),
}
