"""The commands that administer accounts: `python -m server list-accounts`, and so on."""

import argparse
import asyncio
import getpass
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from server.core import audit
from server.core.audit import Action, AuditActor
from server.core.databases import migrate
from server.core.errors import Problem
from server.core.queries import Row
from server.settings import Settings

if TYPE_CHECKING:
    from server.features.accounts.administration import Administration
    from server.features.accounts.schemas import Role

STAFF = ("employee", "support")
ROLES = ("customer", *STAFF)
"""As in `Role`, which takes long to import for `--help`."""


def _number(sessions: int) -> str:
    return "1 session was ended" if sessions == 1 else f"{sessions} sessions were ended"


async def add(options: argparse.Namespace, administration: "Administration") -> None:
    """Make an account of an employee or of support."""
    from server.features.accounts.administration import add_employee
    from server.features.accounts.schemas import Role

    role = Role(options.role)
    restaurant_id = await _restaurant_of(options, role, administration)
    name = options.name or options.email.partition("@")[0]
    account_id = await add_employee(
        administration.database,
        options.email,
        _password(),
        name,
        restaurant_id,
        role=role,
        by=administration.by,
    )
    print(f"{options.email} is {account_id}")


async def show_accounts(options: argparse.Namespace, administration: "Administration") -> None:
    """Print all accounts, or those of a role, page by page."""
    from server.features.accounts.schemas import Role

    if not options.json:
        print(f"{'role':<9} {'e-mail':<36} {'sessions':>8}  {'restaurant':<35} name")
    async for page in administration.accounts(Role(options.role) if options.role else None):
        for row in page:
            if options.json:
                print(json.dumps({**row, "demo": row["demo"] is not None}, ensure_ascii=False))
            else:
                restaurant = row["restaurant_id"] or "-"
                print(
                    f"{row['role']:<9} {row['email']:<36} {row['sessions']:>8}"
                    f"  {restaurant:<35} {row['name']}"
                )


async def remove(options: argparse.Namespace, administration: "Administration") -> None:
    """Delete an account, once the operator has confirmed it."""
    await administration.id_of(options.email)
    if not options.yes:
        question = f"Delete {options.email} with its data? This can't be undone. [y/N] "
        if not sys.stdin.isatty():
            raise Problem(422, "Add --yes to delete an account where nobody can be asked.")
        if (await asyncio.to_thread(input, question)).strip().lower() not in ("y", "yes"):
            raise Problem(409, "Nothing was deleted.")
    await administration.remove(options.email)
    print(f"{options.email} is deleted")


async def set_password(options: argparse.Namespace, administration: "Administration") -> None:
    """Replace an account's password by one from the terminal or stdin."""
    await administration.id_of(options.email)
    ended = await administration.set_password(options.email, _password())
    print(f"{options.email} has a new password; {_number(ended)}")


async def set_role(options: argparse.Namespace, administration: "Administration") -> None:
    """Change an account's role."""
    from server.features.accounts.schemas import Role

    role = Role(options.role)
    restaurant_id = await _restaurant_of(options, role, administration)
    ended = await administration.set_role(options.email, role, restaurant_id)
    print(f"{options.email} has the role {role.value}; {_number(ended)}")


async def end_sessions(options: argparse.Namespace, administration: "Administration") -> None:
    """End an account's sessions."""
    print(f"{options.email}: {_number(await administration.end_sessions(options.email))}")


async def show_audit(options: argparse.Namespace, administration: "Administration") -> None:
    """Print audit entries, the newest first."""
    account_id = options.account
    if options.email:
        account_id = await administration.id_of(options.email)
    left = options.limit
    if not options.json:
        print(f"{'time':<24} {'what':<22} {'account':<36} {'by':<20} {'address':<15} details")
    pages = audit.entries(
        administration.database,
        account_id=account_id,
        action=Action(options.action) if options.action else None,
        since=options.since,
        until=options.until,
    )
    async for page in pages:
        for row in page[:left] if options.limit else page:
            print(_entry(row, as_json=options.json))
        left -= len(page)
        if options.limit and left <= 0:
            break


def _entry(row: Row, *, as_json: bool) -> str:
    details: dict[str, Any] = json.loads(row["details"]) if row["details"] else {}
    if as_json:
        return json.dumps({**row, "details": details}, ensure_ascii=False)
    by = row["actor"] or "-"
    told = " ".join(f"{name}={_told(value)}" for name, value in details.items())
    return (
        f"{row['at']:<24} {row['action']:<22} {row['email'] or row['account_id'] or '-':<36}"
        f" {'itself' if by == row['account_id'] else by:<20} {row['address'] or '-':<15} {told}"
    ).rstrip()


def _told(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | str) else str(value)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to those of the server."""

    def command(
        name: str, work: Work, words: str, more: str = "", *, email: bool = True
    ) -> argparse.ArgumentParser:
        text = f"{words[0].upper()}{words[1:]}.{' ' if more else ''}{more}"
        parser = commands.add_parser(name, help=words, description=text)
        parser.set_defaults(run=partial(_run, work))
        if email:
            parser.add_argument("--email", required=True)
        return parser

    new = command(
        "add-employee",
        add,
        "create an account of an employee, or of support",
        "The password is asked for, or read from standard input.",
    )
    new.add_argument("--restaurant", help="an employee's restaurant, its id or name")
    new.add_argument("--name", help="shown to customers (default: from the e-mail)")
    new.add_argument("--role", choices=STAFF, default="employee")

    listed = command("list-accounts", show_accounts, "list accounts, by e-mail", email=False)
    listed.add_argument("--role", choices=ROLES, help="only those of this role")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")

    gone = command(
        "remove-account",
        remove,
        "delete an account and its data",
        "As when its owner deletes it: not while an order of it is under way.",
    )
    gone.add_argument("--yes", action="store_true", help="do not ask")

    command(
        "set-password",
        set_password,
        "replace an account's password, and end its sessions",
        "The password is asked for, or read from standard input.",
    )

    role = command("set-role", set_role, "change an account's role, and end its sessions")
    role.add_argument("--role", required=True, choices=ROLES)
    role.add_argument("--restaurant", help="where an employee works, its id or name")

    command("end-sessions", end_sessions, "log an account out everywhere")

    shown = command(
        "audit",
        show_audit,
        "show who did what to accounts and announcements, the newest first",
        "Times are RFC 3339, a date alone begins at 00:00 UTC.",
        email=False,
    )
    shown.add_argument("--email", help="only what is about this account")
    shown.add_argument("--account", help="the same by its id, also of a deleted account")
    shown.add_argument("--action", choices=tuple(Action), help="only this")
    shown.add_argument("--since", type=_time, help="from this time on")
    shown.add_argument("--until", type=_time, help="before this time")
    shown.add_argument("--limit", type=int, default=100, help="entries (default: 100; 0: all)")
    shown.add_argument("--json", action="store_true", help="one JSON object a line")


async def _restaurant_of(
    options: argparse.Namespace, role: "Role", administration: "Administration"
) -> str | None:
    """The id of the restaurant where somebody of that role works. Raises Problem 422."""
    from server.features.restaurants.service import restaurant_named

    if (role == "employee") != (options.restaurant is not None):
        raise Problem(422, "Name a --restaurant for an employee, and for nobody else.")
    if not options.restaurant:
        return None
    return await restaurant_named(administration.database, options.restaurant)


def _password() -> str:
    """A new password, typed twice on a terminal, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise Problem(422, "The two passwords differ. Nothing was changed.")
    return password


def _time(typed: str) -> datetime:
    try:
        found = datetime.fromisoformat(typed.upper())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{typed} is no time, such as 2026-01-31") from None


def _operator() -> AuditActor:
    """Who runs the command, by the name that the operating system knows."""
    try:
        return AuditActor(f"operator:{getpass.getuser()}")
    except (KeyError, OSError):  # a container's user without a name
        return AuditActor(f"operator:{os.getuid()}")


Work = Callable[[argparse.Namespace, "Administration"], Awaitable[None]]


def _run(work: Work, options: argparse.Namespace, settings: Settings) -> int:
    """Run a command on the migrated database, also beside running servers; the exit status."""

    async def run() -> None:
        async with _administration(settings) as administration:
            await work(options, administration)

    try:
        asyncio.run(run())
        sys.stdout.flush()
    except Problem as problem:
        print(f"tiffin: {problem.detail}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # as in `… list-accounts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@asynccontextmanager
async def _administration(settings: Settings) -> AsyncIterator["Administration"]:
    """The administration of accounts on that database; nothing but it is opened."""
    from server.app import services_of
    from server.core.database import Database
    from server.features.accounts.administration import Administration
    from server.features.accounts.service import AccountService
    from server.realtime.log import EventLog

    # No token is signed or verified, and nobody is told: servers find out from the database.
    unset = {name: SecretStr("") for name in ("redis_url", "azure_storage_connection_string")}
    secret = SecretStr(secrets.token_urlsafe(48))
    changes = unset | {"jwt_secret": secret, "map": None, "blob_dir": settings.data_dir}
    services = services_of(settings.model_copy(update=changes))
    await migrate(settings.database)
    database, accounts = services[Database], services[AccountService]
    await database.open()
    try:
        await services[EventLog].open()
        yield Administration(database, accounts, _operator())
    finally:
        accounts.passwords.close()
        await database.close()
