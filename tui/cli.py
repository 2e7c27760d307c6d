"""The command line of the apps."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import version

from textual.app import App

from tui.common.app import TiffinApp
from tui.common.client.address import DEFAULT_SERVER
from tui.common.config import Config, described, read_config
from tui.common.crash import REPORT
from tui.common.hosted import hosted_where, hosting
from tui.common.language import _


def run_app(app: type[TiffinApp], argv: list[str] | None = None) -> int:
    """Read the arguments, run the app, return the exit code: 1 after any internal error, 2 without
    a terminal, 128 and a signal's number where that ended it."""
    parser = argparse.ArgumentParser(
        prog=f"tiffin-{app.ROLE}", description=_("Tiffin's {role} app.").format(role=app.ROLE)
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument(
        "--server",
        metavar="URL",
        default="",
        help=_(
            "base URL of the server (default: TIFFIN_SERVER, config.toml, {default_server})"
        ).format(default_server=DEFAULT_SERVER),
    )
    parser.add_argument("--theme", metavar="NAME", default="", help=_("such as tiffin-day"))
    parser.add_argument(
        "--hint", metavar="TEXT", default="", help=_("show this once, after log-in")
    )
    parser.add_argument(
        "--hosted",
        choices=("browser", "ssh"),
        default="",
        help=_("for visitors: no files of this machine, no other programs, no other server"),
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help=_(
            "no screen but lines of text, for screen readers, logs and pipes: see --plain --help"
        ),
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["config"],
        metavar="config",
        help=_("print the settings' file, as far as it is wrong, and all defaults"),
    )
    options = parser.parse_args(argv)
    if options.hosted:  # a visitor has no settings here
        server = options.server.strip() or os.environ.get("TIFFIN_SERVER", "").strip()
        config = Config(server=server or DEFAULT_SERVER)
    else:
        config = read_config(server=options.server, theme=options.theme)
    if options.command == "config":
        return _print_config(app.ROLE, config)

    def window() -> TiffinApp:
        made = app(config.server, config=config)
        made.hint = options.hint
        return made

    with hosting(options.hosted):
        return run_window(parser, window)


def _print_config(role: str, config: Config) -> int:
    """Print path, problems and defaults; 1 where there are problems."""
    from tui.common.keys import ids_of, key_problems
    from tui.common.sanitize import plain
    from tui.common.themes import own_themes

    text = described(config) + "\n[keys]\n"
    for name, binding in ids_of(role).items():
        words = f"  # {binding.description}" if binding.description else ""
        text += f'#"{name}" = "{binding.key}"{words}\n'
    with contextlib.suppress(BrokenPipeError):  # such as `| head`
        os.write(1, text.encode())
    problems = [*config.problems, *own_themes(config)[1], *key_problems(config).values()]
    sys.stderr.writelines(f"{plain(one)}\n" for one in problems)
    return 1 if problems else 0


def run_window(parser: argparse.ArgumentParser, make: Callable[[], App[None]]) -> int:
    """Run the app that `make` makes in this terminal; the exit code as above."""
    if hosted_where() != "browser":
        if not (os.isatty(0) and os.isatty(1)):
            parser.exit(
                2,
                _("{prog} needs a terminal for its input and output (ssh: -t).\n").format(
                    prog=parser.prog
                ),
            )
        for frozen in ("COLUMNS", "LINES"):  # would be believed instead of the terminal itself
            os.environ.pop(frozen, None)
    if not os.environ.get("NO_COLOR"):  # set to nothing, it is not set: Textual looks no further
        os.environ.pop("NO_COLOR", None)
    window = make()
    try:
        window.run()
    except Exception as error:
        REPORT.record(error)
    if window._driver is not None:  # an end that failed leaves output to be written by its thread
        window._driver.close()
    return 1 if REPORT.print_message() else window.return_code or 0
