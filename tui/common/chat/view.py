"""One chat on the screen: what it is about, the messages, who types, and where to write."""

import time

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from server.features.chat.schemas import LONGEST_TEXT
from tui.common.chat import format as wording
from tui.common.chat.composer import Composer
from tui.common.chat.message_view import MessageView
from tui.common.chat.session import Talk

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


class ChatPane(Vertical):
    """Shows one `Talk`; `renew` when it may have changed. Drafts are kept with each chat."""

    DEFAULT_CSS = """
    ChatPane {
        height: 1fr; width: 1fr;
        & > #about { display: none; }
        &.-talking > #about { display: block; }
        & > Composer { display: none; }
        &.-open > Composer { display: block; }
    }
    """

    class Refused(Message):
        """Something was not sent; in words."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def __init__(self, hint: str, nothing: Content) -> None:
        """`nothing` is what to say where there is no chat."""
        super().__init__()
        self.talk: Talk | None = None
        self.nothing = nothing
        self.writable = True
        """Whether this account may write in an open chat."""
        self.note = Content("")
        """What to say instead of where to write."""
        self._hint = hint
        self._about = _Line(id="about")
        self._foot = _Line(id="foot")
        self.view = MessageView()
        self.composer = Composer(hint)

    def compose(self) -> ComposeResult:
        """From the top to where one writes."""
        yield self._about
        yield self.view
        yield self._foot
        yield self.composer

    def show(self, talk: Talk | None) -> None:
        """Show this one."""
        if talk is self.talk:
            return
        self._keep_draft()
        self.talk = talk
        self.composer.put("" if talk is None else talk.draft)
        self.view.show(None if talk is None else talk.conversation)
        if self._typing and (talk is None or not talk.open):
            self.screen.set_focus(self.view)

    def renew(self, *, in_view: bool) -> None:
        """Paint what has changed; with `in_view`, what is shown at the end has been read."""
        talk = self.talk
        self.set_class(talk is not None, "-talking")
        writing = talk is not None and talk.open and not talk.over and self.writable
        self.composer.locked = not writing
        # Whoever is typing just then goes on: in mid-word their keys must not become commands.
        self.set_class(writing or (talk is not None and self._typing), "-open")
        if talk is None:
            self.view.message = self.nothing
            self.view.renew()
            self._foot.show(Content(""))
            return
        self.view.message = wording.nothing_said(talk)
        self.view.renew()
        if in_view and self.view.at_end and self.view.size.height:
            talk.see()
        self._about.show(wording.about(talk.chat, self._about.size.width))
        self._foot.show(self._foot_words(talk))

    def enter(self) -> None:
        """Go to where one writes, else to the messages."""
        target = self.composer if self.has_class("-open") else self.view
        self.screen.set_focus(target)

    def take_back(self) -> None:
        """What was refused comes back to where one writes."""
        if self.talk is not None and (text := self.talk.take_back()):
            self.composer.put("\n".join(filter(None, [text, self.composer.text])))
            self.enter()

    def on_descendant_blur(self) -> None:
        """Out of where one wrote: where nothing is taken any more, it goes."""
        if self.composer.locked:
            self.remove_class("-open")

    def on_unmount(self) -> None:
        """Keep what was written."""
        self._keep_draft()

    @property
    def _typing(self) -> bool:
        """Whether keys go to where one writes."""
        return self.screen.focused is self.composer

    def _keep_draft(self) -> None:
        if self.talk is not None:
            self.talk.draft = self.composer.text

    def _foot_words(self, talk: Talk) -> Content:
        width = self._foot.size.width
        if self.composer.locked:
            left = self._why_locked(talk)
        elif talk.reading_older:
            left = Content.assemble(("reading older messages …", "$wire-ink"))
        elif talk.older_error and talk.conversation.before is not None:
            left = Content.assemble((f"older ones: {talk.older_error}", "$warning"))
        else:
            left = wording.typing(talk.conversation.typing(time.monotonic()))
        right = Content("")
        if below := self.view.below:
            right = Content.assemble(
                (f"↓ {below} new below", "bold $primary"), (" · end", "$wire-ink")
            )
        elif self.composer.room < COUNT_FROM:
            ink = "bold $error" if self.composer.room < 0 else "$wire-ink"
            right = Content.assemble((f"{self.composer.room} left", ink))
        room = width - right.cell_length - 1
        if left.cell_length > room:
            left = left.truncate(max(0, room), ellipsis=True)
        gap = max(1, width - left.cell_length - right.cell_length)
        return Content.assemble(left, " " * gap, right)

    def _why_locked(self, talk: Talk) -> Content:
        if talk.open and not talk.over:
            return self.note
        return wording.no_more(talk, "esc, then " if self._typing else "")

    @on(MessageView.NearTop)
    def _older(self) -> None:
        talk = self.talk
        if talk is not None and not talk.reading_older and not talk.older_error:
            self.run_worker(talk.read_older(), group=f"older-{talk.id}", exit_on_error=False)

    @on(MessageView.Moved)
    def _moved(self) -> None:
        if self.talk is not None:
            self.talk.older_error = ""
            self._foot.show(self._foot_words(self.talk))

    @on(Composer.Sent)
    def _sent(self, event: Composer.Sent) -> None:
        if self.talk is not None:
            self.talk.draft = ""
            self.talk.say(event.text)
            self.view.action_latest()

    @on(Composer.Locked)
    def _locked(self) -> None:
        if self.talk is not None:
            words = self._why_locked(self.talk).plain.rstrip(".")
            self.post_message(self.Refused(f"{words}. What you have written stays here."))

    @on(Composer.Left)
    def _left(self) -> None:
        self.view.focus()

    @on(Composer.Typed)
    def _typed(self) -> None:
        if self.talk is not None and self.composer.text.strip():
            self.talk.type()

    @on(TextArea.Changed)
    def _changed(self) -> None:
        self._keep_draft()
        if self.talk is not None:
            self._foot.show(self._foot_words(self.talk))

    @on(Composer.TooLong)
    def _too_long(self, event: Composer.TooLong) -> None:
        words = f"Messages are limited to {LONGEST_TEXT:,} characters ({event.excess:,} over)."
        self.post_message(self.Refused(words))
