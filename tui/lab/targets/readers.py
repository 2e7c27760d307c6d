"""Readers of somebody else's endpoints: the client library's, without what only Tiffin says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.common.client.clock import read_http_date
from tui.common.client.errors import Unreachable
from tui.common.client.http import HttpClient
from tui.common.client.long_polling import LongPoll
from tui.common.client.meter import Pattern, Wire
from tui.common.client.session import Session
from tui.common.client.socket_stream import SocketStream
from tui.common.client.sse import EventStream, ServerSentEvent
from tui.lab.readers import Kind, PacedPoll, Recorded, Recorder, RecordingMeter
from tui.lab.records import LONG_POLL, SHORT_POLL, SSE, Plan, Sink
from tui.lab.targets.description import Endpoint, LongPolled, Polled, look_up

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Unpack

    from tui.common.client.http import RequestOptions
    from tui.common.client.meter import Meter
    from tui.common.client.request import RequestContext
    from tui.common.client.websocket import WebSocket

HOLD_SECONDS = 60
"""How long an answer to a long poll, or a sign of life of a stream, is waited for."""
LEAST_SECONDS = 0.05
"""Between the beginnings of two long polls: a server that holds none is not flooded."""


class TargetSession(Session):
    """Requests to somebody else's server: nobody is logged in, and its paths are its own."""

    def __init__(self, url: str, headers: Mapping[str, str], tls_name: str | None = None) -> None:
        """`tls_name` is the server's name where `url` leads to it through something else."""
        super().__init__(url, Wire())
        self._client = HttpClient(self.base_url, prefix="", headers=headers, tls_name=tls_name)

    async def open_request(
        self,
        method: str,
        path: str,
        *,
        meter: Meter,
        epoch: int | None = None,
        renew: bool = True,
        **options: Unpack[RequestOptions],
    ) -> RequestContext:
        """See `Session`; there is no token."""
        request = await self._client.send(method, path, meter=meter, **options)
        if request.response.status < 400:
            return request
        raise await request.problem()

    async def connect(
        self,
        path: str,
        *,
        meter: Meter,
        params: Mapping[str, str] | None = None,
        silence: float | None = None,
        epoch: int | None = None,
        rejected: str | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> WebSocket:
        """See `Session`; there is no token."""
        return await self._client.connect(
            path, meter=meter, params=params, silence=silence, on_sent=on_sent
        )

    async def date(self) -> tuple[datetime | None, float]:
        """What the server says is the time, and how many seconds that took on its way."""
        meter = self.wire.meter("clock", Pattern.REST)
        request = await self._client.send("HEAD", "/", meter=meter)
        request.close()
        said = read_http_date(request.response.headers.get("Date", ""))
        return said, request.latency_ms / 2000


@dataclass(frozen=True, slots=True)
class Body:
    """What is published."""

    content: bytes
    content_type: str

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.content)

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it."""
        yield self.content


class TargetRecorder(Recorder):
    """Gives the records of one reader to the sink, and what it hears to the run."""

    def __init__(
        self,
        sink: Sink,
        pattern: str,
        reader: int,
        hear: Callable[[TargetRecorder, Any, int], None],
    ) -> None:
        super().__init__(sink, pattern, reader, lambda seconds: seconds)
        self._hear = hear

    def heard(self, text: str) -> None:
        """An event is here."""
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        self._hear(self, value, len(text.encode()))

    def heard_values(self, found: Any) -> None:
        """What an answer has in the place of its events is here: a list of them, one, or None."""
        for value in found if isinstance(found, list) else [] if found is None else [found]:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            self._hear(self, value, len(text.encode()))


class TargetStream(Recorded[ServerSentEvent], EventStream):
    """Server-sent events: no type means anything here, and what comes again is handed out."""

    def _remember(self, event: ServerSentEvent) -> None:
        pass

    def _deliver(self, news: ServerSentEvent) -> None:
        self.cursor = news.last_event_id or None


class TargetSocket(Recorded[str], SocketStream[str]):
    """The texts of a WebSocket."""

    WHAT = "endpoint"
    _meter: RecordingMeter

    def _on_sent(self) -> None:
        self._meter.begin(f"GET {self.path}")

    def _read_frame(self, text: str) -> None:
        self._meter.event("message", len(text.encode()))
        self._pending.append(text)


class StatePoll(PacedPoll[Any]):
    """An answer that is asked for at the plan's pace, whenever it has changed."""

    def _parse(self, body: bytes) -> Any:
        return json.loads(body)

    def _is_final(self, news: Any) -> bool:
        return False

    def _name(self, news: Any) -> str:
        return "state"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a long poll."""

    cursor: str
    events: Any


class TargetPoll(Recorded[Page], LongPoll[Page]):
    """Held requests with a cursor in the query."""

    def __init__(self, session: Session, endpoint: LongPolled, meter: RecordingMeter) -> None:
        super().__init__(session, endpoint.path, meter, hold=HOLD_SECONDS, grace=0.0, backoff=None)
        self._endpoint = endpoint
        self._cursor = endpoint.first
        self._next_at = 0.0

    async def _receive(self) -> None:
        await asyncio.sleep(self._next_at - time.monotonic())
        self._next_at = time.monotonic() + LEAST_SECONDS
        await super()._receive()

    def _known(self) -> dict[str, str | int]:
        return {} if self._cursor is None else {self._endpoint.cursor: self._cursor}

    def _parameters(self, known: dict[str, str | int]) -> dict[str, str | int]:
        return known

    def _parsed(self, body: bytes) -> Page:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        cursor = look_up(answer, self._endpoint.next)
        if not isinstance(cursor, str | int) or isinstance(cursor, bool):
            raise Unreachable(
                f"An answer of {self.path} has no cursor at `{self._endpoint.next}`.",
                f"no cursor at `{self._endpoint.next}` in an answer",
            )
        self.accepted = True
        return Page(str(cursor), look_up(answer, self._endpoint.events))

    def _is_news(self, news: Page) -> bool:
        return news.cursor != self._cursor

    def _name(self, news: Page) -> str:
        return f"up to {news.cursor}"

    def _deliver(self, news: Page) -> None:
        self._cursor = news.cursor


async def read_target(
    recorder: TargetRecorder, session: Session, endpoint: Endpoint, plan: Plan
) -> None:
    """Read an endpoint over the recorder's pattern, until this is cancelled.

    Raises `ApiError` where the server refuses for good.
    """
    pattern, path = recorder.pattern, endpoint.path
    kind: Kind = "request" if pattern in (SHORT_POLL, LONG_POLL) else "connection"
    meter = RecordingMeter(recorder, kind)
    if pattern == SHORT_POLL:
        assert isinstance(endpoint, Polled)
        known = None
        async with StatePoll(session, path, meter, plan) as polled:
            async for state in polled:
                newest = look_up(state, endpoint.events)
                if isinstance(newest, list):
                    newest = newest[-1] if newest else None
                if newest != known:
                    known = newest
                    recorder.heard_values(newest)
    elif pattern == LONG_POLL:
        assert isinstance(endpoint, LongPolled)
        async with TargetPoll(session, endpoint, meter) as poll:
            async for page in poll:
                recorder.heard_values(page.events)
    elif pattern == SSE:
        async with TargetStream(session, path, meter, silence=HOLD_SECONDS, coalesce=0) as stream:
            async for sent in stream:
                recorder.heard(sent.data)
    else:
        async with TargetSocket(session, path, meter) as socket:
            async for text in socket:
                recorder.heard(text)
