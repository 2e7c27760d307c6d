"""A real blob store: Azurite as a process that tests can break."""

import base64
import socket
from pathlib import Path

import pytest

from support.service_process import ServiceProcess
from tools.azurite import command

ACCOUNT = "tiffintests"
KEY = base64.b64encode(b"a key that only the tests sign their links with").decode()


class Azurite(ServiceProcess):
    """Azurite on its own port and folder; what is on disk outlives a restart."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "azurite")

    @property
    def connection_string(self) -> str:
        """The connection string."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self.port}/{ACCOUNT};"
        )

    def start(self) -> None:
        """Start it and return once it listens; skips the test where there is no Azurite."""
        found = command()
        if found is None:
            pytest.skip("there is no Azurite here: `make azurite` needs npm, or the network")
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [
            *("--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
            *("--location", str(self.folder), "--silent"),
            # The client speaks a newer version of the interface than Azurite knows.
            *("--skipApiVersionCheck", "--disableTelemetry"),
        ]
        self.launch([*found, *options], 30, {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"})

    def answers(self) -> bool:
        """Whether it listens."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
