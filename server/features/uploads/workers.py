"""The workers of this process: each takes job after job, one at a time."""

import asyncio
import contextlib
import logging
import os
from datetime import timedelta
from functools import partial
from pathlib import Path

from server.core.lifecycle import SupervisedTask
from server.core.logging import log_failure
from server.core.temp_files import locked_folder
from server.features.uploads.blobs import BlobMissing, Blobs, BlobTrouble
from server.features.uploads.child import Child, Limits, Lost
from server.features.uploads.header import Unreadable
from server.features.uploads.models import trouble_with
from server.features.uploads.queue import Job, Queue
from server.features.uploads.store import Made
from server.features.uploads.worker import DISK_TROUBLE, ORIGINAL, RESULT, ModelTrouble

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two looks for jobs that other processes took in, or whose workers were lost."""
AGAIN_SECONDS = 2.0
"""Before the second attempt; four times as long before the third."""
EXCUSED_SECONDS = 1.0
"""After the first attempt that was ended from outside; twice as long after the second."""
PAUSE_SECONDS = 1.0
STORE_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between two looks whether a store that was away is back; after them all a photo tries it."""
LAST_SECONDS = 5.0
"""How long jobs may still take when the server shuts down."""
_NO_MODEL = (
    "Photos cannot be processed at the moment: this server's model is missing or broken. Whoever"
    " runs the server finds at /readyz what to do; send the photo again then."
)


class Workers:
    """So many tasks, each with a child process of its own, which starts with its first job."""

    def __init__(
        self,
        queue: Queue,
        blobs: Blobs,
        limits: Limits,
        count: int,
        folder: Path,
        longest_wait: timedelta,
    ) -> None:
        self.count = count
        self.done = 0
        self.failed = 0
        self._queue = queue
        self._blobs = blobs
        self._limits = limits
        self._folder = folder
        self._children = [Child(limits) for _ in range(count)]
        self.tasks = [
            SupervisedTask(f"photo worker {number}", partial(self._work, child))
            for number, child in enumerate(self._children, 1)
        ]
        self._wake = asyncio.Event()
        self._longest_wait = longest_wait
        self._closing = asyncio.Event()
        self._trouble: str | None = None
        self._store_trouble: str | None = None
        self._failures = 0
        """Of the store, in a row."""

    @property
    def kills(self) -> int:
        """Child processes that were killed or died over a job."""
        return sum(child.kills for child in self._children)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def open(self) -> None:
        """Start looking for jobs; no process is started before there is one."""
        for task in self.tasks:
            task.start()

    async def close(self) -> None:
        """Let jobs end within LAST_SECONDS, give back the others, end the processes."""
        self._closing.set()
        self._wake.set()
        await asyncio.gather(*(task.stop(LAST_SECONDS) for task in self.tasks))
        await asyncio.gather(*(child.close() for child in self._children))

    async def state(self) -> str:
        """`ok`, or why photos cannot be processed here."""
        if not self.count:
            return "ok"
        return await self._model_trouble() or self._store_trouble or "ok"

    async def _model_trouble(self) -> str | None:
        return await asyncio.to_thread(self._trouble_with_file) or self._trouble

    def _trouble_with_file(self) -> str | None:
        return trouble_with(self._limits.model, self._limits.home)

    async def _work(self, child: Child) -> None:
        while not self._closing.is_set():
            try:
                if self._failures:
                    await self._until_the_store_answers()
                troubled = await self._model_trouble() is not None
                job = await self._next(troubled)
                if job is not None:
                    await self._attempt(child, job, last_resort=troubled)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log_failure(logger, error, "photos: a worker failed; it goes on")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _next(self, troubled: bool) -> Job | None:
        """A job that is this process' to do: without a model only what nobody else takes."""
        self._wake.clear()
        job = await self._queue.claim(last_resort=troubled)
        if job is not None:
            self._wake.set()  # where one was, there may be others
            return job
        if self._store_trouble and not await self._queue.any_paused():
            self._store_works()  # others have found that out
        if not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
        return job

    async def _attempt(self, child: Child, job: Job, *, last_resort: bool) -> None:
        """See the job to its end, or to that of its lease."""
        work = asyncio.create_task(self._made(child, job))
        keep = asyncio.create_task(self._keep(job, work))
        try:
            made = await work
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            if keep.done():  # the lease was lost, and another has the job
                return
            await asyncio.shield(self._queue.put_back(job, None, timedelta(0), excused=True))
            raise
        except Unreadable as error:
            await self._fail(job, str(error))
        except ModelTrouble as error:
            logger.error("photos: %s", error)
            if self._trouble_with_file() is None:  # which says so itself, as long as it lasts
                self._trouble = str(error)
            if last_resort:
                await self._fail(job, _NO_MODEL)
            else:
                await self._put_back(job, _NO_MODEL, excused=True)
        except Lost as error:
            words = f"The photo could not be processed: {error}"
            if error.again:
                await self._put_back(job, words, excused=error.excused)
            else:
                await self._fail(job, words)
        except BlobMissing:
            await self._fail(job, "The photo is not in the store any more. Send it again.")
        except BlobTrouble as error:
            await self._wait(job, str(error))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_TROUBLE:  # here, not in the store
                await self._wait(job, os.strerror(error.errno).lower())
                return
            logger.exception("photos: attempt %s at %s failed", job.attempt, job.id)
            await self._put_back(job, "The photo could not be processed here. Send it again later.")
        else:
            self._trouble = None
            self._store_works()
            if await self._queue.finish(job, made):
                self.done += 1
                logger.info("photos: %s is done, attempt %s", job.id, job.attempt)
        finally:
            keep.cancel()
            await asyncio.wait({keep})

    async def _made(self, child: Child, job: Job) -> Made:
        original, result = job.blobs
        with locked_folder(self._folder, "job-") as folder:
            sent = folder / "sent"
            await self._blobs.fetch(job.upload.original_blob, sent)
            cut = await child.process(sent, folder)
            await self._blobs.put(original, folder / ORIGINAL, cut.original_type)
            await self._blobs.put(result, folder / RESULT, "image/png")
            sizes = [(folder / one).stat().st_size for one in (ORIGINAL, RESULT)]
        return Made(original, cut.original_type, sizes[0], result, sizes[1], cut.width, cut.height)

    async def _keep(self, job: Job, work: asyncio.Task[Made]) -> None:
        """Renew the lease while the work goes on, and end the work with the lease."""
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

    async def _fail(self, job: Job, words: str) -> None:
        if await self._queue.fail(job, words):
            self.failed += 1
            logger.info("photos: %s failed: %s", job.id, words)

    async def _put_back(self, job: Job, words: str, *, excused: bool = False) -> None:
        if job.last(excused=excused):
            await self._fail(job, words)
            return
        seconds = EXCUSED_SECONDS * (job.upload.excused + 1)
        if not excused:
            seconds = AGAIN_SECONDS * 4 ** (job.attempt - 1)
        await self._queue.put_back(job, words, timedelta(seconds=seconds), excused=excused)

    async def _wait(self, job: Job, words: str) -> None:
        """The store is away: that is no fault of the photo's, which waits for it."""
        self._blobs.outage.met(words)
        self._store_trouble = f"photos wait for the blob store: {words}"
        if await self._queue.wait(job, self._longest_wait):
            self._failures += 1
        else:
            self._failures = 0  # those that are as old are told so at once
            await self._fail(
                job,
                "The server's store for photos was out of order for too long:"
                f" {words}. Send the photo again.",
            )

    def _store_works(self) -> None:
        self._failures, self._store_trouble = 0, None

    async def _until_the_store_answers(self) -> None:
        """Wait the longer the more often it failed, though it may seem to be back."""
        for number, seconds in enumerate(STORE_SECONDS, 1):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()
                    return
            if number >= self._failures and await self._blobs.state() == "ok":
                return
