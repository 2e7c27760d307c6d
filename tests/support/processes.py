"""Processes under test: which of them are left, and one in a terminal of its own."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import psutil

from support.server_process import ROOT
from support.waiting import PATIENCE, wait_for


def left_of(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended. They may end while they are looked at."""
    left = []
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                left.append(one)
    return left


def children_with(word: str, pid: int | None = None) -> list[psutil.Process]:
    """The live processes below that one, or this one, that have the word in an argument."""
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(word in argument for argument in one.cmdline()):
                found.append(one)
    return left_of(found)


def all_gone(processes: Iterable[psutil.Process]) -> None:
    """Wait until all of them have ended; what is left then is killed, and the test fails."""
    family = list(processes)
    try:
        wait_for(lambda: not left_of(family), what=f"the end of {family}")
    finally:
        for one in left_of(family):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


class Terminal:
    """A pseudo-terminal with a program in it, as a shell would start it: its keys send signals."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        size: tuple[int, int] = (80, 24),
        on_output: Callable[[bytes], object] = lambda part: None,
    ) -> None:
        """`size` is columns and rows; `on_output` gets what is written, in a thread."""
        self._master, side = pty.openpty()
        self._stop, self._stopper = os.pipe()
        termios.tcsetwinsize(side, size[::-1])
        self.modes_before = self.modes
        self.raw = b""
        self._changed = threading.Condition()
        self._on_output = on_output
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, preexec_fn=partial(os.login_tty, side)
        )
        os.close(side)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # What is being read is not closed: a terminal hangs up once nothing waits for its output.
        while self._stop not in select.select([self._master, self._stop], [], [])[0]:
            try:
                part = os.read(self._master, 65536)
            except OSError:  # nothing has it open any more
                return
            with self._changed:
                self.raw += part
                self._changed.notify_all()
            self._on_output(part)

    @property
    def text(self) -> str:
        """All that was written."""
        return self.raw.decode(errors="replace").replace("\r\n", "\n")

    @property
    def modes(self) -> list[Any]:
        """The terminal's, as by `termios.tcgetattr`."""
        return termios.tcgetattr(self._master)

    def type(self, text: str) -> None:
        """Type that."""
        os.write(self._master, text.encode())

    def sees(self, pattern: str, after: int = 0) -> str:
        """Wait for a line in which the pattern is found; returns the line."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: re.search(f"^.*{pattern}.*$", self.text[after:], re.M), PATIENCE
            )
        assert found is not None, f"no {pattern!r} in:\n{self.text}"
        return str(found[0])

    def ends(self, seconds: float = PATIENCE) -> int:
        """Wait for the program's end and for its last output; returns its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(PATIENCE)
        return code

    def hang_up(self) -> None:
        """Close the terminal, as its window would."""
        os.write(self._stopper, b"!")
        self._reader.join(PATIENCE)
        for one in (self._master, self._stop, self._stopper):
            os.close(one)
        self._master = -1

    def close(self) -> None:
        """End what still runs in it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        if self._master >= 0:
            self.hang_up()
