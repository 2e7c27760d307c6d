"""F3 in an app: the lab in the same terminal, until it is left."""

import sys
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from tui.common.language import _

if TYPE_CHECKING:
    from tui.common.services import Services
    from tui.common.terminal import TerminalApp

ELSEWHERE = _("In a shell, tiffin-lab opens it with a server of its own.")


async def open_lab(app: "TerminalApp", services: "Services") -> None:
    """Open the lab on the app's server, where that has one; else say why not. The app's own
    connections go on meanwhile."""
    from tui.common.client.errors import ClientError

    try:
        described = await services.session.request("GET", "/openapi.json")
        if b'/lab/runs"' not in described.body:
            said = _("Only a demo's server has a lab, and this one is none.")
        else:
            command = (sys.executable, "-m", "tui.lab", "--server", services.server)
            code = await app.run_program(*command)
            if code == 0:
                return
            said = _("The lab has ended with the exit code {code}.").format(code=code)
    except ClientError as error:
        said = error.message
    except SuspendNotSupported as error:
        said = str(error)
    except OSError as error:
        said = _("The lab could not be started: {strerror}.").format(
            strerror=error.strerror or error
        )
    app.notify(f"{said} {ELSEWHERE}", title=_("Lab"), severity="warning", timeout=10)
