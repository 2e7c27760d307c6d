"""Choosing, saving and deleting a photo, each with its dialog."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Protocol

from textual.notifications import SeverityLevel

from server.features.uploads.schemas import NewUpload
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.dialogs.save import save_or_deliver
from tui.common.hosted import hosted_where
from tui.common.language import _
from tui.common.panel import Panel
from tui.common.sanitize import plain
from tui.common.uploads import format as uploads_format
from tui.common.uploads.dialogs import PickScreen
from tui.common.uploads.jobs import JobState, UploadJob
from tui.common.uploads.local_picture import LocalPicture
from tui.common.uploads.manager import Row, UploadManager
from tui.common.uploads.samples import SampleScreen
from tui.common.widgets.status_line import Kind


class PhotosInView(Protocol):
    """What the actions need of the panel that shows the photos."""

    @property
    def row(self) -> Row | None:
        """The photo in view."""

    def select(self, row: Row) -> None:
        """Have this photo in view."""

    def about(self, row: Row) -> str:
        """The purpose of a photo, in words."""

    def file_name(self, row: Row) -> str:
        """The name of its file, or its purpose."""

    def run_with_toast(self, group: str, work: Coroutine[object, object, None]) -> None:
        """Run a worker that shows its error as a toast."""


class PhotoActions:
    """Opens the dialogs of the photo panel and acts on their answers."""

    def __init__(self, panel: Panel, photos: PhotosInView, manager: UploadManager) -> None:
        self._panel = panel
        self._photos = photos
        self._manager = manager
        self._folder: Path | None = None
        """The folder of the last picture."""

    def choose(
        self, new: NewUpload, title: str, about: str, then: Callable[[], None] | None
    ) -> None:
        """Have a picture chosen for that purpose, send it, and call `then`."""

        def chosen(local_picture: LocalPicture | None) -> None:
            if local_picture is None:
                return
            self._folder = local_picture.path.parent
            self._photos.select(self._manager.send(local_picture, new, about))
            if then is not None:
                then()

        hosted = hosted_where()
        picker = SampleScreen(title) if hosted else PickScreen(title, self._folder)
        self._panel.app.push_screen(picker, chosen)

    def save(self) -> None:
        """Write the picture in view to a file: the result, else the original."""
        panel, row = self._panel, self._photos.row
        if isinstance(row, UploadJob) or row is None:
            panel.notify(_("There is no picture to save yet."), title=panel.TITLE)
            return
        url = row.result_url or (row.original_url if not row.original_removed_at else None)
        if url is None:
            panel.notify(_("The server no longer has this picture."), title=panel.TITLE)
            return
        suffix = ".png" if row.result_url else f".{row.media_type.rpartition('/')[2]}"
        stem = Path(self._photos.file_name(row)).stem or "photo"
        name = plain(f"{stem}-tiffin{suffix}")

        async def fetch() -> AsyncGenerator[bytes, None]:
            yield await panel.api.picture(url)

        def tell(words: str, kind: Kind) -> None:
            severity: SeverityLevel = "error" if kind == "error" else "information"
            panel.notify(words, title=panel.TITLE, severity=severity)

        save_or_deliver(panel.app, fetch, name, tell, _("Save the picture"))

    def delete(self) -> None:
        """Delete the photo in view, or give up sending it."""
        panel, row = self._panel, self._photos.row
        if isinstance(row, UploadJob):
            self._drop(row)
        elif row is not None:
            panel.app.push_screen(
                ConfirmScreen(
                    _("Delete a photo"),
                    uploads_format.deletion_question(row, self._photos.about(row)),
                    yes=_("Delete it"),
                    no=_("Keep it"),
                    danger=True,
                ),
                lambda sure: (
                    self._photos.run_with_toast("photo-delete", self._manager.delete(row))
                    if sure
                    else None
                ),
            )

    def _drop(self, job: UploadJob) -> None:
        if job.state is JobState.REFUSED:
            self._manager.drop(job)
            return
        question = _("{job}: the photo is not sent yet.").format(job=self._photos.about(job))
        self._panel.app.push_screen(
            ConfirmScreen(
                _("Stop the upload"), question, yes=_("Stop it"), no=_("Continue"), danger=True
            ),
            lambda sure: self._manager.drop(job) if sure else None,
        )
