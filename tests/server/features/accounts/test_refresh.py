"""Refresh tokens: valid for one exchange, and what happens after another."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from server.core.clock import from_text, now, to_text
from server.core.database import Database
from server.features.accounts.refresh_token import digest_of, new_token, session_of
from server.features.accounts.service import drop_expired
from support.accounts import PASSWORD, Revoked, Sql, kitchen_stream, reads_to_the_end
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Answer, Rest
from support.server_process import JWT_SECRET
from support.tokens import claims_of, signed


async def refresh(who: Rest, token: str | None = None, key: str | None = None) -> Answer:
    headers = {"Idempotency-Key": key} if key else None
    grant = {"refresh_token": token or who.grant["refresh_token"]}
    return await who.another().post("/auth/refresh", grant, headers=headers)


async def let_pass(sql: Sql, seconds: int) -> None:
    """Move every exchange that many seconds into the past."""
    for row in await sql("SELECT digest, spent_at FROM refresh_tokens WHERE spent_at IS NOT NULL"):
        await sql(
            "UPDATE refresh_tokens SET spent_at = :at WHERE digest = :digest",
            at=to_text(from_text(row["spent_at"]) - timedelta(seconds=seconds)),
            digest=row["digest"],
        )


async def test_an_exchange_renews_the_session(ada: Rest) -> None:
    answer = (await refresh(ada)).must(200)
    assert answer.headers["Cache-Control"] == "no-store"
    session = answer.json
    assert session.keys() == ada.grant.keys()
    assert session["account"] == ada.grant["account"]
    assert session["refresh_token"].startswith("rt_")
    assert session["refresh_token"] != ada.grant["refresh_token"]
    sid = claims_of(session["access_token"])["sid"]
    assert sid == claims_of(ada.grant["access_token"])["sid"]
    (await ada.get("/me")).must(200)  # the old access token stays valid as long as it said
    token = session["refresh_token"]
    for _ in range(3):
        token = (await refresh(ada, token)).must(200).json["refresh_token"]


@pytest.mark.parametrize("token", ["rt_unknown", "x", "rt_" + "A" * 43, "rt_\0", "ÿ" * 512])
async def test_an_unknown_token_is_401(nobody: Rest, revoked: Revoked, token: str) -> None:
    answer = (await refresh(nobody, token)).must(401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json["type"] == "urn:tiffin:problem:refresh-token"
    assert await revoked() == []


async def test_an_access_token_is_no_refresh_token(ada: Rest) -> None:
    (await refresh(ada, ada.grant["access_token"])).must(401)
    ada.token = ada.grant["refresh_token"]
    (await ada.get("/me")).must(401)


async def test_reuse_ends_the_session_and_its_streams(eve: Rest, revoked: Revoked) -> None:
    other = await eve.another().log_in("eve@example.org", PASSWORD)
    renewed = (await refresh(eve)).must(200).json
    async with kitchen_stream(eve) as stream, kitchen_stream(other) as untouched:
        answer = (await refresh(eve)).must(401)
        assert answer.json["type"] == "urn:tiffin:problem:refresh-token-reused"
        await reads_to_the_end(stream)
        with pytest.raises(TimeoutError):
            await reads_to_the_end(untouched, seconds=0.3)
    assert await revoked() == [claims_of(eve.grant["access_token"])["sid"]]
    (await refresh(eve, renewed["refresh_token"])).must(401)
    eve.token = renewed["access_token"]
    (await eve.get("/me")).must(401)
    (await other.get("/me")).must(200)


async def test_reuse_of_an_old_token_ends_the_session_too(ada: Rest, revoked: Revoked) -> None:
    token = ada.grant["refresh_token"]
    for _ in range(4):
        token = (await refresh(ada, token)).must(200).json["refresh_token"]
    (await refresh(ada)).must(401)
    (await refresh(ada, token)).must(401)
    assert len(await revoked()) == 1


async def test_fifty_simultaneous_refreshes_without_a_key_end_the_session(
    ada: Rest, revoked: Revoked
) -> None:
    answers = await asyncio.gather(*(refresh(ada) for _ in range(50)))
    [good] = [answer for answer in answers if answer.status == 200]
    assert sorted(answer.status for answer in answers) == [200] + [401] * 49
    (await refresh(ada, good.json["refresh_token"])).must(401)
    assert len(await revoked()) == 1


async def test_fifty_simultaneous_refreshes_with_one_key_are_one(
    ada: Rest, revoked: Revoked, sql: Sql
) -> None:
    answers = await asyncio.gather(*(refresh(ada, key="one") for _ in range(50)))
    [token] = {answer.must(200).json["refresh_token"] for answer in answers}
    (await refresh(ada, token)).must(200)
    assert await revoked() == []
    assert len(await sql("SELECT * FROM refresh_tokens")) == 3


async def test_a_refresh_may_be_repeated_after_a_lost_answer(ada: Rest, sql: Sql) -> None:
    first = (await refresh(ada, key="k" * 255)).must(200).json
    await let_pass(sql, 57)
    again = (await refresh(ada, key="k" * 255)).must(200).json
    assert again["refresh_token"] == first["refresh_token"]
    assert again["account"] == first["account"]
    ada.token = again["access_token"]
    (await ada.get("/me")).must(200)


async def test_a_refresh_is_not_repeated_after_a_minute(
    ada: Rest, sql: Sql, revoked: Revoked
) -> None:
    (await refresh(ada, key="one")).must(200)
    await let_pass(sql, 61)
    (await refresh(ada, key="one")).must(401)
    assert len(await revoked()) == 1


async def test_a_refresh_is_not_repeated_once_its_token_was_used(
    ada: Rest, revoked: Revoked
) -> None:
    first = (await refresh(ada, key="one")).must(200).json
    (await refresh(ada, first["refresh_token"], key="two")).must(200)
    (await refresh(ada, key="one")).must(401)
    assert len(await revoked()) == 1


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("one", None), (None, "one")])
async def test_another_key_is_reuse(
    ada: Rest, revoked: Revoked, first: str | None, second: str | None
) -> None:
    (await refresh(ada, key=first)).must(200)
    (await refresh(ada, key=second)).must(401)
    assert len(await revoked()) == 1


async def test_one_key_and_two_tokens_are_two_exchanges(ada: Rest) -> None:
    other = await ada.another().log_in("ada@example.org", PASSWORD)
    answers = [(await refresh(who, key="one")).must(200).json for who in (ada, other)]
    assert len({answer["refresh_token"] for answer in answers}) == 2


async def test_an_expired_token_is_401_and_no_theft(ada: Rest, sql: Sql, revoked: Revoked) -> None:
    await sql("UPDATE refresh_tokens SET expires_at = :at", at=to_text(now()))
    assert (await refresh(ada)).must(401).json["type"] == "urn:tiffin:problem:refresh-token"
    assert await revoked() == []


async def test_expired_sessions_and_tokens_are_deleted(
    ada: Rest, sql: Sql, database: Database
) -> None:
    other = await ada.another().log_in("ada@example.org", PASSWORD)
    (await refresh(other)).must(200)
    assert await database.write(lambda tx: drop_expired(tx, now())) == 0
    sid = claims_of(other.grant["access_token"])["sid"]
    past = "2020-01-01T00:00:00.000Z"
    await sql("UPDATE sessions SET expires_at = :past WHERE id = :sid", past=past, sid=sid)
    await sql(
        "UPDATE refresh_tokens SET expires_at = :past WHERE session_id = :sid", past=past, sid=sid
    )
    assert await database.write(lambda tx: drop_expired(tx, now())) == 3
    (await refresh(ada)).must(200)
    (await refresh(other)).must(401)


async def test_reuse_is_logged_without_a_token(ada: Rest, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        (await refresh(ada)).must(200)
        (await refresh(ada)).must(401)
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "a spent refresh token was used again" in said
    assert ada.grant["account"]["id"] in said
    assert ada.grant["refresh_token"] not in said
    assert PASSWORD not in said


async def test_a_spent_token_is_recognised_after_it_was_deleted(
    ada: Rest, sql: Sql, revoked: Revoked
) -> None:
    """What is stored of a session does not grow with its age."""
    first, token = ada.grant["refresh_token"], ada.grant["refresh_token"]
    for _ in range(4):
        token = (await refresh(ada, token)).must(200).json["refresh_token"]
    later = to_text(now() + timedelta(minutes=5))
    await sql("DELETE FROM refresh_tokens WHERE expires_at < :later", later=later)
    assert len(await sql("SELECT * FROM refresh_tokens")) == 1
    # A token that somebody makes up for the session does not belong to it.
    sid = claims_of(ada.grant["access_token"])["sid"]
    assert session_of(token, JWT_SECRET) == sid
    (await refresh(ada, new_token(sid, "another secret"))).must(401)
    token = (await refresh(ada, token)).must(200).json["refresh_token"]
    answer = (await refresh(ada, first)).must(401)
    assert answer.json["type"] == "urn:tiffin:problem:refresh-token-reused"
    assert await revoked() == [sid]
    (await refresh(ada, token)).must(401)
    again = await ada.another().log_in("ada@example.org", PASSWORD)
    old = again.grant["refresh_token"]
    (await refresh(again)).must(200)
    await sql("DELETE FROM refresh_tokens WHERE spent_at IS NOT NULL")
    (await again.post("/auth/logout", {"refresh_token": old})).must(204)
    (await again.get("/me")).must(401)


async def test_an_unsigned_older_token_is_still_valid(
    ada: Rest, sql: Sql, revoked: Revoked
) -> None:
    await sql("UPDATE refresh_tokens SET digest = :digest", digest=digest_of("rt_unsigned"))
    renewed = (await refresh(ada, "rt_unsigned", key="one")).must(200).json
    assert (await refresh(ada, "rt_unsigned", key="one")).must(200).json["refresh_token"] == (
        renewed["refresh_token"]
    )
    token = (await refresh(ada, renewed["refresh_token"])).must(200).json["refresh_token"]
    (await refresh(ada, "rt_unsigned")).must(401)
    (await refresh(ada, token)).must(401)
    assert len(await revoked()) == 1


OLD, NEW = "the secret of last year, which is long", "the secret of this year, which is long"


async def test_the_key_can_be_changed_without_logging_anybody_out(data_dir: Path) -> None:
    """First every process accepts both, then they sign with the new one, then the old one goes."""

    def server(secret: str, previous: str) -> AbstractAsyncContextManager[LiveServer]:
        return running_server(
            settings_for(data_dir, jwt_secret=secret, jwt_secret_previous=previous)
        )

    async with server(OLD, "") as running, Rest(running.url) as nobody:
        ada = await nobody.another().register("ada@example.org", PASSWORD)
        ben = await nobody.another().register("ben@example.org", PASSWORD)
        sent = (await refresh(ada, key="sent-before-and-again-after")).must(200).json
        without_kid = signed(claims_of(ben.grant["access_token"]), OLD)
    tokens = [sent["access_token"], ben.grant["access_token"], without_kid]
    async with server(NEW, OLD) as running, Rest(running.url) as nobody:
        caller = nobody.another()
        for token in tokens:
            caller.token = token
            (await caller.get("/me")).must(200)
        again = await refresh(caller, ada.grant["refresh_token"], "sent-before-and-again-after")
        assert again.must(200).json["refresh_token"] == sent["refresh_token"]
        renewed = (await refresh(caller, sent["refresh_token"], "second")).must(200).json
        assert jwt.get_unverified_header(renewed["access_token"]) != jwt.get_unverified_header(
            sent["access_token"]
        )
        tokens.append(renewed["access_token"])
    async with server(OLD, NEW) as running, Rest(running.url) as nobody:
        # A process that has not been restarted yet, or that is set back.
        caller = nobody.another()
        for token in tokens:
            caller.token = token
            (await caller.get("/me")).must(200)
        again = await refresh(caller, sent["refresh_token"], "second")
        assert again.must(200).json["refresh_token"] == renewed["refresh_token"]
    async with server(NEW, "") as running, Rest(running.url) as nobody:
        caller = nobody.another()
        for token, status in zip(tokens, (401, 401, 401, 200), strict=True):
            caller.token = token
            (await caller.get("/me")).must(status)
        for grant in (renewed, ben.grant):
            (await refresh(caller, grant["refresh_token"])).must(200)
        (await refresh(caller, ben.grant["refresh_token"])).must(401)
