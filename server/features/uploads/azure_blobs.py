"""Blobs in Azure Blob Storage, read through short-lived signed URLs."""

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
from server.features.uploads.blobs import (
    URL_SECONDS,
    BlobError,
    BlobNotFound,
    OutageLog,
    checked_name,
)

# At INFO the client logs the headers of every request.
logging.getLogger("azure").setLevel(logging.WARNING)

CALL_SECONDS = 30.0
"""For one blob of a few megabytes, retries included."""
RETRY_SECONDS = 1
STATE_SECONDS = 1.5
"""Less than readiness waits, so that the message is ours."""
CLOCK_SECONDS = 60
"""How far the store's clock may be behind ours."""


class AzureBlobs:
    """The blob port over one container, which is created when it is first written to.

    Raises ValueError for an invalid connection string, without quoting it.
    """

    def __init__(self, connection_string: str, container: str) -> None:
        try:
            self._container = ContainerClient.from_connection_string(
                connection_string,
                container,
                # The client's default policy waits 15 s before it retries.
                retry_policy=LinearRetry(
                    backoff=RETRY_SECONDS, retry_total=2, random_jitter_range=0
                ),
                connection_timeout=5,
                read_timeout=20,
            )
        except ValueError:
            raise ValueError(
                "is not a connection string: copy all of it, AccountName=…;AccountKey=… and the"
                " rest, from the storage account's access keys"
            ) from None
        key = getattr(self._container.credential, "account_key", None)
        if not isinstance(key, str):
            raise ValueError("the connection string needs an AccountKey, which signs the links")
        try:
            base64.b64decode(key, validate=True)
        except ValueError:
            raise ValueError("its AccountKey is not complete: it must be base64") from None
        self._key = key
        self._created = False
        self.outage = OutageLog()

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Store a copy of the file."""
        data = await asyncio.to_thread(path.read_bytes)  # 10 MiB at most
        async with self._call():
            if not self._created:
                await self._create()
            await self._container.upload_blob(
                checked_name(name),
                data,
                overwrite=True,
                content_settings=ContentSettings(content_type=media_type),
            )

    async def fetch(self, name: str, path: Path) -> None:
        """Write the blob into the file."""
        async with self._call():
            try:
                download = await self._container.download_blob(checked_name(name))
                data = await download.readall()
            except ResourceNotFoundError:
                raise BlobNotFound(name) from None
        await asyncio.to_thread(path.write_bytes, data)

    async def remove(self, name: str) -> None:
        """Remove the blob, if it exists."""
        async with self._call():
            try:
                await self._container.delete_blob(checked_name(name))
            except ResourceNotFoundError:
                return

    async def state(self) -> str:
        """Whether the container exists or can be created."""
        try:
            async with asyncio.timeout(STATE_SECONDS):
                await self._create()
        except TimeoutError:
            return f"no answer from the blob store within {STATE_SECONDS:g} s"
        except AzureError as error:
            return _reason_of(error)
        return "ok"

    async def check_space(self) -> None:
        """There is always enough."""

    async def sweep(self) -> None:
        """The service does this itself."""

    async def close(self) -> None:
        """Close the connections."""
        await self._container.close()

    def local_path(self, name: str) -> Path | None:
        """None: the store is elsewhere."""
        return None

    def signed_url(self, name: str, media_type: str) -> str | None:
        """A URL that permits reading this one blob."""
        valid_from = now() - timedelta(seconds=CLOCK_SECONDS)
        signature = generate_blob_sas(
            account_name=str(self._container.account_name),
            container_name=self._container.container_name,
            blob_name=checked_name(name),
            account_key=self._key,
            permission=BlobSasPermissions(read=True),
            start=valid_from,
            expiry=now() + timedelta(seconds=URL_SECONDS),
            content_type=media_type,
            cache_control=f"private, max-age={URL_SECONDS}",
            # Whoever has the URL can read the photo, so it is for TLS alone, unless the connection
            # string names a store without TLS, such as Azurite.
            protocol="https" if self._container.url.startswith("https://") else "https,http",
        )
        return f"{self._container.url}/{quote(name)}?{signature}"

    async def _create(self) -> None:
        try:
            if not await self._container.exists():
                await self._container.create_container()
        except ResourceExistsError:
            pass  # another process was faster
        self._created = True

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                yield
        except TimeoutError:
            reason = f"no answer from the blob store within {CALL_SECONDS:g} s"
        except AzureError as error:
            if getattr(error, "error_code", None) == "ContainerNotFound":
                self._created = False
            reason = _reason_of(error)
        else:
            return
        self.outage.report(reason)
        raise BlobError(reason)


def _reason_of(error: AzureError) -> str:
    """What went wrong, without the store's address or a signature."""
    if isinstance(error, HttpResponseError) and error.status_code:
        code = getattr(error, "error_code", None) or error.reason
        return f"the blob store answered {error.status_code} ({code})"
    return "the blob store cannot be reached"
