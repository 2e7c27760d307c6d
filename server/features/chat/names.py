"""The current names of accounts, for connections that began under an older one."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from server.core.auth import Identity
from server.features.accounts.service import RENAMED
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.topic_reader import TopicReader
from server.transports.connections import AUTH_TOPIC

ACCOUNTS = 20_000
"""Accounts whose newest name is kept."""


class CurrentNames(TopicReader):
    """Reads the events of accounts that change their name. A connection begins with the name of
    that moment, so only later changes matter here."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, AUTH_TOPIC)
        self.on_change: Callable[[str], None] = lambda account_id: None
        """Called with the account's id after its name has changed."""
        self._newest: OrderedDict[str, str] = OrderedDict()

    def current(self, identity: Identity) -> Identity:
        """The same account with its current name."""
        name = self._newest.get(identity.account_id, identity.name)
        return identity if name == identity.name else replace(identity, name=name)

    def write(self, event: Event) -> bool:
        """Record the new name."""
        if event.type == RENAMED and (name := json.loads(event.data).get("name")):
            self._newest[event.subject] = name
            self._newest.move_to_end(event.subject)
            if len(self._newest) > ACCOUNTS:
                self._newest.popitem(last=False)
            self.on_change(event.subject)
        return True

    def on_gap(self) -> None:
        """Every connection is ended as well, and begins again with its current name."""
        self._newest.clear()
