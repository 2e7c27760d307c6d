"""Keeps the desk's queue as the server has it: the open chats, then every change to them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from server.features.chat.schemas import Chat, QueueEvent
from tui.common.client.errors import ClientTrouble
from tui.common.client.fallback import LogStream
from tui.common.client.reconnect import is_final, keep_current
from tui.employee.panels.queue import Queue

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.session import Session
    from tui.common.client.wire import Meter

EVENTS = frozenset(QueueEvent)


class QueueFeed:
    """Runs until cancelled or refused for good.

    `heard` is called with each chat as it was, if it was known, and as it is now.
    """

    def __init__(
        self,
        session: "Session",
        api: "Api",
        queue: Queue,
        meter: "Meter",
        heard: Callable[[Chat | None, Chat], None],
        changed: Callable[[], None],
    ) -> None:
        self.loaded = False
        """Whether the queue has been read at least once."""
        self.trouble = ""
        """Why there is nothing to see, in words, while the queue cannot be had."""
        self.over = False
        """Whether the server has refused for good."""
        self._session = session
        self._api = api
        self._queue = queue
        self._meter = meter
        self._heard = heard
        self._changed = changed
        self._stream: LogStream | None = None

    @property
    def meter(self) -> "Meter":
        """The meter of what brings the events now."""
        return self._meter if self._stream is None else self._stream.meter

    def cut(self) -> bool:
        """Drop the connection; it comes back by itself. False where there is none to drop."""
        if self._stream is None:
            return False
        self._stream.cut()
        return True

    async def run(self) -> None:
        """Read the queue and follow it from there, again after each reset."""
        await keep_current(self._read, self._follow, self._meter, self._note)

    def _note(self, trouble: ClientTrouble) -> None:
        self.trouble = trouble.words
        self.over = is_final(trouble)
        self._changed()

    async def _read(self) -> str | None:
        page = await self._api.open_chats()
        self._queue.replace(page.items)
        self.loaded = True
        self.trouble = ""
        self._changed()
        return page.cursor

    async def _follow(self, cursor: str | None) -> None:
        async with LogStream(
            self._session,
            "/chats/stream",
            "/chats/events",
            self._meter.name,
            cursor,
            on_carrier=self._changed,
        ) as self._stream:
            try:
                async for event in self._stream:
                    if event.type in EVENTS:
                        self._take(event.data)
            finally:
                self._stream = None

    def _take(self, data: str) -> None:
        try:
            chat = Chat.model_validate_json(data)
        except ValidationError:  # of a newer server: no reason to lose the others
            return
        before = self._queue.get(chat.id)
        self._queue.put(chat)
        self._heard(before, chat)
        self._changed()
