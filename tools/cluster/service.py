"""A service as a process: it is started, stopped, killed and started again; port and log stay."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from tools.ports import free_port

START_SECONDS = 30.0
"""For a busy machine."""
END_SECONDS = 30.0


class ServiceError(Exception):
    """The service cannot be started; the message says why, with the end of its log."""


class ServiceMissing(ServiceError):
    """Its program is not installed; the message says what to do."""


class ServiceProcess:
    """A process on its own port and folder; as a context manager it runs until the block ends.

    It leads a session of its own: ctrl-c in the terminal is for whoever has started it.
    """

    user: str | None = None
    """The system's user that it runs as, if not as this one."""
    sign = signal.SIGTERM
    """The signal that stops it in an orderly way."""
    cwd: Path | None = None
    """Its working directory, if not this process's."""

    def __init__(self, folder: Path, name: str, port: int | None = None) -> None:
        self.folder = folder
        self.name = name
        self.port = port or free_port()
        self.log_path = folder / f"{name.replace(' ', '-')}.log"
        self.on_start: Callable[[int], None] = lambda pid: None
        """Called with its process id as soon as it has one."""
        self.on_end: Callable[[int], None] = lambda pid: None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process exists (a frozen one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id, and that of its session."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def start(self) -> None:
        """Start it and return once it answers. Raises ServiceError."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it can be used now."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it in an orderly way: its clients see their connections close."""
        self.end(self.sign)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.end(signal.SIGKILL)

    def freeze(self) -> None:
        """Freeze it: it stops answering while its connections stay open (SIGSTOP)."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one continue."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, sign: signal.Signals) -> None:
        """Send it to the process and then to its children."""
        main = psutil.Process(self.pid)
        main.send_signal(sign)
        for child in main.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(sign)

    def request_end(self) -> None:
        """Ask it to stop, without waiting."""
        if self._process is not None:
            self._process.send_signal(self.sign)

    def end(self, sign: signal.Signals) -> int | None:
        """Send it that signal, and wait for its end; returns its exit code.

        Whatever it has started and left behind is killed with it.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(sign)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=END_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left
            os.killpg(process.pid, signal.SIGKILL)
        self.on_end(process.pid)
        return process.returncode

    def launch(
        self,
        command: Sequence[str],
        seconds: float = START_SECONDS,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run the command; returns once it answers. Raises ServiceError with its log."""
        self.spawn(command, env)
        self.wait_ready(seconds)

    def spawn(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run the command in that environment, or in this process's."""
        assert not self.running, f"{self.name} is already running"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                start_new_session=True,
            )
        self.on_start(self._process.pid)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once it answers. Raises ServiceError."""
        deadline = time.monotonic() + seconds
        while not (running := self.running) or not self.answers():
            if not running or time.monotonic() > deadline:
                state = f"not within {seconds:g} s" if running else f"ended with {self.returncode}"
                log_text = self.log_path.read_text(errors="replace")[-2000:]
                self.kill()
                raise ServiceError(f"{self.name} on port {self.port}: {state}\n{log_text}")
            time.sleep(0.02)

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
