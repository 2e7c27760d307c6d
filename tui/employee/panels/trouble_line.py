"""A line above what may be old, there while something is wrong."""

from textual.widgets import Static

from tui.common.text import plain


class TroubleLine(Static):
    """Says one thing in one line; nothing at all while there is nothing to say."""

    DEFAULT_CSS = """
    TroubleLine {
        display: none; height: 1; color: $warning; text-style: bold;
        text-wrap: nowrap; text-overflow: ellipsis;
        &.-shown { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._words = ""

    def say(self, words: str) -> None:
        """Show `words`; "" takes the line away."""
        if words != self._words:
            self._words = words
            self.update(plain(words))
            self.set_class(bool(words), "-shown")
