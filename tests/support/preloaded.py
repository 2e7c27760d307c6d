"""Server processes that are forked from one which has imported the server already.

To import it takes most of a server's start. What is forked is a process of its own, which runs
`server.__main__.main` or gunicorn with its own arguments, environment and log.
"""

import atexit
import contextlib
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]

_lock = threading.Lock()


class Forked:
    """A forked process, to be used like a `subprocess.Popen`."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._exit = folder / str(pid)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(FileNotFoundError):
                self.returncode = int(self._exit.read_text())
                self._exit.unlink()  # a later process may have the same pid
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if timeout is not None and deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    files: int | None = None,
    worker: Sequence[str] = (),
    stdin: str = os.devnull,
    module: str = "server",
) -> Forked:
    """Start a server that may open so many `files`, on the cores of this thread; what it prints is
    added to `log`, and it reads the file `stdin`. Its photo workers have the arguments `worker`, if
    there are any. Passwords are hashed with as much memory as here. The `module` gunicorn gets a
    process group of its own, for it and its workers."""
    from server.features.accounts import passwords

    with _lock:
        parent, folder = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    request = {
        "module": module,
        "arguments": arguments,
        "environment": environment,
        "log": str(log),
        "files": files,
        "worker": worker,
        "hash_kib": passwords.MEMORY_KIB,
        "stdin": stdin,
        "cores": sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else None,
    }
    with _lock:
        parent.stdin.write(json.dumps(request) + "\n")
        parent.stdin.flush()
        return Forked(int(parent.stdout.readline()), folder)


@cache
def _parent() -> tuple["subprocess.Popen[str]", Path]:
    """The process that forks, one for each process of the tests."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    process = subprocess.Popen(
        [sys.executable, __file__, folder.name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def close() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)

    atexit.register(close)
    return process, Path(folder.name)


def main(folder: Path) -> None:
    """Fork a server for each line of standard input, until that ends.

    Its pid is printed. Its exit code is written to a file of that name.
    """
    import uvloop  # noqa: F401

    import server.__main__
    import server.app
    from server.features.accounts import passwords
    from server.features.uploads import worker_process

    for demo in (False, True):
        server.app.openapi_document(demo)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests say when this ends
    gc.collect()
    gc.freeze()

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                new = folder / f"{ended[0]}.new"
                new.write_text(str(os.waitstatus_to_exitcode(ended[1])))
                new.rename(folder / str(ended[0]))

    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:
        request = json.loads(line)
        if pid := os.fork():
            if request["module"] == "gunicorn":
                os.setpgid(pid, pid)
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(request["stdin"], os.O_RDONLY), 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        if request["files"] is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (request["files"],) * 2)
        if request["worker"]:
            worker_process.PROGRAM = tuple(request["worker"])
        passwords.MEMORY_KIB = request["hash_kib"]
        if sys.platform == "linux":
            os.sched_setaffinity(0, request["cores"])
        os.environ.clear()
        os.environ.update(request["environment"])
        try:
            if request["module"] == "gunicorn":
                from gunicorn.app.wsgiapp import run

                sys.argv = ["gunicorn", *request["arguments"]]
                sys.exit(run())
            sys.exit(server.__main__.main(request["arguments"]))
        except SystemExit as end:
            # As at any end of Python, but without freeing all objects of the imported modules one
            # by one: that takes longer than the start.
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else int(bool(end.code)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
