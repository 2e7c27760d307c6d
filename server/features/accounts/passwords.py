"""Passwords: which may be chosen, and Argon2id hashing in threads."""

import asyncio
import base64
import os
import re
import secrets
import string
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.core.errors import invalid, unavailable
from server.core.limits import FairQueue
from server.features.accounts.schemas import normal

ResultT = TypeVar("ResultT")

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
AT_ONCE = max(1, len(os.sched_getaffinity(0)) - 1) if hasattr(os, "sched_getaffinity") else 1
"""Hashes computed at a time: each takes 19 MiB and about 30 ms of a core. Where there are several
cores, one is left for everything else."""
NICENESS = 10
"""Of the threads that hash: the event loop's thread has priority where they share a core."""
WAITING = 500
"""Hashes that may wait, which takes a few seconds."""
PRODUCT = "tiffin"
DECORATION = 6
"""So many digits and signs do not make a good password of a common word."""


def fault_of(password: str, email: str) -> str | None:
    """Why an account of that e-mail must not choose this password; None where it may.

    Refused are the e-mail, its local part, the product's name and common passwords, in any case,
    also with a few digits and signs.
    """
    whole = _letters_and_digits(password)
    if len(set(password.casefold())) < 3:
        return "This password is too simple. Use several words that do not belong together."
    core = whole.strip(string.digits)
    forms = {whole} if len(password) - len(core) > DECORATION else {whole, core}
    own = {_letters_and_digits(email), _letters_and_digits(email.rpartition("@")[0]), PRODUCT}
    own |= {word.strip(string.digits) for word in own}
    if forms & (own - {""}):
        return (
            "This password is your e-mail or the name of this service, which are tried first."
            " Use several words that do not belong together."
        )
    if forms & _common():
        return (
            "This password is one of the most used, which are tried first."
            " Use several words that do not belong together."
        )
    return None


def check_password(loc: Sequence[str], password: str, email: str) -> None:
    """Raises Problem 422 for a password that must not be chosen."""
    if fault := fault_of(password, email):
        raise invalid(loc, fault, "weak-password")


def _letters_and_digits(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


@cache
def _common() -> frozenset[str]:
    text = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(_letters_and_digits(word) for line in lines for word in line.split())


class Passwords:
    """Hashes and verifies, for one `key` after the other: one that logs in a hundred times at once
    delays others by one hash. Every method raises Problem 503 where too many wait already.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(
            AT_ONCE, thread_name_prefix="password", initializer=_lower_priority
        )
        self._free = AT_ONCE
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()
        self._waiting = 0
        self._decoy = _decoy()

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, key: str = "") -> str:
        """The hash to store, with its parameters and its own salt."""
        return await self._run(key, lambda: self._hasher.hash(normal(password)))

    async def verify(self, hashed: str | None, password: str, key: str = "") -> bool:
        """Whether it is the hashed one.

        Without a hash, as there is no account, it is False after the same time, which so reveals
        nothing.
        """
        right = await self._run(key, lambda: self._matches(hashed or self._decoy, password))
        return right and hashed is not None

    async def renewed(self, hashed: str, password: str, key: str = "") -> str | None:
        """A new hash of a password that is right; None where the stored one has today's parameters
        and is of the normal form.
        """
        if not self._hasher.check_needs_rehash(hashed):
            given = normal(password)
            if given == password or await self._run(key, lambda: self._equals(hashed, given)):
                return None
        return await self.hash(password, key)

    def _matches(self, hashed: str, password: str) -> bool:
        """Before passwords were normalised they were hashed as they were typed."""
        forms = dict.fromkeys((normal(password), password))
        return any(self._equals(hashed, form) for form in forms)

    def _equals(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, key: str, work: Callable[[], ResultT]) -> ResultT:
        if self._waiting >= AT_ONCE + WAITING:
            raise unavailable("Too many people are logging in at this moment. Try again.", 3)
        self._waiting += 1
        try:
            await self._turn(key)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            finally:
                self._end_turn()
        finally:
            self._waiting -= 1

    async def _turn(self, key: str) -> None:
        """Wait until a thread is free and it is this key's turn."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(key, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._end_turn()
            raise

    def _end_turn(self) -> None:
        while self._queue:
            turn = self._queue.get()
            if not turn.done():  # else its caller has gone
                turn.set_result(None)
                return
        self._free += 1


def _lower_priority() -> None:
    """Only on Linux do threads have a priority of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _decoy() -> str:
    """A hash with today's parameters, of an unknown password."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32)
    )
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${digest}"
