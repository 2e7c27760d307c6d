"""The list of the account's sessions, which can be ended."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.common.dialogs.base import Dialog
from tui.common.format import clock_time
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from server.features.accounts.schemas import ActiveSession


class SessionsScreen(Dialog[None]):
    """A list of sessions; one key ends the highlighted one, another all but this one."""

    DEFAULT_CSS = """
    SessionsScreen {
        & > .box { width: 66; }
        & OptionList { max-height: 14; }
        & StatusLine { margin-top: 0; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "end_one", _("End this one")),
        Binding("o", "end_others", _("End all others")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: list[ActiveSession] = []

    def body(self) -> ComposeResult:
        """The list, and a line for results."""
        with Vertical(classes="box") as box:
            box.border_title = _("Sessions")
            box.border_subtitle = _("e ends it · o ends all others · esc closes")
            sessions = OptionList()
            sessions.styles.height = "auto"
            yield sessions
            yield StatusLine(_("Loading your sessions…"))

    def on_mount(self) -> None:
        """Read them."""
        self._run(self._read)

    def action_end_one(self) -> None:
        """End the highlighted session: this one by logging out."""
        at = self.query_one(OptionList).highlighted
        if at is None or at >= len(self._found):
            return
        session = self._found[at]
        if session.current:
            self.services.log_out()
        else:
            self._run(lambda: self._end(session.id))

    def action_end_others(self) -> None:
        """End every session but this one."""
        self._run(self._end_others)

    def _run(self, action: Callable[[], Awaitable[None]]) -> None:
        self.run_worker(self._report(action), group="sessions", exit_on_error=True)

    async def _report(self, action: Callable[[], Awaitable[None]]) -> None:
        from tui.common.client.errors import ClientError
        from tui.common.format import message_for

        try:
            await action()
        except ClientError as error:
            self.show_status(message_for(error))

    async def _end(self, session_id: str) -> None:
        from tui.common.client.errors import ApiError

        try:
            await self.services.api.end_session(session_id)
        except ApiError as error:
            if error.status != 404:  # it has ended meanwhile
                raise
        await self._read(_("That session has ended."))

    async def _end_others(self) -> None:
        await self.services.api.end_other_sessions()
        await self._read(_("All other sessions have ended."))

    async def _read(self, words: str = "") -> None:
        self._found = await self.services.api.sessions()
        if not self.is_attached:
            return
        rows = self.query_one(OptionList)
        at = rows.highlighted or 0
        rows.clear_options()
        rows.add_options([Option(_row(session)) for session in self._found])
        rows.highlighted = min(at, len(self._found) - 1) if self._found else None
        self.show_status(words, "info")


def _row(session: "ActiveSession") -> Content:
    used, begun = clock_time(session.last_used_at), clock_time(session.created_at)
    name = plain(session.client or "") or _("unknown client")
    where = plain(session.address or "") or _("unknown address")
    return Content.assemble(
        ("● " if session.current else "  ", "$success"),
        (name, "bold"),
        f" · {where}",
        (_(" · this one") if session.current else "", "$success"),
        "\n  ",
        (_("used {used} · since {begun}").format(used=used, begun=begun), "$wire-ink"),
    )
