"""Sends an account's acknowledgements to all of its open windows."""

import json
from collections import OrderedDict, deque
from typing import Protocol

from server.features.announcements.service import ACKNOWLEDGED, READ
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.topic_reader import TopicReader

ACCOUNTS = 2000
"""Accounts whose newest acknowledgements are kept for streams that are about to begin."""
ACKS_PER_ACCOUNT = 50


class Reader(Protocol):
    """A stream, or a held request."""

    def send_out_of_band(self, type: str, data: str) -> None:
        """Send what is no event of the topic; `data` is JSON text."""
        ...


class AckRelay(TopicReader):
    """Reads acknowledgements, and sends each to the streams of its account in this process.

    A stream's cursor does not count them, as all of an audience share the topic. So a stream gets
    the newest ones from memory when it begins, which covers the time between a snapshot and its
    stream; older ones are in the snapshot. A held request gets only those that come while it is
    held, as it would otherwise get the same ones each time.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, READ)
        self._streams: dict[str, dict[Reader, None]] = {}
        self._newest: OrderedDict[str, deque[str]] = OrderedDict()

    def sending(self, account_id: str, stream: Reader, *, newest: bool = True) -> "Sending":
        """While inside, the stream gets what its account acknowledges; with `newest`, the latest
        ones before as well."""
        return Sending(self, account_id, stream, newest)

    def add(self, account_id: str, stream: Reader, newest: bool) -> None:
        """See `sending`."""
        self._streams.setdefault(account_id, {})[stream] = None
        for data in self._newest.get(account_id, ()) if newest else ():
            stream.send_out_of_band(ACKNOWLEDGED, data)

    def remove(self, account_id: str, stream: Reader) -> None:
        """Send it nothing more."""
        streams = self._streams[account_id]
        del streams[stream]
        if not streams:
            del self._streams[account_id]

    def write(self, event: Event) -> bool:
        """Send it to the account's streams in this process."""
        if "id" not in json.loads(event.data):  # of an account that has been deleted since
            return True
        newest = self._newest.setdefault(event.subject, deque(maxlen=ACKS_PER_ACCOUNT))
        self._newest.move_to_end(event.subject)
        newest.append(event.data)
        if len(self._newest) > ACCOUNTS:
            self._newest.popitem(last=False)
        for stream in tuple(self._streams.get(event.subject, ())):
            stream.send_out_of_band(event.type, event.data)
        return True

    def on_gap(self) -> None:
        """Acknowledgements missed meanwhile are in the next snapshot."""


class Sending:
    """A reader of an account's acknowledgements; a generator would take more memory a stream."""

    __slots__ = ("_account_id", "_newest", "_relay", "_stream")

    def __init__(self, relay: AckRelay, account_id: str, stream: Reader, newest: bool) -> None:
        self._relay, self._account_id = relay, account_id
        self._stream, self._newest = stream, newest

    def __enter__(self) -> None:
        self._relay.add(self._account_id, self._stream, self._newest)

    def __exit__(self, *exception: object) -> None:
        self._relay.remove(self._account_id, self._stream)
