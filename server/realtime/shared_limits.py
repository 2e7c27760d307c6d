"""Limits over all processes: each tells the others what it has counted, in the background."""

import asyncio
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from server.core.limits import GrowingDelay, RateLimit, Tally
from server.realtime.ephemeral_topic import EPHEMERAL
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.topic_reader import TopicReader

logger = logging.getLogger(__name__)

TOPIC = f"{EPHEMERAL}limits"
SENDERS = 1_000
"""Processes whose last message is remembered."""
_COUNTS: TypeAdapter[dict[str, dict[str, int]]] = TypeAdapter(dict[str, dict[str, int]])


class SharedLimits(TopicReader):
    """Adds what other processes have counted to this process's limits.

    Nobody waits for that: a request is admitted by what is known here. What was counted is sent
    `seconds` after the first of it, all in one message; 0, for a process that is alone, is never.
    Within that time each process may admit what may come at once. All of it counts afterwards, so
    the rate is that of one process. Without the broker each limits alone.
    """

    def __init__(self, hub: Hub, seconds: float) -> None:
        super().__init__(hub, TOPIC)
        self._seconds = seconds
        self._limits: dict[str, RateLimit | GrowingDelay] = {}
        self._sender = secrets.token_hex(8)
        self._sent = 0
        self._received: OrderedDict[str, int] = OrderedDict()
        """The number of each sender's last message: a replayed one counts nothing."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, limits: Mapping[str, RateLimit | GrowingDelay]) -> None:
        """Share these, under names that are the same in every process."""
        assert not self._limits.keys() & limits.keys(), limits.keys()
        if self._seconds:
            self._limits |= limits
            for limit in limits.values():
                limit.tally = Tally(self._send_soon)

    async def open(self) -> None:
        """Listen to the others, if there may be any."""
        if self._seconds:
            await super().open()

    async def close(self) -> None:
        """Send what is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._send()

    def write(self, event: Event) -> bool:
        """Count what another process has counted."""
        sender, _, number = event.subject.partition(".")
        if sender == self._sender or self._received.get(sender, 0) >= int(number):
            return True
        self._received[sender] = int(number)
        self._received.move_to_end(sender)
        if len(self._received) > SENDERS:
            self._received.popitem(last=False)
        try:
            counts = _COUNTS.validate_json(event.data)
        except ValidationError:
            logger.warning("limits: a message of another version of the server was left out")
            return True
        for name, by_key in counts.items():
            if (limit := self._limits.get(name)) is not None:
                for key, count in by_key.items():
                    limit.count_elsewhere(key, count)
        return True

    def on_gap(self) -> None:
        """What was counted meanwhile is not known, and never will be."""

    def _send_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._send)

    def _send(self) -> None:
        self._timer = None
        counts = {name: limit.tally.take() for name, limit in self._limits.items() if limit.tally}
        counts = {name: by_key for name, by_key in counts.items() if by_key}
        if counts:
            self._sent += 1
            subject = f"{self._sender}.{self._sent}"
            self._hub.broadcast(TOPIC, "counted", json.dumps(counts), subject)
