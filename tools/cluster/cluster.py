"""Tiffin as it runs on several machines, on one: all services, two masters, nginx in front."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from server.settings import stored_secret
from tools.cluster.azurite import Azurite
from tools.cluster.guard import Guard
from tools.cluster.gunicorn import ROOT, Gunicorn
from tools.cluster.nginx import Nginx
from tools.cluster.postgres import USER, PostgresServer
from tools.cluster.redis_server import RedisServer
from tools.cluster.service import ServiceMissing, ServiceProcess
from tools.ports import free_port

ServiceT = TypeVar("ServiceT", bound=ServiceProcess)

WORKERS = 2
MASTERS = ("one", "two")
PAGE = """\
{title}

  open          {url}   ({front})
  masters       {masters}
                (kill one: the other goes on)
  PostgreSQL    {database}
  Redis         {redis}
  pictures      {pictures}
  health        {url}/readyz, and for each master /metrics
  data          {folder}
  logs          {logs}

{log_in}
Commands on the same database need its settings; end them with the shell:

  set -a; . {environment}; set +a
  .venv/bin/python -m server --help
"""
DEMO = """\
Both apps log in with one key (the demo's accounts):

  make customer SERVER={url}
  make employee SERVER={url}
"""
EMPTY = """\
A customer registers in the app; a restaurant and its employee are made by command, in a shell with
the settings below:

  .venv/bin/python -m server add-restaurant --name Saffron --cuisine Indian \\
      --address '2 Mill Lane' --lat 48.86 --lng 2.36
  .venv/bin/python -m server add-employee --email me@example.com --restaurant Saffron
  make customer SERVER={url}
  make employee SERVER={url}
"""


class Cluster:
    """All processes of a cluster; as a context manager they run until the block ends.

    Masters share PostgreSQL, Redis and the blob store, and nothing else: each has a data folder of
    its own. What is not installed is left out, and `missing` says what: without nginx there is no
    front, without Azurite pictures are in a folder that both masters share.
    """

    def __init__(
        self,
        folder: Path,
        *,
        demo: bool = False,
        port: int | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`port` is that of nginx; `report` gets a line for each start."""
        self.folder = folder.absolute()
        self.missing: list[str] = []
        self.services: list[ServiceProcess] = []
        """What was started, in that order."""
        self.masters: list[Gunicorn] = []
        self._demo = demo
        self._port = port or free_port()
        self._report = report

    def __enter__(self) -> Self:
        """Start everything. Raises ServiceError."""
        self._guard = Guard()
        try:
            self._start_all()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_all()

    @property
    def url(self) -> str:
        """Where clients connect to: nginx, or without it the first master."""
        return f"http://127.0.0.1:{self.nginx.port}" if self.nginx else self.masters[0].url

    def page(self) -> str:
        """What is where, and how to log in."""
        logs = [service.log_path for service in self.services]
        return PAGE.format(
            title="Tiffin on " + ", ".join(f"{one.name} ({one.port})" for one in self.services),
            url=self.url,
            front="nginx" if self.nginx else "the first master: " + " ".join(self.missing),
            masters="\n                ".join(
                f"{master.url}   process {master.pid}" for master in self.masters
            ),
            database=self.environment["TIFFIN_DATABASE_URL"],
            redis=self.redis.url,
            pictures=self.environment.get("TIFFIN_BLOB_DIR", "Azurite, container tiffin"),
            folder=self.folder,
            logs="\n                ".join(map(str, logs)),
            log_in=(DEMO if self._demo else EMPTY).format(url=self.url),
            environment=shlex.quote(str(self.folder / "environment")),
        )

    def _start_all(self) -> None:
        self.database_url = self._start_database()
        self.redis = RedisServer(self._own("redis"))
        self._start(self.redis)
        self.azurite = self._start_if_installed(Azurite(self._own("azurite")))
        self.environment = self._settings()
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in self.environment.items()]
        (self.folder / "environment").write_text("".join(lines))
        self.masters = [self._master(name) for name in MASTERS]
        for master in self.masters:  # one after the other: the first makes the demo's town
            self._start(master)
        targets = [f"127.0.0.1:{master.port}" for master in self.masters]
        nginx = Nginx.before(targets, self._own("nginx"), self._port)
        self.nginx = self._start_if_installed(nginx)
        (self.folder / "how-to.txt").write_text(self.page())

    def _stop_all(self) -> None:
        for master in self.masters:
            master.request_end()  # both at once
        for service in reversed(self.services):
            service.stop()
        self._guard.close()

    def _settings(self) -> dict[str, str]:
        """The settings that both masters have."""
        settings = {
            "TIFFIN_DATABASE_URL": self.database_url,
            "TIFFIN_REDIS_URL": self.redis.url,
            "TIFFIN_JWT_SECRET": stored_secret(self.folder / "jwt-secret"),
            "TIFFIN_TRUSTED_PROXIES": "127.0.0.1",
            "TIFFIN_PHOTO_WORKERS": "1",
        }
        if self.azurite is not None:
            settings["TIFFIN_AZURE_STORAGE_CONNECTION_STRING"] = self.azurite.connection_string
        else:
            settings["TIFFIN_BLOB_DIR"] = str(self._own("blobs"))
        if self._demo:
            settings |= {"TIFFIN_DEMO": "1", "TIFFIN_DRIVER_INTERVAL_SECONDS": "2"}
        return settings

    def _master(self, name: str) -> Gunicorn:
        folder = self._own(name)
        if self._demo:
            secret = stored_secret(self.folder / "demo-password")
            (folder / "demo-password").write_text(secret)
        environment = {"U2NET_HOME": str(ROOT / ".tiffin" / "rembg")} | self.environment
        return Gunicorn(folder, f"master {name}", environment | self._own_settings(name))

    def _start_database(self) -> str:
        """Start PostgreSQL; returns the URL of the servers' database."""
        # It does not run as root, and another user may not enter the folder.
        return self._start_postgres(self._own("postgres") if USER is None else self._make_folder())

    def _make_folder(self) -> Path:
        """A temporary folder that every user may enter; it is removed at the end."""
        folder = self._guard.make_folder()
        folder.chmod(0o755)
        return folder

    def _start_postgres(self, folder: Path) -> str:
        self.postgres = PostgresServer(folder)
        self._start(self.postgres)
        self.postgres.create("tiffin")
        return self.postgres.url("tiffin")

    def _own_settings(self, name: str) -> dict[str, str]:
        """The settings of that master alone."""
        return {"TIFFIN_DATA_DIR": str(self.folder / name)}

    def _start(self, service: ServiceProcess) -> None:
        self._report(f"Starting {service.name} on port {service.port}.")
        self._guard.watch(service)
        service.start()
        self.services.append(service)

    def _start_if_installed(self, service: ServiceT) -> ServiceT | None:
        try:
            self._start(service)
        except ServiceMissing as missing:
            self.missing.append(str(missing))
            return None
        return service

    def _own(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
