"""Messages of one chat that the server has not given back yet."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.common.client.outbox_store import OutboxStore


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message on its way; the server knows by `client_id` that it is the same one again."""

    text: str
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    written_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Outbox:
    """Keeps messages in the order they were written until each has come back.

    It outlives the connection, so whoever opens the room again with it loses nothing; with a
    store the process too.
    """

    def __init__(self, store: OutboxStore | None = None, chat_id: str = "") -> None:
        """It begins with what the store has of that chat."""
        self.on_put: Callable[[], None] | None = None
        """Called when there is something to send."""
        self._store, self._chat_id = store, chat_id
        kept = store.read(chat_id) if store is not None else ()
        self._unsent: dict[str, Unsent] = {message.client_id: message for message in kept}

    def __iter__(self) -> Iterator[Unsent]:
        return iter(tuple(self._unsent.values()))

    def __len__(self) -> int:
        return len(self._unsent)

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._unsent

    @property
    def head(self) -> Unsent | None:
        """The one to send next."""
        return next(iter(self._unsent.values()), None)

    def put(self, message: Unsent) -> None:
        """Send this after all the others."""
        self._unsent[message.client_id] = message
        if self._store is not None:
            self._store.write(self._chat_id, message)
        if self.on_put is not None:
            self.on_put()

    def remove(self, client_id: str) -> bool:
        """It has come back, or was refused; whether it was here."""
        if self._store is not None:
            self._store.delete(client_id)
        return self._unsent.pop(client_id, None) is not None
