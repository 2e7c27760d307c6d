"""The desk's queue: which chats there are, in which order, and which of them need somebody."""

from collections.abc import Iterator

from server.features.chat.schemas import Chat, ChatStatus


class Queue:
    """The chats an employee may want to see: those that are open, and `kept` ones that were.

    `mine` is the id of the employee it is shown to.
    """

    def __init__(self) -> None:
        self.mine = ""
        self.kept: set[str] = set()
        self._chats: dict[str, Chat] = {}

    def __iter__(self) -> Iterator[Chat]:
        """Those that nobody has, the longest waiting first; one's own; other people's."""
        return iter(sorted(self._chats.values(), key=self._rank))

    def __len__(self) -> int:
        return len(self._chats)

    def get(self, chat_id: str) -> Chat | None:
        """The chat of that id."""
        return self._chats.get(chat_id)

    def replace(self, chats: list[Chat]) -> None:
        """Exactly these are open."""
        kept = {key: chat for key, chat in self._chats.items() if key in self.kept}
        self._chats = kept | {chat.id: chat for chat in chats}

    def put(self, chat: Chat) -> None:
        """This is how the chat is now."""
        if is_open(chat) or chat.id in self.kept:
            self._chats[chat.id] = chat
        else:
            self._chats.pop(chat.id, None)

    def release(self, chat_id: str) -> None:
        """It need not be kept once it is closed."""
        self.kept.discard(chat_id)
        chat = self._chats.get(chat_id)
        if chat is not None:
            self.put(chat)

    def is_mine(self, chat: Chat) -> bool:
        """Whether this employee has taken it up."""
        return chat.employee is not None and chat.employee.id == self.mine

    def needs(self, chat: Chat) -> bool:
        """Whether it wants something of this employee: nobody has it, or there is news in it."""
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
        # By when they were taken up: a row must not move under the cursor with every word.
        return (1 if self.is_mine(chat) else 2), (chat.taken_at or since).timestamp(), chat.id


def is_open(chat: Chat) -> bool:
    """Whether it takes messages."""
    return chat.status is ChatStatus.OPEN
