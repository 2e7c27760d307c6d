"""Processor time until an app's first frame stands, each app a process of its own in a terminal.

`python -m benchmarks.first_paint [RUNS]`. There is no server: the first frame needs none.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._terminal import Screen, Terminal, app_environment, machine

SIZE = (160, 48)
RUNS = 11
LIMIT_SECONDS = 0.5
PATIENCE_SECONDS = 20.0
NOWHERE = "http://127.0.0.1:9"
BASELINES = {"python alone": "pass", "python with textual.app": "import textual.app"}


def first_frame(role: str, home: Path) -> tuple[float, float]:
    """Seconds of processor time and of wall time from the start to the whole first frame.

    It is whole as soon as both its first line, with the name, and its last, with the keys, have
    reached the terminal.
    """
    screen = Screen(SIZE)
    seen = 0
    began = time.perf_counter()
    command = [sys.executable, "-m", f"tui.{role}", "--server", NOWHERE]
    terminal = Terminal(command, SIZE, app_environment(home))
    try:
        while time.perf_counter() - began < PATIENCE_SECONDS:
            terminal.read(1, until=lambda data: b"tiffin" in data)
            terminal.read(0.05)
            for piece in terminal.pieces[seen:]:
                screen.feed(piece.data)
                lines = screen.text().split("\n")
                if f"tiffin  {role}" in lines[0] and "Quit" in lines[-1]:
                    return piece.cpu, piece.at - began
            seen = len(terminal.pieces)
    finally:
        terminal.close()
    raise TimeoutError(f"no first frame within {PATIENCE_SECONDS:g} s:\n{screen.text()}")


def bare(code: str, home: Path) -> float:
    """Seconds of processor time of a Python that only runs `code`."""
    measure = f"import time; {code}; print(time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID))"
    done = subprocess.run(
        [sys.executable, "-c", measure],
        env=app_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def spread(seconds: list[float]) -> str:
    """Median and extremes."""
    return f"median {median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


def main() -> int:
    """Print the figures. Returns 1 where an app is over the limit."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    over = False
    print(f"{machine()};\n{runs} runs each, after one that is not counted")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, code in BASELINES.items():
            costs = [bare(code, home) for _ in range(runs + 1)][1:]
            print(f"{name:<24} CPU {spread(costs)}")
        for role in ("customer", "employee"):
            frames = [first_frame(role, home) for _ in range(runs + 1)][1:]
            costs = [cpu for cpu, _ in frames]
            within = median(costs) < LIMIT_SECONDS
            over = over or not within
            wall = median(wall for _, wall in frames)
            print(
                f"{role + ', first frame':<24} CPU {spread(costs)}, wall {wall:.3f} s: "
                f"{'within' if within else 'OVER'} the {LIMIT_SECONDS:g} s allowed"
            )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
