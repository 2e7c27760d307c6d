"""What an account has acknowledged in one window, told to its others."""

import json
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from server.features.announcements.service import ACKNOWLEDGED, READ
from server.realtime.event import Event
from server.realtime.follower import Follower
from server.realtime.hub import Hub

ACCOUNTS = 2000
"""Whose newest marks are kept in memory for streams that are about to begin."""
MARKS = 50
"""Of one account."""


class Reader(Protocol):
    """A stream, or a held request."""

    def aside(self, type: str, data: str) -> None:
        """Tell what is no event of the topic; `data` is JSON text."""
        ...


class Marks(Follower):
    """Follows acknowledgements, and passes each on to the streams of its account in this process.

    They have no place in what a stream's cursor counts, which all of an audience share. So a
    stream that was not there is told the newest from memory when it begins, which covers the
    moment between a snapshot and its stream; older ones are in the next snapshot. A request that
    is held is told what comes meanwhile, as it would otherwise be told the same again each time.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, READ)
        self._streams: dict[str, dict[Reader, None]] = {}
        self._newest: OrderedDict[str, deque[str]] = OrderedDict()

    @contextmanager
    def shown(self, account_id: str, stream: Reader, *, newest: bool = True) -> Iterator[None]:
        """While inside, that stream is told of what its account acknowledges; of the `newest`
        before, too."""
        streams = self._streams.setdefault(account_id, {})
        streams[stream] = None
        for data in self._newest.get(account_id, ()) if newest else ():
            stream.aside(ACKNOWLEDGED, data)
        try:
            yield
        finally:
            del streams[stream]
            if not streams and self._streams.get(account_id) is streams:
                del self._streams[account_id]

    def write(self, event: Event) -> bool:
        """Tell the account's streams here."""
        if "id" not in json.loads(event.data):  # of an account that was deleted since
            return True
        newest = self._newest.setdefault(event.subject, deque(maxlen=MARKS))
        self._newest.move_to_end(event.subject)
        newest.append(event.data)
        if len(self._newest) > ACCOUNTS:
            self._newest.popitem(last=False)
        for stream in tuple(self._streams.get(event.subject, ())):
            stream.aside(event.type, event.data)
        return True

    def lost(self) -> None:
        """Marks missed meanwhile are in the next snapshot."""
