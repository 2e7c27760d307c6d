"""The command line of the apps."""

import argparse
import os
from collections.abc import Callable
from importlib.metadata import version

from textual.app import App

from tui.common.app import DEFAULT_SERVER, TiffinApp
from tui.common.crash import REPORT
from tui.common.hosted import hosted_where, hosting


def run_app(app: type[TiffinApp], argv: list[str] | None = None) -> int:
    """Read the arguments, run the app, return the exit code: 1 after any internal error, 2 without
    a terminal, 128 and a signal's number where that ended it."""
    parser = argparse.ArgumentParser(
        prog=f"tiffin-{app.ROLE}", description=f"Tiffin's {app.ROLE} app."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("TIFFIN_SERVER", ""),
        help=f"base URL of the server (default: TIFFIN_SERVER, else {DEFAULT_SERVER})",
    )
    parser.add_argument("--hint", metavar="TEXT", default="", help="show this once, after log-in")
    parser.add_argument(
        "--hosted",
        choices=("browser", "ssh"),
        default="",
        help="for visitors: no files of this machine, no other programs, no other server",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="no screen but lines of text, for screen readers, logs and pipes: see --plain --help",
    )
    options = parser.parse_args(argv)

    def window() -> TiffinApp:
        made = app(options.server.strip() or DEFAULT_SERVER)
        made.hint = options.hint
        return made

    with hosting(options.hosted):
        return run_window(parser, window)


def run_window(parser: argparse.ArgumentParser, make: Callable[[], App[None]]) -> int:
    """Run the app that `make` makes in this terminal; the exit code as above."""
    if hosted_where() != "browser":
        if not (os.isatty(0) and os.isatty(1)):
            parser.exit(2, f"{parser.prog} needs a terminal for its input and output (ssh: -t).\n")
        for frozen in ("COLUMNS", "LINES"):  # would be believed instead of the terminal itself
            os.environ.pop(frozen, None)
    if not os.environ.get("NO_COLOR"):  # set to nothing, it is not set: Textual looks no further
        os.environ.pop("NO_COLOR", None)
    window = make()
    try:
        window.run()
    except Exception as error:
        REPORT.record(error)
    return 1 if REPORT.print_message() else window.return_code or 0
