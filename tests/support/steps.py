"""What a database does, counted in steps of SQLite's virtual machine.

A statement that reads every row takes some steps for each. Unlike time, steps are the same on a
busy machine.
"""

from collections.abc import Awaitable, Callable

from server.core.database import Database


async def steps_of(database: Database, work: Callable[[], Awaitable[object]]) -> int:
    """How many steps all connections of that database take while `work` runs."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0  # the statement goes on

    for connection in database._opened:
        await connection.set_progress_handler(step, 1)
    try:
        await work()
    finally:
        for connection in database._opened:
            await connection.set_progress_handler(None, 0)  # type: ignore[arg-type]
    return steps
