"""Sessions as their account sees them: listed, ended one by one or together, limited in time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from server.core.clock import from_text, now, to_text
from server.core.databases import migrate
from server.core.migrate import migrations
from support.accounts import PASSWORD, Revoked, Sql, kitchen_stream, reads_to_the_end
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.room import open_chat, room
from support.tokens import claims_of


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[LiveServer]:
    """Sessions last ten days at most; a proxy on the loopback says who asks."""
    settings = settings_for(data_dir, session_days=10, trusted_proxies="127.0.0.1")
    async with running_server(settings) as running:
        yield running


def sid(who: Rest) -> str:
    found: str = claims_of(who.grant["access_token"])["sid"]
    return found


async def listed(who: Rest, **params: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while True:
        page = (await who.get("/me/sessions", params=params)).must(200).json
        found += page["items"]
        if page["next"] is None:
            return found
        params["before"] = page["next"]


async def log_in(nobody: Rest, email: str, address: str, agent: str) -> Rest:
    headers = {"X-Forwarded-For": address, "User-Agent": agent}
    body = {"email": email, "password": PASSWORD}
    found = nobody.another()
    found.grant = (await found.post("/auth/login", body, headers=headers)).must(200).json
    found.token = found.grant["access_token"]
    return found


async def refresh(who: Rest, **headers: str) -> None:
    grant = {"refresh_token": who.grant["refresh_token"]}
    who.grant = (await who.post("/auth/refresh", grant, headers=headers)).must(200).json
    who.token = who.grant["access_token"]


async def test_sessions_are_listed_with_where_and_by_what(ada: Rest, eve: Rest) -> None:
    agent = "  A\tbrowser \x9b31m\u202e of " + "x" * 400
    other = await log_in(ada, "ada@example.org", "2001:db8::7", agent)
    first, second = await listed(ada, limit="1")
    assert first.keys() == {"id", "created_at", "last_used_at", "address", "client", "current"}
    assert (first["id"], first["current"]) == (sid(other), False)
    assert (second["id"], second["current"]) == (sid(ada), True)
    assert first["address"] == "2001:db8::7"
    assert str(first["client"]).startswith("A browser 31m of xxx")
    assert len(str(first["client"])) == 200
    assert second["address"] == "127.0.0.1"
    assert first["created_at"] == first["last_used_at"]
    # A refresh is a use, from wherever it comes now; other requests write nothing.
    await refresh(ada, **{"X-Forwarded-For": "192.0.2.9", "User-Agent": "tiffin"})
    used = await listed(ada)
    assert [one["id"] for one in used] == [sid(ada), sid(other)]
    assert (used[0]["address"], used[0]["client"]) == ("192.0.2.9", "tiffin")
    assert used[0]["last_used_at"] >= second["last_used_at"]  # type: ignore[operator]
    assert used[0]["created_at"] == second["created_at"]
    assert await listed(ada) == used
    assert [one["id"] for one in await listed(eve)] == [sid(eve)]


async def test_an_ended_session_ends_with_its_streams_and_sockets(
    ada: Rest, eve: Rest, revoked: Revoked
) -> None:
    chat = await open_chat(ada)
    other = await eve.another().log_in("eve@example.org", PASSWORD)
    async with (
        kitchen_stream(other) as ended,
        kitchen_stream(eve) as kept,
        room(other, chat) as socket,
    ):
        (await eve.delete(f"/me/sessions/{sid(other)}")).must(204)
        await reads_to_the_end(ended)
        assert (await socket.closed()).code == 4401
        with pytest.raises(TimeoutError):
            await reads_to_the_end(kept, seconds=0.3)
    (await other.get("/me")).must(401)
    (await other.post("/auth/refresh", {"refresh_token": other.grant["refresh_token"]})).must(401)
    assert await revoked() == [sid(other)]
    (await eve.delete(f"/me/sessions/{sid(other)}")).must(404)
    (await eve.delete(f"/me/sessions/{sid(ada)}")).must(404)  # not hers
    (await ada.get("/me")).must(200)
    (await eve.delete(f"/me/sessions/{sid(eve)}")).must(204)
    (await eve.get("/me")).must(401)


async def test_all_other_sessions_are_ended_together(ada: Rest, eve: Rest) -> None:
    others = [await eve.another().log_in("eve@example.org", PASSWORD) for _ in range(3)]
    async with kitchen_stream(others[0]) as one, kitchen_stream(others[1]) as two:
        (await eve.delete("/me/sessions")).must(204)
        await asyncio.gather(reads_to_the_end(one), reads_to_the_end(two))
    assert [one["id"] for one in await listed(eve)] == [sid(eve)]
    for other in others:
        (await other.get("/me")).must(401)
    (await eve.delete("/me/sessions")).must(204)
    (await ada.get("/me")).must(200)


async def test_who_shares_a_demos_account_sees_and_ends_only_their_own(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir, demo=True)) as demo, Rest(demo.url) as nobody:
        mine, theirs = [await nobody.another().demo("customer") for _ in range(2)]
        assert [one["id"] for one in await listed(mine)] == [sid(mine)]
        (await mine.delete(f"/me/sessions/{sid(theirs)}")).must(404)
        (await mine.delete("/me/sessions")).must(204)
        (await theirs.get("/me")).must(200)
        (await mine.delete("/me", {"password": ""})).must(422)
        (await mine.delete(f"/me/sessions/{sid(mine)}")).must(204)
        (await mine.get("/me")).must(401)


async def test_a_session_ends_however_often_it_is_refreshed(ada: Rest, sql: Sql) -> None:
    moment = now()
    begun = to_text(moment - timedelta(days=10) + timedelta(minutes=5))
    await sql("UPDATE sessions SET created_at = :begun", begun=begun)
    await refresh(ada)
    # Neither tokens nor streams outlive it.
    assert 240 <= ada.grant["expires_in"] <= 300
    for where in ("sessions", "refresh_tokens WHERE spent_at IS NULL"):
        [row] = await sql(f"SELECT expires_at FROM {where}")
        assert from_text(row["expires_at"]) == from_text(begun) + timedelta(days=10)
    await sql("UPDATE sessions SET created_at = :begun", begun=to_text(moment - timedelta(days=11)))
    grant = {"refresh_token": ada.grant["refresh_token"]}
    answer = (await ada.post("/auth/refresh", grant)).must(401)
    assert answer.json["type"] == "urn:tiffin:problem:refresh-token"
    # The clock may have jumped ahead, until somebody corrects it.
    await sql("UPDATE sessions SET created_at = :begun", begun=begun)
    await refresh(ada)


async def test_an_older_session_is_migrated_with_its_last_refresh(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data_dir / "tiffin.sqlite3"
    older = [one for one in migrations() if one[0] < 15]
    monkeypatch.setattr("server.core.migrate.migrations", lambda: older)
    await migrate(path)
    monkeypatch.undo()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("""
            INSERT INTO accounts (id, email, password_hash, role, name, created_at)
                VALUES ('acc', 'a@example.org', '', 'customer', 'Ada', '2026-01-01T00:00:00.000Z');
            INSERT INTO sessions (id, account_id, created_at, expires_at)
                VALUES ('one', 'acc', '2026-01-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z'),
                       ('two', 'acc', '2026-01-02T00:00:00.000Z', '2026-03-02T00:00:00.000Z');
            INSERT INTO refresh_tokens (digest, session_id, expires_at, spent_at)
                VALUES ('x', 'one', '2026-03-01T00:00:00.000Z', '2026-01-30T00:00:00.000Z'),
                       ('y', 'one', '2026-03-01T00:00:00.000Z', NULL);
        """)
    await migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT id, last_used_at, address, client FROM sessions ORDER BY id"
        ).fetchall()
    assert rows == [
        ("one", "2026-01-30T00:00:00.000Z", None, None),
        ("two", "2026-01-02T00:00:00.000Z", None, None),
    ]
