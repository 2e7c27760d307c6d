"""The support queue: open chats, their order, and which of them need attention."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from server.features.chat.schemas import Chat, ChatStatus, QueueEvent
from tui.common.client.errors import ClientError
from tui.common.client.log_feed import LogFeed
from tui.common.client.retry import sync_loop

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session


class Queue:
    """The chats an employee may want to see: those that are open, and `kept` ones that were.

    `mine` is the id of the employee it is shown to.
    """

    def __init__(self) -> None:
        self.mine = ""
        self.kept: set[str] = set()
        self._chats: dict[str, Chat] = {}

    def __iter__(self) -> Iterator[Chat]:
        """Unclaimed ones, the longest waiting first; the user's; other people's."""
        return iter(sorted(self._chats.values(), key=self._rank))

    def __len__(self) -> int:
        return len(self._chats)

    def get(self, chat_id: str) -> Chat | None:
        """The chat of that id."""
        return self._chats.get(chat_id)

    def replace(self, chats: list[Chat]) -> None:
        """Replace the open chats by these."""
        kept = {key: chat for key, chat in self._chats.items() if key in self.kept}
        self._chats = kept | {chat.id: chat for chat in chats}

    def put(self, chat: Chat) -> None:
        """Store the chat as it is now."""
        if is_open(chat) or chat.id in self.kept:
            self._chats[chat.id] = chat
        else:
            self._chats.pop(chat.id, None)

    def release(self, chat_id: str) -> None:
        """Drop the chat once it is closed."""
        self.kept.discard(chat_id)
        chat = self._chats.get(chat_id)
        if chat is not None:
            self.put(chat)

    def is_mine(self, chat: Chat) -> bool:
        """Whether this employee has claimed it."""
        return chat.employee is not None and chat.employee.id == self.mine

    def needs(self, chat: Chat) -> bool:
        """Whether it needs this employee: it is unclaimed, or theirs with unread messages."""
        if not is_open(chat):
            return False
        if chat.employee is None:
            return True
        return self.is_mine(chat) and chat.unread.support > 0

    def is_news(self, before: Chat | None, chat: Chat) -> bool:
        """Whether what changed from `before` wants somebody here to look: a customer who waits, or
        their words in a chat of one's own or of nobody's."""
        if not is_open(chat):
            return False
        if before is None or not is_open(before):
            return chat.employee is None
        if not self.needs(chat) or chat.last_message is None:
            return False
        by_customer = chat.last_message.sender.id == chat.customer.id
        return by_customer and chat.last_message != before.last_message

    def _rank(self, chat: Chat) -> tuple[int, float, str]:
        if not is_open(chat):
            return 3, -chat.opened_at.timestamp(), chat.id
        since = chat.waiting_since or chat.opened_at
        if chat.employee is None:
            return 0, since.timestamp(), chat.id
        # By when they were claimed: a row must not move under the cursor with every message.
        return (1 if self.is_mine(chat) else 2), (chat.taken_at or since).timestamp(), chat.id


def is_open(chat: Chat) -> bool:
    """Whether it takes messages."""
    return chat.status is ChatStatus.OPEN


EVENTS = frozenset(QueueEvent)


class QueueFeed(LogFeed):
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
        super().__init__(session, meter, changed)
        self.loaded = False
        """Whether the queue has been read at least once."""
        self.error = ""
        """Why the queue cannot be loaded; "" while it can."""
        self.over = False
        """Whether the server has refused for good."""
        self._api = api
        self._queue = queue
        self._heard = heard

    async def run(self) -> None:
        """Read the queue and follow it from there, again after each reset."""
        await sync_loop(self._read, self._follow, meter=self._meter, on_error=self._on_error)

    def _on_error(self, error: ClientError, wait: float | None) -> None:
        self.error = error.message
        self.over = wait is None
        self._changed()

    async def _read(self) -> str | None:
        page = await self._api.open_chats()
        self._queue.replace(page.items)
        self.loaded = True
        self.error = ""
        self._changed()
        return page.cursor

    async def _follow(self, cursor: str | None) -> None:
        await self._follow_log("/chats", cursor, self._on_event)

    def _on_event(self, kind: str, data: str) -> None:
        if kind in EVENTS:
            self._apply(data)

    def _apply(self, data: str) -> None:
        try:
            chat = Chat.model_validate_json(data)
        except ValidationError:  # of a newer server: no reason to lose the others
            return
        before = self._queue.get(chat.id)
        self._queue.put(chat)
        self._heard(before, chat)
        self._changed()
