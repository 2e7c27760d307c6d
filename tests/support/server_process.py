"""The server as a separate process: `python -m server`, or a fork that behaves the same."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from support.preloaded import Forked, fork
from support.waiting import PATIENCE, in_a_thread
from tools.cluster.gunicorn import gunicorn_command
from tools.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
JWT_SECRET = "a-secret-that-only-the-tests-sign-their-tokens-with"

ON_POSTGRES = os.environ.get("TIFFIN_TEST_DATABASE") == "postgresql"
"""Whether servers under test use PostgreSQL."""


def where_for(path: Path) -> Path | str:
    """That SQLite file; or the URL of the PostgreSQL database in place of it, made if necessary."""
    if not ON_POSTGRES:
        return path
    from support.postgres import url_for

    return url_for(path)


def new_database(path: Path) -> Path | str:
    """The same, migrated. A new SQLite file is a copy: to run every migration takes longer than
    the rest of a server's start."""
    where = where_for(path)
    if isinstance(where, Path) and not where.exists():
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(_migrated())
    return where


@cache
def _migrated() -> bytes:
    from server.core.databases import migrate

    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.sqlite3"
        in_a_thread(migrate(path))
        return path.read_bytes()


UNLIMITED = dict.fromkeys(
    (
        "rate_per_minute",
        "reads_per_minute",
        "anonymous_per_minute",
        "address_per_minute",
        "requests_per_account",
        "max_sockets_per_address",
        "connections_per_minute",
        "login_per_minute",
        "login_failures",
        "login_failures_per_account",
        "registrations_per_hour",
        "registrations_refused_per_hour",
        "frames_per_second",
        "sockets_at_full_pace",
        "chat_bytes_per_minute",
        "max_orders_per_day",
        "max_sessions_per_account",
        "max_open_chats",
        "max_chats_per_day",
        "commit_interval_ms",
    ),
    0,
)
"""The limits that a server under test does not have."""


def server_environment(
    data_dir: Path, redis_url: str = "", more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a server under test, without this machine's own settings."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TIFFIN_") and name != "PORT"
    }
    environment |= {
        "TIFFIN_DATA_DIR": str(data_dir),
        "TIFFIN_JWT_SECRET": JWT_SECRET,
        **{f"TIFFIN_{name.upper()}": str(value) for name, value in UNLIMITED.items()},
        "PYTHONUNBUFFERED": "1",
    }
    if isinstance(url := where_for(data_dir / "tiffin.sqlite3"), str):
        from support.postgres import shared_folder

        environment["TIFFIN_DATABASE_URL"] = url
        environment["TIFFIN_BLOB_DIR"] = str(shared_folder(data_dir))
    if redis_url:
        environment["TIFFIN_REDIS_URL"] = redis_url
    return environment | dict(more or {})


class ServerProcess:
    """One server process, or a gunicorn with so many workers, which may open `files` files each.

    It is forked from one that has imported the server, unless `env` holds more than settings. It
    may be killed and started again: port, data and log stay. `worker`: see `support.uploads`.
    `root` is where its code is.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        redis_url: str = "",
        demo: bool = False,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        host: str | None = "127.0.0.1",
        module: str = "server",
        gunicorn: int = 0,
        files: int | None = None,
        worker: Sequence[str] = (),
        root: Path = ROOT,
    ) -> None:
        self.module = module
        self.data_dir = data_dir
        self.port = port or free_port()
        self.url = f"http://{host or '127.0.0.1'}:{self.port}"
        self.root = root
        self.log_path = data_dir / f"server-{self.port}.log"
        self.environment = server_environment(data_dir, redis_url, env)
        # What else is in the environment is read by the interpreter as it starts.
        own = all(name.startswith("TIFFIN_") or name == "U2NET_HOME" for name in env or ())
        here = module == "server" and root == ROOT
        self.forked = here and own and hasattr(os, "fork")
        assert self.forked or not worker
        self.worker = worker
        self.arguments = ["--port", str(self.port)]
        self.arguments += ["--host", host] if host else []
        self.arguments += ["--demo"] if demo else []
        if gunicorn:
            _, _, self.module, *self.arguments = gunicorn_command(
                self.port, int(gunicorn), host or "127.0.0.1"
            )
        self.files = files
        self.process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None, "the server was never started"
        return self.process.pid

    def start(self, seconds: float = 60) -> "ServerProcess":
        """Start it and return once `/readyz` is 200."""
        self.spawn()
        self.wait_ready(seconds)
        return self

    def spawn(self) -> None:
        """Start it without waiting, for several that have to start together."""
        assert not self.running, "this server is already running"
        if self.forked and "TIFFIN_DATABASE_URL" not in self.environment:
            new_database(self.data_dir / "tiffin.sqlite3")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            if self.forked:
                self.process = fork(
                    self.arguments,
                    self.environment,
                    self.log_path,
                    self.files,
                    self.worker,
                    module=self.module,
                )
                return
            self.process = subprocess.Popen(
                [*self._limits(), sys.executable, "-m", self.module, *self.arguments],
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _limits(self) -> list[str]:
        """The command prefix for a process that may open only this many files."""
        if self.files is None:
            return []
        return ["sh", "-c", f'ulimit -n {self.files} && exec "$@"', "sh"]

    def wait_ready(self, seconds: float = 60) -> None:
        """Return once `/readyz` answers 200; otherwise AssertionError with the log."""
        deadline = time.monotonic() + seconds
        while not self.ready():
            if not self.running:
                assert self.process is not None
                raise AssertionError(
                    f"the server ended with {self.process.returncode}:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready within {seconds:g} s:\n{self.log_tail()}")
            time.sleep(0.03)

    def ready(self) -> bool:
        """Whether `/readyz` answers 200 now."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def healthy(self) -> bool:
        """Whether it is ready and lacks nothing: without Redis it is ready too."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except OSError:
            return False

    def terminate(self, seconds: float = PATIENCE) -> int:
        """Stop it with SIGTERM, and kill it after `seconds`.

        Returns the exit code, negative for a signal.
        """
        if self.process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def kill(self) -> None:
        """Kill it (SIGKILL), a gunicorn with its workers."""
        if self.process is not None:
            grouped = self.module == "gunicorn" or isinstance(self.process, subprocess.Popen)
            if grouped and self.running:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait(timeout=PATIENCE)

    def restart(self) -> None:
        """Kill it and restart it on the same port and data."""
        self.kill()
        self.start()

    def log_tail(self, characters: int = 6000) -> str:
        """The last lines of its output."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")[-characters:]


StartServer = Callable[..., ServerProcess]
"""The type of the fixture `start_server`."""
