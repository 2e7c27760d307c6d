"""Child processes that end with this one, such as the servers of a demo and of the lab."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tui.common.language import _

READY_SECONDS = 60.0
LOG_BYTES = 4_000_000
TAIL_LINES = 20
LOWEST_PORT = 10_000


class ChildError(Exception):
    """A child process does not do its work; the message says why and what to do."""


class Child:
    """A Python module in a process that ends with this one, printing into a file.

    Its standard input is a pipe that only this process holds, and that the kernel closes however
    this process ends.
    """

    def __init__(
        self,
        log_path: Path,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is this process's unless given."""
        environment = os.environ if environment is None else environment
        self.log_path = log_path
        mode = "wb" if log_path.exists() and log_path.stat().st_size > LOG_BYTES else "ab"
        with log_path.open(mode) as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 our own modules, no shell
                [sys.executable, "-m", "tui.common.parent_guard", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                # Not in the terminal's foreground group: ctrl-c is for the app alone.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._process.poll()

    def last_lines(self) -> str:
        """The last lines it has printed since this start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or _("  (it printed nothing)")

    def request_end(self) -> None:
        """Ask it to end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def end(self, seconds: float = 6) -> None:
        """Ask it to end; after so many seconds kill it."""
        self.request_end()
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=5)


def port_is_free(port: int) -> bool:
    """Whether a server could listen there: nothing answers and the port can be bound."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        # As servers do: a port that was closed a moment ago counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A free port of the loopback interface.

    It is below those that outgoing connections get: one of them might take it before the server
    does that is started on it.
    """
    while True:
        port = random.randrange(LOWEST_PORT, first_ephemeral_port())  # noqa: S311
        if port_is_free(port):
            return port


def first_ephemeral_port() -> int:
    """The first port that the system gives to outgoing connections; Linux says which it is."""
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return int(told.read_text().split()[0]) if told.exists() else 32_768


def wait_ready(server: Child, url: str, seconds: float = READY_SECONDS) -> None:
    """Return once the server is ready. Raises ChildError, with its last lines, if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        if not server.running:
            raise ChildError(
                _(
                    "The server ended at once (exit code {returncode}). Its last "
                    "lines:\n{last_lines}\nThe whole log is {log_path}."
                ).format(
                    returncode=server.returncode,
                    last_lines=server.last_lines(),
                    log_path=server.log_path,
                )
            )
        try:
            # A proxy from the environment must not be asked for this machine.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"{url}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        if time.monotonic() > deadline:
            raise ChildError(
                _(
                    "The server was not ready after {seconds:.0f} seconds. Its last "
                    "lines:\n{last_lines}\nThe whole log is {log_path}."
                ).format(seconds=seconds, last_lines=server.last_lines(), log_path=server.log_path)
            )
        time.sleep(0.05)
