"""The lab's app: its screen, the themes, and how it is left."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tui.common.app import CONTENT_CSS, FRAME_CSS
from tui.common.base_app import BaseApp
from tui.common.widgets.too_small import HEIGHTS, WIDTHS
from tui.lab.screen.runs import Runs
from tui.lab.screen.screen import LabScreen


class LabApp(BaseApp):
    """The lab alone."""

    TITLE = "tiffin lab"
    CSS_PATH: ClassVar[list[str | PurePath]] = [FRAME_CSS, CONTENT_CSS]
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "theme", "Theme"),
        Binding("f1", "help", "Help", show=False, priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
    ]

    def __init__(self, runs: Runs, *, tour: bool = False) -> None:
        """`tour`: begin with the tour."""
        super().__init__()
        self.lab = LabScreen(runs, tour=tour)

    def get_default_screen(self) -> Screen[Any]:
        """The lab's."""
        return self.lab

    def action_help(self) -> None:
        """Open or close the help."""
        if self.screen is self.lab:
            self.lab.action_help()
        else:
            self.screen.dismiss(None)

    def action_help_quit(self) -> None:
        """On ctrl+c with nothing to copy."""
        self.notify("Press ctrl+q to quit.", title="Quit")
