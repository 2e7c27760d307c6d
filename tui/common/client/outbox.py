"""Messages that the server has not sent back yet: kept, sent, and stored on disk."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from server.features.chat.frame_schemas import SendMessage, SendRead, SendTyping
from tui.common.client.errors import Unreachable
from tui.common.client.files import read_regular

if TYPE_CHECKING:
    from server.features.chat.frame_schemas import ClientFrame

ECHO_SECONDS = 15.0
"""A message that has not come back by then is sent again, even where the connection stands."""
TYPING_SECONDS = 2.0
READ_SECONDS = 0.5
"""At least, between two of those."""


@dataclass(frozen=True, slots=True)
class UnsentMessage:
    """A message on its way; the server knows by `client_id` that it is the same one again."""

    text: str
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    written_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Outbox:
    """Keeps messages in the order they were written until each has come back.

    It outlives the connection, so a room that is opened again with it loses nothing; with a store
    it also outlives the process.
    """

    def __init__(self, store: OutboxStore | None = None, chat_id: str = "") -> None:
        """It begins with what the store has of that chat."""
        self.on_put: Callable[[], None] | None = None
        """Called when there is something to send."""
        self._store, self._chat_id = store, chat_id
        kept = store.read(chat_id) if store is not None else ()
        self._unsent: dict[str, UnsentMessage] = {message.client_id: message for message in kept}
        self.draft = store.read_draft(chat_id) if store is not None else ""
        """Half written; `save_draft` stores it."""
        self._saved_draft = self.draft

    def __iter__(self) -> Iterator[UnsentMessage]:
        return iter(tuple(self._unsent.values()))

    def __len__(self) -> int:
        return len(self._unsent)

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._unsent

    @property
    def head(self) -> UnsentMessage | None:
        """The one to send next."""
        return next(iter(self._unsent.values()), None)

    def put(self, message: UnsentMessage) -> None:
        """Send this after all the others."""
        self._unsent[message.client_id] = message
        if self._store is not None:
            self._store.write(self._chat_id, message)
        if self.on_put is not None:
            self.on_put()

    def remove(self, client_id: str) -> bool:
        """It has come back, or was refused; whether it was here."""
        if self._store is not None:
            self._store.delete(client_id)
        return self._unsent.pop(client_id, None) is not None

    def save_draft(self) -> None:
        """Store the draft, if it has changed."""
        if self._store is not None and self.draft != self._saved_draft:
            self._saved_draft = self.draft
            self._store.write_draft(self._chat_id, self.draft)


class Transport(Protocol):
    """Where an `OutboxSender` sends its frames."""

    async def send(self, frame: ClientFrame) -> None:
        """Raises `Unreachable` where the connection is broken."""

    def drop(self) -> None:
        """Break the connection."""


class OutboxSender:
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
        """The server has that mark."""
        if cursor == self._read:
            self._read_sent = cursor

    def confirm(self, client_id: str) -> None:
        """That message has come back, or was refused: the next one may be sent."""
        if self.outbox.remove(client_id):
            self.in_flight = None
            self._send_at = 0.0
            self.wake()

    def resend_later(self, client_id: str | None, wait: float) -> None:
        """That message (None: the read mark) was not taken: send it again in `wait` seconds."""
        if client_id is None:
            self._read_sent = None
            self._read_at = time.monotonic() + wait
        elif client_id in self.outbox:
            self.in_flight = None
            self._send_at = time.monotonic() + wait
        self.wake()

    async def run(self, transport: Transport) -> None:
        """Send through this new transport, until cancelled or it breaks."""
        self.in_flight = self._read_sent = None
        self._send_at = 0.0
        try:
            while True:
                self._wake.clear()
                if self._typing:
                    self._typing = False
                    self._typed_at = time.monotonic()
                    await transport.send(SendTyping())
                waits = (await self._send_read(transport), await self._send_message(transport))
                pause = min((wait for wait in waits if wait is not None), default=None)
                # Not `wait_for`: before Python 3.12 it may take a cancellation for a wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
        except Unreachable:
            transport.drop()  # the reader notices, and connects again

    async def _send_read(self, transport: Transport) -> float | None:
        """The read mark, if it is due; else the seconds until it is."""
        if self._read is None or self._read == self._read_sent:
            return None
        wait = self._read_at + READ_SECONDS - time.monotonic()
        if wait > 0:
            return wait
        self._read_sent, self._read_at = self._read, time.monotonic()
        await transport.send(SendRead(cursor=self._read))
        return None

    async def _send_message(self, transport: Transport) -> float | None:
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
            await transport.send(frame)
            wait = self._echo
        return wait


LARGEST_FILE = 64 * 1024
LARGEST_DRAFT = 1024 * 1024
"""Bytes. A message holds far less, but what was pasted may still have to be shortened."""


class OutboxStore:
    """What one account has written in its chats and not got back.

    A file a message, mode 0600, so that windows need not agree: what two of them have read is
    sent by both, and by its `client_id` is one message to the server. Where the disk cannot be
    used a message lives as long as its window. Beside them a file a chat with what is half written.
    """

    def __init__(self, folder: Path, account_id: str) -> None:
        # The id is the server's word, and need not be fit for a path.
        self._folder = folder / hashlib.sha256(account_id.encode()).hexdigest()[:16]
        self._files: dict[str, Path] = {}
        self.unkept: set[str] = set()
        """By `client_id`, what could not be written: it ends with this window."""
        self.unkept_drafts: set[str] = set()
        """The chats whose draft could not be written."""
        self._last = 0

    def chats(self) -> list[str]:
        """The ids of the chats with something unsent, the one written in last at the end."""
        return list(dict.fromkeys(chat_id for chat_id, _ in reversed(self._read())))[::-1]

    def read(self, chat_id: str) -> list[UnsentMessage]:
        """What is unsent in that chat, in the order it was written."""
        return [message for found, message in self._read() if found == chat_id]

    def write(self, chat_id: str, message: UnsentMessage) -> None:
        """Keep it, behind all others."""
        self._last = max(time.time_ns(), self._last + 1)
        path = self._folder / f"{self._last:020d}.json"
        fields = {
            "chat_id": chat_id,
            "client_id": message.client_id,
            "text": message.text,
            "written_at": message.written_at.isoformat(),
        }
        # A small file, written at once: a key press can wait for that, and what is sent is kept.
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._files[message.client_id] = path
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(fields, file)
        except OSError:
            self.delete(message.client_id)  # half of it would be none
            self.unkept.add(message.client_id)

    def delete(self, client_id: str) -> None:
        """It has come back, or was refused."""
        self.unkept.discard(client_id)
        path = self._files.pop(client_id, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def drafts(self) -> set[str]:
        """The ids of the chats with a draft."""
        return {kept[0] for path in self._folder.glob("*.draft") if (kept := _load_draft(path))}

    def read_draft(self, chat_id: str) -> str:
        """What is half written in that chat; "" where there is nothing."""
        kept = _load_draft(self._draft_path(chat_id))
        return kept[1] if kept is not None and kept[0] == chat_id else ""

    def write_draft(self, chat_id: str, text: str) -> None:
        """Keep it in place of the one before; "" removes it."""
        path = self._draft_path(chat_id)
        self.unkept_drafts.discard(chat_id)
        try:
            if not text:
                path.unlink(missing_ok=True)
                return
            data = json.dumps({"chat_id": chat_id, "text": text}, ensure_ascii=False).encode()
            if len(data) > LARGEST_DRAFT:
                raise ValueError
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(".new", "draft", self._folder)  # mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(name, path)
            except OSError:
                os.unlink(name)
                raise
        except (OSError, ValueError):
            if text:
                self.unkept_drafts.add(chat_id)

    def clear_drafts(self) -> None:
        """Forget what is half written, as at the log-out."""
        self.unkept_drafts.clear()
        with contextlib.suppress(OSError):
            for path in [*self._folder.glob("*.draft"), *self._folder.glob("draft*.new")]:
                path.unlink(missing_ok=True)

    def _draft_path(self, chat_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(chat_id.encode()).hexdigest()[:16]}.draft"

    def clear(self) -> None:
        """Forget all of it, as when the account is deleted."""
        self.clear_drafts()
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.json"):
                path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _read(self) -> list[tuple[str, UnsentMessage]]:
        """Chats and messages; what cannot be read is left alone."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(self._folder.glob("*.json")):
                if (kept := _load(path)) is not None:
                    self._files[kept[1].client_id] = path
                    self._last = max(self._last, int(path.stem) if path.stem.isdecimal() else 0)
                    found.append(kept)
        return found


def _load_draft(path: Path) -> tuple[str, str] | None:
    """The chat and the text."""
    try:
        fields = json.loads(read_regular(path, LARGEST_DRAFT))
        chat_id, text = fields["chat_id"], fields["text"]
        if not (isinstance(chat_id, str) and isinstance(text, str)):
            return None
        (chat_id + text).encode()
        return chat_id, text
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _load(path: Path) -> tuple[str, UnsentMessage] | None:
    try:
        fields = json.loads(read_regular(path, LARGEST_FILE))
        chat_id, client_id, text = (fields[key] for key in ("chat_id", "client_id", "text"))
        if not all(isinstance(one, str) for one in (chat_id, client_id, text)):
            return None
        (client_id + text).encode()  # half a character could never be sent
        written_at = datetime.fromisoformat(fields["written_at"])
        # One that is no time in any zone cannot be shown.
        written_at.astimezone()
        return chat_id, UnsentMessage(text, client_id, written_at)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
