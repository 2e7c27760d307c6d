"""What an app talks to its server with; made after the first paint, as it is heavy to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Wire
    from tui.common.client.outbox import OutboxStore
    from tui.common.client.session import Session
    from tui.common.client.token_store import TokenStore

DEFAULT_SERVER = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Backend:
    """A session, the typed calls on it, and the folder for what is not sent yet."""

    session: "Session"
    api: "Api"
    unsent: Path

    def outbox_store(self) -> "OutboxStore":
        """What this account has written and not got back."""
        from tui.common.client.outbox import OutboxStore

        account = self.session.account
        return OutboxStore(self.unsent, "" if account is None else account.id)


def make_backend(server: str, wire: "Wire", tokens: "TokenStore") -> Backend:
    """Import the client and make a session for `server`; nothing is sent yet."""
    from tui.common.client.api import Api
    from tui.common.client.session import Session

    session = Session(server, wire, tokens)
    return Backend(session, Api(session), tokens.path.with_suffix(".unsent"))
