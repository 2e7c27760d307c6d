"""Limits on open connections, of the process and of each address."""

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
"""File descriptors that are kept for other uses: the database, forms, pictures, Redis."""
LOG_SECONDS = 10.0
"""At least so long between two log lines about refused connections."""
NO_LIMIT = 1 << 62
AT_ONCE = 0.1
"""The share of a minute's connections that an address may open at once."""


class Sockets:
    """Counts connections, by address and in all."""

    def __init__(self, settings: Settings) -> None:
        self.open = 0
        self.lingering = 0
        self._trusted = settings.trusted_proxies
        self._most = _connection_limit(settings)
        # One address gets at most half of all, even where its own limit is higher.
        share = settings.max_sockets_per_address
        self._share = min(share, max(1, self._most // 2)) if share else 0
        self._by_address: Counter[str] = Counter()
        self._opening = RateLimit(
            settings.connections_per_minute, "connections from your address", share=AT_ONCE
        )
        self._refused = 0
        self._logged_at = float("-inf")

    def admit(self, host: str) -> Problem | None:
        """Count a connection from there; returns why it is refused, or None."""
        key = self._key(host)
        refusal: Problem | None = None
        if self.open >= self._most:
            refusal = unavailable("The server has as many connections open as it may.", 5)
        elif key is not None and self._share and self._by_address[key] >= self._share:
            refusal = too_many(
                f"Your address has {self._share} connections open, the most it may have."
                " Close some.",
                5,
            )
        elif key is not None:
            try:
                self._opening.consume(key)
            except Problem as too_fast:
                refusal = too_fast
        if refusal is not None:
            self._log(refusal, host)
            return refusal
        self.open += 1
        if key is not None:
            self._by_address[key] += 1
        return None

    def linger(self) -> bool:
        """Whether a refused connection may stay open until its client has read why."""
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
        """The key a connection is counted by; None for a proxy, which stands for many clients."""
        if not host or is_trusted(host, self._trusted):
            return None
        return network_key(host)

    def _log(self, refusal: Problem, host: str) -> None:
        """Log at intervals: a line for each refusal would fill the disk."""
        self._refused += 1
        if time.monotonic() - self._logged_at < LOG_SECONDS:
            return
        self._logged_at = time.monotonic()
        logger.warning(
            "connections refused: %d; the last: %s",
            self._refused,
            refusal.detail,
            extra={"fields": {"remote": host, "open": self.open}},
        )
        self._refused = 0


def _connection_limit(settings: Settings) -> int:
    """How many connections this process may have open.

    Raises the process' limit of files to the system's maximum, and warns where that is too low.
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
