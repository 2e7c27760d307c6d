"""The employee's panel "Announcements": those for customers too, who has read them, writing."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.announcements.schemas import (
    AckCount,
    Announcement,
    Audience,
    ReadAnnouncement,
    Scope,
)
from tui.common.announcements import format as announcement_text
from tui.common.announcements.format import INDENT
from tui.common.announcements.panel import AnnouncementsPanel
from tui.common.client.errors import ClientError, ResetStream, SignedOut
from tui.common.client.meter import Meter, Pattern
from tui.common.format import message_for
from tui.common.language import _
from tui.common.sanitize import plain
from tui.employee.announcements.compose import Draft

if TYPE_CHECKING:
    from tui.common.client.session import Session

BAR_CELLS = 16
METER = _("Acknowledgements")


class EmployeeAnnouncementsPanel(AnnouncementsPanel):
    """Compose, withdraw, and see the acknowledgements of the one under the cursor come in."""

    SCOPE = Scope.ALL
    KEYS = (
        *AnnouncementsPanel.KEYS,
        ("n", _("announce something")),
        ("w", _("withdraw it")),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "compose", _("Announce")),
        Binding("w", "withdraw", _("Withdraw")),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.draft = Draft()
        """What was begun and not sent."""

    def body(self) -> ComposeResult:
        """The list, with audiences and counts."""
        yield from super().body()
        self.acks = AckCounter(
            self.session, self.wire.meter(METER, Pattern.SSE), self.start_worker, self.changed
        )

    def start(self) -> None:
        """Read what there is, and have the counts drawn."""
        self.rows.label_suffix = _for_whom
        self.rows.footer = self._count
        super().start()

    def redraw(self) -> None:
        """Paint what has changed; follow the count of what the cursor is on."""
        super().redraw()
        at_cursor = self.rows.at_cursor
        self.acks.watch(at_cursor.id if at_cursor is not None else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys only where they make sense."""
        at_cursor = self.rows.at_cursor if self.is_mounted else None
        if action == "withdraw":
            return at_cursor is not None
        if action == "acknowledge" and at_cursor is not None:
            return self.store.is_for_me(at_cursor) and not at_cursor.acknowledged
        return super().check_action(action, parameters)

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield from super().commands()
        words = _("Continue your draft") if not self.draft.is_empty else _("Choose who reads it")
        yield SystemCommand(_("Announce something"), words, self.action_compose)
        if (at_cursor := self.rows.at_cursor) is not None:
            yield SystemCommand(
                _("Withdraw the announcement"), plain(at_cursor.title), self.action_withdraw
            )

    def unsaved(self) -> str | None:
        """What was begun is kept in this window alone."""
        return None if self.draft.is_empty else _("An announcement is not sent yet.")

    def action_compose(self) -> None:
        """Write one; what was begun before is still there."""
        from tui.employee.announcements.compose import ComposeScreen

        self.app.push_screen(ComposeScreen(self.draft), self._composed)

    def _composed(self, made: Announcement | None) -> None:
        if made is None:
            if not self.draft.is_empty:
                self.notify(_("Not sent. Press n to continue it."), title=_("Announcement kept"))
            return
        self.draft = Draft()
        if self.store.add(made, self.session.server_now()):
            self.changed()
        self.rows.select(made.id)
        self.notify(
            _("Sent to {audience}.").format(audience=announcement_text.AUDIENCES[made.audience]),
            title=plain(made.title),
        )

    def action_withdraw(self) -> None:
        """Ask, then take back the one under the cursor."""
        from tui.common.dialogs.confirm import ConfirmScreen

        announcement = self.rows.at_cursor
        if announcement is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.start_worker(self._withdraw(announcement), f"withdraw-{announcement.id}")

        words = _(
            "“{title}” disappears from every window of {audience}, read or not. This "
            "can't be undone."
        ).format(
            title=announcement.title, audience=announcement_text.AUDIENCES[announcement.audience]
        )
        self.app.push_screen(
            ConfirmScreen(_("Withdraw"), words, yes=_("Withdraw it"), no=_("Keep it"), danger=True),
            answered,
        )

    async def _withdraw(self, announcement: ReadAnnouncement) -> None:
        try:
            await self.api.withdraw(announcement.id)
        except SignedOut:
            return
        except ClientError as error:
            title = _("{title}: not withdrawn").format(title=plain(announcement.title))
            self.notify(message_for(error), title=title, severity="warning")
            return
        self.store.withdraw(announcement.id)
        self.changed()

    def _count(self, announcement: ReadAnnouncement, width: int) -> Content | None:
        """How many have read it: `━━━━╌╌╌╌ 12 of 40 have read it`."""
        count = self.acks.count_of(announcement.id)
        if count is None:
            return Content.assemble(INDENT, (_("counting…"), "$wire-ink"))
        share = count.acknowledged / count.audience_size if count.audience_size else 0.0
        filled = round(min(1.0, share) * BAR_CELLS)
        words = _("{acknowledged} of {audience_size} have read it").format(
            acknowledged=count.acknowledged, audience_size=count.audience_size
        )
        room = width - len(INDENT) - BAR_CELLS - 1
        return Content.assemble(
            INDENT,
            ("━" * filled, "$success"),
            ("╌" * (BAR_CELLS - filled), "$wire-sep"),
            " ",
            (words if len(words) <= room else words.removesuffix(_(" have read it")), "$title"),
        )


def _for_whom(announcement: ReadAnnouncement) -> str:
    """What stands behind the label; nothing where it is for everyone."""
    if announcement.audience is Audience.EVERYONE:
        return ""
    return _(" for {audience}:").format(audience=announcement_text.AUDIENCES[announcement.audience])


STILL_SECONDS = 0.25
"""A cursor that is only passing by opens no stream."""

Work = Callable[[Coroutine[object, object, None], str], None]


class AckCounter:
    """Follows the count of the announcement it was last told of; `changed` is called with each."""

    def __init__(
        self, session: "Session", meter: Meter, work: Work, changed: Callable[[], None]
    ) -> None:
        self.count: AckCount | None = None
        """The newest; None until there is one."""
        self._session = session
        self._meter = meter
        self._work = work
        self._changed = changed
        self._id: str | None = None

    def watch(self, announcement_id: str | None) -> None:
        """Follow that one from now on, or none."""
        if announcement_id == self._id:
            return
        self._id, self.count = announcement_id, None
        self._work(self._follow(announcement_id), "acks")

    def count_of(self, announcement_id: str) -> AckCount | None:
        """The newest count, if it is that announcement's."""
        return self.count if announcement_id == self._id else None

    async def _follow(self, announcement_id: str | None) -> None:
        from tui.common.client.sse import EventStream

        await asyncio.sleep(STILL_SECONDS)
        if announcement_id is None:
            return
        path = f"/announcements/{announcement_id}/acks/stream"
        while True:
            try:
                async with EventStream(self._session, path, self._meter) as stream:
                    async for event in stream:
                        try:
                            self.count = AckCount.model_validate_json(event.data)
                        except ValidationError:  # of a newer server
                            continue
                        self._changed()
            except ResetStream:
                await asyncio.sleep(STILL_SECONDS)
            except ClientError:  # it is gone, or one is logged out: the list says so
                return
