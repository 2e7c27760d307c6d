"""Unsent messages on disk, so that neither closing a window nor its crash loses them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from datetime import datetime
from pathlib import Path

from tui.common.client.files import read_regular
from tui.common.client.outbox import Unsent

LARGEST_FILE = 64 * 1024


class OutboxStore:
    """What one account has written in its chats and not got back.

    A file a message, mode 0600, so that windows need not agree: what two of them have taken up is
    sent by both, and by its `client_id` is one message to the server. Where the disk cannot be
    used a message lives as long as its window.
    """

    def __init__(self, folder: Path, account_id: str) -> None:
        # The id is the server's word, and need not be fit for a path.
        self._folder = folder / hashlib.sha256(account_id.encode()).hexdigest()[:16]
        self._files: dict[str, Path] = {}
        self.unkept: set[str] = set()
        """By `client_id`, what could not be written: it ends with this window."""
        self._last = 0

    def chats(self) -> list[str]:
        """The ids of the chats with something unsent, the one written in last at the end."""
        return list(dict.fromkeys(chat_id for chat_id, _ in reversed(self._read())))[::-1]

    def read(self, chat_id: str) -> list[Unsent]:
        """What is unsent in that chat, in the order it was written."""
        return [message for found, message in self._read() if found == chat_id]

    def write(self, chat_id: str, message: Unsent) -> None:
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

    def clear(self) -> None:
        """Forget all of it, as when the account is deleted."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.json"):
                path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _read(self) -> list[tuple[str, Unsent]]:
        """Chats and messages; what cannot be read is left alone."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(self._folder.glob("*.json")):
                if (kept := _load(path)) is not None:
                    self._files[kept[1].client_id] = path
                    self._last = max(self._last, int(path.stem) if path.stem.isdecimal() else 0)
                    found.append(kept)
        return found


def _load(path: Path) -> tuple[str, Unsent] | None:
    try:
        fields = json.loads(read_regular(path, LARGEST_FILE))
        chat_id, client_id, text = (fields[key] for key in ("chat_id", "client_id", "text"))
        if not all(isinstance(one, str) for one in (chat_id, client_id, text)):
            return None
        (client_id + text).encode()  # half a character could never be sent
        written_at = datetime.fromisoformat(fields["written_at"])
        # One that is no time in any zone cannot be shown.
        written_at.astimezone()
        return chat_id, Unsent(text, client_id, written_at)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
