"""A stream over a WebSocket that comes back by itself, from its cursor on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from server.features.chat.frame_schemas import CloseCode
from server.features.shared.schemas import ProblemDetails
from tui.common.client.errors import ApiError, ClientError, Unreachable
from tui.common.client.meter import State
from tui.common.client.stream import ItemT, Stream
from tui.common.client.websocket import Closed, WebSocket
from tui.common.language import _

if TYPE_CHECKING:
    from tui.common.client.meter import Meter
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

SILENCE_SECONDS = 25.0
"""More than two pings of ours and one of the server's."""
FINAL = "about:blank#close"


class SocketStream(Stream[WebSocket, ItemT]):
    """`async for item in stream`, inside `async with`, for ever; subclasses read the frames.

    `cursor` is where to begin (None for the present); subclasses move it with what they deliver.
    Raises `ApiError` when the server refuses for good, and `SignedOut`.
    """

    WHAT = "stream"
    """What it is, in words for its user."""

    def __init__(
        self,
        session: Session,
        path: str,
        meter: Meter,
        cursor: str | None = None,
        *,
        silence: float = SILENCE_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        """`silence` is in seconds."""
        super().__init__(session, meter, backoff)
        self.path = path
        self.cursor = cursor
        self._silence = silence
        self._admitted = False
        self._replaying = False
        self._rejected: str | None = None
        """The token with which the last connection was closed."""

    def _read_frame(self, text: str) -> None:
        """Put what the frame brings into `_pending`, and count it on the meter."""
        raise NotImplementedError

    @property
    def position(self) -> str | None:
        """The cursor after all that was handed out."""
        return self.cursor

    def drop_connection(self) -> None:
        """Drop the connection now, as a failing network would; it comes back by itself."""
        if self._connection is not None:
            self._connection.drop()
        super().drop_connection()

    async def _receive(self) -> None:
        socket = self._connection or await self._open_connection()
        news = await socket.receive()
        if isinstance(news, Closed):
            if (dropped := self._pop_drop_error()) is not None:
                raise dropped
            await self._on_closed(news, socket.token)
            return
        if not self._admitted:
            self._admitted = True
            self._rejected = None
            self._backoff.opened()
            self._set_open(State.LIVE)
        if news is not None:
            self._read_frame(news)
        self._on_received(heartbeat=news is None)

    async def _open_connection(self) -> WebSocket:
        if self._meter.state is not State.CONNECTING:
            self._meter.set_state(State.CONNECTING)
        socket = await self._connect(
            self._session.connect(
                self.path,
                meter=self._meter,
                params={"after": self.cursor} if self.cursor else None,
                silence=self._silence,
                epoch=self._bind_epoch(),
                rejected=self._rejected,
                on_sent=self._on_sent,
            )
        )
        self.accepted = True
        self._admitted = False
        self._replaying = self._lost_before
        return socket

    def _drop(self) -> None:
        self._admitted = False
        super()._drop()

    async def _on_closed(self, closed: Closed, token: str) -> None:
        """The server has closed the connection: come back, or raise why not."""
        self._drop()
        code, retry_after = closed.code, closed.retry_after
        if code == CloseCode.UNAUTHORIZED:
            if self._rejected is not None:  # a new token did not help
                raise self._refusal(closed)
            self._rejected = token
            await self._wait(_("token renewed"), self._delay_after_end())
        elif 4400 <= code < 4500 and code != CloseCode.STALLED:
            raise self._refusal(closed)
        elif code == CloseCode.STALLED:
            await self._wait(_("too slow to read"), self._delay_after_end())
        elif code in (CloseCode.NORMAL, CloseCode.GOING_AWAY, 1005):
            words = (
                _("the server is shutting down")
                if code == CloseCode.GOING_AWAY
                else _("the server ended it")
            )
            delay = self._delay_after_end()
            if retry_after is not None:
                delay = max(delay, retry_after * random.uniform(1.0, 1.1))  # noqa: S311 not a secret
            await self._wait(words, delay)
        else:
            why = f"{code} {closed.reason}".rstrip()
            raise Unreachable(
                _("The server has closed the {what}'s connection ({why}).").format(
                    what=self.WHAT, why=why
                ),
                closed.reason or _("closed with {code}").format(code=code),
                retry_after,
            )

    def _gives_up_on(self, error: ClientError) -> bool:
        closed_for_good = isinstance(error, ApiError) and error.problem.type == FINAL
        return closed_for_good or super()._gives_up_on(error)

    def _refusal(self, closed: Closed) -> ApiError:
        """A close code that is final, as the HTTP status it stands for."""
        words = {
            CloseCode.UNAUTHORIZED: _("You are no longer logged in."),
            CloseCode.FORBIDDEN: _("This {what} is not open to you.").format(what=self.WHAT),
            CloseCode.NOT_FOUND: _("You have no such {what}.").format(what=self.WHAT),
        }
        detail = words.get(
            closed.code,
            _("The server refused the {what} ({code}).").format(what=self.WHAT, code=closed.code),
        )
        problem = ProblemDetails(
            type=FINAL,
            title=closed.reason or "refused",
            status=closed.code - 4000,
            detail=detail,
            request_id="",
        )
        return ApiError(problem)
