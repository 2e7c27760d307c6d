"""A real nginx before a server: as in deploy/, buffering, or without WebSocket upgrades."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.ports import free_port
from support.server_process import ROOT
from support.tls import certificate
from support.waiting import wait_for

DEPLOYED = ROOT / "deploy" / "nginx"
BUFFERING = """
        proxy_ignore_headers X-Accel-Buffering;
        location ~ /ws$ {
            proxy_pass TARGET;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }"""
"""As nginx is without settings, except for what the server sends in that header."""
NO_UPGRADE = """
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;"""
CONFIG = """
worker_processes 1;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    server {
        listen 80;
        proxy_set_header Host $http_host;
        location / {
            proxy_pass TARGET;
        }SETTINGS
    }
}
"""
OTHERS = {
    way: CONFIG.replace("SETTINGS", settings)
    for way, settings in (("buffering", BUFFERING), ("no_upgrade", NO_UPGRADE))
}
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def command() -> str | None:
    """The path of nginx; None where it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configured(way: str, target: str, folder: Path) -> tuple[Path, list[int]]:
    """A configuration file in that folder, and the ports it listens on. The `deployed` one is that
    of deploy/ with other ports and folders."""
    text = OTHERS.get(way) or (DEPLOYED / "nginx.conf").read_text()
    upstream = (DEPLOYED / "upstream.conf").read_text()
    changes = {"TARGET": target, "/run/": f"{folder}/", "/var/log/nginx": str(folder)}
    temporary = "".join(f"\n    {name}_temp_path {folder}/{name};" for name in TEMPORARY)
    changes["http {"] = f"http {{{temporary}"
    ports = []
    for listen in ("listen 80;", "listen 443 ssl;"):
        if listen in text:
            ports.append(free_port())
            changes[listen] = re.sub(r"\d+", f"127.0.0.1:{ports[-1]}", listen)
    if way not in OTHERS:
        changes["/etc/nginx/tls"] = str(folder)
        for path, name in zip(certificate(folder), ("fullchain.pem", "privkey.pem"), strict=True):
            path.rename(folder / name)
        server = "127.0.0.1:8080"
        assert server in upstream
        upstream = upstream.replace(server, target.removeprefix("http://"))
        (folder / "upstream.conf").write_text(upstream)
    for old, new in changes.items():
        text = text.replace(old, new)
    user = "user root;\n" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(f"{user}daemon off;\n{text}")
    return path, ports


@contextmanager
def nginx_to(way: str, target: str, folder: Path) -> Iterator[str]:
    """Run nginx in front of the server at that address, and yield its own; skips the test where
    there is no nginx. The `deployed` one speaks TLS, with `folder/fullchain.pem`, and its first
    port only redirects to that."""
    program = command()
    if program is None:
        pytest.skip("there is no nginx here: apt-get install nginx-light")
    config, ports = configured(way, target, folder)
    log = folder / "error.log"
    process = subprocess.Popen(
        [program, "-e", str(log), "-p", str(folder), "-c", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: all(map(_listens, ports)), what=f"nginx listens ({log})")
        yield f"{'http' if way in OTHERS else 'https'}://127.0.0.1:{ports[-1]}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
