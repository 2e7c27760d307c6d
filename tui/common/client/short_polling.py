"""Short polling: ask, be answered at once, ask again when the server says; so for a photo."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tui.common.client.meter import State
from tui.common.client.retry import parse_retry_after
from tui.common.client.stream import ItemT, Poll

if TYPE_CHECKING:
    from datetime import datetime

    from server.features.uploads.schemas import Upload
    from tui.common.client.meter import Meter
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

INTERVAL_SECONDS = 1.0
"""Between two polls where the server does not say when to come back."""
INTERVAL_AT_MOST = 10.0
"""To which that grows while nothing changes, half as much again from poll to poll."""
SILENCE_SECONDS = 10.0
"""Before a poll that nobody answers is given up: the server is not meant to wait."""


class ShortPoll(Poll[ItemT]):
    """`async for news in poll`; subclasses say what is asked for and what is final.

    Handed out is the first answer, each that differs from the one before, and the final one, after
    which it stops. A server that is away is asked again and again. Raises `ApiError` when the
    server refuses for good, and `SignedOut`.

    `first_wait` are the seconds that the server has asked for already.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        meter: Meter,
        *,
        first_wait: float = 0.0,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(session, path, meter, backoff)
        self.polls = 0
        """Answers so far."""
        self._wait_before = first_wait
        self._known: ItemT | None = None
        self._unchanged = 0
        self._cut_next = False

    def drop_connection(self) -> None:
        """Drop the request under way, or the next one as soon as it has left; it is sent again."""
        self._cut_next = self._opening is None and self._connection is None
        super().drop_connection()

    def _is_final(self, news: ItemT) -> bool:
        raise NotImplementedError

    def _logged_at(self, news: ItemT) -> datetime | None:
        """When what is new in it happened; None where it does not say."""
        return None

    async def _wait_until_due(self) -> None:
        """Wait until the next poll is due."""
        delay, self._wait_before = self._wait_before, 0.0
        if delay > 0:
            self._meter.set_waiting(delay)
            await asyncio.sleep(delay)

    async def _receive(self) -> None:
        """One poll, once it is due; it may find nothing changed."""
        await self._wait_until_due()
        if self._meter.is_cut:
            await self._wait_uncut()
            self._cut_next = False
        request = await self._open(
            self.path,
            headers={"Accept": "application/json"},
            silence=SILENCE_SECONDS,
            on_sent=self._on_sent,
        )
        self._set_open(State.LIVE)
        body = await request.read()
        self._connection = None
        news = self._parsed(body)
        self.polls += 1
        self._backoff.reset()
        self._meter.measured(request.latency_ms)
        self._meter.event(
            f"200 {self._name(news)}",
            request.size,
            payload=len(body),
            logged_at=self._logged_at(news),
            contents=request.contents(body),
        )
        changed, self._known = news != self._known, news
        if self._is_final(news):
            self._finish(State.IDLE)
            self._pending.append(news)
            return
        self._unchanged = 0 if changed else self._unchanged + 1
        retry_after = parse_retry_after(request.response.headers.get("Retry-After"))
        self._wait_before = self._interval(retry_after)
        if changed:
            self._pending.append(news)

    def _on_sent(self) -> None:
        if self._cut_next:
            self.drop_connection()

    def _interval(self, retry_after: float | None) -> float:
        """As long as the server says, and longer where it keeps being wrong."""
        own = min(INTERVAL_AT_MOST, INTERVAL_SECONDS * 1.5 ** min(self._unchanged, 20))
        return max(own, retry_after or 0.0) * random.uniform(1.0, 1.1)  # noqa: S311 not a secret


class UploadPoll(ShortPoll["Upload"]):
    """How far one upload is, ending with `done` or `failed`."""

    def __init__(
        self,
        session: Session,
        upload_id: str,
        meter: Meter,
        *,
        first_wait: float = 0.0,
        backoff: Backoff | None = None,
    ) -> None:
        path = f"/uploads/{upload_id}"
        super().__init__(session, path, meter, first_wait=first_wait, backoff=backoff)
        self.upload_id = upload_id

    def _parse(self, body: bytes) -> Upload:
        from server.features.uploads.schemas import Upload

        return Upload.model_validate_json(body)

    def _is_final(self, news: Upload) -> bool:
        return news.status.final

    def _name(self, news: Upload) -> str:
        return news.status.value

    def _logged_at(self, news: Upload) -> datetime | None:
        return news.finished_at
