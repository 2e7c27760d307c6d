"""The command line of the server: `python -m server`, or `tiffin-server`."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from aiohttp import web

from server import account_commands, database_commands
from server.core.backup import CopyError
from server.core.database import Database
from server.core.databases import migrate, opened_database
from server.core.errors import Problem, validation_problem
from server.core.logging import configure_logging
from server.core.memory import use_one_heap
from server.core.migrate import MigrationError
from server.settings import (
    Settings,
    SettingsError,
    load_settings,
    make_folder,
    restrict_permissions,
)
from server.urls import is_loopback, url_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(**_overrides(options))
        restrict_permissions(settings)
        use_one_heap()
        configure_logging(settings.log_level, lines=settings.log_queue_lines)
        return int(options.run(options, settings))
    except (SettingsError, MigrationError, CopyError) as error:
        print(f"tiffin: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tiffin-server", description="The Tiffin server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, help="port to listen on (default: 8080; 0: any free one)"
    )
    parser.add_argument("--demo", action="store_true", help="run with a demo town")
    parser.add_argument(
        "--demo-public",
        action="store_true",
        help="open the demo to other machines, where anybody may then act as an employee",
    )
    parser.add_argument(
        "--web", action="store_true", help="serve the apps as pages as well, at / (with --demo)"
    )
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands")
    restaurant = commands.add_parser("add-restaurant", help="add a restaurant")
    restaurant.add_argument("--name", required=True)
    restaurant.add_argument("--cuisine", required=True)
    restaurant.add_argument("--address", required=True)
    restaurant.add_argument("--lat", required=True, help="degrees, WGS 84")
    restaurant.add_argument("--lng", required=True, help="degrees, WGS 84")
    restaurant.add_argument("--description")
    restaurant.add_argument(
        "--preparation-minutes", help="minutes an order usually takes (default: 20)"
    )
    restaurant.add_argument(
        "--delivery-radius-m", help="how far it delivers, in metres (default: 5000; 0: no limit)"
    )
    restaurant.add_argument("--time-zone", help="such as Europe/Vienna, for its days and hours")
    restaurant.add_argument("--currency", help="of its prices, such as USD (default: EUR)")
    restaurant.set_defaults(run=_add_restaurant)
    radius = commands.add_parser("set-radius", help="change how far a restaurant delivers")
    radius.add_argument("--restaurant", required=True, help="a restaurant's id or name")
    radius.add_argument("--metres", required=True, type=int, help="as the crow flies; 0: no limit")
    radius.set_defaults(run=_set_radius)
    driver = commands.add_parser("add-driver", help="add a driver to a restaurant")
    driver.add_argument("--restaurant", required=True, help="a restaurant's id or name")
    driver.add_argument("--name", required=True, type=_name)
    driver.add_argument("--vehicle", default="bicycle", type=_name)
    driver.add_argument("--phone", type=_phone)
    driver.set_defaults(run=_add_driver)
    account_commands.add_to(commands)
    database_commands.add_to(commands)
    fetch = commands.add_parser("fetch-model", help="fetch the model that photos need (4.4 MB)")
    fetch.set_defaults(run=_fetch_model)
    commands.add_parser("migrate", help="bring the database up to date").set_defaults(run=_migrate)
    return parser


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    given = {"host": (options.host or "").strip() or None, "port": options.port}
    found = {name: value for name, value in given.items() if value is not None}
    return found | {name: True for name in ("demo", "demo_public", "web") if getattr(options, name)}


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    import uvloop

    if settings.demo and not settings.demo_public and not is_loopback(settings.host):
        raise SettingsError(
            f"a demo lets anybody in as an employee, and {settings.host} is open to other"
            " machines; leave --host out, or add --demo-public"
        )
    make_folder(settings.data_dir)
    return uvloop.run(serve(settings))


async def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; prints the address once it listens."""
    from server.app import create_app, tune_process
    from server.core.serving import Runner

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner = Runner(create_app(settings), settings)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            print(
                f"tiffin: cannot listen on {url_of(settings.host, settings.port)}"
                f" ({error.strerror}); choose another with --port",
                file=sys.stderr,
            )
            return 1
        host, port = runner.addresses[0][:2]
        tune_process()
        _print(f"Tiffin listens on {url_of(host, port)}")
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0


def _print(line: str) -> None:
    """Print from a thread, so that an unread pipe does not stop the server."""

    def write() -> None:
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), f"{line}\n".encode())

    threading.Thread(target=write, daemon=True).start()


def _name(typed: str) -> str:
    from server.features.shared.schemas import Name

    return _valid(Name, typed)


def _phone(typed: str) -> str | None:
    from server.features.accounts.schemas import Phone

    return _valid(Phone, typed) or None


def _valid(kind: Any, typed: str) -> str:
    """What is valid in the API. Raises argparse's error."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter[str](kind).validate_python(typed)
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise argparse.ArgumentTypeError(words) from None


def _add_restaurant(options: argparse.Namespace, settings: Settings) -> int:
    from pydantic import ValidationError

    from server.features.restaurants.schemas import NewRestaurant
    from server.features.restaurants.service import add_restaurant

    given = {
        name: value
        for name, value in vars(options).items()
        if name in NewRestaurant.model_fields and value is not None
    }
    try:
        new = NewRestaurant(**given)
    except ValidationError as error:
        for wrong in validation_problem(error).errors or ():
            option = str(wrong["loc"][0]).replace("_", "-")
            print(f"tiffin: --{option}: {wrong['msg']}", file=sys.stderr)
        return 2

    async def add(database: Database) -> str:
        return f"{new.name} is {await add_restaurant(database, new)}"

    return _with_database(settings, add)


def _set_radius(options: argparse.Namespace, settings: Settings) -> int:
    from server.features.restaurants.schemas import MOST_METRES
    from server.features.restaurants.service import restaurant_named, set_radius

    if not 0 <= options.metres <= MOST_METRES:
        print(f"tiffin: --metres: must be 0 to {MOST_METRES}", file=sys.stderr)
        return 2

    async def change(database: Database) -> str:
        restaurant_id = await restaurant_named(database, options.restaurant)
        await set_radius(database, restaurant_id, options.metres)
        return f"{options.restaurant} delivers " + (
            f"within {options.metres} m" if options.metres else "everywhere"
        )

    return _with_database(settings, change)


def _add_driver(options: argparse.Namespace, settings: Settings) -> int:
    from server.features.restaurants.service import add_driver, restaurant_named

    async def add(database: Database) -> str:
        restaurant_id = await restaurant_named(database, options.restaurant)
        phone = options.phone
        driver_id = await add_driver(database, restaurant_id, options.name, options.vehicle, phone)
        return f"{options.name} is {driver_id}"

    return _with_database(settings, add)


def _with_database(settings: Settings, work: Callable[[Database], Awaitable[str]]) -> int:
    """Run a command against the migrated database, and print its result."""

    async def run() -> str:
        await migrate(settings.database)
        async with opened_database(settings.database) as database:
            return await work(database)

    try:
        print(asyncio.run(run()))
    except Problem as problem:
        print(f"tiffin: {problem.detail}", file=sys.stderr)
        return 1
    return 0


def _fetch_model(options: argparse.Namespace, settings: Settings) -> int:
    from server.features.uploads import fetch_model

    return fetch_model.main()


def _migrate(options: argparse.Namespace, settings: Settings) -> int:
    ran = asyncio.run(migrate(settings.database))
    print("\n".join(ran) if ran else "the database is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
