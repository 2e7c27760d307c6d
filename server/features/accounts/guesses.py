"""Limits on guessing passwords."""

import hashlib
import math
from collections.abc import Awaitable, Callable

from server.core.errors import too_many
from server.core.limits import GrowingDelay

LONGEST_SECONDS = 300.0
"""Between two attempts from one address: 288 guesses a day."""
LONGEST_OF_STRANGERS_SECONDS = 60.0
"""Between two attempts from all unknown addresses together: it only delays an owner who logs in
from a new address."""


class Guesses:
    """Counts wrong passwords by account and address, and by account for all strangers together.

    The first `free` and `free_of_strangers` cause no wait; 0 is no limit. A stranger is an address
    that the account has not logged in from lately. Accounts that do not exist are counted too.
    """

    def __init__(self, free: int, free_of_strangers: int) -> None:
        self._by_address = GrowingDelay(free, LONGEST_SECONDS)
        self._strangers = GrowingDelay(free_of_strangers, LONGEST_OF_STRANGERS_SECONDS)
        self.shared = {"guesses": self._by_address, "strangers' guesses": self._strangers}
        """What holds for all processes together."""

    async def check(
        self, account: str, address: str, known: bool, verify: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Whether `verify` finds the password right. Raises Problem 429 while it has to wait."""
        here, everywhere = _key(account, address), _key(account)
        wait = max(
            self._by_address.seconds_left(here),
            0 if known else self._strangers.seconds_left(everywhere),
        )
        if wait:
            raise too_many(
                "Too many wrong passwords for this account."
                f" Try again in {math.ceil(wait)} s, each further one takes longer.",
                wait,
            )
        self._by_address.begin_attempt(here)
        if not known:
            self._strangers.begin_attempt(everywhere)
        right = None
        try:
            right = await verify()
        finally:
            if right is not False:  # right, or it failed: then nobody has learnt anything
                self._by_address.undo_attempt(here)
                if not known:
                    self._strangers.undo_attempt(everywhere)
        if right:
            self._by_address.reset(here)
        return right


def _key(*parts: str) -> str:
    """Of one length, however long the e-mail is."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
