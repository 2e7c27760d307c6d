"""Stored events that were rewritten, made known to every process that keeps copies of them."""

import json

from server.realtime.event import Event
from server.realtime.follower import Follower
from server.realtime.hub import Hub
from server.realtime.log import REWRITES


class Rewrites(Follower):
    """Follows `REWRITES`: the hub forgets its copies of the topics named there.

    What is read from the log later has been rewritten already.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, REWRITES)

    def write(self, event: Event) -> bool:
        """Forget that topic's events."""
        self._hub.forget(json.loads(event.data)["topic"])
        return True

    def lost(self) -> None:
        """Any topic may have been rewritten."""
        self._hub.forget_all()
