"""An announcement in words: its lines in the list, the card's, the notes."""

from datetime import datetime

from textual.content import Content

from server.features.announcements.schemas import (
    Announcement,
    Audience,
    ReadAnnouncement,
    Severity,
)
from tui.common.announcements.model import AnnouncementStore
from tui.common.format import age, clock_time, fit, loading_message
from tui.common.language import _, ngettext
from tui.common.sanitize import plain

LABELS: dict[Severity, tuple[str, str]] = {
    Severity.INFO: (_("INFO"), "$secondary"),
    Severity.WARNING: (_("NOTICE"), "bold $warning"),
    Severity.CRITICAL: (_("ALERT"), "bold $error"),
}
"""Word and colour of each severity; the word is enough without colour."""
AUDIENCES = {
    Audience.EVERYONE: _("everyone"),
    Audience.CUSTOMERS: _("customers"),
    Audience.EMPLOYEES: _("employees"),
}
MARK = "● "
INDENT = "  "
AGE_CELLS = 5
LABEL_CELLS = 6
TOAST_CHARACTERS = 240
SMALL_TOAST_CHARACTERS = 100
"""Where the window has little room: a toast covers what is below it."""


def head_line(announcement: Announcement, width: int, now: datetime, *, unread: bool) -> Content:
    """Mark, title, age."""
    return _head(announcement, announcement.title, width, now, unread=unread)


def whole_head(
    announcement: Announcement, width: int, now: datetime, *, unread: bool
) -> list[Content]:
    """The same with all of the title, wrapped."""
    room = max(1, width - len(MARK) - AGE_CELLS)
    first, *more = [line.plain for line in Content(plain(announcement.title)).wrap(room)] or [""]
    ink = "bold" if unread else ""
    return [
        _head(announcement, first, width, now, unread=unread),
        *(Content.assemble(INDENT, (line, ink)) for line in more),
    ]


def _head(
    announcement: Announcement, title: str, width: int, now: datetime, *, unread: bool
) -> Content:
    mark: tuple[str, str] = (MARK, "$primary") if unread else (INDENT, "")
    return Content.assemble(
        mark,
        (fit(title, width - len(MARK) - AGE_CELLS, pad=True), "bold" if unread else ""),
        (f"{age(announcement.published_at, now):>{AGE_CELLS}}", "$wire-ink"),
    )


def short_line(announcement: Announcement, width: int, suffix: str = "") -> Content:
    """Label, and as much of the text as there is room for."""
    word, ink = LABELS[announcement.severity]
    room = width - len(INDENT) - LABEL_CELLS - 1 - len(suffix)
    return Content.assemble(
        INDENT,
        (f"{word:<{LABEL_CELLS}}", ink),
        (suffix, "$wire-ink"),
        " ",
        (fit(announcement.body, room), "$wire-ink"),
    )


def whole_lines(
    announcement: Announcement, width: int, now: datetime, suffix: str = ""
) -> list[Content]:
    """Label and times, then the text, wrapped."""
    word, ink = LABELS[announcement.severity]
    times = clock_time(announcement.published_at, now)
    if announcement.expires_at is not None:
        times += _(", until {expires_at}").format(
            expires_at=clock_time(announcement.expires_at, now)
        )
    lines = [
        Content.assemble(
            INDENT,
            (f"{word:<{LABEL_CELLS}}", ink),
            (fit(f"{suffix} {times}", width - len(INDENT) - LABEL_CELLS), "$wire-ink"),
        )
    ]
    text = Content(plain(announcement.body, newlines=True))
    lines += [Content.assemble(INDENT, line) for line in text.wrap(max(1, width - len(INDENT) - 1))]
    return lines


def in_short(text: str, *, small: bool = False) -> str:
    """What a toast has room for; a small one is of one paragraph."""
    text = plain(text, newlines=not small)
    most = SMALL_TOAST_CHARACTERS if small else TOAST_CHARACTERS
    return text if len(text) <= most else text[: most - 1] + "…"


def empty_text(store: AnnouncementStore, error: str) -> Content:
    """What the list says while it is empty."""
    if not store.loaded:
        return loading_message(_("Loading announcements…"), error)
    return Content.assemble((_("No announcements."), "$wire-ink"))


def summary(store: AnnouncementStore, error: str, now: datetime) -> Content:
    """The card's two lines: what matters most, and how much there is besides."""
    if not len(store):
        return empty_text(store, error)
    unread = store.unread
    lead = next(iter(store.unread_critical or unread), None)
    if lead is None:
        newest = store.at(0)
        first = Content.assemble(
            (plain(newest.title), ""), (f"  {age(newest.published_at, now)}", "$wire-ink")
        )
        return Content("\n").join([first, Content.assemble((_("all read"), "$wire-ink"))])
    first = Content.assemble((MARK, "$primary"), (plain(lead.title), "bold"))
    others = store.unread_count - 1
    words = ngettext("and {count} more unread", "and {count} more unread", others)
    more = words.format(count=others) if others else plain(lead.body)
    return Content("\n").join([first, Content.assemble(INDENT, (more, "$wire-ink"))])


def note(
    store: AnnouncementStore, at_cursor: ReadAnnouncement | None, reading: bool, error: str
) -> Content:
    """The lower edge: what `enter` does, or what is wrong."""
    if error:
        return Content.assemble(("◌ ", "$warning"), (plain(error), "$wire-ink"))
    if store.sending:
        return Content.assemble((_("◌ saving…"), "$wire-ink"))
    if reading:
        return Content.assemble((_("loading older ones…"), "$wire-ink"))
    if at_cursor is not None and store.is_unread(at_cursor):
        return Content.assemble((_("enter marks read"), "$wire-ink"))
    if not len(store):
        return Content("")
    count = f"{len(store)}{'+' if store.older is not None else ''}"
    words = ngettext("{count} announced", "{count} announced", len(store))
    return Content.assemble((words.format(count=count), "$wire-ink"))
