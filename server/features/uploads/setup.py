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
from server.features.uploads.estimate import WaitEstimate
from server.features.uploads.folder_blobs import FolderBlobs
from server.features.uploads.janitor import Janitor
from server.features.uploads.jobs import JobQueue
from server.features.uploads.processor import PhotoProcessor
from server.features.uploads.rembg_models import model_home
from server.features.uploads.schemas import UploadStatus
from server.features.uploads.service import UploadLimits, UploadService
from server.features.uploads.worker_process import WorkerLimits
from server.settings import Settings, SettingsError, make_folder

MEGABYTE = 1024 * 1024


routers = (routes.router, short_polling.router)


class Uploads(Component):
    """The parts of uploads that are opened after the database and closed before it."""

    def __init__(
        self, settings: Settings, blobs: Blobs, processor: PhotoProcessor, janitor: Janitor
    ) -> None:
        self.processor = processor
        self.tasks = [*processor.tasks, janitor.task]
        self._folder = settings.data_dir / "arriving"
        self.blobs = blobs
        self._janitor = janitor

    async def open(self) -> None:
        """Start processing and cleaning."""
        make_folder(self._folder)
        await self._janitor.open()
        await self.processor.open()

    def begin_close(self) -> None:
        """Start no job any more."""
        self.processor.begin_close()

    async def close(self) -> None:
        """Stop both; jobs that are not done go back into the queue."""
        await self.processor.close()
        await self._janitor.close()
        await self.blobs.close()


def setup(services: Services) -> None:
    """The services. Raises SettingsError where the blob store's settings cannot work."""
    settings, database, retention = services[Settings], services[Database], services[Retention]
    accounts, restaurants = services[AccountService], services[RestaurantService]
    folder = settings.data_dir / "arriving"
    blobs = _blobs(settings)
    worker_limits = WorkerLimits(
        model=settings.rembg_model,
        home=model_home(settings.rembg_model, settings.model_dir),
        seconds=settings.photo_seconds,
        memory=settings.photo_memory_mb * MEGABYTE,
        jobs=settings.photo_jobs,
        folder=folder,
    )
    lease = timedelta(seconds=settings.photo_lease_seconds)
    queue = JobQueue(database, accounts, restaurants, lease)
    longest_wait = timedelta(hours=settings.photo_wait_hours)
    processor = PhotoProcessor(queue, blobs, worker_limits, settings.photo_workers, longest_wait)
    days, hours = timedelta(days=settings.original_days), settings.failed_photo_hours
    kept = {UploadStatus.DONE: days, UploadStatus.FAILED: timedelta(hours=hours) or days}
    janitor = Janitor(database, blobs, folder, kept, retention)
    estimate = WaitEstimate(settings.photo_workers)
    upload_limits = UploadLimits(
        receiving=settings.photos_arriving,
        receiving_per_account=settings.photos_arriving_per_account,
        bytes_per_account=settings.photo_mb_per_account * MEGABYTE,
    )
    uploads = services.add(
        UploadService(database, accounts, restaurants, blobs, estimate, upload_limits)
    )
    uploads.on_queued = processor.wake
    uploads.on_removal = janitor.wake
    uploads.hold = lambda: processor.hold
    accounts.on_delete.append(uploads.scrub)
    accounts.exports["uploads"] = uploads.export

    services.add(
        FormLimits(
            folder,
            reserve=settings.disk_reserve_mb * MEGABYTE,
            slowest=settings.photo_bytes_per_second,
        )
    )
    services[Readiness].checks |= {"blobs": blobs.state, "worker": processor.state}
    metrics = services[Metrics]
    metrics.gauge("photos_done", "Photos this process has finished.", lambda: processor.done)
    metrics.gauge("photos_failed", "Photos that failed here.", lambda: processor.failed)
    metrics.gauge("photo_kills", "Photo workers killed or lost.", lambda: processor.kills)
    services.add(Uploads(settings, blobs, processor, janitor))


def _blobs(settings: Settings) -> Blobs:
    if not settings.azure_storage_connection_string:
        if isinstance(settings.database, str) and settings.blob_dir is None:
            raise SettingsError(
                "TIFFIN_DATABASE_URL: servers on PostgreSQL may run on several machines, which all"
                " need the same pictures. Set TIFFIN_BLOB_DIR to a folder that they share, or on a"
                " single machine to any folder of it; or set TIFFIN_AZURE_STORAGE_CONNECTION_STRING"
            )
        return FolderBlobs(
            settings.blob_dir or settings.data_dir / "blobs",
            settings.disk_reserve_mb * MEGABYTE,
            shared=settings.blob_dir is not None,
        )
    from server.features.uploads.azure_blobs import AzureBlobs

    try:
        connection = settings.azure_storage_connection_string.get_secret_value()
        return AzureBlobs(connection, settings.blob_container)
    except ValueError as error:
        raise SettingsError(f"TIFFIN_AZURE_STORAGE_CONNECTION_STRING: {error}") from None
