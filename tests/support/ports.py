"""Ports for whoever has to be told one, and may come back to it."""

import os
import random
import socket
from pathlib import Path

LOWEST = 10_000
WORKERS = 16
"""At most so many processes of one run share the ports out among them."""
_given: set[int] = set()


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on, and that nobody else is given.

    It lies below those from which the system takes one for every connection that is made: while
    its owner is away, a client's might take it; and one that tries again and again to connect to
    its own would at last be connected to itself.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    ours = [port for port in range(LOWEST + worker, _highest(), WORKERS) if port not in _given]
    while True:
        port = random.choice(ours)
        with socket.socket() as probe:
            # As servers do: what remains of a closed connection is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def _highest() -> int:
    """Where the system's own begin; on Linux it says so."""
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return int(told.read_text().split()[0]) if told.exists() else 32_768
