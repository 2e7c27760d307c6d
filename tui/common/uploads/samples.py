"""Choosing a photo in hosted mode: one of the samples."""

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.hosted import sample_photos
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.uploads.local_picture import LocalPicture, inspect
from tui.common.widgets.status_line import StatusLine


class SampleScreen(Dialog[LocalPicture]):
    """Answers with one of the sample photos; None when closed."""

    AUTO_FOCUS = "OptionList"
    DEFAULT_CSS = """
    SampleScreen { & > .box { width: 60; height: 80%; } & OptionList { height: 1fr; } }
    """
    SCOPED_CSS = False

    def __init__(self, title: str) -> None:
        """`title` says what the picture is for."""
        super().__init__()
        self._heading = plain(title)
        self._samples = sample_photos()

    def body(self) -> ComposeResult:
        """The samples by name."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = _("sample photos · enter chooses one · esc closes")
            yield OptionList(*(Option(Content(_named(one.stem))) for one in self._samples))
            yield StatusLine()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._choose(event.option_index)

    @work(exclusive=True, exit_on_error=False)
    async def _choose(self, index: int) -> None:
        try:
            self.dismiss(await inspect(self._samples[index]))
        except ClientError as error:
            self.show_status(error.message)


def _named(stem: str) -> str:
    return stem.replace("-", " ").capitalize()
