"""Limits on log-in: by address, by account and address, by account for unknown addresses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import Problem
from server.features.accounts import service
from server.features.accounts.schemas import Session
from server.features.accounts.service import AccountService, drop_expired
from server.features.accounts.sessions import Origin
from support.accounts import PASSWORD, Revoked, Sql
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Answer, Rest

pytestmark = pytest.mark.usefixtures("at_one_moment")

HOME = "198.51.100.1"
ADA = "ada@example.org"


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[LiveServer]:
    """Two wrong passwords are free at an address, and four from unknown addresses at an account; an
    account has three sessions."""
    settings = settings_for(
        data_dir, login_failures=2, login_failures_per_account=4, max_sessions_per_account=3
    )
    async with running_server(settings) as running:
        yield running


def origin(address: str) -> Origin:
    return Origin(address, address, "these tests")


async def register(accounts: AccountService, address: str = HOME) -> Session:
    new = service.Registration(email=ADA, password=PASSWORD, name="Ada")
    return await accounts.register(new, origin(address))


async def status_of(accounts: AccountService, email: str, password: str, address: str) -> int:
    """The result of a log-in: 200, or a problem's status."""
    try:
        await accounts.log_in(email, password, origin(address))
    except Problem as problem:
        return problem.status
    return 200


async def guess(accounts: AccountService, addresses: list[str], email: str = ADA) -> list[int]:
    return [await status_of(accounts, email, "a guess", address) for address in addresses]


def refused(answer: Answer) -> bool:
    """Whether it is a 429 with a `Retry-After`."""
    if answer.status != 429:
        return False
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    return True


async def test_log_ins_are_limited_by_address_whatever_the_account(data_dir: Path) -> None:
    settings = settings_for(data_dir, login_per_minute=3)
    async with running_server(settings) as limited, Rest(limited.url) as client:
        for number in range(3):
            body = {"email": f"{number}@example.org", "password": PASSWORD}
            (await client.post("/auth/login", body)).must(401)
        body = {"email": "another@example.org", "password": PASSWORD}
        assert refused(await client.post("/auth/login", body))
        assert refused(await client.post("/auth/register", body | {"name": "Another"}))


async def test_registrations_are_limited_by_address(data_dir: Path) -> None:
    settings = settings_for(data_dir, registrations_per_hour=2)
    async with running_server(settings) as limited, Rest(limited.url) as client:
        for number in range(2):
            await client.another().register(f"{number}@example.org", PASSWORD)
        body = {"email": "2@example.org", "password": PASSWORD, "name": "Two"}
        assert refused(await client.post("/auth/register", body))
        await client.log_in("0@example.org", PASSWORD)


async def test_an_address_learns_of_few_emails_whether_they_have_an_account(
    data_dir: Path,
) -> None:
    """Once it has learnt of as many as it may, it learns of no other."""
    settings = settings_for(data_dir, registrations_refused_per_hour=2)
    async with running_server(settings) as limited, Rest(limited.url) as client:
        for number in range(4):  # what is refused costs nothing
            await client.another().register(f"{number}@example.org", PASSWORD)
        bodies = [
            {"email": f"{number}@example.org", "password": PASSWORD, "name": "Eve"}
            for number in range(6)
        ]
        for body in bodies[:2]:
            (await client.post("/auth/register", body)).must(409)
        assert refused(await client.post("/auth/register", bodies[2]))
        assert refused(await client.post("/auth/register", bodies[5]))
        await client.log_in("3@example.org", PASSWORD)


async def test_the_delay_grows_only_where_somebody_guesses(
    accounts: AccountService,
) -> None:
    await register(accounts)
    assert await guess(accounts, ["192.0.2.1"] * 4) == [401, 401, 429, 429]
    assert await status_of(accounts, ADA, PASSWORD, "192.0.2.1") == 429
    assert await status_of(accounts, ADA.upper(), PASSWORD, "192.0.2.1") == 429
    assert await status_of(accounts, ADA, PASSWORD, "192.0.2.2") == 200


async def test_guesses_from_many_addresses_do_not_lock_the_owner_out(
    accounts: AccountService, nobody: Rest, sql: Sql
) -> None:
    ada = await nobody.another().register(ADA, PASSWORD)  # from 127.0.0.1
    strangers = [f"192.0.2.{number}" for number in range(8)]
    assert await guess(accounts, strangers) == [401] * 4 + [429] * 4
    assert await status_of(accounts, ADA, PASSWORD, "203.0.113.7") == 429
    await nobody.another().log_in(ADA, PASSWORD)
    # Sessions go on, and may change the password.
    (await ada.get("/me")).must(200)
    (await nobody.post("/auth/refresh", {"refresh_token": ada.grant["refresh_token"]})).must(200)
    change = {"current_password": PASSWORD, "new_password": "a new long password"}
    (await ada.put("/me/password", change)).must(204)
    # After thirty days an address is unknown again.
    await sql("UPDATE sign_in_addresses SET seen_at = '2020-01-01T00:00:00.000Z'")
    assert await status_of(accounts, ADA, "a new long password", "127.0.0.1") == 429


async def test_a_missing_account_cannot_be_told_from_any_other(
    accounts: AccountService,
) -> None:
    await register(accounts)
    addresses = ["192.0.2.1"] * 3 + [f"192.0.2.{number}" for number in range(2, 9)]
    found = {
        email: await guess(accounts, addresses, email)
        for email in (ADA, "nobody@example.org", "no address")
    }
    assert found[ADA] == found["nobody@example.org"] == found["no address"]
    assert found[ADA][:3] == [401, 401, 429]
    assert found[ADA][-1] == 429


async def test_simultaneous_guesses_do_not_avoid_the_delay(
    accounts: AccountService,
) -> None:
    await register(accounts)
    statuses = await asyncio.gather(
        *(status_of(accounts, ADA, "a guess", "192.0.2.1") for _ in range(10))
    )
    assert sorted(statuses) == [401] * 2 + [429] * 8


async def test_a_right_password_resets_the_failures(accounts: AccountService) -> None:
    await register(accounts)
    for _ in range(3):
        assert await guess(accounts, [HOME]) == [401]
        assert await status_of(accounts, ADA, PASSWORD, HOME) == 200
    for number in range(6):  # right ones do not count for unknown addresses either
        assert await status_of(accounts, ADA, PASSWORD, f"192.0.2.{number}") == 200


async def test_an_unverified_password_is_not_counted(
    accounts: AccountService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(accounts)
    monkeypatch.setattr("server.features.accounts.passwords.WAITING", -10)
    assert await guess(accounts, ["192.0.2.1"] * 6) == [503] * 6
    monkeypatch.undo()
    assert await status_of(accounts, ADA, PASSWORD, "192.0.2.1") == 200


async def test_a_few_addresses_are_stored_as_digests_and_deleted_with_the_account(
    accounts: AccountService, sql: Sql, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ADDRESSES", 3)
    session = await register(accounts)
    for number in range(5):
        await accounts.log_in(ADA, PASSWORD, origin(f"192.0.2.{number}"))
    await accounts.log_in(ADA, PASSWORD, origin("192.0.2.4"))
    rows = await sql("SELECT * FROM sign_in_addresses")
    assert len(rows) == 3
    assert {row["account_id"] for row in rows} == {session.account.id}
    assert not [row for row in rows if "192.0" in row["address"]]
    await sql(
        "UPDATE sign_in_addresses SET seen_at = '2020-01-01' WHERE address = :a",
        a=rows[0]["address"],
    )
    assert await database.write(lambda tx: drop_expired(tx, now())) == 1

    async def delete(tx: Transaction) -> None:
        await service.store.delete_account(tx, session.account.id)

    await database.write(delete)
    assert not await sql("SELECT * FROM sign_in_addresses")


async def test_a_password_cannot_be_guessed_through_its_change(ada: Rest) -> None:
    other = await ada.another().log_in(ADA, PASSWORD)
    change = {"current_password": "a guess", "new_password": "a new long password"}
    answers = [await other.put("/me/password", change) for _ in range(4)]
    assert [answer.status for answer in answers] == [422, 422, 429, 429]
    assert refused(answers[-1])
    assert refused(await other.delete("/me", {"password": "a guess"}))  # nor through this
    (await ada.put("/me/password", change | {"current_password": PASSWORD})).must(204)


async def test_refreshes_are_limited_by_account(data_dir: Path) -> None:
    settings = settings_for(data_dir, rate_per_minute=3)
    async with running_server(settings) as limited, Rest(limited.url) as client:
        first = await client.another().register("one@example.org", PASSWORD)
        second = await client.another().register("two@example.org", PASSWORD)
        token = first.grant["refresh_token"]
        for _ in range(3):
            answer = await client.post("/auth/refresh", {"refresh_token": token})
            token = answer.must(200).json["refresh_token"]
        assert refused(await client.post("/auth/refresh", {"refresh_token": token}))
        grant = {"refresh_token": second.grant["refresh_token"]}
        (await client.post("/auth/refresh", grant)).must(200)


async def test_one_session_too_many_ends_the_least_recently_used(
    accounts: AccountService, nobody: Rest, revoked: Revoked
) -> None:
    first = await nobody.another().register(ADA, PASSWORD)
    idle, other = [await nobody.another().log_in(ADA, PASSWORD) for _ in range(2)]
    grant = {"refresh_token": first.grant["refresh_token"]}
    (await nobody.post("/auth/refresh", grant)).must(200)
    await nobody.another().register("eve@example.org", PASSWORD)
    assert not await revoked()
    newest = await nobody.another().log_in(ADA, PASSWORD)
    assert (await idle.get("/me")).must(401).json["type"].endswith("session-ended")
    for still in (first, other, newest):
        (await still.get("/me")).must(200)
    assert len(await revoked()) == 1
