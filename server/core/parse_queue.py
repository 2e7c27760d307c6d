"""The order in which connections parse what they have read: addresses take turns."""

import asyncio
import time
from collections import OrderedDict
from typing import Protocol

from server.core.limits import KEYS, FairQueue

TURN_SECONDS = 0.002
"""How long a turn of the event loop parses parts of known addresses, and then of others."""
PARTS = {True: 16, False: 1}
"""How many parts a turn parses at most, of known addresses and of others: each part may be a
request, and answering takes longer than parsing. An answer takes several turns, each of which lasts
as long as the requests that the others may begin in it."""
ACCEPTING_SECONDS = 0.01
"""A turn accepts one connection, of whoever connected first. While connections wait to be accepted,
other addresses parse only one part in this time, so that known ones get their turn soon."""
KNOWN_SECONDS = 900.0
"""How long an address is known after its last valid token."""


class Parser(Protocol):
    """A connection with something to parse."""

    queued: bool
    """Whether it is in the queue."""

    @property
    def address_key(self) -> str:
        """The client's address, or its network where that stands for one client."""
        ...

    def parse_next(self) -> None:
        """Parse the next part."""
        ...


class ParseQueue:
    """Addresses that lately sent a valid token go first, and within each group addresses take
    turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lines: dict[bool, FairQueue[Parser]] = {True: FairQueue(), False: FairQueue()}
        """The connections of known addresses that wait, and the others, by address."""
        self._known: OrderedDict[str, float] = OrderedDict()
        """When each address last sent a valid token, the latest last."""
        self._parsed = 0
        """Parts that were parsed immediately since the last turn."""
        self._accepted = False
        """Whether a connection was accepted since the last turn."""
        self._others_at = 0.0
        """When a part of an address that is not known was last parsed."""
        self._scheduled = False

    def mark_known(self, address: str) -> None:
        """A request with a valid token came from there."""
        self._known[address] = time.monotonic()
        self._known.move_to_end(address)
        if len(self._known) > KEYS:
            self._known.popitem(last=False)

    def mark_accepted(self) -> None:
        """A connection was accepted: more may be waiting."""
        self._accepted = True
        self._schedule()

    def may_parse(self, address: str) -> bool:
        """Whether a part that has just been read may be parsed immediately; then it counts."""
        known = self._is_known(address)
        if self._lines[known] or self._parsed >= PARTS[known] or not (known or self._others_may()):
            return False
        self._parsed += 1
        self._schedule()
        return True

    def add(self, parser: Parser) -> None:
        """Have it parse its next part in its turn."""
        if parser.queued:
            return
        parser.queued = True
        address = parser.address_key
        self._lines[self._is_known(address)].put(address, parser)
        self._schedule()

    def _is_known(self, address: str) -> bool:
        return time.monotonic() - self._known.get(address, float("-inf")) < KNOWN_SECONDS

    def _others_may(self) -> bool:
        """Whether a part of an address that is not known may be parsed now; then it counts."""
        now = time.monotonic()
        if self._accepted and now - self._others_at < ACCEPTING_SECONDS:
            return False
        self._others_at = now
        return True

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._scheduled = False
        self._parsed = 0
        try:
            _parse_some(self._lines[True], PARTS[True])
            if self._lines[False] and self._others_may():
                _parse_some(self._lines[False], PARTS[False])
        finally:
            self._accepted = False
            if any(self._lines.values()):
                self._schedule()


def _parse_some(line: FairQueue[Parser], most: int) -> None:
    """Parse at most so many parts, one of each address in turn."""
    ends = time.perf_counter() + TURN_SECONDS
    for _ in range(most):
        if not line or time.perf_counter() > ends:
            return
        parser = line.get()
        parser.queued = False
        parser.parse_next()
