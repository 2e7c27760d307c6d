"""Passwords: Argon2id in a few threads of its own."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.core.errors import unavailable

ResultT = TypeVar("ResultT")

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
AT_ONCE = 2
"""Hashes computed at a time: each takes 19 MiB and some 30 ms of a core."""
WAITING = 500
"""Hashes that may wait for their turn: a few seconds' worth."""


class Passwords:
    """Hashes and verifies. Every method raises Problem 503 where too many wait already."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._waiting = 0
        self._decoy = _decoy()

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What to store of it, with its parameters and a salt of its own."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the hashed one.

        None, where there is no account, is false after just as long: the time tells nothing.
        """
        right = await self._run(lambda: self._matches(hashed or self._decoy, password))
        return right and hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        if self._waiting >= AT_ONCE + WAITING:
            raise unavailable("Too many people are logging in at this moment. Try again.", 3)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _decoy() -> str:
    """A hash with today's parameters that no password is known for."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32)
    )
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${digest}"
