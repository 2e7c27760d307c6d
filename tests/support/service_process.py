"""A service that tests start, kill and restart: its process and its log."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from support.ports import free_port
from support.waiting import PATIENCE, wait_for


class ServiceProcess:
    """A process on its own port and folder; as a context manager it runs until the block ends."""

    user: str | None = None
    """The system's user that it runs as, if not as this one."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.port = free_port()
        self.log_path = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process exists (a frozen one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and return once it answers."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it can be used now."""
        raise NotImplementedError

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

    def end(self, sign: signal.Signals) -> None:
        """Send it that signal, and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(sign)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=PATIENCE)

    def launch(
        self, command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None
    ) -> None:
        """Run the command; returns once it answers, or raises AssertionError with its log."""
        assert not self.running, f"{self.name} is already running"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
            )
        try:
            wait_for(self._ready, seconds, what=f"{self.name} answers on port {self.port}")
        except AssertionError as error:
            log_text = self.log_path.read_text(errors="replace")[-2000:]
            self.kill()
            raise AssertionError(f"{error}\n{log_text}") from None

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self._process.returncode}")
        return self.answers()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
