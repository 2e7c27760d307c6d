"""The sizes a window may have, and what it shows below the least of them, 56x16."""

from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.widget import Widget

from tui.common.language import _

if TYPE_CHECKING:
    from textual.screen import Screen

LEAST_COLUMNS = 56
LEAST_ROWS = 16
WIDTHS = [(0, "-tiny"), (LEAST_COLUMNS, "-narrow"), (92, "-medium"), (132, "-wide")]
HEIGHTS = [(0, "-flat"), (LEAST_ROWS, "-short"), (38, "-tall")]
"""Classes that a screen has from so many columns and rows on."""


def add_size_classes(screen: "Screen[Any]") -> None:
    """Give a screen those of its size before it has widgets. Textual does so when all of them have
    their styles, and then works out the styles of each again."""
    app = screen.app
    columns = screen.HORIZONTAL_BREAKPOINTS or app.HORIZONTAL_BREAKPOINTS or []
    rows = screen.VERTICAL_BREAKPOINTS or app.VERTICAL_BREAKPOINTS or []
    for cells, classes in zip(app.size, (columns, rows), strict=True):
        reached = [name for least, name in classes if least <= cells]
        screen.add_class(*reached[-1:], update=False)


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
            (_("This window is too small"), "bold"),
            _("\n{columns}x{rows}; tiffin needs {least_columns}x{least_rows}\n").format(
                columns=columns, rows=rows, least_columns=LEAST_COLUMNS, least_rows=LEAST_ROWS
            ),
            (_("ctrl+q quits"), "$wire-ink"),
        )
