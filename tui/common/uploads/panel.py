"""The panel "Photo": sends photos, follows them by short polling, shows before and after."""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from server.features.uploads.schemas import NewUpload, Upload, UploadPurpose, UploadStatus
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import Pattern
from tui.common.format import message_for
from tui.common.language import _, ngettext
from tui.common.panel import Panel
from tui.common.uploads import format as uploads_format
from tui.common.uploads.actions import PhotoActions
from tui.common.uploads.jobs import JobState, UploadJob
from tui.common.uploads.list import UploadList
from tui.common.uploads.manager import Row, UploadManager
from tui.common.uploads.pictures import BeforeAfter
from tui.common.widgets.filter import FilterField
from tui.common.widgets.picture import PictureView
from tui.common.widgets.row_list import RowList

BLINK_SECONDS = 0.5
AGE_SECONDS = 10.0
"""How often ages in seconds are drawn again, where nothing else is."""
RIGHT_FROM = (70, 10)
"""The fewest columns and rows with which the list is beside the picture."""
BELOW_FROM = 16
"""The fewest rows with which the list is below the picture."""
LIST_ROWS = 4


class PhotoPanel(Panel):
    """The apps differ in the purposes of a photo: `ask_for_new` and `about`."""

    TITLE = _("Photo")
    PATTERN = Pattern.SHORT_POLL
    WHY = _(
        "A photo takes seconds, changes twice and then never again, and the server "
        "knows about how long it takes: asking once or twice when it says is less "
        "than a connection that is held."
    )
    SOURCES = (
        "server/features/uploads/short_polling.py",
        "server/transports/short_polling.py",
        "tui/common/client/short_polling.py",
    )
    NOTHING_TO_CUT = _("No upload in progress; nothing to cut.")
    VERB = "polls"
    CARD_BODY = (30, 12)
    KEYS = (
        ("n", _("a new photo")),
        ("← →", _("before and after, also with the mouse")),
        ("⇧← ⇧→", _("only the one, only the other")),
        ("↑↓", _("choose a photo")),
        ("/", _("filter the list")),
        ("s", _("save the picture to a file")),
        ("del", _("delete a photo, or stop sending it")),
        ("l", _("list or picture, where there is room for one")),
        ("r", _("refresh the list")),
    )
    DEFAULT_CSS = """
    PhotoPanel {
        & #stage { height: 1fr; layout: vertical; }
        & #light { height: 1fr; width: 1fr; }
        & #sizes, & #steps { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & #news { height: auto; max-height: 6; }
        & #uploads { height: 4; margin-top: 1; }
        &.-right #stage { layout: horizontal; }
        &.-right #uploads { height: 1fr; width: 32; margin: 0 0 0 1; border-left: solid $edge; }
        &.-bare #uploads { display: none; }
        &.-bare.-list #uploads { display: block; height: 1fr; margin: 0; }
        &.-bare.-list #light { display: none; }
        &.-low #steps { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", _("New photo")),
        Binding("up", "choose(-1)", show=False),
        Binding("down", "choose(1)", show=False),
        Binding("shift+left", "slide_to(0)", show=False),
        Binding("shift+right", "slide_to(1)", show=False),
        Binding("s", "save", _("Save")),
        Binding("delete,backspace", "delete", _("Delete")),
        Binding("l", "list", _("List"), show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = PictureView(id="picture")
        self.uploads = UploadList(self.about)
        self.manager: UploadManager | None = None
        self.pictures: BeforeAfter | None = None
        self.actions: PhotoActions | None = None
        self._reader: Worker[None] | None = None
        """Reads older photos."""

    # -- what differs between the apps

    def ask_for_new(self) -> None:
        """Ask for the purpose of a new photo, then call `offer`."""
        raise NotImplementedError

    def about(self, row: Row) -> str:
        """The purpose of a photo, in words."""
        raise NotImplementedError

    def ready(self, upload: Upload) -> None:
        """A photo is done: the dish or account has a new picture."""

    # -- the panel

    def body(self) -> ComposeResult:
        """The picture and its progress; the list beside it, below it, or in its place."""
        with Container(id="stage"):
            with Vertical(id="light"):
                yield self.view
                yield Static("", id="sizes", markup=False)
                yield Static("", id="steps", markup=False)
                yield Static("", id="news", markup=False)
            yield self.uploads
        yield FilterField()

    def start(self) -> None:
        """Read the list."""
        self.manager = UploadManager(
            self.session, self.api, self.meter, self._run, self._changed, self._finished
        )
        self.pictures = BeforeAfter(
            self.manager, self.services.picture_cache, self._run, self._changed
        )
        self.actions = PhotoActions(self, self, self.manager)
        self._run("photo-list", self.manager.read())
        self.needs_redraw = True

    def drop_connection(self) -> bool:
        """Cut the request under way, or the next poll."""
        return self.manager is not None and self.manager.drop_connection()

    def commands(self) -> Iterable[SystemCommand]:
        """Its commands in the palette."""
        yield SystemCommand(_("New photo"), _("Choose a picture and send it"), self.action_new)
        yield SystemCommand(_("Save the picture"), _("Write it to a file"), self.action_save)

    def enter(self) -> None:
        """Focus the list, or the picture where there is no room for a list."""
        self.screen.set_focus(self.view if self._bare else self.uploads)

    def unsaved(self) -> str | None:
        """A photo that is not sent yet would be lost."""
        jobs = self.manager.jobs if self.manager is not None else []
        pending = sum(job.state is not JobState.REFUSED for job in jobs)
        if not pending:
            return None
        words = ngettext("A photo is not sent yet.", "{count} photos are not sent yet.", pending)
        return words.format(count=pending)

    @property
    def row(self) -> Row | None:
        """The photo in view: the highlighted one."""
        if self.manager is None:
            return None
        highlighted = self.manager.row(self.uploads.highlighted_id)
        return highlighted or next(iter(self.manager.rows), None)

    def select(self, row: Row) -> None:
        """Have this photo in view."""
        if self.manager is not None:
            self._show_rows(self.manager)
            self.uploads.highlight(self.manager.row_id(row))
            self._changed()

    def offer(
        self, new: NewUpload, title: str, about: str, then: Callable[[], None] | None = None
    ) -> None:
        """Have a picture chosen for that purpose, send it, and call `then`."""
        if self.actions is not None:
            self.actions.choose(new, title, about, then)

    def offer_avatar(self, then: Callable[[], None] | None = None) -> None:
        """Ask for a picture for the avatar."""
        new = NewUpload(purpose=UploadPurpose.AVATAR)
        self.offer(new, _("A photo for your avatar"), _("Avatar"), then)

    # -- keys

    def action_new(self) -> None:
        """Send a new photo."""
        self.ask_for_new()

    def action_choose(self, step: int) -> None:
        """Highlight the row above or below, also while the picture has the focus."""
        if step < 0:
            self.uploads.action_cursor_up()
        else:
            self.uploads.action_cursor_down()

    @on(UploadList.Slid)
    def _slid(self, event: UploadList.Slid) -> None:
        self.view.action_slide(event.steps)

    def action_slide_to(self, split: float) -> None:
        """Move the divider to the left or right end."""
        self.view.action_slide_to(split)

    def action_list(self) -> None:
        """Switch between the list and the picture where there is room for one."""
        if self.has_class("-bare"):
            self.toggle_class("-list")
            shown = self.uploads if self.has_class("-list") else self.view
            self.app.stylesheet.update_nodes([self, self.uploads, self.view])
            self.screen.set_focus(shown)

    def reload(self) -> None:
        """Read the list again."""
        if self.manager is not None and self.pictures is not None:
            self._run("photo-list", self.manager.read(), exclusive=True)
            self.pictures.fetch_again()
            self._changed()

    def action_save(self) -> None:
        """Write the picture in view to a file."""
        if self.actions is not None:
            self.actions.save()

    def action_delete(self) -> None:
        """Delete the photo in view, or give up sending it."""
        if self.actions is not None:
            self.actions.delete()

    @on(RowList.OptionHighlighted, "#uploads")
    def _cursor_moved(self, event: RowList.OptionHighlighted) -> None:
        event.stop()
        self._changed()
        self._read_on()

    @on(RowList.OptionSelected, "#uploads")
    def _chosen(self) -> None:
        self.action_list()

    @on(RowList.Scrolled, "#uploads")
    def _read_on(self) -> None:
        """Read older photos where the end is near the view or the highlight, which may be ahead."""
        manager, uploads = self.manager, self.uploads
        if not uploads.option_count:  # what there is is not drawn yet
            return
        left = min(uploads.rows_to_end, uploads.option_count - 1 - (uploads.highlighted or 0))
        reading = self._reader is not None and not self._reader.is_finished
        if manager is not None and manager.store.has_more and left < LIST_ROWS and not reading:
            self._reader = self._run("photo-more", manager.read_on())

    def on_resize(self, event: events.Resize) -> None:
        """Put the list where there is room for it."""
        super().on_resize(event)
        width, height = self.content_size
        height -= 1  # the wire line's
        right = width >= RIGHT_FROM[0] and height >= RIGHT_FROM[1]
        below = not right and height >= BELOW_FROM
        self.set_class(right, "-right")
        self.set_class(not right and not below, "-bare")
        self.set_class(height < 8, "-low")
        if self.screen.focused in (self.view, self.uploads):
            self.call_after_refresh(self.enter)
        self._changed()

    # -- drawing

    def redraw(self) -> None:
        """Draw what has changed."""
        manager, pictures = self.manager, self.pictures
        if manager is None or pictures is None:
            return
        self.uploads.message = uploads_format.empty_text(manager)
        self._show_rows(manager)
        row = self.row
        manager.follow_pending(row)
        pictures.show(row)
        self.view.show(pictures.before, pictures.after, self._words_for_view(row))
        self._draw_details(manager, pictures, row)
        self._redraw_with_time(manager.rows, self.session.server_now())
        self.set_badge(manager.under_way, self.file_name(row) if row is not None else "")

    def _show_rows(self, manager: UploadManager) -> None:
        rows = manager.rows
        self.uploads.has_more = manager.store.has_more
        self.uploads.show(rows, [manager.row_id(row) for row in rows], self.session.server_now())

    def _draw_details(self, manager: UploadManager, pictures: BeforeAfter, row: Row | None) -> None:
        width = max(10, self.view.size.width or self.content_size.width - 2)
        card = max(20, self.size.width - 4)
        if row is None:
            for line in ("#sizes", "#steps", "#news"):
                self._set(line, Content(""))
            self.set_summary(uploads_format.NOTHING)
            return
        positions = manager.positions.get(row.id, 0)
        self._set(
            "#sizes",
            uploads_format.sizes(row, pictures.before, pictures.after, self.file_name(row), width),
        )
        still = self.app.animation_level == "none"
        bright = still or int(time.monotonic() / BLINK_SECONDS) % 2 == 0
        self._set("#steps", uploads_format.steps(row, bright, width))
        news = uploads_format.news(row, positions, width)
        if pictures.error and (pictures.before or pictures.after):  # else it is in their place
            news = uploads_format.failure(pictures.error)
        self._set("#news", news)
        self.set_summary(uploads_format.summary(row, self.about(row), positions, card))

    def _set(self, line: str, content: Content) -> None:
        static = self.query_one(line, Static)
        if static.content != content:
            static.update(content, layout=line == "#news")

    def _redraw_with_time(self, rows: Sequence[Row], now: datetime) -> None:
        """Redraw for the step in progress, and when an age changes."""
        for row in rows:
            if isinstance(row, UploadJob) or not row.status.final:
                self.redraw_in(BLINK_SECONDS)
            else:
                age = (now - row.created_at).total_seconds()
                if age < 100:
                    self.redraw_in(AGE_SECONDS)
                else:
                    self.redraw_with_age(age)

    def _changed(self) -> None:
        self.needs_redraw = True

    def _words_for_view(self, row: Row | None) -> Content:
        if row is None:
            return uploads_format.NOTHING
        if self.pictures is not None and self.pictures.error:
            return Content(self.pictures.error)
        return uploads_format.placeholder_text(self.about(row), self.view.can_draw)

    def file_name(self, row: Row) -> str:
        """The file's name if it was sent from this app, else its purpose."""
        if isinstance(row, UploadJob):
            return row.local_picture.name
        known = self.manager.names.get(row.id) if self.manager is not None else None
        return known or self.about(row)

    # -- results

    def _finished(self, upload: Upload) -> None:
        about = self.about(upload)
        if upload.status is UploadStatus.DONE:
            self.notify(_("{about}: the photo is ready.").format(about=about), title=self.TITLE)
            self.ready(upload)
        else:
            why = upload.error or _("It failed.")
            self.notify(f"{about}: {why}", title=self.TITLE, severity="error", timeout=10)
        if upload.purpose is UploadPurpose.AVATAR:
            self.run_with_toast("photo-me", self._read_me())

    async def _read_me(self) -> None:
        await self.api.me()

    def run_with_toast(self, group: str, work: Coroutine[object, object, None]) -> None:
        """Run a worker that shows its error as a toast."""
        self._run(group, self._with_toast(work), exclusive=True)

    async def _with_toast(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except SignedOut:
            return
        except ClientError as error:
            self.notify(message_for(error), title=self.TITLE, severity="error")

    @property
    def _bare(self) -> bool:
        return self.has_class("-bare") and not self.has_class("-list")

    def _run(
        self, group: str, work: Coroutine[object, object, None], *, exclusive: bool = False
    ) -> Worker[None]:
        return self.run_worker(work, group=group, exclusive=exclusive, exit_on_error=False)
