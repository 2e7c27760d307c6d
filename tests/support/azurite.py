"""A real blob store: Azurite as a process that tests can break."""

import base64
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from support.ports import free_port
from support.waiting import wait_for
from tools.azurite import command

ACCOUNT = "tiffintests"
KEY = base64.b64encode(b"a key that only the tests sign their links with").decode()


class Azurite:
    """Azurite on its own port and folder; what is on disk outlives a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / "azurite.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        """The connection string."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self.port}/{ACCOUNT};"
        )

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, seconds: float = 30) -> None:
        """Start it and return once it listens; skips the test where there is no Azurite."""
        found = command()
        if found is None:
            pytest.skip("there is no Azurite here: `make azurite` needs npm, or the network")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *found,
                    *("--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
                    *("--location", str(self.folder), "--silent"),
                    # The client speaks a newer version of the interface than Azurite knows.
                    *("--skipApiVersionCheck", "--disableTelemetry"),
                ],
                env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self._listens, seconds, what=f"Azurite listens on {self.port}")
        except AssertionError as error:
            log_text = self.log_path.read_text(errors="replace")[-2000:]
            self.kill()
            raise AssertionError(f"{error}\n{log_text}") from None

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=10)
            self._process = None

    def _listens(self) -> bool:
        assert self.running, "Azurite ended"
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
