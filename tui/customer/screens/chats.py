"""One's chats, to choose one of them."""

from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from server.features.chat.schemas import Chat, ChatStatus
from tui.common.chat.talk import Talk
from tui.common.client.errors import ClientTrouble
from tui.common.screens.modal import Modal
from tui.common.text import fit
from tui.common.trouble import words_of
from tui.common.widgets.too_small import TooSmall

PAGES = 10


class ChatsScreen(Modal[Chat]):
    """Answers with the chat that was chosen."""

    DEFAULT_CSS = """
    ChatsScreen {
        & > .box { width: 72; }
        & OptionList { max-height: 16; }
        & #words { color: $wire-ink; height: auto; }
    }
    """
    AUTO_FOCUS = "OptionList"

    def __init__(self, talks: Mapping[str, Talk]) -> None:
        """`talks` know best about the chats they are."""
        super().__init__()
        self._talks = talks
        self._chats: list[Chat] = []

    def compose(self) -> ComposeResult:
        """The list, and a line for what is wrong with it."""
        with Vertical(classes="box") as box:
            box.border_title = "Your chats"
            box.border_subtitle = "enter goes to it · esc closes"
            chats = OptionList()
            chats.styles.height = "auto"
            yield chats
            yield Static("Reading your chats …", id="words", markup=False)
        yield TooSmall()

    def on_mount(self) -> None:
        """Read them all."""
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        api = self.tiffin.api
        words = self.query_one("#words", Static)
        found, before = self.query_one(OptionList), None
        for _ in range(PAGES):
            try:
                page = await api.chats(before=before)
            except ClientTrouble as trouble:
                words.update(words_of(trouble))
                return
            self._chats += page.items
            found.add_options([Option(self._row(chat)) for chat in page.items])
            before = page.next
            if before is None:
                break
        words.update("" if self._chats else "There is none yet.")
        words.display = not self._chats
        if self._chats and found.highlighted is None:
            found.highlighted = 0

    def _row(self, chat: Chat) -> Content:
        talk = self._talks.get(chat.id)
        unread = chat.unread.customer if talk is None else talk.unread
        chat = chat if talk is None else talk.chat
        is_open = chat.status is ChatStatus.OPEN
        when = chat.last_message.sent_at if chat.last_message else chat.opened_at
        new = f" {unread} new " if unread else ""
        return Content.assemble(
            ("● " if is_open else "✓ ", "$success" if is_open else "$wire-ink"),
            (fit(chat.subject, 38, pad=True), "bold" if unread else ""),
            (f" {when.astimezone():%d %b %H:%M} ", "$wire-ink"),
            (new, "bold $primary"),
        )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._chats[event.option_index])
