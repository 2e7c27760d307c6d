"""Commands of the server, such as `python -m server audit`, run beside servers under test."""

import asyncio
from pathlib import Path

from support.preloaded import fork
from support.server_process import server_environment
from support.waiting import PATIENCE


async def run_command(data_dir: Path, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Its exit status, and what it printed, on the servers' database."""

    def run() -> tuple[int, str]:
        output, given = data_dir / "command.out", data_dir / "command.in"
        output.write_text("")
        given.write_text(stdin)
        process = fork(arguments, server_environment(data_dir), output, stdin=str(given))
        try:
            return process.wait(PATIENCE), output.read_text()
        finally:
            process.kill()

    return await asyncio.to_thread(run)
