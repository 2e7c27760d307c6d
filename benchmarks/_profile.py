"""Where the server's CPU time goes in one workload: by layer and by function.

py-spy reads the stacks of the server from another process, which does not slow it down. A call into
C, the kernel included, counts for the Python function that makes it. uv fetches py-spy when it is
first needed.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._figures import machine
from benchmarks.peers.table import ROWS, RUNS
from benchmarks.peers.targets import FILES, ROOT, WARM_UP_CONNECTIONS, WARM_UP_SECONDS
from benchmarks.peers.tiffin import Tiffin
from support.raw_http import raise_file_limit

WORKS = ("order", "get", "chat", "poll", "stream")
SPY = [sys.executable, "-m", "uv", "--quiet", "tool", "run", "--from", "py-spy>=0.4.1", "py-spy"]
HOW = ["--nonblocking", "--function", "--full-filenames", "--format", "raw", "--rate", "500"]
SERVER = """
import ctypes, runpy
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
runpy.run_module("server", run_name="__main__", alter_sys=True)
"""
"""Without this, some systems let nobody but root and the parent read a process."""
OUTERMOST = ("Python's library", "server", "uvloop")
"""Layers whose functions are in nearly every stack."""
_FRAME = re.compile(r"(.+) \((.+?)(?::\d+)?\)")
_PACKAGE = re.compile(r".*/site-packages/([^/.]+)")

Stack = Sequence[str]
"""Functions with their layer, as in `server/core: Gate.check`, the outermost first."""


class Watched(Tiffin):
    """A server of which the next measurements are recorded, once `seconds` is set."""

    seconds = 0.0
    _spy: subprocess.Popen[str] | None = None

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-c", SERVER, "--port", str(self.port)]

    def measuring(self) -> None:
        if not self.seconds:
            return
        where = ["--pid", str(self.pid), "--output", str(self.folder / "stacks")]
        self._spy = subprocess.Popen(
            [*SPY, "record", *HOW, *where, "--duration", f"{self.seconds:.0f}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._spy.stdout is not None
        began = self._spy.stdout.readline()
        if "Sampling" not in began:
            sys.exit(f"py-spy could not be started: {began}{self._spy.stdout.read()}")

    def stacks(self) -> Iterator[tuple[Stack, int]]:
        """The stacks that were recorded, and how often each was seen."""
        assert self._spy is not None
        self._spy.communicate(timeout=60)
        for line in (self.folder / "stacks").read_text().splitlines():
            frames, _, count = line.rpartition(" ")
            named = (_FRAME.fullmatch(frame) for frame in frames.split(";"))
            if stack := [f"{_layer(one[2])}: {one[1]}" for one in named if one]:
                yield stack, int(count)


def _layer(path: str) -> str:
    """The part of the server, or the package, that a file belongs to."""
    if path.startswith(f"{ROOT}/server/"):
        parts = Path(path).relative_to(ROOT).parent.parts
        return "/".join(parts[:3])
    package = _PACKAGE.match(path)
    return package[1] if package else "Python's library"


def _lines(counts: Counter[str], cost: float, total: int, most: int) -> Iterator[str]:
    for name, count in counts.most_common(most):
        yield f"{cost * count / total:9.1f} µs {count / total:6.1%}  {name}"


def report(found: Sequence[tuple[Stack, int]], cost: float, most: int) -> str:
    """The costs by layer, by function, and by function with what it calls; `cost` is all of it."""
    layers, own, whole = Counter[str](), Counter[str](), Counter[str]()
    total = sum(count for _, count in found)
    for stack, count in found:
        layers[stack[-1].partition(":")[0]] += count
        own[stack[-1]] += count
        for name in set(stack):
            if name.partition(":")[0] not in OUTERMOST:
                whole[name] += count
    parts = {
        "By layer": layers,
        "By function, without the functions it calls": own,
        "By function, with them": whole,
    }
    return "\n".join(
        line
        for title, counts in parts.items()
        for line in ("", title, *_lines(counts, cost, total, most))
    )


def main() -> None:
    """Profile one work and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--lines", type=int, default=30, help="of each table (30)")
    options = parser.parse_args()
    raise_file_limit(FILES)
    run = RUNS[options.work]
    with TemporaryDirectory() as folder, Watched(Path(folder)) as server:
        run.work(server, min(run.number, WARM_UP_CONNECTIONS), WARM_UP_SECONDS)
        server.seconds = options.seconds
        cost = run.work(server, run.number, options.seconds).microseconds
        found = list(server.stacks())
    samples = sum(count for _, count in found)
    unit = next(row.text for row in ROWS if row.run == options.work)
    print(f"{machine()}; {samples:,} samples\n{unit}: {cost:,.1f} µs of the server's CPU time")
    print(report(found, cost, options.lines))


if __name__ == "__main__":
    main()
