import asyncio
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from server.core import migrate as migrate_module
from server.core.databases import migrate
from server.core.migrate import MigrationError, migrations, statements
from server.features.shared.schemas import Actor
from support.live_server import sqlite_only
from support.waiting import PATIENCE

pytestmark = sqlite_only
ROOT = Path(__file__).resolve().parents[3]
RUN = """
import asyncio, os, pathlib, sys, time
from server.core.databases import migrate
start = time.monotonic() + 0.1
for _ in range(10):
    if os.fork() == 0:
        while time.monotonic() < start:
            pass
        try:
            ran = asyncio.run(migrate(pathlib.Path(sys.argv[1])))
            os.write(1, b"%d\\n" % len(ran))
        except BaseException as error:
            os.write(2, repr(error).encode())
        os._exit(0)
for _ in range(10):
    os.wait()
"""


@pytest.mark.parametrize("time", ["once", "and again"])
def test_ten_processes_that_start_together_run_them_once(database_path: Path, time: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(database_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert sorted(map(int, done.stdout.split())) == [0] * 9 + [len(migrations())], done.stderr


async def test_a_migration_waits_for_a_present_writer(database_path: Path) -> None:
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (a TEXT)")
        other.execute("BEGIN IMMEDIATE")
        migrating = asyncio.create_task(migrate(database_path))
        done, _ = await asyncio.wait([migrating], timeout=0.2)
        assert not done
        other.execute("COMMIT")
    assert await migrating == [name for _, name, _ in migrations()]


async def test_a_migrated_database_is_opened_without_a_lock(database_path: Path) -> None:
    """So a worker starts while another one writes, or cannot because the disk is full."""
    await migrate(database_path)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(PATIENCE):  # it would wait for a minute
            assert await migrate(database_path) == []


async def test_a_second_run_finds_nothing_to_do(database_path: Path) -> None:
    assert await migrate(database_path) == [name for _, name, _ in migrations()]
    assert await migrate(database_path) == []


async def test_a_changed_migration_is_refused_with_a_message(database_path: Path) -> None:
    await migrate(database_path)
    with closing(sqlite3.connect(database_path)) as connection, connection:
        connection.execute("UPDATE migrations SET digest = 'another' WHERE number = 1")
    with pytest.raises(MigrationError, match=r"0001_log\.sql was changed after"):
        await migrate(database_path)


async def test_a_newer_database_is_refused_with_what_to_do(database_path: Path) -> None:
    await migrate(database_path)
    with closing(sqlite3.connect(database_path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (9000, '9000_future.sql', 'x')")
    with pytest.raises(MigrationError, match=r"newer Tiffin .*9000.*update the server"):
        await migrate(database_path)


async def test_a_failing_migration_leaves_nothing_behind(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "CREATE TABLE good (a TEXT);\n"
    bad = "CREATE TABLE half (a TEXT);\nCREATE TABLE half (a TEXT);\n"
    monkeypatch.setattr(
        migrate_module, "migrations", lambda: [(1, "1_good.sql", good), (2, "2_bad.sql", bad)]
    )
    with pytest.raises(MigrationError, match="half already exists"):
        await migrate(database_path)
    with closing(sqlite3.connect(database_path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_a_file_that_is_no_database_is_refused_with_a_message(database_path: Path) -> None:
    database_path.write_text("this is a shopping list, not a database\n" * 100)
    with pytest.raises(MigrationError, match="not a database"):
        asyncio.run(migrate(database_path))


async def test_an_unusable_path_is_refused_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MigrationError, match="TIFFIN_DATA_DIR"):
        await migrate(tmp_path / "file" / "deeper" / "tiffin.sqlite3")


def test_splits_scripts_into_statements() -> None:
    script = (
        "-- a comment; with a semicolon\n"
        "CREATE TABLE a (\n    b TEXT DEFAULT ';'\n);\n\n"
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n    DELETE FROM a;\nEND;\n"
        "-- the end\n"
    )
    first, second = statements(script)
    assert "CREATE TABLE a" in first
    assert second.startswith("\nCREATE TRIGGER")
    assert second.endswith("END;\n")
    with pytest.raises(MigrationError, match="middle of a statement"):
        statements("CREATE TABLE a (b TEXT)\n")


async def test_older_lists_keep_their_order_and_the_demo_gets_a_radius(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = migrations()
    monkeypatch.setattr(
        migrate_module, "migrations", lambda: [one for one in everything if one[0] <= 13]
    )
    await migrate(database_path)
    with closing(sqlite3.connect(database_path)) as written, written:
        written.execute("INSERT INTO meta VALUES ('demo_town', 'now')")
        written.execute("INSERT INTO events VALUES ('t', 1, '', '', '{}', '2026-01-31T12')")
        written.execute("INSERT INTO restaurants VALUES ('r', 'R', '', '', '', 1, 1, 20, 3)")
        for number, customer, at in ((1, "ana", "3"), (2, "bram", "1"), (3, "ana", "2")):
            written.execute(
                "INSERT INTO orders VALUES (?, ?, 'r', ?, '', NULL, '[]', 0, 'placed', 1, '[]',"
                " NULL, NULL, NULL, NULL, '', 0, 0, NULL, ?)",
                (f"o{number}", number, customer, at),
            )
    monkeypatch.setattr(migrate_module, "migrations", lambda: everything)
    await migrate(database_path)
    with closing(sqlite3.connect(database_path)) as read:
        arrivals = read.execute("SELECT id, arrival FROM order_details ORDER BY id").fetchall()
        assert arrivals == [("o1", 2), ("o2", 1), ("o3", 1)]
        assert read.execute("SELECT delivery_radius_m FROM restaurants").fetchall() == [(5000,)]
        meta = dict(read.execute("SELECT name, value FROM meta").fetchall())
        assert meta["retention_time"] == "2026-01-31T12"


async def test_accounts_are_counted_and_employees_found_in_older_orders_and_chats(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = migrations()
    monkeypatch.setattr(
        migrate_module, "migrations", lambda: [one for one in everything if one[0] <= 20]
    )
    await migrate(database_path)
    staff = {name: f"acc_{name * 20}" for name in "abc"}
    with closing(sqlite3.connect(database_path)) as written, written:
        written.execute(
            "INSERT INTO restaurants VALUES ('r', 'R', '', '', '', 1, 1, 20, 3, 0), "
            "('s', 'S', '', '', '', 1, 1, 20, 3, 0)"
        )
        written.execute("INSERT INTO drivers VALUES ('d', 'r', 'D', 'bike', NULL)")
        for account_id, role, place in (
            ("ana", "customer", None),
            (staff["a"], "employee", "r"),
            (staff["b"], "employee", "r"),
            (staff["c"], "employee", "s"),
        ):
            written.execute(
                "INSERT INTO accounts (id, email, password_hash, role, name, restaurant_id,"
                " created_at) VALUES (?, ?, '', ?, 'N', ?, '')",
                (account_id, account_id, role, place),
            )
        for order_id, named, assigned in (("o1", staff["a"], None), ("o2", "ana", staff["b"])):
            written.execute(
                "INSERT INTO orders VALUES (?, 1, 'r', 'ana', '', NULL, '[]', 0, 'placed', 1, ?,"
                " 'd', ?, NULL, NULL, '', 0, 0, NULL, '', 0, 0)",
                (order_id, _named(named), assigned and _named(assigned)),
            )
        for chat_id, claimed, closed in (
            ("c1", staff["a"], staff["b"]),
            ("c2", None, "acc_" + "customer" * 2 + "cust"),
            ("c3", None, None),
        ):
            written.execute(
                "INSERT INTO chats (id, subject, status, customer_id, customer_name, employee_id,"
                " closed_by, opened_at, customer_unread, support_unread)"
                " VALUES (?, '', 'open', 'acc_customercustomercust', '', ?, ?, '', 0, 0)",
                (chat_id, claimed, closed and _named(closed)),
            )
        for seq, sender, role in ((1, "ana", "customer"), (2, staff["c"], "employee")):
            written.execute(
                "INSERT INTO chat_messages VALUES ('c3', ?, ?, ?, 'N', ?, 'Hello?', ?)",
                (seq, str(seq), sender, role, f"2026-01-31T12:34:5{seq}.789Z"),
            )
            written.execute(
                "INSERT INTO events VALUES ('chat:c3', ?, 'message', 'c3', '{}', ?)", (seq, seq)
            )
        written.execute(
            "INSERT INTO events VALUES ('chat:c3', 3, 'closed', 'c3', '{}',"
            " '2026-02-01T00:00:01.002Z')"
        )
        for seq in (2, 3, 4):  # of a message, of another event, of one that is trimmed
            written.execute("INSERT INTO chat_reads VALUES ('c3', ?, 'N', '', ?, '')", (seq, seq))
        written.execute("INSERT INTO topics (name, seq) VALUES ('chat:c3', 2), ('empty', 1)")
        written.execute("UPDATE orders SET status = 'delivered' WHERE id = 'o2'")
    monkeypatch.setattr(migrate_module, "migrations", lambda: everything)
    await migrate(database_path)
    with closing(sqlite3.connect(database_path)) as read:
        counts = dict(read.execute("SELECT role, number FROM account_counts"))
        assert counts == {"customer": 1, "employee": 3}
        orders = read.execute("SELECT order_id, account_id FROM order_staff ORDER BY 1, 2")
        assert orders.fetchall() == [("o1", staff["a"]), ("o2", staff["b"])]
        chats = read.execute("SELECT chat_id, account_id FROM chat_staff ORDER BY 1, 2")
        expected = [("c1", staff["a"]), ("c1", staff["b"]), ("c3", staff["c"])]
        assert chats.fetchall() == expected
        oldest = dict(read.execute("SELECT name, oldest FROM topics"))
        assert oldest == {"chat:c3": "1", "empty": None}
        # A message, its event and the mark of who has read it have the same cursor.
        times = read.execute("SELECT at FROM events ORDER BY seq").fetchall()
        assert [at for (at,) in times[:2]] == [f"2026-01-31T12:34:5{seq}.789Z" for seq in (1, 2)]
        checks = read.execute("SELECT seq_check FROM chat_reads ORDER BY seq").fetchall()
        assert checks == [("34:52789",), ("00:01002",), ("",)]
        ended = read.execute("SELECT id, ended FROM order_details ORDER BY id")
        assert ended.fetchall() == [("o1", 0), ("o2", 1)]


def _named(account_id: str) -> str:
    return Actor(id=account_id, name="N", role="employee").model_dump_json()


FROZEN = ROOT / "tests" / "server" / "frozen"
EXPANDS = re.compile(
    r"CREATE (TABLE|INDEX|VIEW)\b|INSERT INTO\b|UPDATE\b"
    r"|ALTER TABLE \w+ ADD COLUMN (?=(?!.*NOT NULL)|.*DEFAULT)",
    re.DOTALL,
)


def breaking(script: str) -> list[str]:
    """The statements of a migration that the last version may not survive: all that do more than
    add, but for those below a comment that says since which version it is `-- Unused since`."""
    found = []
    for statement in statements(script):
        text = re.sub(r"--.*", "", statement).strip()
        if not EXPANDS.match(text) and "-- Unused since " not in statement:
            found.append(text)
    return found


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("CREATE TABLE a (b TEXT NOT NULL);", True),
        ("-- Why.\nCREATE INDEX a ON b (c);", True),
        ("ALTER TABLE a ADD COLUMN b TEXT;", True),
        ("ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT '';", True),
        ("UPDATE a SET b = 1;", True),
        ("-- Unused since 0.2.0.\nALTER TABLE a DROP COLUMN b;", True),
        ("ALTER TABLE a ADD COLUMN b TEXT NOT NULL;", False),
        ("ALTER TABLE a DROP COLUMN b;", False),
        ("ALTER TABLE a RENAME COLUMN b TO c;", False),
        ("ALTER TABLE a RENAME TO b;", False),
        ("DROP TABLE a;", False),
        ("CREATE UNIQUE INDEX a ON b (c);", False),
        ("DELETE FROM a;", False),
    ],
)
def test_what_the_last_version_survives(statement: str, allowed: bool) -> None:
    assert (breaking(statement) == []) is allowed


def test_a_migration_since_the_last_version_only_adds() -> None:
    """The last version goes on while servers are replaced; `frozen` has what each one released."""
    released = max(int(file.stem) for file in FROZEN.glob("*.json"))
    newer = [(name, script) for number, name, script in migrations() if number > released]
    assert {name: found for name, script in newer if (found := breaking(script))} == {}
