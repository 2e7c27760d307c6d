"""How many connections a process may have open, in all and from one address."""

import logging
import resource
import time
from collections import Counter

from server.core.addresses import is_trusted, network_key
from server.core.errors import Problem, too_many, unavailable
from server.core.limits import RateLimit
from server.settings import Settings

logger = logging.getLogger(__name__)

FEWEST_SPARE, MOST_SPARE = 64, 1024
"""Files a process keeps for itself beside its sockets: the database, forms, pictures, Redis."""
TOLD_SECONDS = 10.0
"""Between two lines in the log about connections that are refused."""
NO_LIMIT = 1 << 62
AT_ONCE = 0.1
"""Of a minute's connections, what an address may open at once."""


class Sockets:
    """Counts connections; the process takes as many files as the system lets it have."""

    def __init__(self, settings: Settings) -> None:
        self.open = 0
        self.lingering = 0
        self._trusted = settings.trusted_proxies
        self._most = _carried(settings)
        # Half of all is left to others even where that is less than an address may usually have.
        share = settings.max_sockets_per_address
        self._share = min(share, max(1, self._most // 2)) if share else 0
        self._by_address: Counter[str] = Counter()
        self._opening = RateLimit(
            settings.connections_per_minute, "connections from your address", share=AT_ONCE
        )
        self._refused = 0
        self._told_at = float("-inf")

    def admit(self, host: str) -> Problem | None:
        """A place for a connection from there, or why there is none."""
        key = self._key(host)
        refusal: Problem | None = None
        if self.open >= self._most:
            refusal = unavailable("The server has as many connections open as it may.", 5)
        elif key is not None and self._share and self._by_address[key] >= self._share:
            refusal = too_many(
                f"Your address has {self._share} connections open, which is all it may."
                " Close some.",
                5,
            )
        elif key is not None:
            try:
                self._opening.take(key)
            except Problem as too_fast:
                refusal = too_fast
        if refusal is not None:
            self._tell(refusal, host)
            return refusal
        self.open += 1
        if key is not None:
            self._by_address[key] += 1
        return None

    def linger(self) -> bool:
        """A place for a refused connection, which reads why it was; else it is closed at once."""
        if self.lingering >= FEWEST_SPARE // 2:
            return False
        self.lingering += 1
        return True

    def release(self, host: str) -> None:
        """A connection from there has ended."""
        self.open -= 1
        key = self._key(host)
        if key is not None:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    def _key(self, host: str) -> str | None:
        """What a connection from there is counted by; a proxy's stands for many clients."""
        if not host or is_trusted(host, self._trusted):
            return None
        return network_key(host)

    def _tell(self, refusal: Problem, host: str) -> None:
        """A line now and then: one for each would fill the disk."""
        self._refused += 1
        if time.monotonic() - self._told_at < TOLD_SECONDS:
            return
        self._told_at = time.monotonic()
        logger.warning(
            "connections refused: %d; the last: %s",
            self._refused,
            refusal.detail,
            extra={"fields": {"remote": host, "open": self.open}},
        )
        self._refused = 0


def _carried(settings: Settings) -> int:
    """How many connections this process may have open: no more than its files carry.

    It takes as many files as the system lets it have, and warns where they are too few.
    """
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    carried = NO_LIMIT
    if files != resource.RLIM_INFINITY:
        carried = max(1, files - min(MOST_SPARE, max(FEWEST_SPARE, files // 8)))
    most = min(settings.max_sockets or carried, carried)
    if most < settings.max_connections:
        remedy = "raise TIFFIN_MAX_SOCKETS"
        if carried < settings.max_connections:
            remedy = f"the process may open {files} files: raise that (ulimit -Hn, LimitNOFILE=)"
        logger.warning(
            "at most %d connections can be open, not the %d of TIFFIN_MAX_CONNECTIONS; %s or lower"
            " the setting",
            most,
            settings.max_connections,
            remedy,
        )
    return most
