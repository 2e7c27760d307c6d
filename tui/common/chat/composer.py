"""Where a message is written: one line that grows, enter sends, a paste keeps its line breaks."""

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from server.features.chat.schemas import LONGEST_TEXT
from server.text import clean, shows

KEYS = "  (enter sends, esc leaves)"
"""Said beside the hint where there is room."""
HINT = "Write to support…"


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
        Binding("escape", "leave", "Leave field", show=False),
        Binding("ctrl+j,shift+enter,alt+enter", "new_line", "New line", show=False),
    ]

    class Left(Message):
        """Single keys are to be keys again."""

    class Sent(Message):
        """To be sent: not blank, and not too long."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Typed(Message):
        """Something was written by hand."""

    class TooLong(Message):
        """More than a message holds."""

        def __init__(self, excess: int) -> None:
            super().__init__()
            self.excess = excess

    class Locked(Message):
        """Enter was pressed while nothing is taken."""

    def __init__(self, hint: str = HINT) -> None:
        super().__init__(
            compact=True, soft_wrap=True, placeholder=hint, highlight_cursor_line=False
        )
        self._hint = hint
        self.locked = False
        """Whether the chat takes no messages any more; the text stays."""

    @property
    def remaining(self) -> int:
        """How many more characters a message holds."""
        return LONGEST_TEXT - len(self.text)

    def set_text(self, text: str) -> None:
        """Have this text, with the cursor behind it."""
        if text != self.text:
            self.load_text(text)
            self.move_cursor(self.document.end)

    def on_resize(self) -> None:
        """As much of the hint as fits."""
        whole = self._hint + KEYS
        self.placeholder = whole if cell_len(whole) <= self.content_size.width else self._hint

    def action_leave(self) -> None:
        """Out of the field."""
        self.post_message(self.Left())

    def action_new_line(self) -> None:
        """A line break within the message."""
        self.insert("\n")

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
