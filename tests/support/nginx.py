"""A real nginx in front of a server: configured well, buffering, and without WebSocket upgrades."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.ports import free_port
from support.waiting import wait_for

UPGRADE = """
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;"""
RIGHT = f"{UPGRADE}\n            proxy_buffering off;"
BUFFERING = """
            proxy_ignore_headers X-Accel-Buffering;"""
"""As nginx is without settings, except for what the server sends in that header."""
NO_UPGRADE = """
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;"""
CONFIG = """
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}}}
"""
SERVER = """    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        location / {{
            proxy_pass {target};{settings}
        }}
        location ~ /ws$ {{
            proxy_pass {target};{sockets}
        }}
    }}
"""


@dataclass(frozen=True)
class Nginx:
    """The address of each of its servers."""

    right: str
    buffering: str
    no_upgrade: str


def command() -> str | None:
    """The path of nginx; None where it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def nginx_to(target: str, folder: Path) -> Iterator[Nginx]:
    """Run nginx in front of the server at that address; skips the test where there is no nginx."""
    program = command()
    if program is None:
        pytest.skip("there is no nginx here: apt-get install nginx-light")
    ports = [free_port() for _ in range(3)]
    servers = "".join(
        SERVER.format(port=port, target=target, settings=settings, sockets=sockets)
        for port, settings, sockets in zip(
            ports,
            (RIGHT, BUFFERING, NO_UPGRADE),
            (UPGRADE, UPGRADE, NO_UPGRADE),
            strict=True,
        )
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(user=user, folder=folder, servers=servers))
    log = folder / "error.log"
    process = subprocess.Popen(
        [program, "-e", str(log), "-p", str(folder), "-c", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: all(map(_listens, ports)), what=f"nginx listens ({log})")
        yield Nginx(*(f"http://127.0.0.1:{port}" for port in ports))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
