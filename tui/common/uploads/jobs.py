"""A photo being sent to the server: retried until it answers, and always the same upload."""

import asyncio
import time
import uuid
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from server.features.uploads.schemas import AcceptedUpload, NewUpload
from tui.common.client.errors import ClientError, Unreachable
from tui.common.client.meter import CUT, State
from tui.common.client.retry import retry, short_message
from tui.common.format import message_for
from tui.common.language import _
from tui.common.uploads.local_picture import LocalPicture

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Meter


class JobState(StrEnum):
    """The state of a photo that is being sent."""

    SENDING = "sending"
    WAITING = "waiting"
    """There was no answer; it is sent again automatically."""
    REFUSED = "refused"
    ARRIVED = "arrived"


class UploadJob:
    """A photo and its purpose. All attempts to send it carry the same idempotency key."""

    def __init__(self, local_picture: LocalPicture, new: NewUpload, about: str) -> None:
        """`about` is its purpose in words."""
        self.local_picture = local_picture
        self.new = new
        self.about = about
        self.id = str(uuid.uuid4())
        """The row's id, and the idempotency key."""
        self.state = JobState.SENDING
        self.attempts = 0
        """How many attempts there were, with the present one."""
        self.sent = 0
        """Bytes of the file sent in this attempt."""
        self.words = ""
        """Why it waits, or was refused."""
        self.again_at = 0.0
        """`time.monotonic()` of the next attempt, while it waits."""
        self._request: asyncio.Task[tuple[AcceptedUpload, float]] | None = None
        self._cut = False

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.local_picture.bitmap.size

    def drop_connection(self) -> bool:
        """Drop the present request; the photo is sent again. False where there is none."""
        if self._request is None or self._cut:
            return False
        self._cut = True
        self._request.cancel()
        return True

    async def send(
        self, api: "Api", meter: "Meter", changed: Callable[[], None]
    ) -> tuple[AcceptedUpload, float] | None:
        """Send it until the server answers; returns the upload and the seconds to its first poll.

        None where it is refused; `words` then says why. `changed` is called after each step.
        """

        def progress(sent: int, _size: int) -> None:
            self.sent = sent
            changed()

        async def attempt() -> tuple[AcceptedUpload, float]:
            await meter.uncut()
            if self.state is JobState.WAITING:
                meter.set_state(State.CONNECTING)
            self.state, self.sent, self.words = JobState.SENDING, 0, ""
            changed()
            return await self._answer(api, progress)

        def show(error: ClientError, wait: float | None) -> None:
            self.words = message_for(error)
            if wait is None:
                self.state = JobState.REFUSED
                meter.set_state(State.IDLE)
            else:
                self.state, self.again_at = JobState.WAITING, time.monotonic() + wait
                meter.retrying(short_message(error), wait)
            changed()

        try:
            arrived = await retry(attempt, on_error=show)
        except ClientError:
            return None
        self.state = JobState.ARRIVED
        meter.set_state(State.IDLE)
        return arrived

    async def _answer(
        self, api: "Api", progress: Callable[[int, int], None]
    ) -> tuple[AcceptedUpload, float]:
        """One attempt, which `drop_connection` can end."""
        self._cut = False
        self.attempts += 1
        path, new = self.local_picture.path, self.new
        self._request = asyncio.ensure_future(api.send_photo(path, new, self.id, progress))
        try:
            return await self._request
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._cut or (task is not None and task.cancelling()):
                raise
            raise Unreachable(
                _("You have cut the connection; the photo is sent again by itself."), CUT
            ) from None
        finally:
            self._request = None
