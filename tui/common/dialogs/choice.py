"""A dialog that answers one of a list."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from tui.common.dialogs.base import Dialog, ResultT
from tui.common.language import _

NUMBERED = 9
"""The first of the choices have a number, which is their key."""


class ChoiceScreen(Dialog[ResultT]):
    """Answers what was chosen by its number, by Enter or by a click; None when closed.

    A subclass may read its choices, and `offer` them then.
    """

    DEFAULT_CSS = """
    ChoiceScreen {
        & > .box { width: 60; }
        & #words { height: auto; color: $title; margin-bottom: 1; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(number), f"choose({number})", show=False) for number in range(1, NUMBERED + 1)
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[tuple[Content | str, ResultT]] = (),
        *,
        words: str = "",
        hint: str = _("enter chooses · esc closes"),
    ) -> None:
        """`choices` are lines and their answers; `words` stand above them, `hint` at the edge."""
        super().__init__()
        self._heading, self._words, self._hint = title, words, hint
        self._choices = choices

    def body(self) -> ComposeResult:
        """The words, and a line for each choice."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = Content(self._hint)
            yield Static(id="words", markup=False)
            yield OptionList()

    def on_mount(self) -> None:
        """Show what there is to choose already."""
        super().on_mount()
        self.offer(self._choices, self._words)

    def offer(self, choices: Sequence[tuple[Content | str, ResultT]], words: str) -> None:
        """Show these in place of what is shown."""
        self._choices = choices
        above, options = self.query_one("#words", Static), self.query_one(OptionList)
        above.update(words)
        above.display = bool(words)
        options.clear_options()
        for number, (line, _answer) in enumerate(choices, start=1):
            key = f"{number} " if number <= NUMBERED else "  "
            options.add_option(Content.assemble((key, "$primary"), line))
        options.display = bool(choices)
        options.highlighted = 0 if choices else None
        options.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.action_choose(event.option_index + 1)

    def action_choose(self, number: int) -> None:
        """Answer the choice of that number."""
        if number <= len(self._choices):
            self.dismiss(self._choices[number - 1][1])
