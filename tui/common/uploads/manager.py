"""The uploads behind the photo panel: those being sent, those on the server, and the poll."""

import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING

from textual.worker import Worker

from server.features.uploads.schemas import NewUpload, Upload, UploadPurpose, UploadStatus
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.meter import State
from tui.common.client.retry import retry
from tui.common.client.short_polling import INTERVAL_SECONDS, UploadPoll
from tui.common.format import message_for
from tui.common.uploads.bitmap import Bitmap
from tui.common.uploads.jobs import JobState, UploadJob
from tui.common.uploads.local_picture import LocalPicture

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

Row = UploadJob | Upload
Run = Callable[[str, Coroutine[object, object, None]], Worker[None]]
"""Starts a worker in the group of that name."""
PREVIEWS = 16
"""Photos sent from this app that are kept in memory to be shown."""


class UploadManager:
    """Sends photos, and polls one upload at a time: the one in view while it is pending, else the
    one whose turn is next. When that changes, the list is read again for the others.
    """

    def __init__(
        self,
        session: "Session",
        api: "Api",
        meter: "Meter",
        run: Run,
        changed: Callable[[], None],
        finished: Callable[[Upload], None],
    ) -> None:
        """`finished` is called with each upload that becomes done or failed."""
        self.store = UploadStore(api)
        self.jobs: list[UploadJob] = []
        self.words = ""
        """Why the list cannot be read or updated."""
        self.previews: dict[str, Bitmap] = {}
        """By upload, the picture sent from this app, which need not be fetched."""
        self.names: dict[str, str] = {}
        """By upload, the name of the file sent from this app."""
        self.positions: dict[str, int] = {}
        """By upload, the largest number seen ahead of it in the queue."""
        self._session = session
        self._api = api
        self._meter = meter
        self._run = run
        self._changed = changed
        self._finished = finished
        self._poll: UploadPoll | None = None
        self._polled_at = self._due_at = float("-inf")
        """`time.monotonic()` of the first request of the last poll that made one, and of this one.
        """
        self._poller: Worker[None] | None = None
        self._senders: dict[str, Worker[None]] = {}
        self._waits: dict[str, float] = {}
        self._row_ids: dict[str, str] = {}
        """By upload, the id of the job that sent it."""

    @property
    def rows(self) -> list[Row]:
        """All rows, newest first; those being sent come before those on the server."""
        sending = {job.id for job in self.jobs}
        arrived = (one for one in self.store.uploads if self.row_id(one) not in sending)
        return [*reversed(self.jobs), *arrived]

    def row_id(self, row: Row) -> str:
        """The id of its row in the list: an upload that was sent from here keeps its job's."""
        return self._row_ids.get(row.id, row.id)

    @property
    def under_way(self) -> int:
        """How many are being sent or processed."""
        waiting = sum(job.state is not JobState.REFUSED for job in self.jobs)
        return waiting + len(self.store.pending)

    def row(self, row_id: str | None) -> Row | None:
        """The row of that id."""
        return next((row for row in self.rows if self.row_id(row) == row_id), None)

    # -- reading

    async def read(self) -> None:
        """Read the list until there is an answer."""

        def show(error: ClientError, _wait: float | None) -> None:
            if not isinstance(error, SignedOut):
                self.words = message_for(error)
                self._changed()

        with contextlib.suppress(ClientError):
            await retry(self.store.read, on_error=show)
            self.words = ""
            self._changed()

    async def read_on(self) -> None:
        """Read a page of older uploads; after an error, the next scroll tries again."""
        try:
            await self.store.read_on()
        except ClientError:
            return
        self._changed()

    # -- sending

    def send(self, local_picture: LocalPicture, new: NewUpload, about: str) -> UploadJob:
        """Start sending a photo."""
        job = UploadJob(local_picture, new, about)
        self.jobs.append(job)
        self._senders[job.id] = self._run("photo-send", self._send(job))
        return job

    async def _send(self, job: UploadJob) -> None:
        arrived = await job.send(self._api, self._meter, self._changed)
        if arrived is None or job not in self.jobs:
            return
        accepted, seconds = arrived
        self._record_sent(accepted.id, job)
        self._waits[accepted.id] = seconds
        await self._read(accepted.id)  # the job stays in the list until the upload is there
        if job in self.jobs:
            self.jobs.remove(job)
        self._changed()

    def _record_sent(self, upload_id: str, job: UploadJob) -> None:
        self._row_ids[upload_id] = job.id
        self.names[upload_id] = job.local_picture.name
        self.previews[upload_id] = job.local_picture.bitmap
        while len(self.previews) > PREVIEWS:
            del self.previews[next(iter(self.previews))]

    async def _read(self, upload_id: str) -> None:
        with contextlib.suppress(ClientError):
            self._put(await retry(lambda: self._api.upload(upload_id)))

    # -- following

    def follow_pending(self, in_view: Row | None) -> None:
        """Poll the upload in view while it is pending, else the one whose turn is next.

        However quickly the view changes, there is at most one request a second.
        """
        pending = self.store.pending
        wanted = in_view if in_view in pending else next(iter(pending), None)
        if wanted is None or (self._poll is not None and self._poll.upload_id == wanted.id):
            return
        if self._poller is not None:
            self._poller.cancel()
        now = time.monotonic()
        if self._due_at <= now:
            self._polled_at = self._due_at
        wait = max(self._waits.pop(wanted.id, 0.0), self._polled_at + INTERVAL_SECONDS - now)
        self._due_at = now + max(0.0, wait)
        self._poll = UploadPoll(self._session, wanted.id, self._meter, first_wait=wait)
        self._poller = self._run("photo-poll", self._follow(self._poll))

    async def _follow(self, poll: UploadPoll) -> None:
        try:
            async with poll:
                async for news in poll:
                    self._put(news)
                    if len(self.store.pending) > 1 or news.status.final:
                        await self._refresh()
        except ApiError as error:
            if error.status == 404:
                self.store.remove(poll.upload_id)
            else:
                self.words = message_for(error)
        except SignedOut:
            return
        finally:
            if self._poll is poll:  # another one may have taken its place
                self._poll = None
            self._changed()

    def _put(self, news: Upload) -> None:
        before = self.store.get(news.id)
        if news.ahead is not None:
            self.positions[news.id] = max(news.ahead, self.positions.get(news.id, 0))
        self.store.put([news])
        if news.status.final and before is not None and not before.status.final:
            self._finished(news)
        self._changed()

    async def _refresh(self) -> None:
        before = {one.id for one in self.store.pending}
        try:
            await self.store.refresh()
        except ClientError:
            return  # the next change reads it again
        for one in self.store.uploads:
            if one.id in before and one.status.final:
                self._finished(one)
        self._changed()

    def drop_connection(self) -> bool:
        """Drop the present request, which is made again. False where there is none."""
        cut = sum(job.drop_connection() for job in self.jobs)
        if not cut and self._poll is not None:
            self._poll.drop_connection()
        return cut > 0 or self._poll is not None

    # -- stopping and deleting

    def drop(self, job: UploadJob) -> None:
        """Stop sending it, and remove it."""
        if job in self.jobs:
            self.jobs.remove(job)
            self._senders.pop(job.id).cancel()
            self._meter.set_state(State.IDLE)
        self._changed()

    async def delete(self, upload: Upload) -> None:
        """Delete it with its pictures. Raises `ClientError`."""
        try:
            await self._api.delete_upload(upload.id)
        except ApiError as error:
            if error.status != 404:
                raise
        self.store.remove(upload.id)
        poll, poller = self._poll, self._poller
        if poll is not None and poller is not None and poll.upload_id == upload.id:
            poller.cancel()
        self._changed()
        if upload.purpose is UploadPurpose.AVATAR and upload.status is UploadStatus.DONE:
            await self._api.me()


PAGE = 50


class UploadStore:
    """The uploads on the server that are known here, read page by page."""

    def __init__(self, api: "Api") -> None:
        self.loaded = False
        self._api = api
        self._uploads: dict[str, Upload] = {}
        """Oldest first, in the server's order: a clock may have been put back."""
        self._next: str | None = None

    @property
    def uploads(self) -> list[Upload]:
        """All of them, newest first."""
        return list(reversed(self._uploads.values()))

    @property
    def pending(self) -> list[Upload]:
        """Those that are queued or processed, the one whose turn is next first."""
        return [one for one in reversed(self.uploads) if not one.status.final]

    @property
    def has_more(self) -> bool:
        """Whether the server has older ones."""
        return self._next is not None

    def get(self, upload_id: str) -> Upload | None:
        """The upload of that id, if it is known."""
        return self._uploads.get(upload_id)

    def put(self, uploads: Iterable[Upload]) -> None:
        """Add or replace these. A photo that is shown replaces the one shown before it."""
        for one in uploads:
            self._uploads[one.id] = one
            if not one.shown:
                continue
            for other in list(self._uploads.values()):
                if other.shown and other.id != one.id and _same_place(other, one):
                    self._uploads[other.id] = other.model_copy(update={"shown": False})

    def remove(self, upload_id: str) -> None:
        """Remove the upload of that id."""
        self._uploads.pop(upload_id, None)

    async def read(self) -> None:
        """Read the newest page and forget everything else. Raises `ClientError`."""
        page = await self._api.uploads(limit=PAGE)
        self._uploads = {one.id: one for one in reversed(page.items)}
        self._next = page.next
        self.loaded = True

    async def refresh(self) -> None:
        """Read the newest page and keep everything else. Raises `ClientError`."""
        page = await self._api.uploads(limit=PAGE)
        self.put(reversed(page.items))

    async def read_on(self) -> None:
        """Read the next older page. Raises `ClientError`."""
        if self._next is not None:
            page = await self._api.uploads(before=self._next, limit=PAGE)
            self._next = page.next
            older = {one.id: one for one in reversed(page.items) if one.id not in self._uploads}
            self._uploads = older | self._uploads


def _same_place(a: Upload, b: Upload) -> bool:
    return (a.purpose, a.menu_item_id) == (b.purpose, b.menu_item_id)
