"""A transaction, as services and stores use it, of any database."""

import contextvars
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from server.core.errors import Problem, unavailable
from server.core.queries import Parameters, Row

logger = logging.getLogger(__name__)

inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)
"""Whether this runs inside of a transaction."""


class Transaction(ABC):
    """A transaction. `announce`d events are published after the commit."""

    __slots__ = ("announced",)

    def __init__(self) -> None:
        self.announced: list[Any] = []

    @abstractmethod
    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement; returns all its rows."""

    @abstractmethod
    async def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement; returns the number of rows it changed."""

    def announce(self, event: Any) -> None:
        """Publish this after the commit, in commit order."""
        self.announced.append(event)


def refused() -> Problem:
    """A Problem 503: nothing was changed."""
    return unavailable("The database cannot take this now. Nothing was changed; try again.", 1)
