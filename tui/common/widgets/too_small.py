"""The sizes a window may have, and what it shows below the least of them, 56x16."""

from textual.content import Content
from textual.widget import Widget

LEAST_COLUMNS = 56
LEAST_ROWS = 16
WIDTHS = [(0, "-tiny"), (LEAST_COLUMNS, "-narrow"), (92, "-medium"), (132, "-wide")]
HEIGHTS = [(0, "-flat"), (LEAST_ROWS, "-short"), (38, "-tall")]
"""Classes that a screen has from so many columns and rows on."""


class TooSmall(Widget):
    """Covers its screen while the window is too small."""

    DEFAULT_CSS = """
    TooSmall {
        display: none; layer: cover; width: 100%; height: 100%; background: $background;
        content-align: center middle; text-align: center;
    }
    """

    def render(self) -> Content:
        """The size there is and the size that is needed."""
        columns, rows = self.app.size
        return Content.assemble(
            ("This window is too small", "bold"),
            f"\n{columns}x{rows}; tiffin needs {LEAST_COLUMNS}x{LEAST_ROWS}\n",
            ("ctrl+q quits", "$wire-ink"),
        )
