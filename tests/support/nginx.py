"""A real nginx in front of a server: configured well, buffering, and without WebSocket upgrades."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tools.cluster import nginx
from tools.cluster.service import ServiceMissing
from tools.ports import free_port

BUFFERING = """
            proxy_ignore_headers X-Accel-Buffering;"""
"""As nginx is without settings, except for what the server sends in that header."""
NO_UPGRADE = """
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;"""


@dataclass(frozen=True)
class Nginx:
    """The address of each of its servers."""

    right: str
    buffering: str
    no_upgrade: str


@contextmanager
def nginx_to(target: str, folder: Path) -> Iterator[Nginx]:
    """Run nginx in front of the server at that address; skips the test where there is no nginx."""
    fronts = [
        nginx.Front(free_port()),
        nginx.Front(free_port(), BUFFERING, nginx.UPGRADE),
        nginx.Front(free_port(), NO_UPGRADE, NO_UPGRADE),
    ]
    try:
        with nginx.Nginx(folder, [urlsplit(target).netloc], fronts):
            yield Nginx(*(f"http://127.0.0.1:{front.port}" for front in fronts))
    except ServiceMissing as missing:
        pytest.skip(str(missing))
