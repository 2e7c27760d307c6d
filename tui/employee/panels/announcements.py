"""The employee's panel "Announcements": also what is for others, who has read it, and one's own."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.announcements.schemas import (
    Announcement,
    Audience,
    ReadAnnouncement,
    Scope,
)
from tui.common.client.errors import ClientTrouble, SignedOut
from tui.common.client.wire import Pattern
from tui.common.panels.announcement_text import INDENT
from tui.common.panels.announcements import AnnouncementsPanel
from tui.common.text import plain
from tui.common.trouble import words_of
from tui.employee.panels.ack_watch import AckWatch
from tui.employee.panels.draft import Draft

BAR_CELLS = 16
METER = "Acknowledgements"


class AnnouncementDesk(AnnouncementsPanel):
    """Compose, withdraw, and see the acknowledgements of the one under the cursor come in."""

    SCOPE = Scope.ALL
    KEYS = (
        *AnnouncementsPanel.KEYS,
        ("n", "announce something"),
        ("w", "withdraw it"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "compose", "Announce"),
        Binding("w", "withdraw", "Withdraw"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.draft = Draft()
        """What was begun and not sent."""

    def body(self) -> ComposeResult:
        """The list, with audiences and counts."""
        yield from super().body()
        self.acks = AckWatch(
            self.session, self.wire.meter(METER, Pattern.SSE), self.work, self.changed
        )

    def start(self) -> None:
        """Read what there is, and have the counts drawn."""
        self.rows.aside = _for_whom
        self.rows.foot = self._count
        super().start()

    def flush(self) -> None:
        """Paint what has changed; follow the count of what the cursor is on."""
        super().flush()
        at_cursor = self.rows.at_cursor
        self.acks.watch(at_cursor.id if at_cursor is not None else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys only where they make sense."""
        at_cursor = self.rows.at_cursor if self.is_mounted else None
        if action == "withdraw":
            return at_cursor is not None
        if action == "acknowledge" and at_cursor is not None:
            return self.book.is_for_me(at_cursor) and not at_cursor.acknowledged
        return super().check_action(action, parameters)

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield from super().commands()
        words = "Go on with what you have begun" if not self.draft.is_empty else "To whom you like"
        yield SystemCommand("Announce something", words, self.action_compose)
        if (at_cursor := self.rows.at_cursor) is not None:
            yield SystemCommand(
                "Withdraw the announcement", plain(at_cursor.title), self.action_withdraw
            )

    def unsent(self) -> str:
        """What was begun is kept in this window alone."""
        return "" if self.draft.is_empty else "An announcement is not sent yet."

    def action_compose(self) -> None:
        """Write one; what was begun before is still there."""
        from tui.employee.screens.compose import ComposeScreen

        self.app.push_screen(ComposeScreen(self.draft), self._composed)

    def _composed(self, made: Announcement | None) -> None:
        if made is None:
            if not self.draft.is_empty:
                self.notify("Not sent. Press n to go on with it.", title="Announcement kept")
            return
        self.draft = Draft()
        if self.book.announce(made, self.session.server_now()):
            self.changed()
        self.rows.view(made.id)
        self.notify(f"Sent to {made.audience}.", title=plain(made.title))

    def action_withdraw(self) -> None:
        """Ask, then take back the one under the cursor."""
        from tui.common.screens.confirm import ConfirmScreen

        announcement = self.rows.at_cursor
        if announcement is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.work(self._withdraw(announcement), f"withdraw-{announcement.id}")

        words = (
            f"“{announcement.title}” goes from every window of {announcement.audience},"
            " read or not. It cannot be brought back."
        )
        self.app.push_screen(
            ConfirmScreen("Withdraw", words, yes="Withdraw it", no="Keep it", danger=True),
            answered,
        )

    async def _withdraw(self, announcement: ReadAnnouncement) -> None:
        try:
            await self.api.withdraw(announcement.id)
        except SignedOut:
            return
        except ClientTrouble as trouble:
            title = f"{plain(announcement.title)}: not withdrawn"
            self.notify(words_of(trouble), title=title, severity="warning")
            return
        self.book.withdraw(announcement.id)
        self.changed()

    def _count(self, announcement: ReadAnnouncement, width: int) -> Content | None:
        """How many have read it: `━━━━╌╌╌╌ 12 of 40 have read it`."""
        count = self.acks.count_of(announcement.id)
        if count is None:
            return Content.assemble(INDENT, ("counting …", "$wire-ink"))
        share = count.acknowledged / count.audience_size if count.audience_size else 0.0
        filled = round(min(1.0, share) * BAR_CELLS)
        words = f"{count.acknowledged} of {count.audience_size} have read it"
        room = width - len(INDENT) - BAR_CELLS - 1
        return Content.assemble(
            INDENT,
            ("━" * filled, "$success"),
            ("╌" * (BAR_CELLS - filled), "$wire-sep"),
            " ",
            (words if len(words) <= room else words.removesuffix(" have read it"), "$title"),
        )


def _for_whom(announcement: ReadAnnouncement) -> str:
    """What stands behind the label; nothing where it is for everyone."""
    if announcement.audience is Audience.EVERYONE:
        return ""
    return f" for {announcement.audience}:"
