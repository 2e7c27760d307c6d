"""A program in a pseudo-terminal: what it writes, when, and what processor time it has used."""

import os
import platform
import pty
import re
import select
import signal
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = re.compile(rb"\x1b\[[<>=?][0-9;]*\$?[a-zA-Z]")
"""Sequences that query or set the terminal and draw nothing; pyte cannot parse them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one read gave; `at` is `time.perf_counter()`, `cpu` the program's seconds until then."""

    at: float
    cpu: float
    data: bytes


class Terminal:
    """Runs `command` in a terminal of its own. What it writes is kept, to be looked at later.

    Nothing is parsed while it runs: on few cores that would slow down what is being measured.
    """

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        """`size` is columns and rows."""
        self.size = size
        self.pieces: list[Piece] = []
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            termios.tcsetwinsize(0, (size[1], size[0]))
            os.chdir(ROOT)
            os.execvpe(command[0], list(command), dict(environment))

    def cpu(self) -> float:
        """Seconds of processor time, user and system, of all its threads, to the nanosecond."""
        # clock_getcpuclockid(3) of another process, as Linux makes it.
        return time.clock_gettime((~self.pid << 3) | 2)

    def waited(self) -> float:
        """Seconds in which its main thread could have run and had no processor."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def press(self, keys: bytes) -> float:
        """Write keys as the keyboard would; the time at which they were there to be read."""
        os.write(self._master, keys)
        return time.perf_counter()

    def read(self, seconds: float, until: Callable[[bytes], bool] = lambda _: False) -> bool:
        """Keep what it writes for so long, or up to a piece for which `until` is true."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                break
            try:
                data = os.read(self._master, 65536)
            except OSError:  # it has ended
                return False
            self.pieces.append(Piece(time.perf_counter(), self.cpu(), data))
            if until(data):
                return True
        return False

    def sees(self, text: str, seconds: float = 30) -> None:
        """Read until `text` is on the screen. Raises TimeoutError with the screen."""
        screen = Screen(self.size)
        fed = 0
        deadline = time.perf_counter() + seconds
        while True:
            for piece in self.pieces[fed:]:
                screen.feed(piece.data)
            fed = len(self.pieces)
            if text in screen.text():
                return
            if time.perf_counter() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {text!r}\n{screen.text()}")
            self.read(0.2, until=lambda _: True)

    def close(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._master)
        os.waitpid(self.pid, 0)


class Screen:
    """What a terminal shows once these bytes have reached it."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        """Feed more bytes."""
        self._stream.feed(PRIVATE.sub(b"", data))

    def text(self) -> str:
        """The screen's lines."""
        return "\n".join(self._screen.display)

    def places(self, glyph: str) -> frozenset[tuple[int, int]]:
        """Row and column of every cell that holds `glyph`."""
        return frozenset(
            (y, x)
            for y, row in self._screen.buffer.items()
            for x, cell in row.items()
            if cell.data == glyph
        )


def app_environment(home: Path) -> dict[str, str]:
    """The environment of an app without stored data, in a terminal with all colours."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return inherited | {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LC_ALL": "C.UTF-8",
    }


def machine() -> str:
    """Where, under what load and how fast just now the figures are made, in a few words."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    python = platform.python_version()
    began = time.process_time()
    sum(range(10_000_000))
    pace = f"adding up ten million numbers takes {time.process_time() - began:.2f} s"
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}, Python {python}; {pace}"
