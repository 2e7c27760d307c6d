"""The panel "Announcements": what has been announced, live, and what is unread."""

import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType

from server.features.announcements.schemas import ReadAnnouncement, Scope, Severity
from tui.common.alerts import AlertCollector
from tui.common.announcements import format as announcement_text
from tui.common.announcements.feed import STREAM, AnnouncementFeed
from tui.common.announcements.list import AnnouncementList
from tui.common.announcements.model import AnnouncementStore
from tui.common.client.meter import Pattern
from tui.common.dialogs.copy import Copyable
from tui.common.language import _, ngettext
from tui.common.panel import MINUTES_SECONDS, Panel
from tui.common.sanitize import plain
from tui.common.widgets.filter import FilterField

SMALL_ROWS = 38
"""Below that, a toast of several lines covers too much."""
CLOCK_SECONDS = 60.0
"""How often ages are drawn again, if nothing expires before."""
ALERT_SECONDS = 2.0
"""How often it is checked whether the alert was clicked away."""
FOREVER = 365 * 86_400.0


class AnnouncementsPanel(Panel):
    """Newest first; a critical one stands as a toast until it is acknowledged."""

    TITLE = _("Announcements")
    PATTERN = Pattern.SSE
    WHY = _(
        "Seldom, to everybody, at the same time: each event is encoded once and "
        "written to all open streams. Nothing goes back but an acknowledgement, "
        "which is a request."
    )
    SOURCES = (
        "server/features/announcements/sse.py",
        "server/transports/sse.py",
        "tui/common/client/sse.py",
        "tui/common/announcements/feed.py",
    )
    CARD_BODY = (30, 9)
    SCOPE: ClassVar[Scope] = Scope.OWN
    """Which announcements are shown."""
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("enter", _("mark as read")),
        ("f8", _("mark an alert as read, anywhere")),
        ("space", _("the whole text, and back")),
        ("/", _("filter them")),
        ("r", _("refresh the announcements")),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "acknowledge", _("Mark read")),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.store = AnnouncementStore()
        self.alerts = AlertCollector(self, self._show_arrived)
        self._alert_title = ""
        """The title of the toast that stands for what is critical."""
        self._alert_key: tuple[str, int, bool] | None = None
        self._alert_shown_at = 0.0
        self._cursor_key: tuple[str, bool] | None = None

    def body(self) -> ComposeResult:
        """The list."""
        self.feed = AnnouncementFeed(
            self.store, self.api, self.session, self.meter, self, self.SCOPE
        )
        yield AnnouncementList(self.store, self.session.server_now)
        yield FilterField()

    def start(self) -> None:
        """Read what there is and follow."""
        if self.session.account is not None:
            self.store.set_reader(self.session.account)
        self.feed.reload()
        self.needs_redraw = True

    def stop(self) -> None:
        """Remove the toast: the next account has its own alerts."""
        self._remove_alert()

    # -- what the feed tells

    def start_worker(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this as a worker; a new one of a group replaces the one before."""
        self.run_worker(doing, group=group, exclusive=True, exit_on_error=False)

    def changed(self) -> None:
        """Paint with the next redraw."""
        self.needs_redraw = True

    def arrived(self, announcement: ReadAnnouncement) -> None:
        """Show a toast for what matters; critical ones have a toast of their own."""
        if announcement.severity is Severity.WARNING:
            self.alerts.add(announcement.id)

    def _show_arrived(self, announcement_ids: list[str]) -> None:
        """One toast for all of them that are unread."""
        found = [one for key in announcement_ids if (one := self.store.get(key)) is not None]
        unread = [one for one in found if self.store.is_unread(one)]
        if not unread:
            return
        small = self.app.size.height < SMALL_ROWS
        title, words = unread[-1].title, unread[-1].body
        if len(unread) > 1:
            words = ngettext("{count} new announcement", "{count} new announcements", len(unread))
            title = words.format(count=len(unread))
            words = "\n".join(plain(one.title) for one in reversed(unread))
        words = announcement_text.in_short(words, small=small)
        self.notify(words, title=title, severity="warning", timeout=10)

    def acknowledge_failed(self, announcement: ReadAnnouncement, words: str) -> None:
        """Say that it is unread again."""
        title = _("{title}: not marked as read").format(title=plain(announcement.title))
        self.notify(words, title=title, severity="warning")

    # -- painting

    def redraw(self) -> None:
        """Paint what has changed."""
        feed, rows = self.feed, self.rows
        self._follow_time()
        if (left := self.store.replayed.left) is not None:
            self.redraw_in(left)
        self.show_meter(feed.meter)
        rows.message = announcement_text.empty_text(self.store, feed.error)
        rows.update_lines()
        at_cursor = rows.at_cursor
        self.set_summary(
            announcement_text.summary(self.store, feed.error, self.session.server_now())
        )
        error = feed.older_error or (feed.error if self.store.loaded else "")
        note = announcement_text.note(self.store, at_cursor, feed.loading_older, error)
        self.set_badge(self.store.unread_count, note)
        self._show_alert()
        if rows.wants_more and not feed.older_error:
            feed.load_older()
        told = None if at_cursor is None else (at_cursor.id, at_cursor.acknowledged)
        if told != self._cursor_key:
            self._cursor_key = told
            self.refresh_bindings()

    def _show_alert(self) -> None:
        """One toast for all that is critical and unread: the newest, and how many besides."""
        pressing, small = self.store.unread_critical, self.app.size.height < SMALL_ROWS
        stands_for = (pressing[0].id, len(pressing), small) if pressing else None
        if stands_for == self._alert_key:
            return
        self._remove_alert()
        if stands_for is None:
            return
        newest, more = pressing[0], len(pressing) - 1
        self._alert_title = _("ALERT  {title}").format(title=plain(newest.title))
        self._alert_key = stands_for
        self._alert_shown_at = time.monotonic()
        words = f"{announcement_text.in_short(newest.body, small=small)}\n\n"
        words += _("f8 marks it as read.")
        if more:
            others = ngettext(" There is one more.", " There are {count} more alerts.", more)
            words += others.format(count=more)
        self.notify(words, title=self._alert_title, severity="error", timeout=FOREVER)

    def _remove_alert(self) -> None:
        """Remove the toast."""
        if self._alert_title:
            self.services.remove_toast(self._alert_title)
        self._alert_title, self._alert_key = "", None

    def _follow_time(self) -> None:
        now = self.session.server_now()
        self.store.drop_expired(now)
        expires = self.store.next_expiry
        self.redraw_in(CLOCK_SECONDS, MINUTES_SECONDS)
        if expires is not None:
            self.redraw_in((expires - now).total_seconds())
        if self._alert_title:
            self.redraw_in(ALERT_SECONDS)
            asked = time.monotonic() >= self._alert_shown_at + ALERT_SECONDS
            if asked and not self.services.has_toast(self._alert_title):
                self._alert_key = None  # clicked away, which is no acknowledgement

    @on(AnnouncementList.Moved)
    def _moved(self) -> None:
        if self.rows.wants_more:
            self.feed.load_older()
        self.changed()

    # -- what can be done

    def enter(self) -> None:
        """Go to what is most pressing."""
        super().enter()
        if pressing := self.store.unread_critical:
            self.rows.select(pressing[0].id)

    def acknowledge(self) -> bool:
        """Acknowledge what the toast stands for, also from within a dialog that it covers."""
        stands_for = self.store.get(self._alert_key[0]) if self._alert_key else None
        if stands_for is None or not self.store.is_unread(stands_for):
            return False
        self.feed.acknowledge(stands_for)
        return True

    def drop_connection(self) -> bool:
        """Cut the stream; what was missed is replayed when it is back."""
        return self.feed.drop_connection()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys only where they make sense."""
        if action == "acknowledge":
            at_cursor = self.rows.at_cursor if self.is_mounted else None
            return at_cursor is not None and not at_cursor.acknowledged
        return True

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        unread = [*self.store.unread_critical, *self.store.unread]
        if unread:
            yield SystemCommand(
                _("Mark the announcement as read"),
                plain(unread[0].title),
                lambda: self.feed.acknowledge(unread[0]),
            )

    def copyable(self) -> Sequence[Copyable]:
        """The announcement under the cursor."""
        if (one := self.rows.at_cursor) is None:
            return ()
        return [("announcement", f"{one.title}\n\n{one.body}"), ("title", one.title)]

    def action_acknowledge(self) -> None:
        """Mark the one under the cursor as read."""
        if (announcement := self.rows.at_cursor) is not None:
            self.feed.acknowledge(announcement)

    def reload(self) -> None:
        """Read the newest again, and follow from there."""
        self.feed.reload()

    @property
    def rows(self) -> AnnouncementList:
        """The list."""
        return self.query_one(AnnouncementList)

    def worker_failed(self, group: str, message: str) -> None:
        """Show in the list too that the stream has stopped."""
        super().worker_failed(group, message)
        if group == STREAM:
            self.feed.error = _("{message} Press r to retry.").format(message=message)
            self.changed()
