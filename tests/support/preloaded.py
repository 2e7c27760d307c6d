"""Server processes that are forked from one which has imported the server already.

To import it takes most of a server's start. What is forked is a process of its own, which runs
`server.__main__.main` or gunicorn with its own arguments, environment and log. One such process
serves a whole run of the tests, all its workers.
"""

import atexit
import contextlib
import fcntl
import gc
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).resolve().parents[2]
FOLDER, OWNER = "TESTS_FOLDER", "TESTS_OWNER"
"""In the environment of a run's workers: its folder, and the process that it ends with."""


@cache
def run_folder() -> Path:
    """A folder that the workers of this run share; it goes with the process that asked first."""
    if FOLDER not in os.environ:
        os.environ |= {FOLDER: mkdtemp(prefix="tiffin-tests-"), OWNER: str(os.getpid())}
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return Path(os.environ[FOLDER])


@contextlib.contextmanager
def alone(name: str) -> Iterator[Path]:
    """The path of that name in the run's folder, of which no other worker does the same now."""
    path = run_folder() / name
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


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
    there are any. It hashes passwords with as much memory as this process would, and waits for the
    disk where that would. The `module` gunicorn gets a process group of its own, for it and its
    workers."""
    from server.core import sqlite
    from server.features.accounts import passwords

    request = {
        "module": module,
        "arguments": arguments,
        "environment": environment,
        "log": str(log),
        "files": files,
        "worker": worker,
        "hash_kib": passwords.MEMORY_KIB,
        "pragmas": sqlite.PRAGMAS,
        "stdin": stdin,
        "cores": sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else None,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(_parent()))
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as answer:
            return Forked(int(answer.read()), run_folder())


@cache
def _parent() -> Path:
    """The socket of the process that forks, which is started unless another worker has done so."""
    with alone("fork") as path:
        if not path.exists():
            program = [sys.executable, __file__, str(path), os.environ[OWNER]]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(program, cwd=ROOT, env=environment, check=True)  # until it listens
    return path


def runs(pid: int) -> bool:
    """Whether there is such a process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def main(path: Path, owner: int) -> None:
    """Fork a server for each connection to a socket there, until the `owner` has ended.

    What is sent is the request; the answer is a pid. Its exit code is written to a file of that
    name.
    """
    # Nothing of what is imported becomes garbage.
    gc.disable()
    import uvloop  # noqa: F401

    import server.__main__
    import server.app
    from server.core import sqlite
    from server.features.accounts import passwords
    from server.features.uploads import worker_process

    for demo in (False, True):
        server.app.openapi_document(demo)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests say when this ends
    gc.collect()
    gc.freeze()
    gc.enable()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    if os.fork():
        os._exit(0)

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                new = path.with_name(f"{ended[0]}.new")
                new.write_text(str(os.waitstatus_to_exitcode(ended[1])))
                new.rename(path.with_name(str(ended[0])))

    signal.signal(signal.SIGCHLD, reap)
    while runs(owner):
        if not select.select([listener], [], [], 1)[0]:
            continue
        connection, _ = listener.accept()
        with connection.makefile() as sent:
            request = json.loads(sent.read())
        if pid := os.fork():
            if request["module"] == "gunicorn":
                os.setpgid(pid, pid)
            connection.sendall(str(pid).encode())
            connection.close()
            continue
        listener.close()
        connection.close()
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
        sqlite.PRAGMAS = tuple(request["pragmas"])
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
    main(Path(sys.argv[1]), int(sys.argv[2]))
