"""The line of a dialog that shows the result of the last action, or an error."""

from typing import Literal

from textual.content import Content
from textual.widgets import Static

from tui.common.sanitize import plain

Kind = Literal["error", "warning", "done", "info"]

MARKS: dict[Kind, tuple[tuple[str, str], str]] = {
    "error": (("✕ ", "bold $error"), ""),
    "warning": (("! ", "bold $warning"), ""),
    "done": (("✓ ", "bold $success"), ""),
    "info": (("", ""), "$title"),
}
"""The mark before the message, and the colour of the message."""


class StatusLine(Static):
    """A mark and a message; has the class `-empty` while there is none."""

    DEFAULT_CSS = "StatusLine { height: auto; min-height: 1; margin-top: 1; }"

    def __init__(self, message: str = "") -> None:
        """`message` is shown first, as information."""
        super().__init__("", markup=False)
        self.show(message, "info")

    def show(self, message: str, kind: Kind = "error") -> None:
        """Show a message, plain text; "" clears the line."""
        mark, colour = MARKS[kind]
        self.set_class(not message, "-empty")
        self.update(Content.assemble(mark, (plain(message), colour)) if message else "")
