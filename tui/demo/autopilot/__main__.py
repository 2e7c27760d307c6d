"""Runs autopilots over the public API: employees and drivers at a believable pace."""

import argparse
import asyncio
import json
import logging
import math
import signal
import sys
from collections.abc import Collection, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import ConfigDict, Secret, TypeAdapter

from server.features.accounts.schemas import Credentials
from tui.demo.autopilot.kitchen import Autopilot
from tui.demo.autopilot.news import Newsroom
from tui.demo.autopilot.opening import open_town
from tui.demo.autopilot.support import ChatClaims
from tui.demo.run import demo_folder

log = logging.getLogger("autopilot")


async def work(
    server: str, accounts: Sequence[Credentials], pace: float = 1, hurried: Collection[str] = ()
) -> None:
    """Run an autopilot for each account; returns when all have been refused. Orders in `hurried`
    leave as fast as they can."""
    own_ids: set[str] = set()
    newsroom, claims = Newsroom(), ChatClaims()
    autopilots = [
        Autopilot(server, account, own_ids, pace, newsroom, claims, hurried) for account in accounts
    ]
    try:
        await asyncio.gather(*(autopilot.run() for autopilot in autopilots))
    finally:
        closing = (autopilot.close() for autopilot in autopilots)
        await asyncio.gather(*closing, return_exceptions=True)


def read_accounts(path: Path) -> list[Credentials]:
    """The accounts in a JSON file `[{"email": ..., "password": ...}]`.

    Raises ValueError with a message for the user.
    """
    try:
        accounts = TypeAdapter(list[Credentials], config=ConfigDict(hide_input_in_errors=True))
        return accounts.validate_python(json.loads(path.read_text()))
    except FileNotFoundError:
        raise ValueError(
            f"There is no {path}: `python -m server --demo` writes it. Or name accounts with "
            "--account EMAIL:PASSWORD."
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a list of accounts: {error}") from None


def _account(text: str) -> Credentials:
    email, colon, password = text.partition(":")
    if not (email and colon and password):
        raise argparse.ArgumentTypeError("must be EMAIL:PASSWORD")
    return Credentials(email=email, password=Secret(password))


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = math.nan
    if not 0 < pace < math.inf:
        raise argparse.ArgumentTypeError("must be a number above 0; 2 takes twice as long")
    return pace


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0 after a signal, 1 when refused, 2 when there is no account."""
    parser = argparse.ArgumentParser(prog="python -m tui.demo.autopilot", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    url = "http://127.0.0.1:8080"
    parser.add_argument("--server", default=url, metavar="URL", help=f"(default: {url})")
    parser.add_argument(
        "--accounts", type=Path, metavar="FILE", help="employees' accounts (default: the demo's)"
    )
    parser.add_argument(
        "--account",
        type=_account,
        action="append",
        metavar="EMAIL:PASSWORD",
        help="an employee's account, in place of a file; may be repeated",
    )
    parser.add_argument("--pace", type=_pace, default=1.0, help="default: 1; 2 takes twice as long")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        path = options.accounts or demo_folder() / "demo-accounts.json"
        accounts = options.account or read_accounts(path)
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return 2
    return asyncio.run(_run_until_signal(_open(options.server, accounts, options.pace)))


async def _open(server: str, accounts: Sequence[Credentials], pace: float) -> None:
    hurried: set[str] = set()
    async with asyncio.TaskGroup() as together:
        together.create_task(open_town(server, hurried))
        together.create_task(work(server, accounts, pace, hurried))


async def _run_until_signal(job: Coroutine[None, None, None]) -> int:
    task = asyncio.ensure_future(job)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
