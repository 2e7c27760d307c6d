"""What accounts are called now, for connections that were let in under an older name."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from server.core.auth import Identity
from server.features.accounts.service import RENAMED
from server.realtime.event import Event
from server.realtime.follower import Follower
from server.realtime.hub import Hub
from server.transports.connections import AUTH_TOPIC

ACCOUNTS = 20_000
"""Accounts whose last new name is kept: more than one address may rename while a token holds."""


class Names(Follower):
    """Follows who renames themselves. A request is let in under the name of that moment, so only
    what comes later than a connection has to be known here."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, AUTH_TOPIC)
        self.on_change: Callable[[str], None] = lambda account_id: None
        """Called with the account's id once it is called otherwise."""
        self._newest: OrderedDict[str, str] = OrderedDict()

    def now(self, identity: Identity) -> Identity:
        """The same account by its newest name."""
        name = self._newest.get(identity.account_id, identity.name)
        return identity if name == identity.name else replace(identity, name=name)

    def write(self, event: Event) -> bool:
        """Note the new name."""
        if event.type == RENAMED and (name := json.loads(event.data).get("name")):
            self._newest[event.subject] = name
            self._newest.move_to_end(event.subject)
            if len(self._newest) > ACCOUNTS:
                self._newest.popitem(last=False)
            self.on_change(event.subject)
        return True

    def lost(self) -> None:
        """Every connection is asked to come back, and is let in under its newest name."""
        self._newest.clear()
