"""Held connections: who has how many, how many there may be, and what ends them."""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum

from server.core.auth import Claims
from server.core.errors import too_many, unavailable
from server.realtime.event import Event
from server.realtime.follower import Follower
from server.realtime.hub import Hub

logger = logging.getLogger(__name__)

AUTH_TOPIC = "auth"
PRESSURE = 0.8
"""Share of the connections above which the longest waiting polls are let go."""


class End(StrEnum):
    """Why the server ends a held connection."""

    EXPIRED = "expired"
    REVOKED = "revoked"
    DRAINING = "draining"
    RELEASED = "released"
    RESET = "reset"
    STALLED = "stalled"
    FAILED = "failed"
    OVER = "over"
    TOO_LARGE = "too large"
    TOO_FAST = "too fast"


class Connections:
    """Every held request and stream of this process, by session."""

    def __init__(self, most: int, most_an_account: int) -> None:
        self.draining = False
        self._most = most
        self._most_an_account = most_an_account
        self._by_session: dict[str, dict[Callable[[End], None], None]] = {}
        self._by_account: Counter[str] = Counter()
        self._polls: dict[Callable[[End], None], None] = {}
        self._held = 0

    @property
    def held(self) -> int:
        """Connections held now."""
        return self._held

    @property
    def polls(self) -> int:
        """Long polls among them."""
        return len(self._polls)

    @contextlib.contextmanager
    def hold(
        self, claims: Claims, end: Callable[[End], None], *, poll: bool = False
    ) -> Iterator[None]:
        """A place for a connection; `end` is called, once or more, when it has to go.

        Raises Problem 503 where the process is full or draining, 429 where the account has its
        fill.
        """
        if self.draining:
            raise unavailable("The server is shutting down. Come back in a moment.", 1)
        if self._held >= self._most:
            raise unavailable("The server holds as many connections as it may.", 5)
        if self._by_account[claims.limit_key] >= self._most_an_account:
            raise too_many(
                f"This account has {self._most_an_account} streams and held requests open,"
                " which is all it may. Close one.",
                5,
            )
        self._held += 1
        self._by_account[claims.limit_key] += 1
        self._by_session.setdefault(claims.session_id, {})[end] = None
        if poll:
            self._polls[end] = None
        expiry = asyncio.get_running_loop().call_later(
            max(0.0, claims.seconds_left), end, End.EXPIRED
        )
        self._relieve()
        try:
            yield
        finally:
            expiry.cancel()
            self._held -= 1
            self._polls.pop(end, None)
            self._by_account[claims.limit_key] -= 1
            if not self._by_account[claims.limit_key]:
                del self._by_account[claims.limit_key]
            session = self._by_session[claims.session_id]
            del session[end]
            if not session:
                del self._by_session[claims.session_id]

    def _relieve(self) -> None:
        """Under pressure the poll that has waited longest makes room."""
        if self._held > PRESSURE * self._most and self._polls:
            longest = next(iter(self._polls))
            del self._polls[longest]
            longest(End.RELEASED)

    def revoke(self, session_id: str) -> None:
        """End what that session has open here."""
        for end in tuple(self._by_session.get(session_id, ())):
            end(End.REVOKED)

    def end_all(self, why: End) -> None:
        """End everything."""
        for session in tuple(self._by_session.values()):
            for end in tuple(session):
                end(why)

    def drain(self) -> None:
        """End everything and take nothing more."""
        self.draining = True
        self.end_all(End.DRAINING)


class Unidentified:
    """Connections whose client has not said yet who it is, of this process; 0 is no limit."""

    def __init__(self, most: int, most_an_address: int) -> None:
        self._most = most
        self._most_an_address = most_an_address
        self._by_address: Counter[str] = Counter()
        self.held = 0

    @contextlib.contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place for one from that address.

        Raises Problem 503 where there are too many, 429 where the address has its fill.
        """
        if self._most and self.held >= self._most:
            raise unavailable(
                "Too many clients have connected and not said who they are. Try again in 5 s.", 5
            )
        if self._most_an_address and self._by_address[address] >= self._most_an_address:
            raise too_many(
                f"{self._most_an_address} clients of this address have connected and not said who"
                " they are. Try again in 5 s, and send the access token at once.",
                5,
            )
        self.held += 1
        self._by_address[address] += 1
        try:
            yield
        finally:
            self.held -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


class Revocations(Follower):
    """Follows the topic `auth`: `session.revoked` `{"sessions": [...]}`.

    From now on is enough: whoever connects later is checked against the database.
    """

    def __init__(self, hub: Hub, connections: Connections) -> None:
        super().__init__(hub, AUTH_TOPIC)
        self._connections = connections

    def write(self, event: Event) -> bool:
        """End the streams of the sessions it names."""
        for session_id in json.loads(event.data).get("sessions", ()):
            self._connections.revoke(session_id)
        return True

    def lost(self) -> None:
        """Any session may have been revoked: every stream is asked to come back."""
        self._connections.end_all(End.RESET)
