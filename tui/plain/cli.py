"""The command line of the plain mode: `tiffin-customer --plain`, `tiffin-employee --plain`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version

from tui.common.client.address import DEFAULT_SERVER
from tui.common.config import read_config
from tui.common.crash import REPORT
from tui.common.format import set_clock
from tui.common.language import _
from tui.plain.shell import Shell


def run_plain(kind: type[Shell], argv: Sequence[str] | None = None) -> int:
    """Read the arguments, carry out the commands, return the exit code: 0, 1 after a failure, 2
    for what was not understood, 128 and a signal's number where that ended it."""
    parser = argparse.ArgumentParser(
        prog=f"tiffin-{kind.ROLE} --plain",
        description=_("Tiffin's {role} app as lines, for screen readers, logs and pipes.").format(
            role=kind.ROLE
        ),
        epilog=_(
            "Without a command, commands are read from the terminal or the pipe, one a "
            "line; the command help lists them. Exit codes: 0; 1 after a failure; 2 "
            "for a command that was not understood."
        ),
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--server",
        metavar="URL",
        default="",
        help=_(
            "base URL of the server (default: TIFFIN_SERVER, config.toml, {default_server})"
        ).format(default_server=DEFAULT_SERVER),
    )
    parser.add_argument(
        "--demo", action="store_true", help=_("enter a demo server, if nobody is logged in")
    )
    parser.add_argument(
        "--json", action="store_true", help=_("print each line as a JSON object, for programs")
    )
    parser.add_argument("command", nargs="*", help=_("one command and its words, such as: orders"))
    options = parser.parse_args(argv)
    config = read_config(server=options.server)
    set_clock(twelve_hours=config.clock == "12h")
    sys.stderr.writelines(f"{one}\n" for one in config.problems)

    async def run() -> int:
        shell = kind(config.server, as_json=options.json)
        return await shell.run(options.command, demo=options.demo)

    try:
        code = asyncio.run(run())
    except Exception as error:
        REPORT.record(error)
        code = 1
    return 1 if REPORT.print_message() else code
