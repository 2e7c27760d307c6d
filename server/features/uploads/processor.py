"""Processes photos: tasks that take jobs from the queue, each with a worker process."""

import asyncio
import contextlib
import logging
import os
from datetime import timedelta
from functools import partial

from server.core.lifecycle import SupervisedTask
from server.core.logging import log_failure
from server.core.temp_files import locked_folder
from server.features.uploads.blobs import BlobError, BlobNotFound, Blobs
from server.features.uploads.image_header import Unreadable
from server.features.uploads.jobs import Job, JobQueue
from server.features.uploads.rembg_models import model_error, packages_missing
from server.features.uploads.rembg_worker import DISK_ERRORS, ORIGINAL, RESULT, ModelError
from server.features.uploads.store import ProcessedPhoto
from server.features.uploads.worker_process import WorkerLimits, WorkerLost, WorkerProcess

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two checks for jobs that other processes accepted or whose workers were lost."""
RETRY_SECONDS = 2.0
"""Before the second attempt; four times as long before the third."""
EXCUSED_RETRY_SECONDS = 1.0
"""After the first attempt that was ended from outside; twice as long after the second."""
ERROR_PAUSE_SECONDS = 1.0
STORE_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between checks whether a store that was away is back; after the last a photo tries it."""
SHUTDOWN_SECONDS = 5.0
"""How long jobs may still run when the server shuts down, while its connections end."""
_NO_MODEL = (
    "Photos cannot be processed at the moment: this server's model is missing or broken. Run"
    " `tiffin-server fetch-model` where it runs, and send the photo again; its log says more."
)


_NO_PACKAGES = "what removes backgrounds is not installed here yet; the photo waits for it"


class PhotoProcessor:
    """`count` tasks, each with a worker process of its own, which starts with its first job."""

    def __init__(
        self,
        queue: JobQueue,
        blobs: Blobs,
        limits: WorkerLimits,
        count: int,
        longest_wait: timedelta,
    ) -> None:
        self.count = count
        self.done = 0
        self.failed = 0
        self._queue = queue
        self._blobs = blobs
        self._limits = limits
        self._workers = [WorkerProcess(limits) for _ in range(count)]
        self.tasks = [
            SupervisedTask(f"photo worker {number}", partial(self._work, worker))
            for number, worker in enumerate(self._workers, 1)
        ]
        self._wake = asyncio.Event()
        self._longest_wait = longest_wait
        self._closing = asyncio.Event()
        self._end: asyncio.Task[None]
        self._load_error: str | None = None
        self._store_error: str | None = None
        self._waits_for_packages = count > 0 and packages_missing()
        self._store_failures = 0
        """In a row."""

    @property
    def kills(self) -> int:
        """Worker processes that were killed or died during a job."""
        return sum(worker.kills for worker in self._workers)

    @property
    def hold(self) -> str | None:
        """Why no photo is processed here now, for its sender, where that will pass."""
        return _NO_PACKAGES if self._waits_for_packages else None

    def wake(self) -> None:
        """A job was queued: look for it now."""
        self._wake.set()

    async def open(self) -> None:
        """Start looking for jobs. A worker process starts with its first job."""
        for task in self.tasks:
            task.start()

    async def close(self) -> None:
        """Return once it has ended."""
        self.begin_close()
        await self._end

    def begin_close(self) -> None:
        """Let jobs end within SHUTDOWN_SECONDS, put the others back, end the processes."""
        if not self._closing.is_set():
            self._closing.set()
            self._end = asyncio.create_task(self._end_all(), name="end of photos")

    async def _end_all(self) -> None:
        self._wake.set()
        await asyncio.gather(*(task.stop(SHUTDOWN_SECONDS) for task in self.tasks))
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def state(self) -> str:
        """`ok`, or why photos cannot be processed here."""
        if not self.count:
            return "ok"
        return self.hold or await self._model_error() or self._store_error or "ok"

    async def _model_error(self) -> str | None:
        return await asyncio.to_thread(self._file_error) or self._load_error

    def _file_error(self) -> str | None:
        return model_error(self._limits.model, self._limits.home)

    async def _work(self, worker: WorkerProcess) -> None:
        while not self._closing.is_set():
            try:
                if self._waits_for_packages:
                    await self._wait_for_packages()
                if self._store_failures:
                    await self._wait_for_store()
                if self._closing.is_set():  # while it waited
                    return
                no_model = await self._model_error() is not None
                job = await self._next(last_resort=no_model)
                if job is not None:
                    await self._attempt(worker, job, last_resort=no_model)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log_failure(logger, error, "photos: a worker task failed; it continues")
                await asyncio.sleep(ERROR_PAUSE_SECONDS)

    async def _wait_for_packages(self) -> None:
        while self._waits_for_packages and not self._closing.is_set():
            self._waits_for_packages = await asyncio.to_thread(packages_missing)
            if self._waits_for_packages:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._closing.wait()

    async def _next(self, *, last_resort: bool) -> Job | None:
        """The next job for this process; without a model only what no other process takes."""
        self._wake.clear()
        job = await self._queue.claim(last_resort=last_resort)
        if job is not None:
            self._wake.set()  # there may be more
            return job
        if self._store_error and not await self._queue.any_paused():
            self._store_is_back()  # another process has found that out
        if not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
        return job

    async def _attempt(self, worker: WorkerProcess, job: Job, *, last_resort: bool) -> None:
        """Process the job until it ends or its lease is lost."""
        work = asyncio.create_task(self._process(worker, job))
        renewal = asyncio.create_task(self._renew_lease(job, work))
        try:
            photo = await work
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            if renewal.done():  # the lease was lost: another worker has the job
                return
            await asyncio.shield(self._queue.retry(job, None, timedelta(0), excused=True))
            raise
        except Unreadable as error:
            await self._fail(job, str(error))
        except ModelError as error:
            logger.error("photos: %s", error)
            if self._file_error() is None:  # else readiness reports the file
                self._load_error = str(error)
            if last_resort:
                await self._fail(job, _NO_MODEL)
            else:
                await self._retry(job, _NO_MODEL, excused=True)
        except WorkerLost as error:
            message = f"The photo could not be processed: {error}"
            if error.retry:
                await self._retry(job, message, excused=error.excused)
            else:
                await self._fail(job, message)
        except BlobNotFound:
            await self._fail(job, "The photo is not in the store any more. Send it again.")
        except BlobError as error:
            await self._postpone(job, str(error))
        except Exception as error:
            # A disk of this machine, not of the store.
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                await self._postpone(job, os.strerror(error.errno).lower())
                return
            logger.exception("photos: attempt %s at %s failed", job.attempt, job.id)
            await self._retry(job, "The photo could not be processed here. Send it again later.")
        else:
            self._load_error = None
            self._store_is_back()
            if await self._queue.finish(job, photo):
                self.done += 1
                logger.info("photos: %s is done, attempt %s", job.id, job.attempt)
        finally:
            renewal.cancel()
            await asyncio.wait({renewal})

    async def _process(self, worker: WorkerProcess, job: Job) -> ProcessedPhoto:
        original, result = job.blobs
        with locked_folder(self._limits.folder, "job-") as folder:
            sent = folder / "sent"
            await self._blobs.fetch(job.upload.original_blob, sent)
            cutout = await worker.process(sent, folder)
            await self._blobs.put(original, folder / ORIGINAL, cutout.original_type)
            await self._blobs.put(result, folder / RESULT, "image/png")
            sizes = [(folder / one).stat().st_size for one in (ORIGINAL, RESULT)]
        return ProcessedPhoto(
            original_blob=original,
            original_type=cutout.original_type,
            original_bytes=sizes[0],
            result_blob=result,
            result_bytes=sizes[1],
            width=cutout.width,
            height=cutout.height,
        )

    async def _renew_lease(self, job: Job, work: asyncio.Task[ProcessedPhoto]) -> None:
        """Renew the lease while the work goes on, and end the work when the lease is lost."""
        while True:
            await asyncio.sleep(self._queue.lease.total_seconds() / 3)
            try:
                if await self._queue.renew(job):
                    continue
            except Exception as error:
                logger.warning("photos: the lease of %s was not renewed: %s", job.id, error)
                continue
            logger.warning("photos: the lease of %s was lost", job.id)
            work.cancel()
            return

    async def _fail(self, job: Job, error: str) -> None:
        if await self._queue.fail(job, error):
            self.failed += 1
            logger.info("photos: %s failed: %s", job.id, error)

    async def _retry(self, job: Job, error: str, *, excused: bool = False) -> None:
        if job.is_last(excused=excused):
            await self._fail(job, error)
            return
        seconds = EXCUSED_RETRY_SECONDS * (job.upload.excused + 1)
        if not excused:
            seconds = RETRY_SECONDS * 4 ** (job.attempt - 1)
        await self._queue.retry(job, error, timedelta(seconds=seconds), excused=excused)

    async def _postpone(self, job: Job, reason: str) -> None:
        """The store is away, which is not the photo's fault: it waits for the store."""
        self._blobs.outage.report(reason)
        self._store_error = f"photos wait for the blob store: {reason}"
        if await self._queue.postpone(job, self._longest_wait):
            self._store_failures += 1
        else:
            self._store_failures = 0  # so that others as old fail at once
            await self._fail(
                job,
                "The server's store for photos was unavailable for too long:"
                f" {reason}. Send the photo again.",
            )

    def _store_is_back(self) -> None:
        self._store_failures, self._store_error = 0, None

    async def _wait_for_store(self) -> None:
        """Wait longer the more often the store has failed, even if it seems to be back."""
        for number, seconds in enumerate(STORE_RETRY_SECONDS, 1):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()
                    return
            if number >= self._store_failures and await self._blobs.state() == "ok":
                return
