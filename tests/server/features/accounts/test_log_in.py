"""Registration, log-in, demo log-in, log-out."""

import asyncio
import time
from pathlib import Path

import pytest

from server.features.accounts.service import AccountService
from support.accounts import PASSWORD, RESTAURANT, Revoked, Sql, kitchen_stream, reads_to_the_end
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.tokens import claims_of


async def test_a_new_customer_is_logged_in(nobody: Rest) -> None:
    body = {"email": "Ada@Example.ORG", "password": PASSWORD, "name": "  Ada  ", "role": "employee"}
    answer = (await nobody.post("/auth/register", body)).must(201)

    session = answer.json
    account = session["account"]
    assert account.keys() == {"id", "email", "name", "role"}
    assert account["email"] == "ada@example.org"
    assert account["name"] == "Ada"
    assert account["role"] == "customer"
    assert session["token_type"] == "Bearer"
    assert session["expires_in"] == 900
    assert session["refresh_token"].startswith("rt_")
    assert answer.headers["Cache-Control"] == "no-store"
    nobody.token = session["access_token"]
    assert (await nobody.get("/me")).must(200).json == account


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@EXAMPLE.ORG", " ada@Example.org "])
async def test_an_email_is_one_account_whatever_its_case(ada: Rest, email: str) -> None:
    body = {"email": email, "password": "another password", "name": "Another"}
    assert "e-mail" in (await ada.another().post("/auth/register", body)).must(409).json["detail"]
    assert (await ada.another().log_in(email, PASSWORD)).grant["account"] == ada.grant["account"]


async def test_letters_beyond_ascii_fold_too(nobody: Rest) -> None:
    made = await nobody.another().register("ÉMILE@bücher.example", PASSWORD, "Émile")
    for written in (
        "émile@bücher.example",
        "E\u0301MILE@BÜCHER.example",
        "Émile@xn--bcher-kva.example",
    ):
        found = await nobody.another().log_in(written, PASSWORD)
        assert found.grant["account"]["id"] == made.grant["account"]["id"]


async def test_two_domains_that_case_folding_would_confuse_are_two(nobody: Rest) -> None:
    await nobody.another().register("a@strasse.example", PASSWORD)
    await nobody.another().register("a@straße.example", PASSWORD)


async def test_of_simultaneous_registrations_of_one_email_one_succeeds(nobody: Rest) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD, "name": "Ada"}
    answers = await asyncio.gather(*(nobody.post("/auth/register", body) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.org", "not her password"),
        ("ada@example.org", ""),
        ("ada@example.org", PASSWORD + "\0"),
        ("ada@example.org", PASSWORD.upper()),
        ("bob@example.org", PASSWORD),
        ("no address at all", PASSWORD),
        ("", ""),
        ("ada@example.org\0", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
    ],
)
async def test_wrong_credentials_all_get_the_same_answer(
    ada: Rest, email: str, password: str
) -> None:
    answer = await ada.another().post("/auth/login", {"email": email, "password": password})
    assert answer.must(401).headers["WWW-Authenticate"] == "Bearer"
    assert answer.json["type"] == "urn:tiffin:problem:credentials"
    assert answer.json["detail"] == "The e-mail or the password is wrong."


@pytest.mark.usefixtures("full_hashes")
async def test_an_unknown_email_takes_as_long_as_a_wrong_password(ada: Rest) -> None:
    async def cheapest(email: str) -> float:
        """Seconds of CPU time, hashing in its thread included: other work of the machine does not
        count."""
        took = []
        for _ in range(5):
            started = time.process_time()
            body = {"email": email, "password": "not her password"}
            (await ada.another().post("/auth/login", body)).must(401)
            took.append(time.process_time() - started)
        return min(took)

    known, unknown = await cheapest("ada@example.org"), await cheapest("bob@example.org")
    assert unknown > known / 3


async def test_an_employees_session_names_the_restaurant(eve: Rest) -> None:
    account = eve.grant["account"]
    assert account["role"] == "employee"
    assert account["restaurant_id"] == RESTAURANT
    assert not {"role", "rid", "name"} & set(claims_of(eve.grant["access_token"]))


async def test_every_log_in_is_a_new_session(ada: Rest, revoked: Revoked) -> None:
    other = await ada.another().log_in("ada@example.org", PASSWORD)
    await other.post("/auth/logout", {"refresh_token": other.grant["refresh_token"]})
    (await other.get("/me")).must(401)
    (await ada.get("/me")).must(200)
    assert await revoked() == [claims_of(other.grant["access_token"])["sid"]]


async def test_log_out_ends_the_session_and_its_streams(eve: Rest) -> None:
    other = await eve.another().log_in("eve@example.org", PASSWORD)
    grant = {"refresh_token": eve.grant["refresh_token"]}
    async with kitchen_stream(eve) as stream, kitchen_stream(other) as untouched:
        assert (await eve.post("/auth/logout", grant)).must(204).body == b""
        await reads_to_the_end(stream)
        with pytest.raises(TimeoutError):
            await reads_to_the_end(untouched, seconds=0.3)
    assert (await eve.get("/me")).must(401).json["type"] == "urn:tiffin:problem:session-ended"
    (await eve.another().post("/auth/refresh", grant)).must(401)


async def test_log_out_takes_a_spent_token_of_the_session(ada: Rest, revoked: Revoked) -> None:
    grant = {"refresh_token": ada.grant["refresh_token"]}
    renewed = (await ada.post("/auth/refresh", grant)).must(200).json
    (await ada.post("/auth/logout", grant)).must(204)
    (await ada.post("/auth/refresh", {"refresh_token": renewed["refresh_token"]})).must(401)
    assert len(await revoked()) == 1


async def test_nobody_logs_another_out(ada: Rest, eve: Rest, revoked: Revoked) -> None:
    stolen = {"refresh_token": ada.grant["refresh_token"]}
    for refresh_token in (ada.grant["refresh_token"], "rt_unknown"):
        answer = await eve.post("/auth/logout", {"refresh_token": refresh_token})
        assert answer.must(422).json["errors"][0]["loc"] == ["refresh_token"]
    (await eve.another().post("/auth/logout", stolen)).must(401)
    (await ada.get("/me")).must(200)
    assert await revoked() == []


async def test_an_expired_session_is_not_valid(ada: Rest, sql: Sql) -> None:
    await sql("UPDATE sessions SET expires_at = '2020-01-01T00:00:00.000Z'")
    (await ada.get("/me")).must(401)


async def test_there_is_no_demo_log_in_outside_demo_mode(nobody: Rest, sql: Sql, ada: Rest) -> None:
    await sql("UPDATE accounts SET demo = 1")
    assert (
        "--demo" in (await nobody.post("/auth/demo", {"role": "customer"})).must(404).json["detail"]
    )


async def test_the_demo_log_in_gives_the_first_of_the_role(data_dir: Path) -> None:
    async with (
        running_server(settings_for(data_dir, demo=True)) as server,
        Rest(server.url) as nobody,
    ):
        for role in ("customer", "employee"):
            first = await nobody.another().demo(role)
            again = await nobody.another().demo(role)
            assert first.grant["account"]["role"] == role
            assert first.grant["account"] == again.grant["account"]
            assert first.grant["refresh_token"] != again.grant["refresh_token"]
            assert (await first.get("/me")).must(200).json == first.grant["account"]
        (await nobody.post("/auth/demo", {"role": "admin"})).must(422)


@pytest.mark.usefixtures("full_hashes")
async def test_a_password_hashed_with_other_parameters_is_hashed_again(
    ada: Rest, sql: Sql, accounts: AccountService
) -> None:
    import argon2

    old = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await sql("UPDATE accounts SET password_hash = :old", old=old)

    await asyncio.gather(*(ada.another().log_in("ada@example.org", PASSWORD) for _ in range(4)))

    [row] = await sql("SELECT password_hash FROM accounts")
    assert await accounts.passwords.renewed(row["password_hash"], PASSWORD) is None
    await ada.another().log_in("ada@example.org", PASSWORD)


@pytest.mark.usefixtures("full_hashes")
async def test_nothing_secret_is_stored_in_the_clear(ada: Rest, sql: Sql) -> None:
    stored = str(await sql("SELECT * FROM accounts, sessions, refresh_tokens"))
    assert PASSWORD not in stored
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in stored
    assert ada.grant["refresh_token"] not in stored
    assert "rt_" not in stored
