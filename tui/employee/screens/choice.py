"""A field with a few values, gone through with the arrows."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget


class Choice(Widget, can_focus=True):
    """`◂ value ▸`; left, right and space change it."""

    DEFAULT_CSS = """
    Choice {
        height: 1; width: 1fr; padding: 0 1; background: $panel; text-wrap: nowrap;
        &:focus { background: $block-cursor-background; color: $block-cursor-foreground; }
        &:nocolor:focus { text-style: underline; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "Before", show=False),
        Binding("right,space", "turn(1)", "Next", show=False),
    ]

    class Changed(Message):
        """Another value is chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> "Choice":
            """The field, for `on`."""
            return self.choice

    def __init__(self, values: Sequence[str], index: int, *, id: str) -> None:
        super().__init__(id=id)
        self._values = values
        self.index = index

    def render(self) -> Content:
        """The value between two arrows."""
        return Content.assemble(
            ("◂ ", "$wire-ink"), (self._values[self.index], "bold"), (" ▸", "$wire-ink")
        )

    def action_turn(self, step: int) -> None:
        """The next value, or the one before."""
        self.index = (self.index + step) % len(self._values)
        self.refresh()
        self.post_message(self.Changed(self))

    def on_click(self, event: Click) -> None:
        """The next value; the one before at the left edge."""
        self.action_turn(-1 if event.x <= 2 else 1)
