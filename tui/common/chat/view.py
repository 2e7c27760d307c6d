"""One chat on the screen: what it is about, the messages, who types, and where to write."""

import time

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import TextArea

from server.features.chat.schemas import LONGEST_TEXT
from tui.common.chat import format as chat_format
from tui.common.chat.composer import Composer
from tui.common.chat.message_view import MessageView
from tui.common.chat.session import ChatSession
from tui.common.language import _, ngettext

DRAFT_SECONDS = 0.5
"""At the latest, until what is typed is on the disk."""
COUNT_FROM = 500
"""Characters left at which they are counted."""


class _Line(Widget):
    """One line of text, painted only when it has changed."""

    DEFAULT_CSS = "_Line { height: 1; background: $surface; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._content = Content("")

    def show(self, content: Content) -> None:
        """Show this."""
        if content != self._content:
            self._content = content
            self.refresh()

    def render(self) -> Content:
        """The text."""
        return self._content


class ChatView(Vertical):
    """Shows one `ChatSession`; `redraw` when it may have changed. Each chat keeps its draft."""

    DEFAULT_CSS = """
    ChatView {
        height: 1fr; width: 1fr;
        & > #about { display: none; }
        &.-talking > #about { display: block; }
        & > Composer { display: none; }
        &.-open > Composer { display: block; }
    }
    """

    class Refused(Message):
        """A message was not sent, and why."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def __init__(self, hint: str, nothing: Content) -> None:
        """`hint` stands in the empty field, `nothing` in place of a chat."""
        super().__init__()
        self.chat_session: ChatSession | None = None
        self.empty_text = nothing
        self.writable = True
        """Whether this account may write in an open chat."""
        self.note = Content("")
        """The text shown in place of the field."""
        self._hint = hint
        self._draft_timer: Timer | None = None
        self._about = _Line(id="about")
        self._status = _Line(id="status")
        self.messages = MessageView()
        self.composer = Composer(hint)

    def compose(self) -> ComposeResult:
        """The subject, the messages, a status line, the field."""
        yield self._about
        yield self.messages
        yield self._status
        yield self.composer

    def show(self, chat_session: ChatSession | None) -> None:
        """Show this chat."""
        if chat_session is self.chat_session:
            return
        self.save_draft()
        self.chat_session = chat_session
        self.composer.set_text("" if chat_session is None else chat_session.draft)
        self.messages.show(None if chat_session is None else chat_session.conversation)
        if self._typing and (chat_session is None or not chat_session.open):
            self.screen.set_focus(self.messages)

    def redraw(self, *, in_view: bool) -> None:
        """Paint what has changed; with `in_view`, what is shown at the end has been read."""
        chat_session = self.chat_session
        self.set_class(chat_session is not None, "-talking")
        writing = (
            chat_session is not None
            and chat_session.open
            and not chat_session.over
            and self.writable
        )
        self.composer.locked = not writing
        # The field stays while somebody types in it: their keys must not become commands.
        self.set_class(writing or (chat_session is not None and self._typing), "-open")
        if chat_session is None:
            self.messages.message = self.empty_text
            self.messages.redraw()
            self._status.show(Content(""))
            return
        self.messages.message = chat_format.empty_text(chat_session)
        self.messages.redraw()
        if in_view and self.messages.at_end and self.messages.size.height:
            chat_session.mark_read()
        self._about.show(chat_format.about(chat_session.chat, self._about.size.width))
        self._status.show(self._status_line(chat_session))

    def enter(self) -> None:
        """Focus the field, or else the messages."""
        target = self.composer if self.has_class("-open") else self.messages
        self.screen.set_focus(target)

    def edit_refused(self) -> None:
        """Move refused messages back into the field."""
        if self.chat_session is not None and (text := self.chat_session.pop_refused()):
            self.composer.set_text("\n".join(filter(None, [text, self.composer.text])))
            self.enter()

    def on_descendant_blur(self) -> None:
        """Hide the field once it has lost the focus, if the chat accepts no messages."""
        if self.composer.locked:
            self.remove_class("-open")

    def on_unmount(self) -> None:
        """Store the draft."""
        self.save_draft()

    @property
    def _typing(self) -> bool:
        """Whether the field has the focus."""
        return self.screen.focused is self.composer

    def save_draft(self) -> None:
        """Store what is half written."""
        if self.chat_session is not None:
            self.chat_session.draft = self.composer.text
            self.chat_session.outbox.save_draft()

    def _save_draft_soon(self) -> None:
        if self._draft_timer is None:
            self._draft_timer = self.set_timer(DRAFT_SECONDS, self._draft_due)

    def _draft_due(self) -> None:
        self._draft_timer = None
        self.save_draft()

    def _status_line(self, chat_session: ChatSession) -> Content:
        width = self._status.size.width
        if self.composer.locked:
            left = self._why_locked(chat_session)
        elif chat_session.reading_older:
            left = Content.assemble((_("loading older messages…"), "$wire-ink"))
        elif chat_session.older_error and chat_session.conversation.before is not None:
            left = Content.assemble(
                (
                    _("older ones: {older_error}").format(older_error=chat_session.older_error),
                    "$warning",
                )
            )
        else:
            left = chat_format.typing(chat_session.conversation.typing(time.monotonic()))
        right = Content("")
        if below := self.messages.new_below:
            right = Content.assemble(
                (
                    ngettext("↓ {below} new below", "↓ {below} new below", below).format(
                        below=below
                    ),
                    "bold $primary",
                ),
                (_(" · end"), "$wire-ink"),
            )
        elif (remaining := self.composer.remaining) < COUNT_FROM:
            ink = "bold $error" if remaining < 0 else "$wire-ink"
            words = _("{count:,} over") if remaining < 0 else _("{count:,} left")
            right = Content.assemble((words.format(count=abs(remaining)), ink))
        room = width - right.cell_length - 1
        if left.cell_length > room:
            left = left.truncate(max(0, room), ellipsis=True)
        gap = max(1, width - left.cell_length - right.cell_length)
        return Content.assemble(left, " " * gap, right)

    def _why_locked(self, chat_session: ChatSession) -> Content:
        if chat_session.open and not chat_session.over:
            return self.note
        return chat_format.closed_reason(chat_session, _("esc, then ") if self._typing else "")

    @on(MessageView.NearTop)
    def _older(self) -> None:
        chat_session = self.chat_session
        if (
            chat_session is not None
            and not chat_session.reading_older
            and not chat_session.older_error
        ):
            self.run_worker(
                chat_session.read_older(), group=f"older-{chat_session.id}", exit_on_error=False
            )

    @on(MessageView.Moved)
    def _moved(self) -> None:
        if self.chat_session is not None:
            self.chat_session.older_error = ""
            self._status.show(self._status_line(self.chat_session))

    @on(Composer.Sent)
    def _sent(self, event: Composer.Sent) -> None:
        if self.chat_session is not None:
            self.chat_session.send(event.text)
            self.save_draft()
            self.messages.action_latest()

    @on(Composer.Locked)
    def _locked(self) -> None:
        if self.chat_session is not None:
            words = self._why_locked(self.chat_session).plain.rstrip(".")
            self.post_message(self.Refused(_("{words}. Your text stays here.").format(words=words)))

    @on(Composer.Left)
    def _left(self) -> None:
        self.messages.focus()

    @on(Composer.Typed)
    def _typed(self) -> None:
        if self.chat_session is not None and self.composer.text.strip():
            self.chat_session.send_typing()

    @on(TextArea.Changed)
    def _changed(self) -> None:
        self._save_draft_soon()
        if self.chat_session is not None:
            self._status.show(self._status_line(self.chat_session))

    @on(Composer.TooLong)
    def _too_long(self, event: Composer.TooLong) -> None:
        words = _("Messages are limited to {longest_text:,} characters ({excess:,} over).").format(
            longest_text=LONGEST_TEXT, excess=event.excess
        )
        self.post_message(self.Refused(words))
