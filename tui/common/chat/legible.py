"""The text of a message as its lines are drawn."""

from tui.common.text import plain


def legible(text: str) -> str:
    """What is drawn of it: line breaks stay, a tab is four spaces."""
    return plain(text, newlines=True)
