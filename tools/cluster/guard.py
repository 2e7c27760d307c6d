"""Ends the cluster's processes when the process that has started them ends, however it ends.

`python -m tools.cluster.guard` reads lines of standard input, a pipe that only the cluster holds:
`+ID` for a process that was started, `-ID` for one that has ended, `/…` for a temporary folder.
When the pipe closes, processes that are left get a SIGTERM, the last one first, and are killed with
all they have started after a while. Then the folders are unmounted, if necessary, and removed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.cluster.service import ServiceProcess

GRACE_SECONDS = 10.0


class Guard:
    """The guard, as the cluster sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.cluster.guard"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def watch(self, service: ServiceProcess) -> None:
        """End this one, whenever it was started, if it is left."""
        service.on_start = lambda pid: self._write(f"+{pid}\n")
        service.on_end = lambda pid: self._write(f"-{pid}\n")

    def make_folder(self) -> Path:
        """A new temporary folder, which is removed at the end; something may be mounted there."""
        folder = Path(tempfile.mkdtemp(prefix="tiffin-cluster-"))
        self._write(f"{folder}\n")
        return folder

    def close(self) -> None:
        """End what is left, remove the folders, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(2 * GRACE_SECONDS)

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()


def main() -> None:
    """Wait for the end of the pipe, and end what is left."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    running: dict[int, None] = {}
    folders: list[Path] = []
    for line in sys.stdin:
        if line.startswith("+"):
            running[int(line[1:])] = None
        elif line.startswith("-"):
            running.pop(int(line[1:]), None)
        else:
            folders.append(Path(line.removesuffix("\n")))
    for pid in reversed(running):
        _send(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(map(_lives, running)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in running:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for folder in folders:
        if folder.is_mount():
            subprocess.run(["umount", "--lazy", folder], check=False)
        while folder.exists() and time.monotonic() < deadline + GRACE_SECONDS / 2:
            shutil.rmtree(folder, ignore_errors=True)  # one that was killed may write a last time


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
