"""nginx in front of servers, from its own configuration."""

import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.service import ServiceMissing, ServiceProcess

UPGRADE = """
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;"""
RIGHT = f"""{UPGRADE}
            proxy_buffering off;
            proxy_read_timeout 120s;"""
"""As docs/operating.md says: streams are not held back, and sockets pass."""
CONFIG = """
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 11m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream tiffin {{ {targets} }}
{servers}}}
"""
SERVER = """    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Forwarded "";
        location / {{
            proxy_pass http://tiffin;{settings}
        }}
        location ~ /ws$ {{
            proxy_pass http://tiffin;{sockets}
        }}
    }}
"""


@dataclass(frozen=True)
class Front:
    """A port, and the settings for requests and for sockets there."""

    port: int
    settings: str = RIGHT
    sockets: str = RIGHT


class Nginx(ServiceProcess):
    """nginx on some ports; each request goes to the next of the servers at `targets` (`host:port`).

    Requests that a server has not received go to another one; those that it has, do not.
    """

    def __init__(self, folder: Path, targets: Sequence[str], fronts: Sequence[Front]) -> None:
        super().__init__(folder, "nginx", fronts[0].port)
        self._ports = [front.port for front in fronts]
        self._config = CONFIG.format(
            user="user root;\n" if os.geteuid() == 0 else "",
            folder=folder,
            targets=" ".join(f"server {target} max_fails=0;" for target in targets),
            servers="".join(SERVER.format(**vars(front)) for front in fronts),
        )

    def start(self) -> None:
        """Start it, and return once it listens. Raises ServiceMissing where there is no nginx."""
        program = command()
        if program is None:
            raise ServiceMissing("there is no nginx here: apt-get install nginx-light")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nginx.conf"
        config.write_text(self._config)
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
