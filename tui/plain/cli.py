"""The command line of the plain mode: `tiffin-customer --plain`, `tiffin-employee --plain`."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from importlib.metadata import version

from tui.common.crash import REPORT
from tui.plain.shell import Shell

DEFAULT_SERVER = "http://127.0.0.1:8080"


def run_plain(kind: type[Shell], argv: Sequence[str] | None = None) -> int:
    """Read the arguments, carry out the commands, return the exit code: 0, 1 after a failure, 2
    for what was not understood, 128 and a signal's number where that ended it."""
    parser = argparse.ArgumentParser(
        prog=f"tiffin-{kind.ROLE} --plain",
        description=f"Tiffin's {kind.ROLE} app as lines, for screen readers, logs and pipes.",
        epilog="Without a command, commands are read from the terminal or the pipe, one a line; "
        "the command help lists them. Exit codes: 0; 1 after a failure; 2 for a command that was "
        "not understood.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("TIFFIN_SERVER", ""),
        help=f"base URL of the server (default: TIFFIN_SERVER, else {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--demo", action="store_true", help="enter a demo server, if nobody is logged in"
    )
    parser.add_argument(
        "--json", action="store_true", help="print each line as a JSON object, for programs"
    )
    parser.add_argument("command", nargs="*", help="one command and its words, such as: orders")
    options = parser.parse_args(argv)

    async def run() -> int:
        shell = kind(options.server.strip() or DEFAULT_SERVER, as_json=options.json)
        return await shell.run(options.command, demo=options.demo)

    try:
        code = asyncio.run(run())
    except Exception as error:
        REPORT.record(error)
        code = 1
    return 1 if REPORT.print_message() else code
