"""What both apps cost while nothing happens: logged in to a real server with the demo's town.

`python -m benchmarks.idle_apps [SECONDS]`. No autopilot runs, so nothing changes in the town. Each
app is watched twice: soon after the log-in, while ages are counted in seconds, and once they are
counted in minutes.

A processor that has slept takes several times as long for the same work, more so a virtual one; how
many times is measured in the same run and printed.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks._terminal import ROOT, Terminal, app_environment, machine

SIZE = (160, 48)
SECONDS = 40.0
"""Of a window: longer than the time between two heartbeats of a stream."""
SETTLE_SECONDS = 15.0
MINUTES_AFTER = 105.0
"""Seconds after which the age of the last event is shown in minutes."""
READ_SECONDS = 0.2
START_SECONDS = 60.0
LIMIT_SHARE = 0.01
LIMIT_BYTES = 500.0


class Server:
    """A server with the demo's town, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        environment = app_environment(folder) | {"TIFFIN_DATA_DIR": str(folder / "data")}
        log = folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", "--demo", "--port", "0"],
                cwd=ROOT,
                env=environment | {"PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=output,
            )
        self.url = self._find_url(log)

    def _find_url(self, log: Path) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for word in log.read_text(errors="replace").split():
                url = word.rstrip(".,;")
                if url.startswith("http://127.0.0.1:") and _is_ready(url):
                    return url
            time.sleep(0.1)
        self.close()
        raise TimeoutError(f"no server:\n{log.read_text(errors='replace')}")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(frozen=True)
class Counts:
    """What a process has used since its start."""

    at: float
    cpu: float
    wakeups: int
    """How often one of its threads has gone to sleep."""
    written: int

    @classmethod
    def of(cls, terminal: Terminal) -> "Counts":
        """The counts now."""
        written = sum(len(piece.data) for piece in terminal.pieces)
        return cls(time.perf_counter(), terminal.cpu(), _wakeups(terminal.pid), written)


def _wakeups(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def log_in(role: str, url: str, home: Path) -> Terminal:
    """An app in a terminal of its own, logged in by the demo's button."""
    home.mkdir()
    command = [sys.executable, "-m", f"tui.{role}", "--server", url]
    terminal = Terminal(command, SIZE, app_environment(home))
    terminal.sees("Enter the demo")
    terminal.press(b"\r")
    terminal.sees("6 Wire")
    terminal.sees("online")
    return terminal


def read_all(terminals: Sequence[Terminal], seconds: float) -> None:
    """Keep what they write for so long."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        for terminal in terminals:
            terminal.read(READ_SECONDS / len(terminals))


def watch(name: str, apps: dict[str, Terminal], seconds: float) -> bool:
    """Print what the apps use in so many seconds; whether all is within the limits."""
    before = {role: Counts.of(terminal) for role, terminal in apps.items()}
    read_all(list(apps.values()), seconds)
    within = True
    for role, terminal in apps.items():
        first, last = before[role], Counts.of(terminal)
        took = last.at - first.at
        share = (last.cpu - first.cpu) / took
        written = (last.written - first.written) / took
        wakeups = (last.wakeups - first.wakeups) / took
        good = share < LIMIT_SHARE and written < LIMIT_BYTES
        within = within and good
        print(
            f"{name:<20} {role:<9} {share:6.2%} of one core, {written:7.0f} bytes a second to the "
            f"terminal, {wakeups:5.1f} wake-ups a second: {'within' if good else 'OVER'}",
            flush=True,
        )
    return within


def cost_after_sleep() -> float:
    """How many times as much processor time the same work takes after a pause as in a row."""

    def cost(pause: float) -> float:
        time.sleep(pause)
        began = time.process_time()
        for _ in range(40):
            json.loads(json.dumps(list(range(100))))
        return time.process_time() - began

    in_a_row = median([cost(0) for _ in range(200)])
    return median([cost(0.7) for _ in range(15)]) / in_a_row


def main() -> int:
    """Returns 1 where an app is over a limit."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    print(machine())
    print(f"after 0.7 s of sleep the same work takes {cost_after_sleep():.1f} times its time")
    print(f"wanted: below {LIMIT_SHARE:.0%} of one core and {LIMIT_BYTES:.0f} bytes a second")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(closing(Server(folder)))
        apps = {
            role: stack.enter_context(closing(log_in(role, server.url, folder / role)))
            for role in ("customer", "employee")
        }
        began = time.perf_counter()
        read_all(list(apps.values()), SETTLE_SECONDS)
        within = watch("ages in seconds", apps, seconds)
        read_all(list(apps.values()), began + MINUTES_AFTER - time.perf_counter())
        within = watch("ages in minutes", apps, seconds) and within
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
