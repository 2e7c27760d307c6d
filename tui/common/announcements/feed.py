"""Keeps announcements current: a snapshot, every event after it, older pages, acknowledgements."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from server.features.announcements.schemas import (
    Announcement,
    AnnouncementAcknowledged,
    AnnouncementWithdrawn,
    ReadAnnouncement,
    Scope,
)
from tui.common.announcements.model import AnnouncementStore
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.log_feed import LogFeed
from tui.common.client.retry import retry, sync_loop
from tui.common.format import message_for

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

STREAM = "announcements"
"""The worker group of the stream."""


class Reader(Protocol):
    """The feed's owner. Everything is called in the event loop."""

    def start_worker(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this; a new one of a group replaces the one before."""

    def changed(self) -> None:
        """The store or an error has changed."""

    def arrived(self, announcement: ReadAnnouncement) -> None:
        """An announcement has arrived by the stream."""

    def acknowledge_failed(self, announcement: ReadAnnouncement, words: str) -> None:
        """The server has refused an acknowledgement; `words` say why."""


class AnnouncementFeed(LogFeed):
    """`error` and `older_error` are plain words, "" while all is well."""

    def __init__(
        self,
        store: AnnouncementStore,
        api: "Api",
        session: "Session",
        meter: "Meter",
        reader: Reader,
        scope: Scope,
    ) -> None:
        super().__init__(session, meter, reader.changed)
        self.error = ""
        """Why the newest announcements cannot be read."""
        self.older_error = ""
        """Why the page after the oldest cannot be read."""
        self.loading_older = False
        self._announcements = store
        self._api = api
        self._reader = reader
        self._scope = scope

    def reload(self) -> None:
        """Read the newest page and follow the stream from there; restart if already running."""
        self._reader.start_worker(self._run(), STREAM)

    def load_older(self) -> None:
        """Load one older page, unless one is being loaded. After a failure, call it again."""
        if not self.loading_older and self._announcements.older is not None:
            self.loading_older = True
            self._reader.start_worker(self._load_next_page(), "announcements-older")

    def acknowledge(self, announcement: ReadAnnouncement) -> None:
        """Mark it as read here at once, and on the server as soon as that answers."""
        if self._announcements.mark_read(announcement.id):
            self._reader.changed()
            self._reader.start_worker(
                self._send_acknowledgement(announcement), f"ack-{announcement.id}"
            )

    async def _run(self) -> None:
        await sync_loop(self._read, self._follow, meter=self._meter, on_error=self._on_error)

    def _on_error(self, error: ClientError, _wait: float | None) -> None:
        if not isinstance(error, SignedOut):
            self.error = message_for(error)
            self._reader.changed()

    async def _read(self) -> str:
        page = await self._api.announcements(self._scope)
        self._announcements.put_first_page(page, self._session.server_now())
        self.error = self.older_error = ""
        self._reader.changed()
        return page.cursor

    async def _follow(self, cursor: str) -> None:
        query = "" if self._scope is Scope.OWN else f"?scope={self._scope}"
        await self._follow_log("/announcements", cursor, self._on_event, query)

    def _on_event(self, kind: str, data: str) -> None:
        try:
            self._apply(kind, data)
        except ValidationError:  # of a newer server: no reason to lose the others
            return

    def _apply(self, kind: str, data: str) -> None:
        if kind == "announcement":
            announcement = Announcement.model_validate_json(data)
            if self._replaying:
                self._announcements.replayed.add(announcement.id)
            if self._announcements.add(announcement, self._session.server_now()):
                found = self._announcements.get(announcement.id)
                assert found is not None, "it has just been put there"
                self._reader.arrived(found)
        elif kind == "announcement.withdrawn":
            self._announcements.withdraw(AnnouncementWithdrawn.model_validate_json(data).id)
        elif kind == "announcement.acknowledged":
            self._announcements.mark_read_elsewhere(
                AnnouncementAcknowledged.model_validate_json(data).id
            )
        self._reader.changed()

    async def _load_next_page(self) -> None:
        cursor = self._announcements.older
        self._reader.changed()
        try:
            page = await self._api.announcements(self._scope, before=cursor)
        except ClientError as error:
            self.older_error = message_for(error)
        else:
            self.older_error = ""
            if cursor == self._announcements.older:  # a snapshot meanwhile has begun anew
                self._announcements.put_next_page(page, self._session.server_now())
        finally:
            self.loading_older = False
            self._reader.changed()

    async def _send_acknowledgement(self, announcement: ReadAnnouncement) -> None:
        try:
            await retry(lambda: self._api.acknowledge(announcement.id))
        except SignedOut:
            return
        except ClientError as error:
            if isinstance(error, ApiError) and error.status == 404:
                self._announcements.withdraw(announcement.id)  # or expired: gone either way
            else:
                self._announcements.reject_read(announcement.id)
                self._reader.acknowledge_failed(announcement, message_for(error))
        else:
            self._announcements.confirm_read(announcement.id)
        self._reader.changed()
