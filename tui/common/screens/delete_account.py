"""Asks whether the account is to be deleted, and for its password."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from tui.common.screens.modal import Modal
from tui.common.text import plain
from tui.common.widgets.too_small import TooSmall


class DeleteAccountScreen(Modal[bool]):
    """Stays until the account is deleted, which it answers with True, or kept."""

    DEFAULT_CSS = """
    DeleteAccountScreen {
        & > .box { width: 62; border: round $error; border-title-color: $error; }
        & .row { height: 1; margin-top: 1; }
        & .row > Label { width: 11; color: $title; }
        & .row > Input { width: 1fr; }
        & #trouble { height: auto; color: $error; padding-left: 11; }
        & .buttons { height: auto; margin-top: 1; align-horizontal: right; }
        & Button { margin-left: 2; }
    }
    """
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The question, the password, two buttons."""
        with Vertical(classes="box") as box:
            box.border_title = "Delete account"
            box.border_subtitle = "esc keeps it"
            yield Static(
                "Your profile is erased, and your name and address with it from your orders. "
                "This cannot be undone.",
                markup=False,
            )
            with Horizontal(classes="row"):
                yield Label("Password", markup=False)
                yield Input(id="password", password=True, compact=True, max_length=1024)
            yield Static("", id="trouble", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Keep it", id="no", compact=True)
                yield Button("Delete it", id="yes", variant="error", compact=True)
        yield TooSmall()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.query_one("#yes", Button).focus()

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        if event.button.id == "no":
            self.dismiss(False)
        else:
            self.run_worker(self._delete(), group="delete", exclusive=True, exit_on_error=True)

    async def _delete(self) -> None:
        from pydantic import Secret

        from tui.common.client.errors import ClientTrouble
        from tui.common.trouble import field_of, words_of

        password = self.query_one("#password", Input)
        try:
            await self.tiffin.api.delete_account(Secret(password.value))
        except ClientTrouble as trouble:
            self.query_one("#trouble", Static).update(Content(plain(words_of(trouble))))
            if field_of(trouble) == "password":
                password.focus()
        else:
            self.dismiss(True)
