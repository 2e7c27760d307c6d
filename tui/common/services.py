"""What panels and dialogs may use of their app. Imports no other part of the frame."""

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from textual.app import App
from textual.content import Content
from textual.message_pump import MessagePump
from textual.widget import Widget

if TYPE_CHECKING:
    from server.features.accounts.schemas import Account
    from tui.common.client.api import Api
    from tui.common.client.meter import Wire
    from tui.common.client.outbox import OutboxStore
    from tui.common.client.session import Session
    from tui.common.config import Config
    from tui.common.uploads.pictures import PictureCache

Role = Literal["customer", "employee"]
W = TypeVar("W", bound=Widget)


class Services(Protocol):
    """An app, as its panels and dialogs see it."""

    @property
    def role(self) -> Role:
        """Whose app this is."""

    @property
    def config(self) -> "Config":
        """The user's settings."""

    @property
    def server(self) -> str:
        """The server's base URL."""

    @property
    def session(self) -> "Session":
        """The session; there is one as soon as the log-in screen can be used."""

    @property
    def api(self) -> "Api":
        """Typed calls on the session."""

    @property
    def wire(self) -> "Wire":
        """The meters of all connections."""

    @property
    def outbox(self) -> "OutboxStore":
        """Chat messages of this account that the server does not have yet."""

    @property
    def picture_cache(self) -> "PictureCache":
        """The pictures downloaded since the log-in."""

    def find_panel(self, kind: type[W]) -> W | None:
        """The panel of that class, if this app has one."""

    def go_to(self, panel: Widget) -> None:
        """Put a panel in front and give it the focus."""

    def set_headline(self, headline: Content | str, progress: float | None = None) -> None:
        """Show the most important news in the middle of the top bar and in the terminal's title; a
        progress from 0 to 1 where the terminal shows one. A string is plain text."""

    def show_account(self, account: "Account") -> None:
        """Show the account's name and role."""

    def has_toast(self, title: str) -> bool:
        """Whether a toast with that title is shown."""

    def remove_toast(self, title: str) -> None:
        """Remove the toast with that title, if there is one."""

    def log_out(self) -> None:
        """End the session and go to the log-in screen."""

    def on_session_ended(self, message: str) -> None:
        """The session is over: go to the log-in screen and show `message` there."""


class ServicesApp(App[None]):
    """An app whose panels and dialogs get its services."""

    services: Services


def services_of(node: MessagePump) -> Services:
    """The services of the app that a panel or a dialog belongs to."""
    app = node.app
    assert isinstance(app, ServicesApp)
    return app.services
