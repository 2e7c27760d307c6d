"""Components: what is started and stopped with the application, and its background tasks."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

logger = logging.getLogger(__name__)

RESTART_SECONDS = 1.0


class SupervisedTask:
    """Runs `work` until `stop`, and restarts it where it ends earlier, for whatever reason."""

    def __init__(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self.name = name
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether it is running now."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Start it."""
        self._again = None
        self._task = asyncio.create_task(self._work(), name=self.name)
        self._task.add_done_callback(self._ended)

    async def stop(self, grace: float | None = 0, insist: float | None = None) -> None:
        """Wait `grace` seconds for it to end (None: without a limit), then cancel it.

        It is cancelled again every `insist` seconds, as some libraries swallow a cancellation.
        """
        task, self._task = self._task, None
        if self._again is not None:
            self._again.cancel()
        if task is None:
            return
        running = {task}
        if grace != 0:
            _, running = await asyncio.wait(running, timeout=grace)
        while running:
            task.cancel()
            _, running = await asyncio.wait(running, timeout=insist)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if task is not self._task:  # it was stopped
            return
        logger.error(
            "the %s has ended (%s) and is restarted in %g s",
            self.name,
            "cancelled" if task.cancelled() else error or "by itself",
            RESTART_SECONDS,
            exc_info=error,
        )
        self._again = task.get_loop().call_later(RESTART_SECONDS, self.start)


class Component:
    """A service that is opened before the first request and closed after the last one.

    As it is here, it only starts and stops its `tasks`.
    """

    tasks: Sequence[SupervisedTask] = ()
    """What runs while it is open."""

    async def open(self) -> None:
        """Start the tasks."""
        for task in self.tasks:
            task.start()

    def begin_close(self) -> None:
        """The server stops: what takes time begins to end, beside the connections. `close`, which
        follows, waits for it."""

    async def close(self) -> None:
        """Stop the tasks."""
        for task in self.tasks:
            await task.stop()
