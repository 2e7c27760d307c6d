"""The remembered session: one small file that several windows may share."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.files import home, read_regular
from tui.common.language import _, marked

LOCK_SECONDS = 15.0
LARGEST_FILE = 64 * 1024
_LOCK_LOOKS_EVERY = 0.02


def state_folder() -> Path:
    """Where the apps keep files of the user's; it may not be there yet."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else home() / ".local" / "state"
    return folder / "tiffin"


class TokenStoreError(ClientError):
    """The file or its folder cannot be used."""


class BrokenTokenFile(TokenStoreError):
    """The file exists and cannot be understood."""


class StoreBusy(TokenStoreError):
    """Another window has kept the file to itself for too long."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A session on disk.

    `idempotency_key` is set from before a refresh is sent until its answer is saved, so that
    the next window repeats that refresh instead of starting another one.
    """

    refresh_token: str = field(repr=False)
    account_id: str
    idempotency_key: str | None = None


class TokenStore:
    """One file, mode 0600, replaced as a whole. What blocks runs in a thread.

    `read`, `write` and `delete` raise `TokenStoreError`.
    """

    def __init__(self, path: Path, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = path
        self.lock_path = path.with_name(path.name + ".lock")
        self.lock_seconds = lock_seconds

    @classmethod
    def for_app(cls, server_url: str, app: str) -> TokenStore:
        """The file of an app ("customer", "employee") on one server, in the user's state folder."""
        url = server_url.rstrip("/").lower()
        readable = re.sub(r"[^a-z0-9.]+", "-", url.partition("://")[2] or url).strip("-")[:60]
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        return cls(state_folder() / f"{app}-{readable}-{digest}.json")

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Keep every other window away. Raises `StoreBusy` after `lock_seconds`."""
        given_up = threading.Event()
        taking = asyncio.ensure_future(asyncio.to_thread(self._lock, given_up))
        try:
            lock = await asyncio.shield(taking)
        except asyncio.CancelledError:
            given_up.set()
            # The thread may have got it just now, and nobody else would give it back.
            taking.add_done_callback(_unlock)
            raise
        try:
            yield
        finally:
            os.close(lock)

    async def read(self) -> StoredToken | None:
        """What is remembered, None if nothing is. Raises `BrokenTokenFile` too."""
        return await asyncio.to_thread(self._read)

    async def write(self, stored: StoredToken) -> None:
        """Replace the file; call it inside `locked`."""
        await asyncio.to_thread(self._write, stored)

    async def delete(self) -> None:
        """Forget; call it inside `locked`."""
        await asyncio.to_thread(self._delete)

    def _lock(self, given_up: threading.Event) -> int:
        deadline = time.monotonic() + self.lock_seconds
        try:
            self._make_folder()
            lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise _cannot("locked", self.lock_path, fault) from fault
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return lock
                except BlockingIOError:
                    if given_up.is_set() or time.monotonic() >= deadline:
                        raise StoreBusy(
                            _(
                                "Another window has held the session file {path} for "
                                "{lock_seconds:g} seconds. Close it if it hangs."
                            ).format(path=self.path, lock_seconds=self.lock_seconds)
                        ) from None
                given_up.wait(_LOCK_LOOKS_EVERY)
        except BaseException as fault:
            os.close(lock)
            if isinstance(fault, OSError):
                raise _cannot("locked", self.lock_path, fault) from fault
            raise

    def _read(self) -> StoredToken | None:
        try:
            raw = read_regular(self.path, LARGEST_FILE)
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise _cannot("read", self.path, fault) from fault
        try:
            fields = json.loads(raw)
            stored = StoredToken(
                fields["refresh_token"], fields["account_id"], fields.get("idempotency_key")
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            stored = None
        if stored is None or not _is_valid(stored):
            raise BrokenTokenFile(
                _(
                    "The saved session in {path} cannot be read, so you are logged out. Log in "
                    "again, and a new one is saved."
                ).format(path=self.path)
            )
        return stored

    def _write(self, stored: StoredToken) -> None:
        temporary = None
        try:
            self._make_folder()
            # mkstemp makes it 0600 from the start.
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(stored), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as fault:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise _cannot("written", self.path, fault) from fault

    def _delete(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as fault:
            raise _cannot("deleted", self.path, fault) from fault

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _is_valid(stored: StoredToken) -> bool:
    key = stored.idempotency_key
    return (
        isinstance(stored.refresh_token, str)
        and 0 < len(stored.refresh_token) <= 512
        and stored.refresh_token.isascii()  # half a character could never be sent
        and isinstance(stored.account_id, str)
        and (key is None or (isinstance(key, str) and key.isascii() and key.isprintable()))
    )


def _cannot(done: str, path: Path, fault: OSError) -> TokenStoreError:
    why = fault.strerror or type(fault).__name__
    return TokenStoreError(
        _(
            "Your session is not saved: {path} cannot be {done} ({why}). Check who may write there."
        ).format(path=path, done=done, why=why)
    )


def _unlock(taking: asyncio.Future[int]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        os.close(taking.result())


ELSEWHERE = marked("You have logged out in another window.")


class SafeTokenStore:
    """The token store as one session uses it, which other windows use too.

    A file that cannot be used does not end the session: `notice` says so, and it goes on in memory.
    Every method but `locked` and `peek` is for inside `locked`.
    """

    def __init__(self, store: TokenStore | None) -> None:
        self._store = store
        self._usable = False
        self.owned = False
        """Whether the file has held this session: if it is gone then, we have been logged out."""
        self.notice = ""

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Alone with the file, or without one where it cannot be locked. Raises `StoreBusy`."""
        if self._store is None:
            yield
            return
        try:
            async with self._store.locked():
                self._usable = True
                try:
                    yield
                finally:
                    self._usable = False
        except StoreBusy:
            raise
        except TokenStoreError as error:
            self._on_unusable(error)
            yield

    async def peek(self) -> StoredToken | None:
        """What is remembered, None if nothing is or nothing that can be read; `notice` says why."""
        self.notice = ""
        if self._store is None:
            return None
        try:
            return await self._store.read()
        except TokenStoreError as error:
            self.notice = error.message
            return None

    async def load(self, account_id: str | None) -> StoredToken | None:
        """The file's session, if it is this account's (None: of any account).

        Raises `SignedOut` where the file has been ours and is now gone or broken.
        """
        if self._store is None or not self._usable:
            return None
        try:
            stored = await self._store.read()
        except BrokenTokenFile as error:
            if self.owned:
                raise SignedOut(error.message) from error
            return None
        except TokenStoreError as error:
            self._on_unusable(error)
            return None
        if stored is None:
            if self.owned:
                raise SignedOut(_(ELSEWHERE))
            return None
        self.owned = account_id is None or stored.account_id == account_id
        return stored if self.owned else None

    async def save(self, stored: StoredToken) -> None:
        """Put a new session or a new token there; what was there is used up."""
        if not await self.replace_file(stored) and self._usable:
            words = self.notice
            # A used token left behind would look like theft when the next window sends it.
            await self.delete()
            self.notice = words

    async def replace_file(self, stored: StoredToken) -> bool:
        """Replace the file; whether that went well."""
        if self._store is None or not self._usable:
            return False
        try:
            await self._store.write(stored)
        except TokenStoreError as error:
            self._on_unusable(error)
            return False
        self.owned = True
        return True

    async def delete(self, account_id: str | None = None) -> None:
        """Delete the file, if it is this account's (None: of any account), locked or not."""
        if self._store is None:
            return
        try:
            if account_id is not None:
                stored = await self._store.read()
                if stored is None or stored.account_id != account_id:
                    return
            await self._store.delete()
        except TokenStoreError as error:
            self.notice = error.message

    def _on_unusable(self, error: TokenStoreError) -> None:
        self.owned = False
        self.notice = error.message
