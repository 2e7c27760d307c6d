"""A real nginx before a server: as in deploy/, buffering, or without WebSocket upgrades."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.tls import certificate
from tools.cluster.nginx import Nginx, deployed
from tools.cluster.service import ServiceMissing
from tools.ports import free_port

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


def configured(way: str, target: str, folder: Path) -> tuple[str, list[int]]:
    """A configuration for that folder, and the ports it listens on. The `deployed` one is that
    of deploy/ with other ports and folders."""
    if way in OTHERS:
        port = free_port()
        changes = {
            "TARGET": target,
            "/run/": f"{folder}/",
            "/var/log/nginx": str(folder),
            "listen 80;": f"listen 127.0.0.1:{port};",
        }
        text = OTHERS[way]
        for old, new in changes.items():
            text = text.replace(old, new)
        return text, [port]
    for path, name in zip(certificate(folder), ("fullchain.pem", "privkey.pem"), strict=True):
        path.rename(folder / name)
    plain, port = free_port(), free_port()
    listen = {"80": f"127.0.0.1:{plain}", "443 ssl": f"127.0.0.1:{port} ssl"}
    return deployed(folder, [target.removeprefix("http://")], listen), [plain, port]


@contextmanager
def nginx_to(way: str, target: str, folder: Path) -> Iterator[str]:
    """Run nginx in front of the server at that address, and yield its own; skips the test where
    there is no nginx. The `deployed` one speaks TLS, with `folder/fullchain.pem`, and its first
    port only redirects to that."""
    try:
        with Nginx(folder, *configured(way, target, folder)) as nginx:
            yield f"{'http' if way in OTHERS else 'https'}://127.0.0.1:{nginx.port}"
    except ServiceMissing as missing:
        pytest.skip(str(missing))
