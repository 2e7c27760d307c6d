"""Limits on guessing passwords, and what the audit table records of refused log-ins."""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable

from server.core import audit
from server.core.audit import Action, AuditActor
from server.core.database import Database
from server.core.errors import Problem, too_many
from server.core.lifecycle import SupervisedTask
from server.core.limits import GrowingDelay
from server.core.logging import log_failure

logger = logging.getLogger(__name__)

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
                "wrong-passwords",
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


class RefusedLogIns:
    """Records refused log-ins in the audit table, so many one by one `per_minute`; 0 is no limit.

    How many more there were in a minute, those that a limit refused included, is one entry at its
    end: a flood of guesses does not fill the database.
    """

    def __init__(self, database: Database, per_minute: int) -> None:
        self.tasks = (SupervisedTask("refused log-ins", self._run),)
        self._database = database
        self._per_minute = per_minute
        self._recorded = 0
        self._more = 0

    async def record(self, account_id: str | None, by: AuditActor) -> None:
        """A wrong password for that account, or None: no account has the e-mail.

        What was typed in its place is not recorded: it may be somebody else's, or a password.
        """
        if self._per_minute and self._recorded >= self._per_minute:
            self.count()
            return
        self._recorded += 1
        await self._add(account_id, by)

    def count(self) -> None:
        """One that gets no entry of its own."""
        self._more += 1

    async def flush(self) -> None:
        """Record how many had no entry of their own, and begin to count again."""
        more, self._more, self._recorded = self._more, 0, 0
        if more:
            await self._add(None, AuditActor(None), number=more)

    async def _add(self, account_id: str | None, by: AuditActor, **details: object) -> None:
        """The log-in is refused in any case, also while nothing can be stored."""
        try:
            await self._database.write(
                lambda tx: audit.record(tx, Action.LOGIN_REFUSED, account_id, by, **details)
            )
        except Problem as problem:
            log_failure(logger, problem, "a refused log-in was not recorded")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(60)
            await self.flush()
