"""The commands that copy the whole database: `python -m server backup FILE`, and so on."""

import argparse
import asyncio
import sys
from pathlib import Path

from server.core.backup import CopyError, back_up, restore
from server.settings import Settings, load_settings

_PHOTOS = "Photos (DATA_DIR/blobs, or the container) and TIFFIN_JWT_SECRET are not {}."


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to those of the server."""
    saving = commands.add_parser(
        "backup",
        help="write a backup of the SQLite database, also while servers run",
        description="Write what is committed to a new file that only you can read. Do not copy the"
        " database's file and then its -wal file instead: while a server writes, that gives a"
        " damaged database.",
    )
    saving.add_argument("file", type=Path)
    saving.set_defaults(run=_back_up)
    restoring = commands.add_parser(
        "restore",
        help="replace the SQLite database by a backup; every client reads its lists again",
    )
    restoring.add_argument("file", type=Path)
    restoring.set_defaults(run=_restore)
    moving = commands.add_parser(
        "copy",
        help="move all rows to an empty database; clients go on with their cursors",
        description="The first database is then marked as moved, and no server starts on it.",
    )
    moving.add_argument(
        "--from", dest="source", required=True, help="sqlite:///… or postgresql://…"
    )
    moving.add_argument("--to", dest="target", required=True, help="sqlite:///… or postgresql://…")
    moving.set_defaults(run=_move)
    commands.add_parser(
        "unretire", help="let servers use a database again that was moved"
    ).set_defaults(run=_unretire)


def _back_up(options: argparse.Namespace, settings: Settings) -> int:
    size = back_up(_sqlite(settings, "pg_dump --format=custom --file=FILE URL"), options.file)
    print(f"{options.file}: {size:,} bytes")
    print(_PHOTOS.format("in it"))
    return 0


def _restore(options: argparse.Namespace, settings: Settings) -> int:
    path = _sqlite(settings, "pg_restore; docs/operating.md has all four steps")
    aside = restore(path, options.file)
    print(f"{path} is as it was in {options.file}" + (f"; before, it was {aside}" if aside else ""))
    print("Every client reads its lists again. " + _PHOTOS.format("changed"))
    return 0


def _sqlite(settings: Settings, command: str) -> Path:
    """The file. Raises CopyError which names PostgreSQL's own command."""
    if isinstance(settings.database, Path):
        return settings.database
    raise CopyError(f"this database is PostgreSQL, which has its own tool: {command}")


def _move(options: argparse.Namespace, settings: Settings) -> int:
    from server.core.move import move

    source, target = (
        load_settings(database_url=url).database for url in (options.source, options.target)
    )
    asyncio.run(move(source, target, lambda line: print(line, file=sys.stderr)))
    print("All rows were moved; start servers with TIFFIN_DATABASE_URL set to the value of --to.")
    print(_PHOTOS.format("moved"))
    return 0


def _unretire(options: argparse.Namespace, settings: Settings) -> int:
    from server.core.move import unretire

    asyncio.run(unretire(settings.database))
    print("Servers may use this database again. Every client reads its lists again.")
    return 0
