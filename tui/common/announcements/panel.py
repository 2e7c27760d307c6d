"""The panel "Announcements": what has been announced, live, and what one has yet to read."""

from collections.abc import Coroutine, Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType

from server.features.announcements.schemas import ReadAnnouncement, Scope, Severity
from tui.common.announcements import format as announcement_text
from tui.common.announcements.feed import STREAM, AnnouncementFeed
from tui.common.announcements.list import AnnouncementList
from tui.common.announcements.model import AnnouncementBook
from tui.common.client.meter import Pattern
from tui.common.panel import Panel
from tui.common.sanitize import plain

SMALL_ROWS = 38
"""Below that, a toast of several lines covers what one is at."""
CLOCK_SECONDS = 2.0
"""How often ages are drawn again and what has expired goes."""
FOREVER = 365 * 86_400.0


class AnnouncementsPanel(Panel):
    """Newest first; a critical one stands as a toast until it is acknowledged."""

    TITLE = "Announcements"
    SHORT = "News"
    PATTERN = Pattern.SSE
    CARD_BODY = (30, 9)
    SCOPE: ClassVar[Scope] = Scope.OWN
    """Which announcements are shown."""
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("enter", "mark as read"),
        ("f8", "the same for an alert, anywhere"),
        ("space", "the whole text, and back"),
        ("r", "read them again"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "acknowledge", "Mark read"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.book = AnnouncementBook()
        self._standing = ""
        """The title of the toast that stands for what is critical."""
        self._stood_for: tuple[str, int, bool] | None = None
        self._told: tuple[str, bool] | None = None

    def body(self) -> ComposeResult:
        """The list."""
        self.feed = AnnouncementFeed(
            self.book, self.api, self.session, self.meter, self, self.SCOPE
        )
        yield AnnouncementList(self.book, self.session.server_now)

    def start(self) -> None:
        """Read what there is and follow."""
        if self.session.account is not None:
            self.book.belong_to(self.session.account)
        self.set_interval(CLOCK_SECONDS, self._look_again)
        self.feed.reload()
        self.needs_redraw = True

    def stop(self) -> None:
        """What stands for this account does not stand for the next."""
        self._take_toast_back()

    # -- what the feed tells

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this as a worker; a new one of a group replaces the one before."""
        self.run_worker(doing, group=group, exclusive=True, exit_on_error=False)

    def changed(self) -> None:
        """Paint with the next redraw."""
        self.needs_redraw = True

    def arrived(self, announcement: ReadAnnouncement) -> None:
        """Say what matters; the critical ones stand by themselves."""
        if announcement.severity is Severity.WARNING and self.book.is_unread(announcement):
            small = self.app.size.height < SMALL_ROWS
            words = announcement_text.in_short(announcement.body, small=small)
            self.notify(words, title=announcement.title, severity="warning", timeout=10)

    def not_acknowledged(self, announcement: ReadAnnouncement, words: str) -> None:
        """Say that it is unread again."""
        title = f"{plain(announcement.title)}: not marked as read"
        self.notify(words, title=title, severity="warning")

    # -- painting

    def redraw(self) -> None:
        """Paint what has changed."""
        feed, rows = self.feed, self.rows
        self.show_meter(feed.meter)
        rows.message = announcement_text.nothing_there(self.book, feed.error)
        rows.renew()
        at_cursor = rows.at_cursor
        self.set_summary(
            announcement_text.summary(self.book, feed.error, self.session.server_now())
        )
        error = feed.older_error or (feed.error if self.book.loaded else "")
        note = announcement_text.note(self.book, at_cursor, feed.reading_older, error)
        self.set_badge(len(self.book.unread), note)
        self._stand()
        if rows.wants_more and not feed.older_error:
            feed.more()
        told = None if at_cursor is None else (at_cursor.id, at_cursor.acknowledged)
        if told != self._told:
            self._told = told
            self.refresh_bindings()

    def _stand(self) -> None:
        """One toast for all that is critical and unread: the newest, and how many besides."""
        pressing, small = self.book.pressing, self.app.size.height < SMALL_ROWS
        stands_for = (pressing[0].id, len(pressing), small) if pressing else None
        if stands_for == self._stood_for:
            return
        self._take_toast_back()
        if stands_for is None:
            return
        newest, more = pressing[0], len(pressing) - 1
        self._standing = f"ALERT  {plain(newest.title)}"
        self._stood_for = stands_for
        words = f"{announcement_text.in_short(newest.body, small=small)}\n\n"
        words += "f8 marks it as read."
        if more:
            words += f" There are {more} more like it." if more > 1 else " There is one more."
        self.notify(words, title=self._standing, severity="error", timeout=FOREVER)

    def _take_toast_back(self) -> None:
        """Take the standing toast away."""
        if self._standing:
            self.services.remove_toast(self._standing)
        self._standing, self._stood_for = "", None

    def _look_again(self) -> None:
        self.book.drop_expired(self.session.server_now())
        if self._standing and not self.services.has_toast(self._standing):
            self._stood_for = None  # clicked away, which is no acknowledgement
        self.changed()

    @on(AnnouncementList.Moved)
    def _moved(self) -> None:
        if self.rows.wants_more:
            self.feed.more()
        self.changed()

    # -- what can be done

    def enter(self) -> None:
        """Go to what is most pressing."""
        super().enter()
        if pressing := self.book.pressing:
            self.rows.view(pressing[0].id)

    def acknowledge(self) -> bool:
        """Acknowledge what the toast stands for, also from within a dialog that it covers."""
        stands_for = self.book.get(self._stood_for[0]) if self._stood_for else None
        if stands_for is None or not self.book.is_unread(stands_for):
            return False
        self.feed.acknowledge(stands_for)
        return True

    def drop_connection(self) -> None:
        """Cut the stream; what was missed is replayed when it is back."""
        if not self.feed.drop_connection():
            self.notify("There is no connection to cut just now.", title=self.TITLE)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys only where they make sense."""
        if action == "acknowledge":
            at_cursor = self.rows.at_cursor if self.is_mounted else None
            return at_cursor is not None and not at_cursor.acknowledged
        return True

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        unread = [*self.book.pressing, *self.book.unread]
        if unread:
            yield SystemCommand(
                "Mark the announcement as read",
                plain(unread[0].title),
                lambda: self.feed.acknowledge(unread[0]),
            )

    def action_acknowledge(self) -> None:
        """Take note of the one under the cursor."""
        if (announcement := self.rows.at_cursor) is not None:
            self.feed.acknowledge(announcement)

    def action_retry(self) -> None:
        """Read the newest again, and follow from there."""
        self.feed.reload()

    @property
    def rows(self) -> AnnouncementList:
        """The list."""
        return self.query_one(AnnouncementList)

    def worker_failed(self, group: str, message: str) -> None:
        """Where it was the stream, say it in the list, too."""
        super().worker_failed(group, message)
        if group == STREAM:
            self.feed.error = f"{message} Press r to read again."
            self.changed()
