"""How many have taken note of one announcement, live."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from pydantic import ValidationError

from server.features.announcements.schemas import AckCount
from tui.common.client.errors import ClientTrouble, ResetStream
from tui.common.client.wire import Meter

if TYPE_CHECKING:
    from tui.common.client.session import Session

STILL_SECONDS = 0.25
"""A cursor that is only passing by opens no stream."""

Work = Callable[[Coroutine[object, object, None], str], None]


class AckWatch:
    """Follows the count of the announcement it was last told of; `changed` is called with each."""

    def __init__(
        self, session: "Session", meter: Meter, work: Work, changed: Callable[[], None]
    ) -> None:
        self.count: AckCount | None = None
        """The newest; None until there is one."""
        self._session = session
        self._meter = meter
        self._work = work
        self._changed = changed
        self._id: str | None = None

    def watch(self, announcement_id: str | None) -> None:
        """Follow that one from now on, or none."""
        if announcement_id == self._id:
            return
        self._id, self.count = announcement_id, None
        self._work(self._follow(announcement_id), "acks")

    def count_of(self, announcement_id: str) -> AckCount | None:
        """The newest count, if it is that announcement's."""
        return self.count if announcement_id == self._id else None

    async def _follow(self, announcement_id: str | None) -> None:
        from tui.common.client.sse import EventStream

        await asyncio.sleep(STILL_SECONDS)
        if announcement_id is None:
            return
        path = f"/announcements/{announcement_id}/acks/stream"
        while True:
            try:
                async with EventStream(self._session, path, self._meter) as stream:
                    async for event in stream:
                        try:
                            self.count = AckCount.model_validate_json(event.data)
                        except ValidationError:  # of a newer server
                            continue
                        self._changed()
            except ResetStream:
                await asyncio.sleep(STILL_SECONDS)
            except ClientTrouble:  # it is gone, or one is signed out: the list says so
                return
