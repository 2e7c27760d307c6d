"""A yes-or-no question."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from tui.common.dialogs.base import Dialog
from tui.common.language import _
from tui.common.sanitize import plain


class ConfirmScreen(Dialog[bool]):
    """Returns True for yes, False or None for no. No has the focus."""

    DEFAULT_CSS = """
    ConfirmScreen {
        & > .box { width: 60; }
        & .danger { border: round $error; border-title-color: $error; }
        & Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
        & Button { margin-left: 2; }
    }
    """
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(
        self,
        title: str,
        question: str,
        *,
        yes: str = _("Yes"),
        no: str = _("No"),
        danger: bool = False,
    ) -> None:
        """`question` is plain text, never markup; `danger` for what cannot be undone."""
        super().__init__()
        self._heading, self._question = plain(title), plain(question, newlines=True)
        self._yes, self._no, self._danger = plain(yes), plain(no), danger

    def body(self) -> ComposeResult:
        """The question and two buttons."""
        with Vertical(classes="box danger" if self._danger else "box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = _("esc closes")
            yield Static(self._question, markup=False)
            with Horizontal():
                yield Button(Content(self._no), id="no", compact=True)
                yield Button(
                    Content(self._yes),
                    id="yes",
                    variant="error" if self._danger else "primary",
                    compact=True,
                )

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
