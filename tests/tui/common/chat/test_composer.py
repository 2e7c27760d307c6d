"""The field one writes in: what is pasted into it."""

from textual.app import ComposeResult
from textual.events import Paste

from support.waiting import wait_until
from tui.common.base_app import BaseApp
from tui.common.chat.composer import Composer
from tui.common.terminal import PASTE_CHARACTERS


class ComposerWindow(BaseApp):
    """Only the field."""

    def __init__(self) -> None:
        super().__init__()
        self.field = Composer()

    def compose(self) -> ComposeResult:
        yield self.field

    def on_mount(self) -> None:
        self.field.focus()


async def test_a_paste_takes_the_place_of_what_is_selected() -> None:
    app = ComposerWindow()
    async with app.run_test() as pilot:
        await pilot.press(*"one two")
        await pilot.press("ctrl+shift+left")
        app.post_message(Paste("three\r\nfour"))
        await pilot.pause()
        await pilot.press("!")
        assert app.field.text == "one three\nfour!"


async def test_of_a_paste_too_large_for_any_field_the_beginning_is_taken_and_that_is_said() -> None:
    app = ComposerWindow()
    async with app.run_test() as pilot:
        app.post_message(Paste("word " * 400_000))
        await wait_until(lambda: app.field.text != "", what="the text")
        await pilot.press("!")
        assert app.field.text == ("word " * 400_000)[:PASTE_CHARACTERS] + "!"
        assert [toast.message for toast in app._notifications] == [
            f"Only the first {PASTE_CHARACTERS:,} characters were pasted."
        ]
