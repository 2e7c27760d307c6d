"""The line in which a wish for one dish is typed."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label

from server.features.restaurants.schemas import MenuItem
from tui.common.text import fit, in_one_line

NAME_CELLS = 28


class DishNote(Horizontal):
    """Hidden until `ask`; enter answers with `Written` and hides it again."""

    DEFAULT_CSS = """
    DishNote {
        height: 1; display: none;
        & > Label { width: auto; max-width: 50%; color: $title; margin-right: 1; }
        & > Input { width: 1fr; }
    }
    """

    class Written(Message):
        """A note was written; "" takes it back."""

        def __init__(self, dish: MenuItem, note: str) -> None:
            super().__init__()
            self.dish, self.note = dish, note

    def __init__(self) -> None:
        super().__init__()
        self._dish: MenuItem | None = None

    def compose(self) -> ComposeResult:
        """Whose note, and the field."""
        yield Label("", markup=False)
        yield Input(compact=True, max_length=500, placeholder="no nuts, say; enter keeps it")

    def ask(self, dish: MenuItem, note: str) -> None:
        """Ask for a note for `dish`; `note` is the one there is."""
        self._dish = dish
        self.query_one(Label).update(Content(f"Note for {fit(dish.name, NAME_CELLS)}"))
        field = self.query_one(Input)
        field.value = in_one_line(note)
        self.display = True
        # its styles now rather than with the next frame: what is hidden takes no focus
        self.app.stylesheet.update(self)
        field.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = False
        if self._dish is not None:
            self.post_message(self.Written(self._dish, event.value.strip()))
