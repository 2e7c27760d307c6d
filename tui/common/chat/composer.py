"""Where a message is written: one line that grows, enter sends, a paste keeps its line breaks."""

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from server.features.chat.schemas import LONGEST_TEXT
from server.text import clean, shows
from tui.common.language import _

KEYS = _("  (enter sends, esc leaves)")
"""Shown after the hint if there is room."""
HINT = _("Write to support…")


class Composer(TextArea):
    """`Sent` with the text as enter is pressed; `Typed` when a person has changed it."""

    DEFAULT_CSS = """
    Composer {
        height: auto; max-height: 5; min-height: 1; border: none; padding: 0 1; margin: 0;
        background: $panel; scrollbar-size-vertical: 1;
        &:focus {
            border: none; background: $block-cursor-background; background-tint: transparent 0%;
        }
        & .text-area--cursor-line { background: transparent; }
        & .text-area--placeholder { color: $wire-ink; }
        &:nocolor:focus { text-style: underline; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", _("Leave field"), show=False),
        Binding("ctrl+j,shift+enter,alt+enter", "new_line", _("New line"), show=False),
    ]

    class Left(Message):
        """The user leaves the field."""

    class Sent(Message):
        """A message to send, neither blank nor too long."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Typed(Message):
        """The user has typed or pasted something."""

    class TooLong(Message):
        """The message is longer than a message may be."""

        def __init__(self, excess: int) -> None:
            super().__init__()
            self.excess = excess

    class Locked(Message):
        """Enter was pressed while the chat accepts no messages."""

    def __init__(self, hint: str = HINT) -> None:
        super().__init__(
            compact=True, soft_wrap=True, placeholder=hint, highlight_cursor_line=False
        )
        self._hint = hint
        self.locked = False
        """Whether the chat accepts no messages now; the text stays."""

    @property
    def remaining(self) -> int:
        """How many more characters the message may have."""
        return LONGEST_TEXT - len(self.text)

    def set_text(self, text: str) -> None:
        """Replace the text, with the cursor at its end."""
        if text != self.text:
            self.load_text(text)
            self.move_cursor(self.document.end)

    def on_resize(self) -> None:
        """Show the keys in the hint if they fit."""
        whole = self._hint + KEYS
        self.placeholder = whole if cell_len(whole) <= self.content_size.width else self._hint

    def action_leave(self) -> None:
        """Leave the field."""
        self.post_message(self.Left())

    def action_new_line(self) -> None:
        """Insert a line break."""
        self.insert("\n")

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Enter sends here, so what it does elsewhere is not offered."""
        return key == "enter" or super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self._send()
            return
        before = self.text
        await super()._on_key(event)
        if self.text != before:
            self.post_message(self.Typed())

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.post_message(self.Typed())  # `TextArea` itself then inserts the text

    def _send(self) -> None:
        text = clean(self.text).strip()
        if not shows(text):
            return
        if self.locked:
            self.post_message(self.Locked())
            return
        if len(text) > LONGEST_TEXT:
            self.post_message(self.TooLong(len(text) - LONGEST_TEXT))
            return
        self.set_text("")
        self.post_message(self.Sent(text))
