"""The commands that administer accounts, and what the audit table tells of it."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core import audit
from server.core.audit import AuditActor
from server.core.clock import now
from server.core.database import Database
from server.features.accounts.administration import Administration
from server.features.accounts.guesses import RefusedLogIns
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService
from support.accounts import PASSWORD, RESTAURANT, Sql
from support.command import run_command
from support.news import announce
from support.rest import Rest
from support.room import open_chat

NEW = "quite another password"
ANA, EVE, SUE = "ada@example.org", "eve@example.org", "sue@example.org"


@pytest.fixture
def administration(database: Database, accounts: AccountService) -> Administration:
    """As a command has it, in this process."""
    return Administration(database, accounts, AuditActor("operator:test"))


async def recorded(database: Database, **filters: Any) -> list[tuple[Any, ...]]:
    """What was done to whom and by whom, the newest last."""
    rows = [row async for page in audit.entries(database, **filters) for row in page]
    return [
        (
            row["action"],
            row["email"],
            "itself" if row["actor"] and row["actor"] == row["account_id"] else row["actor"],
            row["address"],
            json.loads(row["details"] or "{}"),
        )
        for row in reversed(rows)
    ]


COMMANDS = (
    (f"add-employee --email {SUE} --role support", PASSWORD, 0, "is acc_"),
    (f"add-employee --email {SUE} --role support", PASSWORD, 1, "There is an account with this"),
    (f"add-employee --email {EVE}", PASSWORD, 1, "Name a --restaurant for an employee"),
    (f"add-employee --email {EVE} --restaurant Nowhere", PASSWORD, 1, "no restaurant 'Nowhere'"),
    ("list-accounts", "", 0, rf"customer  {ANA} +1 +- +Ada\nsupport   {SUE} +0 +- +sue\n"),
    ("list-accounts --role support --json", "", 0, rf'^{{"id": "acc_\w+", "email": "{SUE}"'),
    ("list-accounts --role cook", "", 2, "invalid choice"),
    (f"set-password --email {ANA}", "short", 1, "The password needs at least 8 characters"),
    (f"set-password --email {ANA}", ANA, 1, "This password is your e-mail"),
    (f"set-password --email {ANA}", NEW, 0, "has a new password; 1 session was ended"),
    (f"set-role --email {ANA} --role support", "", 0, "has the role support; 0 sessions were"),
    (f"set-role --email {ANA} --role employee", "", 1, "Name a --restaurant for an employee"),
    (f"end-sessions --email {SUE}", "", 0, "0 sessions were ended"),
    ("end-sessions --email nobody@example.org", "", 1, "No account has the e-mail nobody@"),
    ("end-sessions --email nonsense", "", 1, "No account has the e-mail nonsense"),
    (f"remove-account --email {ANA}", "", 1, "Add --yes"),
    (f"remove-account --email {ANA} --yes", "", 0, "is deleted"),
    ("audit --limit 1", "", 0, r"^time .*\n\S+Z account.deleted +acc_\w+ +operator:\w+ +- +role="),
    (f"audit --email {SUE} --json", "", 0, r'^\{"at": .*"action": "account.created".*\}\n$'),
    ("audit --action login --until 2000-01-01", "", 0, "^time .*\n$"),
    ("audit --since yesterday", "", 2, "yesterday is no time"),
    ("audit --since 9999-12-31T23:00-02:00", "", 2, "is no time"),
    ("add-restaurant --name Z --cuisine Y --address X --lat 1 --lng 2", "", 0, "Z is rst_"),
    ("add-restaurant --name Z --cuisine Y --address X --lat nan --lng 2", "", 2, "--lat: "),
    ("set-radius --restaurant Z --metres 0", "", 0, "Z delivers everywhere"),
    ("add-driver --restaurant Z --name Eve --phone +1-2", "", 0, "Eve is drv_"),
    ("add-driver --restaurant Z --name Eve --phone me", "", 2, "argument --phone: "),
)


async def test_the_commands_say_what_they_did_and_why_not(ada: Rest, data_dir: Path) -> None:
    for command, stdin, status, printed in COMMANDS:
        found, output = await run_command(data_dir, *command.split(), stdin=f"{stdin}\n")
        assert (found, bool(re.search(printed, output))) == (status, True), (command, output)
        assert PASSWORD not in output
    (await ada.get("/me")).must(401)


async def test_a_changed_role_ends_sessions_and_frees_chats(
    eve: Rest,
    ada: Rest,
    database: Database,
    accounts: AccountService,
    administration: Administration,
) -> None:
    chat = await open_chat(ada)
    (await eve.post(f"/chats/{chat}/take")).must(200)
    made = [(await announce(eve, audience=name))["id"] for name in ("everyone", "customers")]
    for announcement in made:
        (await ada.post(f"/announcements/{announcement}/ack")).must(204)
    assert await administration.set_role(EVE, Role.SUPPORT, None) == 1
    (await eve.get("/me")).must(401)
    assert "employee" not in (await ada.get(f"/chats/{chat}")).json
    support = await eve.another().log_in(EVE, PASSWORD)
    assert support.grant["account"]["role"] == "support"
    taken = (await support.post(f"/chats/{chat}/take")).must(200).json
    assert taken["employee"]["role"] == "support"
    assert (await ada.get(f"/chats/{chat}")).json["employee"] == taken["employee"]
    numbers = [
        await database.read(lambda tx, role=role: accounts.number_of(tx, role)) for role in Role
    ]
    assert numbers == [1, 0, 1]
    assert await administration.set_role(EVE, Role.SUPPORT, None) == 0
    (await support.get("/me")).must(200)
    await administration.set_role(ANA, Role.EMPLOYEE, RESTAURANT)
    acks = [(await support.get(f"/announcements/{one}/acks")).must(200).json for one in made]
    assert [(one["acknowledged"], one["audience_size"]) for one in acks] == [(1, 2), (0, 0)]


async def test_the_audit_table_tells_who_did_what_from_where(
    eve: Rest, ada: Rest, database: Database, administration: Administration
) -> None:
    news = {"title": "Rain", "body": "Slow down.", "severity": "info", "audience": "everyone"}
    made = (await eve.post("/announcements", news)).must(201).json["id"]
    (await eve.request("DELETE", f"/announcements/{made}")).must(204)
    (await eve.request("DELETE", f"/announcements/{made}")).must(204)
    wrong = {"email": ANA, "password": "not the password"}
    (await ada.another().post("/auth/login", wrong)).must(401)
    (await ada.another().post("/auth/login", wrong | {"email": "nobody@example.org"})).must(401)
    again = await ada.another().log_in(ANA, PASSWORD)
    change = {"current_password": PASSWORD, "new_password": NEW}
    (await ada.put("/me/password", change)).must(204)
    (await ada.post("/auth/logout", {"refresh_token": ada.grant["refresh_token"]})).must(204)
    assert again.grant["account"]["id"] == ada.grant["account"]["id"]
    await administration.set_password(EVE, NEW)
    last = await ada.another().log_in(ANA, NEW)
    (await last.request("DELETE", "/me", {"password": NEW})).must(204)
    at = "127.0.0.1"
    found = await recorded(database)
    logins = [entry for entry in found if entry[0] == "login"]
    assert [entry[1:4] for entry in logins] == [
        *((EVE, "itself", at), (None, "itself", at), (None, "itself", at), (None, "itself", at)),
    ]
    eve_id = eve.grant["account"]["id"]
    assert [entry for entry in found if entry[0] != "login"] == [
        ("account.created", EVE, "operator", None, {"role": "employee"}),
        ("account.created", None, "itself", at, {"role": "customer"}),
        (
            "announcement.withdrawn",
            EVE,
            "itself",
            at,
            {"announcement": made, "author": eve_id},
        ),
        ("login.refused", None, None, at, {}),
        ("login.refused", None, None, at, {}),  # what was typed is not recorded
        ("password.changed", None, "itself", at, {}),
        ("sessions.ended", None, "itself", at, {"why": "the password was changed", "number": 1}),
        ("sessions.ended", None, "itself", at, {"why": "log-out", "number": 1}),
        ("password.changed", EVE, "operator:test", None, {}),
        (
            "sessions.ended",
            EVE,
            "operator:test",
            None,
            {"why": "the password was changed", "number": 1},
        ),
        ("account.deleted", None, "itself", at, {"role": "customer"}),
        ("sessions.ended", None, "itself", at, {"why": "the account was deleted", "number": 1}),
    ]
    assert len(await recorded(database, account_id=eve_id)) == 5


async def test_the_audit_table_stays_small(
    eve: Rest, database: Database, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of refused log-ins makes few entries, and old entries are removed."""
    refused = RefusedLogIns(database, 2)
    for _ in range(5):
        await refused.record(None, AuditActor(None, "192.0.2.1"))
    refused.count()
    for _ in range(2):
        await refused.flush()
    found = await recorded(database, action=audit.Action.LOGIN_REFUSED)
    assert [entry[3:] for entry in found] == [("192.0.2.1", {})] * 2 + [(None, {"number": 4})]
    await refused.record(None, AuditActor(None))
    assert len(await recorded(database, action=audit.Action.LOGIN_REFUSED)) == 4
    monkeypatch.setattr(audit, "DROPPED_AT_ONCE", 2)
    monkeypatch.setattr(audit, "PAGE", 2)
    everything = await recorded(database)
    assert len(everything) == 6
    await audit.drop_old(database, now() - timedelta(days=1))
    assert await recorded(database) == everything
    await audit.drop_old(database, now() + timedelta(days=1))
    assert await recorded(database) == []
