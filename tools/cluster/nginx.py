"""nginx in front of servers, from its own configuration."""

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from tools.cluster.service import ServiceMissing, ServiceProcess

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
CONFIG = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 11m;
    upstream tiffin {{
        least_conn;
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Forwarded "";
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
        proxy_buffering off;
        proxy_read_timeout 120s;
        location / {{
            proxy_pass http://tiffin;
        }}
    }}
}}
"""
"""As deploy/nginx, without TLS: streams are not held back, and sockets pass."""


class Nginx(ServiceProcess):
    """nginx with that configuration, which listens on those ports."""

    def __init__(self, folder: Path, config: str, ports: Sequence[int]) -> None:
        super().__init__(folder, "nginx", ports[-1])
        self._config = config
        self._ports = ports

    @classmethod
    def before(cls, targets: Sequence[str], folder: Path, port: int) -> "Nginx":
        """One that gives each request to one of the servers at `targets` (`host:port`). What a
        server has not received goes to another one; what it has, does not."""
        servers = " ".join(f"server {target} max_fails=0;" for target in targets)
        return cls(folder, CONFIG.format(folder=folder, servers=servers, port=port), [port])

    def start(self) -> None:
        """Start it, and return once it listens. Raises ServiceMissing where there is no nginx."""
        program = command()
        if program is None:
            raise ServiceMissing("there is no nginx here: apt-get install nginx-light")
        self.folder.mkdir(parents=True, exist_ok=True)
        user = "user root;\n" if os.geteuid() == 0 else ""
        paths = "".join(f"\n    {name}_temp_path {self.folder}/{name};" for name in TEMPORARY)
        config = self.folder / "nginx.conf"
        config.write_text(
            f"{user}daemon off;\n{self._config}".replace("http {", f"http {{{paths}", 1)
        )
        log = str(self.folder / "error.log")
        self.launch([program, "-e", log, "-p", str(self.folder), "-c", str(config)])

    def answers(self) -> bool:
        """Whether it listens on every port."""
        return all(map(_listens, self._ports))


def command() -> str | None:
    """The path of nginx; None where it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
