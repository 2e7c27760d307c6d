"""Ports for servers that need to know one in advance and may restart on it."""

import os
import random
import socket
from pathlib import Path

LOWEST = 10_000
WORKERS = 16
"""At most this many processes of one run share the ports."""
_given: set[int] = set()


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on and that no other test gets.

    It is below the ephemeral ports that the system gives to outgoing connections: otherwise, while
    its server is down, a client's connection might take it; and a client that keeps connecting to
    its own port would in the end connect to itself.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    ours = [port for port in range(LOWEST + worker, _highest(), WORKERS) if port not in _given]
    while True:
        port = random.choice(ours)
        with socket.socket() as probe:
            # As servers do: an old connection in TIME_WAIT does not block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def _highest() -> int:
    """The first ephemeral port; Linux says which it is."""
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return int(told.read_text().split()[0]) if told.exists() else 32_768
