"""A conversation as one side of it has it: its messages in order, and what is known of the rest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from server.features.chat.frame_schemas import (
    ClosedFrame,
    PresenceFrame,
    ReadFrame,
    ReadMark,
    ReopenedFrame,
    ServerFrame,
    TakenFrame,
    TypingFrame,
)
from server.features.chat.schemas import ChatMessage, MessagePage
from server.features.shared.schemas import Actor
from tui.common.client.outbox import UnsentMessage

TYPING_SECONDS = 5.0
"""Apps report typing every two seconds: after this long without a report it has stopped."""


@dataclass(frozen=True, slots=True)
class PendingMessage:
    """The user's message that the server has not confirmed: on its way, or refused."""

    message: UnsentMessage
    refusal: str = ""


class Conversation:
    """The messages of a chat and what is known about them; no screen, no network.

    `messages` is one part of the chat without a gap, in the order of its cursors:
    `apply_newest_page` starts it, `prepend_page` adds older messages, `apply` what happens now.
    `pending` ones come after them, in the order they were written.
    """

    def __init__(self, own_id: str) -> None:
        self.own_id = own_id
        self.messages: list[ChatMessage] = []
        self.pending: list[PendingMessage] = []
        self.present: list[Actor] = []
        self.before: str | None = None
        """Where the next older page begins; None where there is none."""
        self.first = 0
        """The number of `messages[0]`; goes down by as many as are put in front."""
        self.marked = False
        """Whether it is known how far everybody has read."""
        self.generation = 0
        """Grows when the messages are others than before, rather than more."""
        self.revision = 0
        """Grows with every change."""
        self._numbers: dict[str, int] = {}
        """The number of the last message at or before each cursor that is known."""
        self._client_ids: set[str] = set()
        """Of one's own messages."""
        self._marks: dict[str, ReadMark] = {}
        self._read_to: dict[str, int] = {}
        """The number of the last message that each reader is known to have read."""
        self._typing: dict[str, tuple[Actor, float]] = {}
        self._others: list[int] = []
        """The numbers of the others' messages."""
        self._counted: int | None = None
        """How many were unread when the newest page was read, as the server says."""
        self._counted_to = 0
        """The number after the last message that this count includes."""

    # -- what comes in

    def apply_newest_page(self, page: MessagePage) -> None:
        """The newest page of the history, read at first or again.

        Where it goes on from what is known it is put behind that; else it takes its place.
        """
        newest_last = list(reversed(page.items))
        known = next(
            (at for at, one in enumerate(newest_last) if one.cursor in self._numbers), None
        )
        if known is None and (self.messages or newest_last):
            self.messages.clear()
            self._numbers.clear()
            self._client_ids.clear()
            self._read_to.clear()
            self._others.clear()
            self.first = 0
            self.generation += 1
            self.before = page.next
        elif known is None:
            self.before = page.next
        for message in newest_last[known or 0 :]:
            self._append(message)
        # What happened since that is no message: the cursor is good for marks all the same.
        self._numbers.setdefault(page.cursor, self.end - 1)
        self._counted, self._counted_to = page.unread, self.end
        self._resolve_marks()
        self.revision += 1

    def prepend_page(self, page: MessagePage) -> None:
        """The page before the oldest message."""
        found = [one for one in reversed(page.items) if one.cursor not in self._numbers]
        self.first -= len(found)
        self.messages[:0] = found
        others: list[int] = []
        for number, message in enumerate(found, self.first):
            self._numbers[message.cursor] = number
            if not self._record_own(message):
                others.append(number)
        self._others[:0] = others
        self.before = page.next
        self._resolve_marks()
        self.revision += 1

    def apply(self, frame: ServerFrame, now: float) -> None:
        """What the room has sent, at monotonic time `now`."""
        match frame:
            case ChatMessage():
                if frame.again:
                    self._record_own(frame)
                else:
                    self._append(frame)
                self._typing.pop(frame.sender.id, None)
            case TakenFrame() | ClosedFrame() | ReopenedFrame():
                self._numbers.setdefault(frame.cursor, self.end - 1)
            case TypingFrame():
                if frame.sender.id != self.own_id:
                    self._typing[frame.sender.id] = (frame.sender, now + TYPING_SECONDS)
            case ReadFrame():
                self.marked = True
                self._marks = {mark.reader.id: mark for mark in frame.reads}
            case PresenceFrame():
                self.present = list(frame.present)
        self._resolve_marks()
        self.revision += 1

    def add_pending(self, message: UnsentMessage) -> None:
        """A message of one's own is on its way."""
        if message.client_id not in self._client_ids:
            self.pending.append(PendingMessage(message))
            self.revision += 1

    def mark_refused(self, client_id: str, words: str) -> None:
        """The server has refused it, for that reason."""
        self.pending = [
            PendingMessage(draft.message, words) if draft.message.client_id == client_id else draft
            for draft in self.pending
        ]
        self.revision += 1

    def discard(self, client_id: str) -> PendingMessage | None:
        """Remove a draft, so that it can be edited; None where there is none."""
        found = next((d for d in self.pending if d.message.client_id == client_id), None)
        if found is not None:
            self.pending.remove(found)
            self.revision += 1
        return found

    # -- what is known

    @property
    def end(self) -> int:
        """The number after the last message's."""
        return self.first + len(self.messages)

    def has_own(self, client_id: str) -> bool:
        """Whether the user's message of that name is among the messages."""
        return client_id in self._client_ids

    @property
    def read_by_others(self) -> int:
        """The number of the last message that somebody else is known to have read."""
        reach = [to for reader, to in self._read_to.items() if reader != self.own_id]
        return max(reach, default=self.first - 1)

    @property
    def unread(self) -> int:
        """How many messages of others are unread.

        Counted here if the last read message is loaded; else it is what the server
        has counted, and what has come since.
        """
        if self._counted is None or self.own_id in self._read_to:
            return len(self._others) - bisect_right(self._others, self._own_reach)
        return self._counted + len(self._others) - bisect_left(self._others, self._counted_to)

    def is_unread(self, message: ChatMessage) -> bool:
        """Whether that message of somebody else is unread, as far as is known."""
        number = self._numbers.get(message.cursor)
        return number is not None and number > self._own_reach

    @property
    def unread_known(self) -> bool:
        """Whether `unread` can be told yet."""
        return self.marked or self._counted is not None

    @property
    def last_unread(self) -> ChatMessage | None:
        """The newest message of somebody else's, where it has not been read."""
        if not self._others or self._others[-1] <= self._own_reach:
            return None
        return self.messages[self._others[-1] - self.first]

    def typing(self, now: float) -> list[Actor]:
        """Who is typing at monotonic time `now`."""
        self._typing = {key: one for key, one in self._typing.items() if one[1] > now}
        return [who for who, _ in self._typing.values()]

    # -- its own

    @property
    def _own_reach(self) -> int:
        return self._read_to.get(self.own_id, self.first - 1)

    def _append(self, message: ChatMessage) -> None:
        if message.cursor in self._numbers:
            return
        self._numbers[message.cursor] = self.end
        self.messages.append(message)
        if not self._record_own(message):
            self._others.append(self.end - 1)

    def _record_own(self, message: ChatMessage) -> bool:
        """Whether it is the user's own; then it is no longer a draft."""
        if message.sender.id != self.own_id:
            return False
        self._client_ids.add(message.client_id)
        if self.pending:
            self.pending = [d for d in self.pending if d.message.client_id != message.client_id]
        return True

    def _resolve_marks(self) -> None:
        """Look up marks that could not be placed before; one never goes back."""
        for reader, mark in self._marks.items():
            number = self._numbers.get(mark.cursor)
            if number is not None and number > self._read_to.get(reader, self.first - 1):
                self._read_to[reader] = number
