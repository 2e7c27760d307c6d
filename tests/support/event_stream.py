"""An open `text/event-stream`, read as it arrives."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from support.rest import Rest
from support.waiting import PATIENCE


class Sent(NamedTuple):
    """One event."""

    cursor: str
    type: str
    data: Any


class EventStream:
    """The events of one stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self._text = b""
        self._read: deque[dict[str, str]] = deque()

    async def next(self, seconds: float = PATIENCE) -> Sent:
        """The next event; other blocks are skipped. Raises EOFError at the stream's end."""
        async with asyncio.timeout(seconds):
            while True:
                fields = self._read.popleft() if self._read else await self._block()
                if "data" in fields:
                    return Sent(fields.get("id", ""), fields["event"], json.loads(fields["data"]))

    async def begun(self, seconds: float = PATIENCE) -> None:
        """Return once it is subscribed, which the server shows to a reader without a cursor by
        sending where it begins; an event that arrives first is kept for `next`."""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(EOFError):
                while set(fields := await self._block()) != {"id"}:
                    self._read.append(fields)

    async def over(self, seconds: float = PATIENCE) -> None:
        """Return at the stream's end; fails if another event comes first."""
        try:
            found = await self.next(seconds)
        except EOFError:
            return
        raise AssertionError(f"the stream went on with {found}")

    async def _block(self) -> dict[str, str]:
        while b"\n\n" not in self._text:
            more = await self.answer.content.readany()
            if not more:
                raise EOFError
            self._text += more
        block, _, self._text = self._text.partition(b"\n\n")
        return dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)


@asynccontextmanager
async def event_stream(
    rest: Rest, path: str, after: str | None = None, **headers: str
) -> AsyncIterator[EventStream]:
    """Open the stream at that path; `answer.status` says whether that succeeded.

    It is subscribed when this returns, also without a cursor: every event from then on arrives.
    """
    params = {} if after is None else {"after": after}
    async with rest.http.get(
        rest.url(path), params=params, headers=rest.headers | headers
    ) as answer:
        events = EventStream(answer)
        if answer.status == 200 and after is None and "Last-Event-ID" not in headers:
            await events.begun()
        yield events
