"""An open `text/event-stream`, read as it comes."""

import asyncio
import json
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

    async def next(self, seconds: float = PATIENCE) -> Sent:
        """The next event; other blocks are passed over. Raises EOFError at the stream's end."""
        async with asyncio.timeout(seconds):
            while True:
                block = await self._block()
                fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
                if "data" in fields:
                    return Sent(fields.get("id", ""), fields["event"], json.loads(fields["data"]))

    async def over(self, seconds: float = 10) -> None:
        """Return at the stream's end; fails where another event comes first."""
        try:
            found = await self.next(seconds)
        except EOFError:
            return
        raise AssertionError(f"the stream went on with {found}")

    async def _block(self) -> str:
        while b"\n\n" not in self._text:
            more = await self.answer.content.readany()
            if not more:
                raise EOFError
            self._text += more
        block, _, self._text = self._text.partition(b"\n\n")
        return block.decode()


@asynccontextmanager
async def event_stream(
    rest: Rest, path: str, after: str | None = None, **headers: str
) -> AsyncIterator[EventStream]:
    """Open the stream at that path; `answer.status` says whether it was."""
    params = {} if after is None else {"after": after}
    async with rest.http.get(
        rest.url(path), params=params, headers=rest.headers | headers
    ) as answer:
        yield EventStream(answer)
