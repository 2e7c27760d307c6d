"""A clock that is set back or jumps ahead: the newest stays first, and nothing is deleted early."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core import retention
from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.leases import Lease
from server.core.retention import Retention
from support.cast import Cast, cast_of
from support.live_server import running_server, settings_for
from support.town import database_in
from support.uploads import sent
from support.waiting import wait_until

AHEAD = "2099-01-01T00:00:00.000Z"


async def run(database: Database, *statements: str, **parameters: Any) -> None:
    """These statements, in one transaction."""

    async def fn(tx: Transaction) -> None:
        for statement in statements:
            named = {name: value for name, value in parameters.items() if f":{name}" in statement}
            await tx.execute(statement, named)

    await database.write(fn)


async def test_the_newest_order_is_first(data_dir: Path) -> None:
    settings = settings_for(data_dir, photo_workers=0, max_orders_per_day=2, max_chats_per_day=2)
    async with running_server(settings) as server, cast_of(server) as cast:

        async def twice() -> dict[str, list[str]]:
            """One of each, the clock set back, then another; in the order they were made."""
            made: dict[str, list[str]] = {name: [] for name in MAKE}
            async with database_in(data_dir) as database:
                for _ in range(2):
                    for name, make in MAKE.items():
                        made[name].append(await make(cast))
                    await run(database, *PUT_BACK, ahead=AHEAD)
            return made

        made = await twice()
        for name, (first, second) in made.items():
            page = (await reader(cast, name).get(f"/{name}?limit=1")).must(200).json
            assert [one["id"] for one in page["items"]] == [second], name
            page = (await reader(cast, name).get(f"/{name}?before={page['next']}")).must(200).json
            assert [one["id"] for one in page["items"]] == [first], name
        for caller in (cast.employee, cast.customer):
            listed = (await caller.get("/orders")).json["items"]
            assert [one["id"] for one in listed] == made["orders"][::-1]

        order = await cast.step(made["orders"][0], "accepted")
        times = [step["at"] for step in order["timeline"]]  # type: ignore[attr-defined]
        assert times == [AHEAD, AHEAD]
        assert str(order["eta"]) < "2098", "it is told by the clock as it is"
        # what was placed in the future was not placed today
        await cast.order()
        (await cast.customer.post("/chats", {"subject": "Once more"})).must(201)


PUT_BACK = (
    "UPDATE orders SET placed_at = :ahead, timeline = json_set(timeline, '$[0].at', :ahead)",
    "UPDATE chats SET opened_at = :ahead",
    "UPDATE announcements SET published_at = :ahead",
    "UPDATE uploads SET created_at = :ahead",
)
"""Everything there is comes from before the clock was set back."""


async def _order(cast: Cast) -> str:
    return str((await cast.order())["id"])


async def _chat(cast: Cast) -> str:
    return str((await cast.customer.post("/chats", {"subject": "Help"})).must(201).json["id"])


async def _announcement(cast: Cast) -> str:
    new = {"title": "News", "body": "None.", "severity": "info", "audience": "everyone"}
    return str((await cast.employee.post("/announcements", new)).must(201).json["id"])


async def _upload(cast: Cast) -> str:
    return await sent(cast.customer)


MAKE = {"orders": _order, "chats": _chat, "announcements": _announcement, "uploads": _upload}


def reader(cast: Cast, name: str) -> Any:
    return cast.employee if name in ("announcements", "chats") else cast.customer


async def test_a_start_with_the_clock_ahead_deletes_nothing(data_dir: Path) -> None:
    """Its data is put back by 60 days, which looks the same to a server."""
    settings = settings_for(data_dir)
    async with running_server(settings) as server, cast_of(server) as cast:
        await cast.order()
    then = to_text(now() - timedelta(days=60))
    expired = to_text(now() - timedelta(days=30))
    key = {"account_id": "acc", "route": "POST /orders", "key": "k", "digest": "d", "body": "{}"}
    tables = ("events", "sessions", "refresh_tokens", "idempotency", "sign_in_addresses")
    async with database_in(data_dir) as database:
        await run(
            database,
            "UPDATE events SET at = :then",
            "UPDATE topics SET oldest = :then",
            "UPDATE sessions SET expires_at = :expired",
            "UPDATE refresh_tokens SET expires_at = :expired",
            "UPDATE sign_in_addresses SET seen_at = :then",
            "INSERT INTO idempotency VALUES (:account_id, :route, :key, :digest, 201, :body,"
            " :expired)",
            "UPDATE meta SET value = :then WHERE name = 'retention_time'",
            then=then,
            expired=expired,
            **key,
        )

        async def counted() -> dict[str, int]:
            async def fn(tx: Transaction) -> dict[str, int]:
                found = {}
                for table in tables:
                    sql = f"SELECT COUNT(*) AS many FROM {table}"
                    found[table] = (await tx.fetch(sql, {}))[0]["many"]
                return found

            return await database.read(fn)

        async def reached() -> str:
            sql = "SELECT value FROM meta WHERE name = 'retention_time'"
            rows = await database.read(lambda tx: tx.fetch(sql, {}))
            return str(rows[0]["value"])

        async def cleaned() -> bool:
            return await reached() != then

        before = await counted()
        assert all(before.values()), before
        async with running_server(settings):
            await wait_until(cleaned, what="the first cleaning")
            assert await counted() == before
        await run(
            database,
            "UPDATE meta SET value = :at WHERE name = 'retention_time'",
            at=to_text(now()),
        )
        async with running_server(settings):

            async def gone() -> bool:
                found = await counted()
                return not any(found[table] for table in tables if table != "sign_in_addresses")

            await wait_until(gone, what="what is old indeed is forgotten")


async def test_retention_follows_the_clock_and_never_leaps(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, passed = now(), 0.0
    monkeypatch.setattr(retention, "now", lambda: moment)
    monkeypatch.setattr(retention.time, "monotonic", lambda: passed)
    begun, hour = moment, timedelta(hours=1)
    async with database_in(data_dir) as database:
        kept = Retention(database, Lease(database, "upkeep", 60))
        await kept.open()
        assert kept.now() == moment
        moment = begun + timedelta(minutes=50)
        assert kept.now() == moment, "as much is made up for at once"
        moment = begun + timedelta(days=60)
        assert kept.now() == begun + hour
        assert kept.now() == begun + hour, "asking often is no way ahead"
        passed = 3600.0
        assert kept.now() == begun + 7 * hour
        await kept.save()
        await kept.close()
        again = Retention(database, Lease(database, "upkeep", 60))
        await again.open()
        assert again.now() == begun + 7 * hour, "nor is a restart"
        moment = begun + 2 * hour
        assert again.now() == moment, "nothing is older than the clock says"
        moment = begun - timedelta(days=9000)
        assert again.now() == moment
        passed += 3600.0
        assert again.now() == moment
        moment = begun + timedelta(hours=3)
        passed += 3600.0
        assert again.now() == moment, "a battery that was empty is made up for soon"
        await again.close()
