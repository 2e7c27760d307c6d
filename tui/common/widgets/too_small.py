"""What a window shows instead of its contents while it is below 56x16."""

from textual.content import Content
from textual.widget import Widget

LEAST_COLUMNS = 56
LEAST_ROWS = 16


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
