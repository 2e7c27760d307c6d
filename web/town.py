"""A town of one's own for each visitor: a demo's server that ends after they have left."""

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from web.session import kept_environment, limit_memory

logger = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
"""Without a window, until a town ends: a reload closes its windows before it opens them again."""
START_SECONDS = 60.0
LISTENING = re.compile(rb"listens on (\S+)")
COMMAND = (
    *(sys.executable, "-m", "tui.common.parent_guard"),
    *("server", "--demo", "--host", "127.0.0.1", "--port", "0"),
)


class NoTown(Exception):
    """The visitor gets no town now; the message tells them why and what to do."""


class Town:
    """One server; `windows` are open in it."""

    def __init__(
        self,
        memory: int,
        settings: Mapping[str, str],
        new_folder: Callable[[], AbstractContextManager[Path]],
    ) -> None:
        self.windows = 0
        self.end_timer: asyncio.TimerHandle | None = None
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Known once the server is ready."""
        self._memory, self._settings, self._new_folder = memory, settings, new_folder
        self.life = asyncio.create_task(self._live(), name="town")
        """Until the server has ended and its folder is removed. Cancel it to end the server."""

    async def _live(self) -> None:
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(self._fail)
                folder = await asyncio.to_thread(stack.enter_context, self._new_folder())
                await self._run(folder)
        except OSError as error:
            logger.error("a visitor's town could not be opened: %s", error)

    async def _run(self, folder: Path) -> None:
        log = folder / "town.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                cwd=folder,
                env={**kept_environment(folder), **self._settings, "TIFFIN_DATA_DIR": str(folder)},
                start_new_session=True,
            )
        assert process.stdout is not None
        try:
            # Not a hard limit: the workers for photos set one of their own.
            limit_memory(process.pid, self._memory, hard=False)
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
            if (found := LISTENING.search(line)) is None:
                raise OSError(log.read_text(errors="replace")[-1000:])
            self.url.set_result(found[1].decode())
            await process.wait()
            logger.error("a visitor's town ended with exit code %s", process.returncode)
        finally:
            # Nobody needs its data any more, so it need not end in good order.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _fail(self) -> None:
        if not self.url.done():
            self.url.set_exception(NoTown("Your town could not be opened. Reload to try again."))
            self.url.exception()  # there may be nobody left to hear of it


class Towns:
    """The towns of all visitors; `close` ends them."""

    def __init__(
        self,
        most: int,
        memory_mb: int,
        settings: Mapping[str, str],
        new_folder: Callable[[], AbstractContextManager[Path]],
    ) -> None:
        """At most so many (0: no limit), each with its `settings` as environment, and a folder
        that is removed with it."""
        self._most = most
        self._memory = memory_mb * 1024 * 1024
        self._settings, self._new_folder = settings, new_folder
        self._towns: dict[str, Town] = {}
        self._lives: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def visit(self, visitor: str) -> AsyncIterator[str]:
        """The URL of this visitor's server, which goes on while one of their windows is in here.

        Raises NoTown.
        """
        town = self._towns.get(visitor)
        if town is None or town.life.done():
            town = self._new(visitor)
        town.windows += 1
        if town.end_timer is not None:
            town.end_timer.cancel()
        try:
            yield await asyncio.shield(town.url)
        finally:
            town.windows -= 1
            if not town.windows and self._towns.get(visitor) is town:
                loop = asyncio.get_running_loop()
                town.end_timer = loop.call_later(GRACE_SECONDS, self._end, visitor)

    async def close(self, _: object = None) -> None:
        """End all of them."""
        for visitor in list(self._towns):
            self._end(visitor)
        await asyncio.gather(*self._lives, return_exceptions=True)

    def _new(self, visitor: str) -> Town:
        if visitor in self._towns:
            self._end(visitor)  # else the timer of one that has died would end the new one
        if self._most and len(self._towns) >= self._most:
            left = next((one for one, town in self._towns.items() if not town.windows), None)
            if left is None:
                raise NoTown(f"All {self._most} towns of this server are in use. Try again later.")
            self._end(left)
        town = self._towns[visitor] = Town(self._memory, self._settings, self._new_folder)
        self._lives.add(town.life)
        town.life.add_done_callback(self._lives.discard)
        return town

    def _end(self, visitor: str) -> None:
        town = self._towns.pop(visitor)
        if town.end_timer is not None:
            town.end_timer.cancel()
        town.life.cancel()
