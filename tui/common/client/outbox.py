"""Messages of one chat that the server has not given back yet."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message on its way; the server knows by `client_id` that it is the same one again."""

    text: str
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    written_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Outbox:
    """Keeps messages in the order they were written until each has come back.

    It outlives the connection, so whoever opens the room again with it loses nothing.
    """

    def __init__(self) -> None:
        self.on_put: Callable[[], None] | None = None
        """Called when there is something to send."""
        self._unsent: dict[str, Unsent] = {}

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
        if self.on_put is not None:
            self.on_put()

    def remove(self, client_id: str) -> bool:
        """It has come back, or was refused; whether it was here."""
        return self._unsent.pop(client_id, None) is not None
