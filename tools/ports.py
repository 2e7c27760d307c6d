"""Ports for servers that need to know one in advance and may restart on it."""

import os
import random
import socket

from tui.common.processes import LOWEST_PORT, first_ephemeral_port

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
    ports = range(LOWEST_PORT + worker, first_ephemeral_port(), WORKERS)
    ours = [port for port in ports if port not in _given]
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
