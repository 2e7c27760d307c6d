"""Blobs in Azure Blob Storage, given out by short-lived signed URLs."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobSasPermissions, ContentSettings, generate_blob_sas
from azure.storage.blob.aio import ContainerClient, LinearRetry

from server.core.clock import now
from server.features.uploads.blobs import LINK_SECONDS, BlobMissing, BlobTrouble, Outage, checked

# At INFO the client would write down every request's headers.
logging.getLogger("azure").setLevel(logging.WARNING)

CALL_SECONDS = 30.0
"""For one blob of some megabytes, attempts included."""
RETRY_SECONDS = 1
STATE_SECONDS = 1.5
"""Less than readiness waits for it, so that the words are ours."""
CLOCK_SECONDS = 60
"""By which the store's clock may be behind ours."""


class AzureBlobs:
    """The blob port over one container, which is made when it is first written to.

    Raises ValueError, without any of it, for a connection string that is none.
    """

    def __init__(self, connection_string: str, container: str) -> None:
        try:
            self._container = ContainerClient.from_connection_string(
                connection_string,
                container,
                # The client's own policy waits 15 s before it tries again.
                retry_policy=LinearRetry(
                    backoff=RETRY_SECONDS, retry_total=2, random_jitter_range=0
                ),
                connection_timeout=5,
                read_timeout=20,
            )
        except ValueError:
            raise ValueError(
                "is no connection string: copy it whole, AccountName=…;AccountKey=… and what"
                " else there is, from the storage account's access keys"
            ) from None
        key = getattr(self._container.credential, "account_key", None)
        if not isinstance(key, str):
            raise ValueError("the connection string needs an AccountKey, which signs the links")
        try:
            base64.b64decode(key, validate=True)
        except ValueError:
            raise ValueError("its AccountKey is not whole: that is base64") from None
        self._key = key
        self._made = False
        self.outage = Outage()

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Store a copy of that file."""
        data = await asyncio.to_thread(path.read_bytes)  # 10 MiB at most
        async with self._call():
            if not self._made:
                await self._make()
            await self._container.upload_blob(
                checked(name),
                data,
                overwrite=True,
                content_settings=ContentSettings(content_type=media_type),
            )

    async def fetch(self, name: str, path: Path) -> None:
        """Write the blob into that file."""
        async with self._call():
            try:
                download = await self._container.download_blob(checked(name))
                data = await download.readall()
            except ResourceNotFoundError:
                raise BlobMissing(name) from None
        await asyncio.to_thread(path.write_bytes, data)

    async def remove(self, name: str) -> None:
        """Remove it, if it is there."""
        async with self._call():
            try:
                await self._container.delete_blob(checked(name))
            except ResourceNotFoundError:
                return

    async def state(self) -> str:
        """Whether the container is there, or can be made."""
        try:
            async with asyncio.timeout(STATE_SECONDS):
                await self._make()
        except TimeoutError:
            return f"no answer from the blob store within {STATE_SECONDS:g} s"
        except AzureError as error:
            return _in_words(error)
        return "ok"

    async def check_room(self) -> None:
        """There is always some."""

    async def sweep(self) -> None:
        """The service does that by itself."""

    async def close(self) -> None:
        """Close the connections."""
        await self._container.close()

    def file(self, name: str) -> Path | None:
        """It lies elsewhere."""
        return None

    def link(self, name: str, media_type: str) -> str | None:
        """A signed URL, good for reading this one blob."""
        begins = now() - timedelta(seconds=CLOCK_SECONDS)
        signature = generate_blob_sas(
            account_name=str(self._container.account_name),
            container_name=self._container.container_name,
            blob_name=checked(name),
            account_key=self._key,
            permission=BlobSasPermissions(read=True),
            start=begins,
            expiry=now() + timedelta(seconds=LINK_SECONDS),
            content_type=media_type,
            cache_control=f"private, max-age={LINK_SECONDS}",
            # Who holds the link may read the photo: no wire may show it, but to a stand-in without
            # TLS, as the connection string has it.
            protocol="https" if self._container.url.startswith("https://") else "https,http",
        )
        return f"{self._container.url}/{quote(name)}?{signature}"

    async def _make(self) -> None:
        try:
            if not await self._container.exists():
                await self._container.create_container()
        except ResourceExistsError:
            pass  # another process was quicker
        self._made = True

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                yield
        except TimeoutError:
            words = f"no answer from the blob store within {CALL_SECONDS:g} s"
        except AzureError as error:
            if getattr(error, "error_code", None) == "ContainerNotFound":
                self._made = False
            words = _in_words(error)
        else:
            return
        self.outage.met(words)
        raise BlobTrouble(words)


def _in_words(error: AzureError) -> str:
    """Without the store's address or anything that was signed."""
    if isinstance(error, HttpResponseError) and error.status_code:
        code = getattr(error, "error_code", None) or error.reason
        return f"the blob store answered {error.status_code} ({code})"
    return "the blob store cannot be reached"
