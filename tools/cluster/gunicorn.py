"""Tiffin under gunicorn: a master and its workers."""

import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tools.cluster.service import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0


def gunicorn_command(port: int, workers: int, host: str = "127.0.0.1") -> list[str]:
    """The command of a master on that address and port."""
    return [
        *(sys.executable, "-m", "gunicorn", "server.app:create_runner"),
        *("-b", f"{host}:{port}", "-k", "aiohttp.GunicornUVLoopWebWorker", "-w", str(workers)),
    ]


class Gunicorn(ServiceProcess):
    """A master whose server has the settings in `environment`, beside those of this process."""

    cwd = ROOT

    def __init__(
        self, folder: Path, name: str, environment: Mapping[str, str], workers: int = 2
    ) -> None:
        super().__init__(folder, name)
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers = workers
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}

    def start(self) -> None:
        """Start it, and return once a worker is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.launch(gunicorn_command(self.port, self.workers), READY_SECONDS, self.environment)

    def answers(self) -> bool:
        """Whether `/readyz` is 200."""
        # A proxy from the environment must not be asked for this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
