"""The screen that the panels stand on."""

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget


class MainScreen(Screen[None]):
    """A screen that is not painted whole for every change of focus.

    The widgets that gain and lose it paint themselves; a whole screen of panels takes as long as a
    key press is allowed to.
    """

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
