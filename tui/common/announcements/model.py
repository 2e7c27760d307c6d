"""All announcements known to this window, newest first: the model of the panel."""

from collections.abc import Callable, Iterator
from datetime import datetime

from server.features.accounts.schemas import Account, Role
from server.features.announcements.schemas import (
    Announcement,
    AnnouncementPage,
    Audience,
    ReadAnnouncement,
    Severity,
)
from tui.common.client.log_feed import ReplayedRows


class AnnouncementStore:
    """Announcements by id. No screen, no network.

    `revision` grows with every change. What has just been marked as read counts as read before
    the server confirms it.
    """

    def __init__(self) -> None:
        self.older: str | None = None
        """The `next` of the oldest page there is; None when there is nothing older."""
        self.loaded = False
        """Whether the first page has come."""
        self.revision = 0
        self.replayed = ReplayedRows()
        self._own_id = ""
        self._audiences: frozenset[Audience] = frozenset()
        self._known: dict[str, ReadAnnouncement] = {}
        self._ids: list[str] = []
        """In the server's order: a clock may have been put back between two of them."""
        self._unread_below = 0
        """How many unread ones the server has counted that are older than those known here."""
        self._withdrawn: set[str] = set()
        self._sending: set[str] = set()
        self._acknowledged: set[str] = set()
        self._unread: list[ReadAnnouncement] = []
        self._unread_revision = 0
        """The revision at which `_unread` was collected."""

    def set_reader(self, account: Account) -> None:
        """Set whose window it is: announcements for others or by the reader are never unread."""
        own = Audience.CUSTOMERS if account.role is Role.CUSTOMER else Audience.EMPLOYEES
        self._own_id = account.id
        self._audiences = frozenset({Audience.EVERYONE, own})
        self.revision += 1

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[ReadAnnouncement]:
        return iter([self._known[one] for one in self._ids])

    def at(self, index: int) -> ReadAnnouncement:
        """The announcement in that place."""
        return self._known[self._ids[index]]

    def get(self, announcement_id: str | None) -> ReadAnnouncement | None:
        """The announcement of that id, if it is known."""
        return None if announcement_id is None else self._known.get(announcement_id)

    def found(self, matches: Callable[[str], bool]) -> "FoundAnnouncements":
        """Those whose title, text or author matches."""
        return FoundAnnouncements(
            [one for one in self if matches(f"{one.title} {one.body} {one.by.name} {one.severity}")]
        )

    def index(self, announcement_id: str | None) -> int | None:
        """Its place, if it is known."""
        if announcement_id is None or announcement_id not in self._known:
            return None
        return self._ids.index(announcement_id)

    def is_for_me(self, announcement: Announcement) -> bool:
        """Whether the reader is in its audience."""
        return announcement.audience in self._audiences

    def is_unread(self, announcement: ReadAnnouncement) -> bool:
        """Whether the reader has not acknowledged it yet."""
        return (
            not announcement.acknowledged
            and announcement.by.id != self._own_id
            and self.is_for_me(announcement)
        )

    @property
    def unread(self) -> list[ReadAnnouncement]:
        """The unread announcements, newest first."""
        if self._unread_revision != self.revision:
            self._unread_revision = self.revision
            self._unread = [one for one in self if self.is_unread(one)]
        return self._unread

    @property
    def unread_count(self) -> int:
        """How many are unread, also among those that are not loaded."""
        return len(self.unread) + self._unread_below

    @property
    def unread_critical(self) -> list[ReadAnnouncement]:
        """The critical ones among them."""
        return [one for one in self.unread if one.severity is Severity.CRITICAL]

    @property
    def sending(self) -> int:
        """How many acknowledgements the server does not know of yet."""
        return len(self._sending)

    def put_first_page(self, page: AnnouncementPage, now: datetime) -> None:
        """Replace everything by the first page; older pages are loaded again when needed."""
        self._known.clear()
        self._ids.clear()
        self.loaded = True
        self._put(page, now)

    def put_next_page(self, page: AnnouncementPage, now: datetime) -> None:
        """Add the page that `older` led to."""
        self._put(page, now)

    def add(self, announcement: Announcement, now: datetime) -> bool:
        """Add an announcement from the stream; False if it has expired or is known already."""
        if announcement.id in self._known or _is_over(announcement, now):
            return False
        self._store(ReadAnnouncement(**(dict(announcement) | {"acknowledged": False})))
        self._ids.insert(0, announcement.id)
        self.revision += 1
        return True

    def withdraw(self, announcement_id: str) -> None:
        """Remove one for good, also from pages that are still being loaded."""
        self._withdrawn.add(announcement_id)
        self._sending.discard(announcement_id)
        if self._known.pop(announcement_id, None) is not None:
            self._remove_unknown()

    @property
    def next_expiry(self) -> datetime | None:
        """When the next one expires."""
        moments = (one.expires_at for one in self._known.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def drop_expired(self, now: datetime) -> None:
        """Remove what has expired."""
        over = [one.id for one in self._known.values() if _is_over(one, now)]
        for announcement_id in over:
            del self._known[announcement_id]
        if over:
            self._remove_unknown()

    def mark_read(self, announcement_id: str) -> bool:
        """Mark it as read, to be sent to the server; False if it was already."""
        found = self._known.get(announcement_id)
        if found is None or found.acknowledged or not self.is_for_me(found):
            return False
        self._sending.add(announcement_id)
        self._set_acknowledged(announcement_id, acknowledged=True)
        return True

    def mark_read_elsewhere(self, announcement_id: str) -> None:
        """It was read in another window of this account, possibly before it has arrived here."""
        self._acknowledged.add(announcement_id)
        self._set_acknowledged(announcement_id, acknowledged=True)

    def confirm_read(self, announcement_id: str) -> None:
        """The server has the acknowledgement."""
        self._sending.discard(announcement_id)
        self.revision += 1

    def reject_read(self, announcement_id: str) -> None:
        """The server has refused the acknowledgement: unread again."""
        self._sending.discard(announcement_id)
        self._set_acknowledged(announcement_id, acknowledged=False)

    def _put(self, page: AnnouncementPage, now: datetime) -> None:
        self.older = page.next
        for announcement in page.items:
            if announcement.id not in self._withdrawn and not _is_over(announcement, now):
                if announcement.id not in self._known:
                    self._ids.append(announcement.id)
                self._store(announcement)
        self.revision += 1  # first: `unread` is collected once a revision
        self._unread_below = 0
        if page.unread is not None and page.next is not None:
            self._unread_below = max(0, page.unread - len(self.unread) - len(self._sending))

    def _store(self, announcement: ReadAnnouncement) -> None:
        if announcement.id in self._sending or announcement.id in self._acknowledged:
            announcement = announcement.model_copy(update={"acknowledged": True})
        self._known[announcement.id] = announcement

    def _set_acknowledged(self, announcement_id: str, *, acknowledged: bool) -> None:
        found = self._known.get(announcement_id)
        if found is not None:
            self._known[announcement_id] = found.model_copy(update={"acknowledged": acknowledged})
        self.revision += 1

    def _remove_unknown(self) -> None:
        self._ids = [one for one in self._ids if one in self._known]
        self.revision += 1


class FoundAnnouncements:
    """Those that a filter leaves."""

    def __init__(self, found: list[ReadAnnouncement]) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def at(self, index: int) -> ReadAnnouncement:
        """The announcement in that place."""
        return self._found[index]

    def index(self, announcement_id: str | None) -> int | None:
        """Its place, if it is among them."""
        places = (at for at, one in enumerate(self._found) if one.id == announcement_id)
        return next(places, None)


def _is_over(announcement: Announcement, now: datetime) -> bool:
    return announcement.expires_at is not None and announcement.expires_at <= now
