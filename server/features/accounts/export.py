"""An account's own data as one JSON document, written while it is read."""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from server.core import audit
from server.core.auth import Identity
from server.core.clock import now, to_text
from server.core.database import Database
from server.core.errors import too_many
from server.core.limits import RateLimit
from server.core.pages import every_page
from server.core.queries import Row
from server.features.accounts.service import AccountService, Section

PAGE = 200
"""Entries that are in memory at a time."""


class AccountExport:
    """What is stored of an account."""

    def __init__(self, database: Database, accounts: AccountService, per_hour: int) -> None:
        self._database = database
        self._accounts = accounts
        self.limit = RateLimit(per_hour, "exports of this account", 3600)
        self._running: set[str] = set()

    @contextmanager
    def running(self, who: Identity) -> Iterator[None]:
        """Wraps an export. Raises Problem 429 where the account has one under way, or too many."""
        if who.limit_key in self._running:
            raise too_many("An export of this account is under way. Wait until it has ended.", 5)
        self.limit.consume(who.limit_key)
        self._running.add(who.limit_key)
        try:
            yield
        finally:
            self._running.discard(who.limit_key)

    async def parts(self, who: Identity) -> AsyncGenerator[str]:
        """The document, a page at a time. Raises Problem 401, 503."""
        account = await self._accounts.me(who)
        yield f'{{"exported_at":"{to_text(now())}","account":{account.model_dump_json()}'
        own: dict[str, Section] = {"sessions": self._sessions, "audit": self._audit}
        for name, section in (own | self._accounts.exports).items():
            yield f',"{name}":['
            mark = ""
            async with aclosing(section(who)) as pages:
                async for page in pages:
                    if page:
                        yield mark + ",".join(page)
                        mark = ","
            yield "]"
        yield "}"

    def _sessions(self, who: Identity) -> AsyncGenerator[Sequence[str]]:
        async def fetch(before: str | None) -> tuple[Sequence[str], str | None]:
            page = await self._accounts.sessions.listed(who, before, PAGE)
            return [one.model_dump_json() for one in page.items], page.next

        return every_page(fetch)

    async def _audit(self, who: Identity) -> AsyncGenerator[Sequence[str]]:
        """The entries about the account; of one that many people share, none."""
        if who.shared:
            return
        async with aclosing(audit.entries(self._database, account_id=who.account_id)) as pages:
            async for page in pages:
                yield [_entry(row, who) for row in page]


def _entry(row: Row, who: Identity) -> str:
    members = {
        "at": row["at"],
        "action": row["action"],
        "by": _shown(row["actor"], who),
        "address": row["address"],
        "details": json.loads(row["details"] or "{}"),
    }
    return json.dumps(members)


def _shown(actor: str | None, who: Identity) -> str | None:
    """`account`, `operator`, or None where it is not known who did it."""
    if actor == who.account_id:
        return "account"
    return actor.partition(":")[0] if actor else None
