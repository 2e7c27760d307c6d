"""What long and short polling have in common: one answer, asked for again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.common.client.errors import Unreachable
from tui.common.client.stream import NewsT, RequestStream

if TYPE_CHECKING:
    from tui.common.client.reconnect import Backoff
    from tui.common.client.session import Session
    from tui.common.client.wire import Meter


class Poll(RequestStream[NewsT]):
    """`async for news in poll`; subclasses say what `path` answers with, and when to ask."""

    def __init__(self, session: Session, path: str, meter: Meter, backoff: Backoff | None) -> None:
        super().__init__(session, meter, backoff)
        self.path = path

    def _parse(self, body: bytes) -> NewsT:
        """Raises ValueError."""
        raise NotImplementedError

    def _name(self, news: NewsT) -> str:
        """What it is on the wire."""
        raise NotImplementedError

    def _parsed(self, body: bytes) -> NewsT:
        """The news that has come; from a server that is one of ours."""
        try:
            news = self._parse(body)
        except ValueError as fault:
            raise Unreachable(
                f"What answers at {self._session.base_url} is not a Tiffin server, or another "
                "version of it.",
                "answer not understood",
            ) from fault
        self.accepted = True
        return news
