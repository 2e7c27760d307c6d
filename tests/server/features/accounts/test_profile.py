"""The caller's own account: profile, password, deletion."""

import asyncio
import json
from typing import Any

import pytest

from server.core.database import Transaction
from server.core.errors import conflict
from server.features.accounts.service import AccountService
from support.accounts import PASSWORD, Revoked, Sql, kitchen_stream, reads_to_the_end
from support.rest import Rest
from support.tokens import claims_of

ADDRESS = {"text": "Lindenweg 3", "lat": 52.5, "lng": 13.4}


def sid(who: Rest) -> str:
    return str(claims_of(who.grant["access_token"])["sid"])


async def test_a_profile_is_filled_changed_and_emptied(ada: Rest) -> None:
    plain = ada.grant["account"]
    full = {"name": "Ada L.", "phone": "+49 (30) 123-4", "address": ADDRESS}
    full["work_address"] = ADDRESS | {"text": "Ring 1"}
    assert (await ada.patch("/me", full)).must(200).json == plain | full
    assert (await ada.get("/me")).must(200).json == plain | full

    assert (await ada.patch("/me", {})).must(200).json == plain | full
    emptied = {"address": None, "work_address": None, "name": " Ada "}
    changed = (await ada.patch("/me", emptied)).must(200).json
    assert changed == plain | {"phone": full["phone"]}
    assert (await ada.patch("/me", {"phone": ""})).must(200).json == plain
    again = await ada.another().log_in("ada@example.org", PASSWORD)
    assert again.grant["account"] == plain


async def test_fields_outside_the_profile_cannot_be_changed(eve: Rest) -> None:
    before = eve.grant["account"]
    sent = {"id": "x", "email": "x@example.org", "role": "customer", "restaurant_id": "x"}
    assert (await eve.patch("/me", sent)).must(200).json == before


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"name": None}, ["name"]),
        ({"name": "   "}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": "x" * 81}, ["name"]),
        ({"phone": "call me"}, ["phone"]),
        ({"phone": "1" * 33}, ["phone"]),
        ({"address": {"text": "there"}}, ["address", "lat"]),
        ({"address": ADDRESS | {"lat": 91}}, ["address", "lat"]),
        ({"address": "there"}, ["address"]),
    ],
)
async def test_an_invalid_field_is_named(ada: Rest, change: Any, loc: list[str]) -> None:
    answer = (await ada.patch("/me", {"name": "Somebody else"} | change)).must(422)
    assert answer.json["errors"][0]["loc"] == loc
    assert (await ada.get("/me")).json == ada.grant["account"]


async def test_simultaneous_changes_to_different_fields_all_stay(ada: Rest) -> None:
    await asyncio.gather(
        ada.patch("/me", {"name": "Ada L."}),
        ada.patch("/me", {"phone": "123"}),
        ada.patch("/me", {"address": ADDRESS}),
    )
    account = (await ada.get("/me")).json
    assert (account["name"], account["phone"], account["address"]) == ("Ada L.", "123", ADDRESS)


async def test_a_new_password_ends_every_other_session(eve: Rest, revoked: Revoked) -> None:
    other = await eve.another().log_in("eve@example.org", PASSWORD)
    change = {"current_password": PASSWORD, "new_password": "a new long password"}
    async with kitchen_stream(eve) as kept, kitchen_stream(other) as stream:
        (await eve.put("/me/password", change)).must(204)
        await reads_to_the_end(stream)
        with pytest.raises(TimeoutError):
            await reads_to_the_end(kept, seconds=0.3)
    (await other.get("/me")).must(401)
    (await other.post("/auth/refresh", {"refresh_token": other.grant["refresh_token"]})).must(401)
    assert await revoked() == [sid(other)]

    (await eve.get("/me")).must(200)
    (await eve.post("/auth/refresh", {"refresh_token": eve.grant["refresh_token"]})).must(200)
    old = {"email": "eve@example.org", "password": PASSWORD}
    (await eve.another().post("/auth/login", old)).must(401)
    await eve.another().log_in("eve@example.org", "a new long password")


async def test_a_password_is_not_changed_without_the_old_one(ada: Rest, revoked: Revoked) -> None:
    change = {"current_password": "a guess", "new_password": "a new long password"}
    answer = (await ada.put("/me/password", change)).must(422)
    assert answer.json["errors"][0]["loc"] == ["current_password"]
    short = {"current_password": PASSWORD, "new_password": "short"}
    answer = (await ada.put("/me/password", short)).must(422)
    assert answer.json["errors"][0]["loc"] == ["new_password"]
    await ada.another().log_in("ada@example.org", PASSWORD)
    assert await revoked() == []


async def test_an_old_password_that_would_be_refused_now_still_logs_in(
    ada: Rest, accounts: AccountService, sql: Sql
) -> None:
    common = "password1"
    body = {"email": "new@example.org", "password": common, "name": "New"}
    refusals = [
        await ada.another().post("/auth/register", body),
        await ada.another().post("/auth/register", body | {"password": "new@example.org"}),
        await ada.another().post("/auth/register", body | {"password": "x" * 129}),
        await ada.put("/me/password", {"current_password": PASSWORD, "new_password": common}),
    ]
    for answer, words in zip(
        refusals, ("most used", "e-mail", "at most 128", "most used"), strict=True
    ):
        [error] = answer.must(422).json["errors"]
        assert error["loc"] in (["password"], ["new_password"])
        assert words in error["msg"]
    await sql("UPDATE accounts SET password_hash = :h", h=await accounts.passwords.hash(common))
    again = await ada.another().log_in("ada@example.org", common)
    change = {"current_password": common, "new_password": "a new long password"}
    (await again.put("/me/password", change)).must(204)
    await ada.another().log_in("ada@example.org", "a new long password")


async def test_of_two_password_changes_at_once_one_wins(ada: Rest) -> None:
    other = await ada.another().log_in("ada@example.org", PASSWORD)
    answers = await asyncio.gather(
        *(
            who.put(
                "/me/password",
                {"current_password": PASSWORD, "new_password": f"new {number} words"},
            )
            for number, who in enumerate((ada, other))
        )
    )
    statuses = [answer.status for answer in answers]
    won = statuses.index(204)
    assert statuses[1 - won] in (401, 409, 422)
    await ada.another().log_in("ada@example.org", f"new {won} words")


async def test_a_log_in_with_the_old_password_does_not_slip_past_a_change(ada: Rest) -> None:
    old = {"email": "ada@example.org", "password": PASSWORD}
    change = {"current_password": PASSWORD, "new_password": "a new long password"}
    logs_in = [ada.another().post("/auth/login", old) for _ in range(6)]
    changed, *answers = await asyncio.gather(ada.put("/me/password", change), *logs_in)
    changed.must(204)
    for answer in answers:
        if answer.status == 200:
            client = ada.another()
            client.token = answer.json["access_token"]
            (await client.get("/me")).must(401)


async def test_a_deleted_account_leaves_nothing(eve: Rest, sql: Sql, revoked: Revoked) -> None:
    other = await eve.another().log_in("eve@example.org", PASSWORD)
    (await eve.patch("/me", {"name": "Evelyn"})).must(200)
    for body in (None, {}, {"password": None}):
        answer = (await eve.delete("/me", body)).must(422)
        assert answer.json["errors"][0]["loc"] == ["password"]
    answer = (await eve.delete("/me", {"password": "a guess"})).must(422)
    assert answer.json["errors"][0]["loc"] == ["password"]
    (await eve.get("/me")).must(200)
    async with kitchen_stream(eve) as one, kitchen_stream(other) as two:
        (await eve.delete_account()).must(204)
        await asyncio.gather(reads_to_the_end(one), reads_to_the_end(two))
    for client in (eve, other):
        (await client.get("/me")).must(401)
        grant = {"refresh_token": client.grant["refresh_token"]}
        (await client.post("/auth/refresh", grant)).must(401)
    gone = {"email": "eve@example.org", "password": PASSWORD}
    (await eve.another().post("/auth/login", gone)).must(401)
    assert sorted(await revoked()) == sorted([sid(eve), sid(other)])
    for table in ("accounts", "sessions", "refresh_tokens"):
        assert await sql(f"SELECT * FROM {table}") == []
    events = json.dumps(await sql("SELECT * FROM events"))
    assert "eve@" not in events
    assert "Evelyn" not in events
    await eve.another().register("eve@example.org", PASSWORD)


async def test_features_scrub_their_data_in_the_same_transaction(
    ada: Rest, accounts: AccountService, sql: Sql, revoked: Revoked
) -> None:
    refused, seen = True, []

    async def scrub(tx: Transaction, account_id: str) -> None:
        seen.append(await accounts.account_of(tx, account_id))
        await tx.execute("UPDATE accounts SET name = 'scrubbed'", {})
        if refused:
            raise conflict("An order is under way.")

    accounts.on_delete.append(scrub)
    (await ada.delete_account()).must(409)
    assert (await ada.get("/me")).must(200).json["name"] == ada.grant["account"]["name"]
    assert await revoked() == []

    refused = False
    (await ada.delete_account()).must(204)
    # More than twice: one that fails after a change is run again, alone.
    assert {account.id for account in seen} == {ada.grant["account"]["id"]}
    assert await sql("SELECT * FROM accounts") == []
