"""The servers: how each is made, started, stopped and asked."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Self

import psutil

from benchmarks.peers.client import Response, frame, get, post, stream, upgrade
from benchmarks.peers.works import Channel, Measured, Member, Server, Work
from tools.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SERVERS = Path(__file__).with_name("servers")
MADE = ROOT / ".tiffin" / "peers"
"""Where the peers' packages are installed."""
CORES = sorted(os.sched_getaffinity(0))
FILES = 20_000
WARM_UP_CONNECTIONS = 64
WARM_UP_SECONDS = 0.3
_CURSOR = re.compile(rb'"cursor": *(\d+)')
_VALIDATOR = re.compile(rb"\r\n(etag|last-modified): *([^\r]+)", re.IGNORECASE)


class Missing(Exception):
    """Why a server cannot be had here."""


class Target(Server):
    """A server on the first core, or others, while this process is on the second."""

    name: ClassVar[str]
    ready = "/healthz"
    cores: ClassVar[Sequence[int]] = CORES[:1]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._processes: list[psutil.Process] = []
        self._works = 0

    @classmethod
    def make(cls) -> str:
        """Install what it needs, once. Returns its version; raises Missing."""
        return ""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What starts it."""

    def environment(self) -> dict[str, str]:
        """Its environment."""
        return dict(os.environ)

    def __enter__(self) -> Self:
        log = self.folder / "log"
        os.sched_setaffinity(0, self.cores)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        os.sched_setaffinity(0, CORES[1:2] or CORES)
        try:
            self._wait_ready(log)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it."""
        os.sched_setaffinity(0, CORES)
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def _wait_ready(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 30
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"it does not start: {log.read_text()[-500:]}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        """Whether it is what listens on the port, and answers."""
        try:
            url = f"http://127.0.0.1:{self.port}{self.ready}"
            with urllib.request.urlopen(url, timeout=2):
                root = psutil.Process(self.pid)
            self._processes = [root, *root.children(recursive=True)]
            return any(
                (held.status, held.laddr.port) == (psutil.CONN_LISTEN, self.port)
                for process in self._processes
                for held in process.net_connections("tcp4")
            )
        except (OSError, urllib.error.URLError, psutil.Error):
            return False

    def cpu_seconds(self) -> float:
        """The CPU time of all its threads and processes; Linux knows their clocks by number."""
        return sum(time.clock_gettime((~one.pid << 3) | 2) for one in self._processes)

    def kilobytes(self) -> int:
        """Its resident memory."""
        return sum(int(one.memory_info().rss) for one in self._processes) // 1024


def measure(target: type[Target], work: Work, number: int, seconds: float) -> Measured:
    """What a fresh server takes for that work, after a little of it."""
    with tempfile.TemporaryDirectory() as folder, target(Path(folder)) as server:
        work(server, min(number, WARM_UP_CONNECTIONS), WARM_UP_SECONDS)
        return work(server, number, seconds)


class Peer(Target):
    """A server of this folder. It stores nothing, and asks for no token."""

    def channel(self, number: int = 0) -> Channel:
        """A channel that nothing was published on yet."""
        name = f"{self._works}-{number}"
        return Channel(stream(f"/sse/{name}"), self._publish_on(name))

    def news(self) -> Channel:
        self._works += 1
        return self.channel()

    def kitchens(self, number: int) -> Sequence[Channel]:
        self._works += 1
        return [self.channel(one) for one in range(number)]

    def orders(self, number: int, steps: int) -> Sequence[Channel]:
        self._works += 1
        names = [f"{self._works}-{one}" for one in range(number)]
        return [
            Channel(self.poll(name), self._publish_on(name), self.next_poll(name)) for name in names
        ]

    def poll(self, name: str, cursor: bytes = b"0") -> bytes:
        """A poll for what comes after the cursor."""
        return get(f"/poll/{name}?since={cursor.decode()}")

    def next_poll(self, name: str) -> Callable[[Response], bytes]:
        """What makes the next poll of that channel."""

        def again(response: Response) -> bytes:
            found = _CURSOR.search(response.body)
            assert found, response
            return self.poll(name, found[1])

        return again

    def order(self) -> bytes:
        return get("/orders/1")

    def members(self, rooms: int) -> Sequence[Member]:
        self._works += 1
        names = [f"{self._works}-{room}" for room in range(rooms) for _ in range(2)]
        return [self.member(name) for name in names]

    def member(self, room: str) -> Member:
        """A member of that room."""
        return Member(upgrade(f"/ws/{room}"), [], lambda text: frame(_said(room, text)))

    def _publish_on(self, name: str) -> Callable[[str], bytes]:
        def publish(text: str) -> bytes:
            event = {
                "type": "order.status",
                "order_id": name,
                "status": "preparing",
                "courier": {"lat": 52.5201, "lng": 13.4049},
                "eta_s": 840,
                "note": text,
            }
            return post(f"/pub/{name}", json.dumps(event, separators=(",", ":")))

        return publish


def _said(room: str, text: str) -> str:
    message = {"type": "chat", "room": room, "text": f"hello there {text}"}
    return json.dumps(message, separators=(",", ":"))


class Aiohttp(Peer):
    """Plain aiohttp, as the project has it."""

    name = "plain aiohttp"

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, SERVERS / "aiohttp_server.py", str(self.port)]


class FastApi(Peer):
    """FastAPI under Uvicorn, in an environment of its own."""

    name = "FastAPI"
    python = MADE / "fastapi" / "bin" / "python"

    @classmethod
    def make(cls) -> str:
        home = cls.python.parents[1]
        uv = [sys.executable, "-m", "uv", "--quiet"]
        lock = SERVERS / "fastapi.lock"
        install = [*uv, "pip", "install", "--require-hashes", "--python", cls.python, "-r", lock]
        _install(home, lock, [*uv, "venv", "--clear", home], install)
        found = re.search(r"^fastapi==(\S+)", lock.read_text(), re.MULTILINE)
        return found[1] if found else ""

    def command(self) -> Sequence[str | Path]:
        return [self.python, SERVERS / "fastapi_server.py", str(self.port)]


class Express(Peer):
    """Express, with Socket.IO for the rooms, from npm."""

    name = "Express"
    home = MADE / "express"

    @classmethod
    def make(cls) -> str:
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            raise Missing("there is no Node or no npm here")
        cls.home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", "express.mjs"):
            shutil.copy(SERVERS / name, cls.home)
        quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        lock = SERVERS / "package-lock.json"
        _install(cls.home, lock, [npm, "ci", *quietly, "--prefix", cls.home])
        version = json.loads(lock.read_text())["packages"]["node_modules/express"]["version"]
        shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        return f"{version} on Node {shown.stdout.strip()}"

    def command(self) -> Sequence[str | Path]:
        return ["node", self.home / "express.mjs", str(self.port), SERVERS / "order.json"]

    def member(self, room: str) -> Member:
        """By Socket.IO, over its WebSocket."""
        join = frame(f'421["join",{{"room":"{room}"}}]')
        hello = [(b"0{", frame("40")), (b"40{", join), (b"431[", b"")]
        return Member(
            upgrade("/socket.io/?EIO=4&transport=websocket"),
            hello,
            lambda text: frame(f'42["chat",{_said(room, text)}]'),
        )


class Nchan(Peer):
    """nginx with nchan, from the system's packages."""

    name = "nchan"

    @classmethod
    def make(cls) -> str:
        nginx = _nginx()
        shown = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
        _nchan(shown)
        return f"on nginx {shown.splitlines()[0].rpartition('/')[2]}"

    def command(self) -> Sequence[str | Path]:
        nginx = _nginx()
        shown = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
        text = (SERVERS / "nginx.conf").read_text()
        values = {"MODULE": _nchan(shown), "FILES": FILES, "FOLDER": self.folder}
        for name, value in (values | {"PORT": self.port}).items():
            text = re.sub(rf"\b{name}\b", str(value), text)
        configuration = self.folder / "nginx.conf"
        configuration.write_text(text)
        return [nginx, "-c", configuration]

    def poll(self, name: str, cursor: bytes = b"") -> bytes:
        """Its cursor is in the headers."""
        return get(f"/poll/{name}", *cursor.decode().splitlines())

    def next_poll(self, name: str) -> Callable[[Response], bytes]:
        def again(response: Response) -> bytes:
            known = {key.lower(): value for key, value in _VALIDATOR.findall(response.head)}
            lines = [b"If-None-Match: " + known[b"etag"]]
            lines.append(b"If-Modified-Since: " + known[b"last-modified"])
            return self.poll(name, b"\n".join(lines))

        return again


def _nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        raise Missing("there is no nginx here (Debian: apt install nginx libnginx-mod-nchan)")
    return found


def _nchan(shown: str) -> Path:
    """Its module, by what `nginx -V` has shown."""
    found = re.search(r"--modules-path=(\S+)", shown)
    module = Path(found[1] if found else "/usr/lib/nginx/modules") / "ngx_nchan_module.so"
    if not module.exists():
        raise Missing("nginx has no module nchan here (Debian: apt install libnginx-mod-nchan)")
    return module


def _install(home: Path, lock: Path, *commands: Sequence[object]) -> None:
    """Run the commands, unless that was done with this lock file. Raises Missing."""
    done = home / "installed"
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return
    print(f"Installing {home.relative_to(ROOT)} (once).", flush=True)
    try:
        for command in commands:
            arguments = [str(word) for word in command]
            subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"it could not be installed: {error}") from error
    done.write_bytes(lock.read_bytes())
