"""A run's events over Socket.IO."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from server.core.errors import Problem
from server.features.lab.service import LabService
from server.realtime.hub import Hub
from server.transports.outbox import Frame, OutboxSink, error, frames_of
from server.transports.socketio import Refused, SocketIo
from server.transports.socketio_session import Session

ROOM = "lab"
RESET = Frame("reset", '{"type":"reset"}')


class SocketIoLab:
    """The event `lab`, which subscribes a client to a run."""

    def __init__(self, server: SocketIo, lab: LabService, hub: Hub) -> None:
        self._lab = lab
        self._hub = hub
        server.on("lab", self.follow)

    async def follow(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Send the events of the run `run` after the cursor `after`, instead of those of another
        one."""
        run, after = (sent.get("run"), sent.get("after")) if type(sent) is dict else (None, None)
        if not isinstance(run, str) or not isinstance(after, str | None):
            raise Refused(error("invalid", "Send `lab` with `{run, after?}`, both texts."))
        await session.leave(ROOM)
        try:
            topic = await self._lab.admit(run)
            await session.enter(ROOM, self._events(session, topic, after))
        except Problem as problem:
            code = "not_found" if problem.status == 404 else "unavailable"
            raise Refused(error(code, problem.detail)) from None
        return {"run": run}

    @asynccontextmanager
    async def _events(self, session: Session, topic: str, after: str | None) -> AsyncIterator[None]:
        def reset() -> None:
            session.send(RESET)
            session.leave_soon(ROOM)

        sink = OutboxSink(session, partial(frames_of, self._hub.log), reset)
        subscription = await self._hub.subscribe(topic, after, sink)
        try:
            yield
        finally:
            subscription.close()
