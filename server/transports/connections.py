"""Held connections: how many each account has, how many it may have, and what ends them."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Self

from server.core.auth import Claims, Gate
from server.core.errors import too_many, unavailable
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.topic_reader import TopicReader

AUTH_TOPIC = "auth"
PRESSURE = 0.8
"""Share of the connections above which the polls that have waited longest are released."""
ENDED_AT_ONCE = 8
"""So many connections of a server that is stopping end together; more of them one by one."""
DRAINING_SHARE = 0.95
"""The share of the time that a server has for stopping in which connections end."""
RETRY_MS = (500, 2500)
"""Between these a client is told to wait before it connects again, at random."""
DRAINED_RETRY_MS = 250
"""The same after an end in its turn: the server has spread those. It is not zero, as the server may
be the only one, and is not back at once."""


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

    @property
    def retry_ms(self) -> int:
        """How long the client of a connection that ended so should wait before it connects again.

        Many may have ended in the same moment, unless the server ends one after the other.
        """
        return DRAINED_RETRY_MS if self is End.DRAINING else random.randint(*RETRY_MS)  # noqa: S311


class Slot:
    """One held connection; it is given back by `release`, or at the end of a `with`."""

    __slots__ = ("_connections", "_expiry", "account", "end", "session")

    def __init__(
        self, connections: "Connections", claims: Claims, end: Callable[[End], None]
    ) -> None:
        self._connections: Connections | None = connections
        self.account, self.session = claims.limit_key, claims.session_id
        self.end = end
        """Ends the connection."""
        self._expiry: asyncio.TimerHandle | None = None

    def end_after(self, seconds: float) -> None:
        """End the connection then, as its token expires."""
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(max(0.0, seconds), self.end, End.EXPIRED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def release(self) -> None:
        """Give it back; harmless when repeated."""
        if self._connections is not None:
            if self._expiry is not None:
                self._expiry.cancel()
            self._connections.release(self)
            self._connections = None


class Connections:
    """Every held request and stream of this process, by session."""

    def __init__(self, limit: int, limit_per_account: int, drain_seconds: float = 0) -> None:
        self.draining = False
        self._drain_seconds = DRAINING_SHARE * drain_seconds
        self._limit = limit
        self._limit_per_account = limit_per_account
        self._by_session: dict[str, dict[Slot, None]] = {}
        self._by_account: Counter[str] = Counter()
        self._polls: dict[Slot, None] = {}
        self._turns: dict[Slot, None] = {}
        """Those that still wait for their turn to be ended, in a server that stops."""
        self._held = 0

    @property
    def held(self) -> int:
        """Connections held now."""
        return self._held

    @property
    def polls(self) -> int:
        """Long polls among them."""
        return len(self._polls)

    def hold(self, claims: Claims, end: Callable[[End], None], *, poll: bool = False) -> Slot:
        """A slot for a connection; `end` is called, once or more, when it has to end. A poll ends
        itself when its token expires.

        Raises Problem 503 where the process is full or draining, 429 where the account holds as
        many as it may.
        """
        if self.draining:
            raise unavailable("The server is shutting down. Come back in a moment.", 1)
        if self._held >= self._limit:
            raise unavailable("The server holds as many connections as it may.", 5)
        if self._by_account[claims.limit_key] >= self._limit_per_account:
            raise too_many(
                f"This account has {self._limit_per_account} streams and held requests open,"
                " the most it may have. Close one.",
                5,
            )
        slot = Slot(self, claims, end)
        self._held += 1
        self._by_account[slot.account] += 1
        self._by_session.setdefault(slot.session, {})[slot] = None
        if poll:
            self._polls[slot] = None
        else:
            slot.end_after(claims.seconds_left)
        self._release_longest_poll()
        return slot

    def release(self, slot: Slot) -> None:
        """Give back a slot, once."""
        self._held -= 1
        self._polls.pop(slot, None)
        self._turns.pop(slot, None)
        self._by_account[slot.account] -= 1
        if not self._by_account[slot.account]:
            del self._by_account[slot.account]
        session = self._by_session[slot.session]
        del session[slot]
        if not session:
            del self._by_session[slot.session]

    def _release_longest_poll(self) -> None:
        """Under pressure, release the poll that has waited longest."""
        if self._held > PRESSURE * self._limit and self._polls:
            longest = next(iter(self._polls))
            del self._polls[longest]
            longest.end(End.RELEASED)

    def revoke(self, session_id: str) -> None:
        """End the connections of that session in this process."""
        for slot in tuple(self._by_session.get(session_id, ())):
            slot.end(End.REVOKED)

    def end_all(self, why: End) -> None:
        """End everything."""
        for session in tuple(self._by_session.values()):
            for slot in tuple(session):
                slot.end(why)

    def drain(self) -> None:
        """Accept nothing more, and end everything: many connections at even intervals over most of
        the time that there is, so that their clients do not all arrive at another process in one
        second. They are told to return soon. Until its turn has come, a stream goes on.
        """
        self.draining = True
        if self._held <= ENDED_AT_ONCE:
            self.end_all(End.DRAINING)
            return
        if not self._drain_seconds:
            self.end_all(End.RELEASED)
            return
        # Polls come last: most of them leave by themselves, with their next event.
        self._turns = dict.fromkeys(self._polls)
        for session in self._by_session.values():
            self._turns |= {slot: None for slot in session if slot not in self._polls}
        self._end_next(asyncio.get_running_loop().time() + self._drain_seconds)

    def _end_next(self, until: float) -> None:
        """End one, and later the others. Some leave by themselves: the time is divided anew."""
        if self._turns:
            slot, _ = self._turns.popitem()
            slot.end(End.DRAINING)
        if self._turns:
            loop = asyncio.get_running_loop()
            loop.call_later((until - loop.time()) / len(self._turns), self._end_next, until)


class Unidentified:
    """Connections of this process whose client has not identified itself; a limit of 0 is none."""

    def __init__(self, limit: int, limit_per_address: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._by_address: Counter[str] = Counter()
        self.held = 0

    @contextlib.contextmanager
    def slot(self, address: str) -> Iterator[None]:
        """A slot for one from that address.

        Raises Problem 503 where there are too many, 429 where the address has as many as it may.
        """
        if self._limit and self.held >= self._limit:
            raise unavailable(
                "Too many clients have connected without authenticating. Try again in 5 s.", 5
            )
        if self._limit_per_address and self._by_address[address] >= self._limit_per_address:
            raise too_many(
                f"{self._limit_per_address} clients of this address have connected and not said who"
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


class Revocations(TopicReader):
    """Reads the topic `auth`: `session.revoked` `{"sessions": [...]}`, and changed names.

    It starts from now: a later connection is checked against the database.
    """

    def __init__(self, hub: Hub, connections: Connections, gate: Gate) -> None:
        super().__init__(hub, AUTH_TOPIC)
        self._connections = connections
        self._gate = gate

    def write(self, event: Event) -> bool:
        """End the streams of the sessions it names. An event of this process arrives here before
        the request that caused it is answered."""
        self._gate.forget()
        for session_id in json.loads(event.data).get("sessions", ()):
            self._connections.revoke(session_id)
        return True

    def on_gap(self) -> None:
        """Any session may have been revoked, so every stream has to reconnect."""
        self._gate.forget()
        self._connections.end_all(End.RESET)
