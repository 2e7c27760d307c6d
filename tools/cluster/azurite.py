"""Azurite, Azure's own emulator of its blob store, as a process that can be broken and repaired."""

import base64
import os
import socket
from pathlib import Path

from tools.azurite import command
from tools.cluster.service import ServiceMissing, ServiceProcess

ACCOUNT = "tiffin"
KEY = base64.b64encode(b"a key that only a store on loopback signs its links with").decode()


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
        """Start it and return once it listens. Raises ServiceMissing where there is no Azurite."""
        found = command()
        if found is None:
            raise ServiceMissing("there is no Azurite here: `make azurite` needs npm, or a network")
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [
            *("--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
            *("--location", str(self.folder), "--silent"),
            # The client speaks a newer version of the interface than Azurite knows.
            *("--skipApiVersionCheck", "--disableTelemetry"),
        ]
        self.launch([*found, *options], env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"})

    def answers(self) -> bool:
        """Whether it listens."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
