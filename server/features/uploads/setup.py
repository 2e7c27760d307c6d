"""Puts uploads into the application."""

from datetime import timedelta

from server.core.database import Database
from server.core.forms import FormLimits
from server.core.health import Readiness
from server.core.lifecycle import Component
from server.core.metrics import Metrics
from server.core.retention import Retention
from server.core.services import Services
from server.features.accounts.service import AccountService
from server.features.restaurants.service import RestaurantService
from server.features.uploads import routes, short_polling
from server.features.uploads.blobs import Blobs
from server.features.uploads.child import Limits
from server.features.uploads.folder_blobs import FolderBlobs
from server.features.uploads.janitor import Janitor
from server.features.uploads.models import home_of
from server.features.uploads.pace import Pace
from server.features.uploads.queue import Queue
from server.features.uploads.schemas import UploadStatus
from server.features.uploads.service import Shares, UploadService
from server.features.uploads.workers import Workers
from server.settings import Settings, SettingsError, make_folder

MEGABYTE = 1024 * 1024


routers = (routes.router, short_polling.router)


class Uploads(Component):
    """Everything of uploads that is opened after the database and closed before it."""

    def __init__(
        self, settings: Settings, blobs: Blobs, workers: Workers, cleaner: Janitor
    ) -> None:
        self.workers = workers
        self.tasks = [*workers.tasks, cleaner.task]
        self._folder = settings.data_dir / "arriving"
        self.blobs = blobs
        self._cleaner = cleaner

    async def open(self) -> None:
        """Start the workers and the cleaning."""
        make_folder(self._folder)
        await self._cleaner.open()
        await self.workers.open()

    async def close(self) -> None:
        """End both; jobs that are not done go back into the queue."""
        await self.workers.close()
        await self._cleaner.close()
        await self.blobs.close()


def setup(services: Services) -> None:
    """The services. Raises SettingsError where the blob store's settings cannot work."""
    settings, database, retention = services[Settings], services[Database], services[Retention]
    accounts, restaurants = services[AccountService], services[RestaurantService]
    folder = settings.data_dir / "arriving"
    blobs = _blobs(settings)
    limits = Limits(
        model=settings.rembg_model,
        home=home_of(settings.rembg_model, settings.model_dir),
        seconds=settings.photo_seconds,
        memory=settings.photo_memory_mb * MEGABYTE,
        jobs=settings.photo_jobs,
        folder=folder,
    )
    lease = timedelta(seconds=settings.photo_lease_seconds)
    queue = Queue(database, accounts, restaurants, lease)
    longest_wait = timedelta(hours=settings.photo_wait_hours)
    workers = Workers(queue, blobs, limits, settings.photo_workers, folder, longest_wait)
    days, hours = timedelta(days=settings.original_days), settings.failed_photo_hours
    kept = {UploadStatus.DONE: days, UploadStatus.FAILED: timedelta(hours=hours) or days}
    cleaner = Janitor(database, blobs, folder, kept, retention)
    pace = Pace(settings.photo_workers)
    shares = Shares(
        arriving=settings.photos_arriving,
        arriving_of_one=settings.photos_arriving_per_account,
        bytes_of_one=settings.photo_mb_per_account * MEGABYTE,
    )
    uploads = services.add(UploadService(database, accounts, restaurants, blobs, pace, shares))
    uploads.on_queued = workers.wake
    uploads.on_unneeded = cleaner.wake
    accounts.on_delete.append(uploads.scrub)

    services.add(
        FormLimits(
            folder,
            reserve=settings.disk_reserve_mb * MEGABYTE,
            slowest=settings.photo_bytes_per_second,
        )
    )
    services[Readiness].checks |= {"blobs": blobs.state, "worker": workers.state}
    metrics = services[Metrics]
    metrics.gauge("photos_done", "Photos this process has finished.", lambda: workers.done)
    metrics.gauge("photos_failed", "Photos that failed here.", lambda: workers.failed)
    metrics.gauge("photo_kills", "Photo workers killed or lost.", lambda: workers.kills)
    services.add(Uploads(settings, blobs, workers, cleaner))


def _blobs(settings: Settings) -> Blobs:
    if not settings.azure_storage_connection_string:
        return FolderBlobs(settings.data_dir / "blobs", settings.disk_reserve_mb * MEGABYTE)
    from server.features.uploads.azure_blobs import AzureBlobs

    try:
        connection = settings.azure_storage_connection_string.get_secret_value()
        return AzureBlobs(connection, settings.blob_container)
    except ValueError as error:
        raise SettingsError(f"TIFFIN_AZURE_STORAGE_CONNECTION_STRING: {error}") from None
