"""nginx in front of servers, as deploy/ has it or from another configuration."""

import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.cluster.service import ServiceMissing, ServiceProcess

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
SERVER = "127.0.0.1:8080"
TLS_AND_LIMIT = re.compile(
    r"^    server \{\n +listen 80;.*?^    \}\n|^ +(?:ssl_|add_header Strict|limit_conn)[^\n]*\n",
    re.DOTALL | re.MULTILINE,
)
"""What a cluster on one machine leaves out: all of its clients have one address."""


def deployed(
    folder: Path,
    targets: Sequence[str],
    listen: Mapping[str, str],
    without: re.Pattern[str] | None = None,
) -> str:
    """The configuration of deploy/ for servers at `targets` (`host:port`), with its files in
    `folder`. `listen` has an address for each one that it listens on."""
    upstream = (DEPLOYED / "upstream.conf").read_text()
    assert SERVER in upstream
    lines = [
        line.replace(SERVER, target)
        for line in upstream.splitlines(keepends=True)
        for target in (targets if SERVER in line else (SERVER,))
    ]
    (folder / "upstream.conf").write_text("".join(lines))
    text = (DEPLOYED / "nginx.conf").read_text()
    if without is not None:
        text = without.sub("", text)
    for path, own in (("/run", folder), ("/var/log/nginx", folder), ("/etc/nginx/tls", folder)):
        text = text.replace(f" {path}/", f" {own}/")
    for address, own_address in listen.items():
        assert f"listen {address};" in text
        text = text.replace(f"listen {address};", f"listen {own_address};")
    return text


class Nginx(ServiceProcess):
    """nginx with that configuration, which listens on those ports."""

    def __init__(self, folder: Path, config: str, ports: Sequence[int]) -> None:
        super().__init__(folder, "nginx", ports[-1])
        self._config = config
        self._ports = ports

    @classmethod
    def before(cls, targets: Sequence[str], folder: Path, port: int) -> "Nginx":
        """That of deploy/, without TLS, before the servers at `targets` (`host:port`)."""
        listen = {"443 ssl": f"127.0.0.1:{port}"}
        return cls(folder, deployed(folder, targets, listen, TLS_AND_LIMIT), [port])

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
