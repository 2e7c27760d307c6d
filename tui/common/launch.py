"""The command line of both apps."""

import argparse
import os
from typing import TYPE_CHECKING

from tui.common.backend import DEFAULT_SERVER
from tui.common.crash import REPORT

if TYPE_CHECKING:
    from tui.common.app import TiffinApp


def launch(app: "type[TiffinApp]", argv: list[str] | None = None) -> int:
    """Read the arguments, run the app, return the exit code: 1 after any internal error."""
    parser = argparse.ArgumentParser(
        prog=f"tiffin-{app.ROLE}", description=f"tiffin, the window of the {app.ROLE}"
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("TIFFIN_SERVER") or DEFAULT_SERVER,
        help=f"base URL of the server (default: TIFFIN_SERVER, else {DEFAULT_SERVER})",
    )
    parser.add_argument("--hint", metavar="TEXT", default="", help="say this once, after log-in")
    options = parser.parse_args(argv)
    window = app(options.server)
    window.hint = options.hint
    try:
        window.run()
    except Exception as error:
        REPORT.note(error)
    return 1 if REPORT.tell() else window.return_code or 0
