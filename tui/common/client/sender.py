"""What goes out to a chat's room, over whichever connection stands."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from server.features.chat.frame_schemas import SendMessage, SendRead, SendTyping
from tui.common.client.errors import Unreachable

if TYPE_CHECKING:
    from tui.common.client.channel import Channel
    from tui.common.client.outbox import Outbox

ECHO_SECONDS = 15.0
"""A message that has not come back by then is sent again, even where the connection stands."""
TYPING_SECONDS = 2.0
READ_SECONDS = 0.5
"""At least, between two of those."""


class Sender:
    """Sends the outbox one by one, who is typing, and the newest read mark.

    Only when a message has come back does the next one go: with several on their way, one that
    could not be taken would be overtaken.
    """

    def __init__(self, outbox: Outbox, echo: float = ECHO_SECONDS) -> None:
        """`echo` is in seconds."""
        self.outbox = outbox
        self.in_flight: str | None = None
        """The `client_id` of the message that was sent over this connection."""
        self._echo = echo
        self._wake = asyncio.Event()
        self._send_at = 0.0
        """`time.monotonic()` at which the first of the outbox may be sent, or sent again."""
        self._typing = False
        self._typed_at = -TYPING_SECONDS
        self._read: str | None = None
        self._read_sent: str | None = None
        self._read_at = -READ_SECONDS

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def typing(self) -> None:
        """The user is typing: told at most every two seconds."""
        if time.monotonic() - self._typed_at >= TYPING_SECONDS:
            self._typing = True
            self.wake()

    def read(self, cursor: str) -> None:
        """The user has seen everything up to this message."""
        if cursor != self._read:
            self._read = cursor
            self.wake()

    def confirm_read(self, cursor: str) -> None:
        """The server knows of that mark."""
        if cursor == self._read:
            self._read_sent = cursor

    def settle(self, client_id: str) -> None:
        """That message has come back, or is not wanted: the next may go."""
        if self.outbox.remove(client_id):
            self.in_flight = None
            self._send_at = 0.0
            self.wake()

    def again(self, client_id: str | None, wait: float) -> None:
        """That message, or else what was sent besides, could not be taken: again in a while."""
        if client_id is None:
            self._read_sent = None
            self._read_at = time.monotonic() + wait
        elif client_id in self.outbox:
            self.in_flight = None
            self._send_at = time.monotonic() + wait
        self.wake()

    async def run(self, channel: Channel) -> None:
        """Send what there is to send over this new connection, until cancelled or it breaks."""
        self.in_flight = self._read_sent = None
        self._send_at = 0.0
        try:
            while True:
                self._wake.clear()
                if self._typing:
                    self._typing = False
                    self._typed_at = time.monotonic()
                    await channel.send(SendTyping().model_dump_json(), "typing")
                waits = (await self._send_read(channel), await self._send_message(channel))
                pause = min((wait for wait in waits if wait is not None), default=None)
                # Not `wait_for`: before Python 3.12 it may take a cancellation for a wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
        except Unreachable:
            channel.drop()  # whoever reads sees it, and comes back

    async def _send_read(self, channel: Channel) -> float | None:
        """The read mark, if it is due; else the seconds until it is."""
        if self._read is None or self._read == self._read_sent:
            return None
        wait = self._read_at + READ_SECONDS - time.monotonic()
        if wait > 0:
            return wait
        self._read_sent, self._read_at = self._read, time.monotonic()
        await channel.send(SendRead(cursor=self._read).model_dump_json(), "read")
        return None

    async def _send_message(self, channel: Channel) -> float | None:
        """The first message, if it is due; the seconds until it is, or is due again."""
        head = self.outbox.head
        if head is None:
            return None
        wait = self._send_at - time.monotonic()
        if wait <= 0:
            self.in_flight = head.client_id
            self._send_at = time.monotonic() + self._echo
            # Not validated: what is wrong with it the server says in better words.
            frame = SendMessage.model_construct(client_id=head.client_id, text=head.text)
            await channel.send(frame.model_dump_json(), "message")
            wait = self._echo
        return wait
