"""The plain mode through real pipes and real terminals, against real servers."""

import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.processes import Terminal
from support.server_process import ROOT, ServerProcess, StartServer
from support.waiting import PATIENCE, wait_for

RUN = """
import sys
from importlib import import_module
app = sys.argv.pop(1)
try:
    import_module(f"tui.{app}.__main__").main()
finally:
    drawn = {"textual", "rich.console"} & set(sys.modules)
    assert not drawn, drawn
"""
"""Runs an app, and fails where it has imported what draws."""


class Apps:
    """Both apps' plain modes against one server, with a home of their own."""

    def __init__(self, server: ServerProcess, home: Path) -> None:
        self.server = server
        self.environment = os.environ | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "TERM": "dumb",
            "TZ": "UTC",
        }

    def command(self, app: str, *words: str) -> list[str]:
        address = ("--plain", "--server", self.server.url)
        return [sys.executable, "-c", RUN, app, *address, *words]

    def pipe(self, app: str, *words: str, typed: str = "") -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        done = subprocess.run(
            self.command(app, *words),
            input=typed,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout, done.stderr

    @contextmanager
    def terminal(self, app: str, *words: str) -> Iterator[Terminal]:
        """The app in a terminal of its own, to be killed at the end if it still runs."""
        opened = Terminal(self.command(app, *words), self.environment)
        try:
            yield opened
        finally:
            opened.close()


@pytest.fixture
def apps(start_server: StartServer, tmp_path: Path) -> Apps:
    return Apps(start_server(demo=True), tmp_path)


def test_commands_from_a_pipe_and_one_at_a_time(apps: Apps) -> None:
    code, said, errors = apps.pipe("employee", "orders")
    assert (code, said) == (1, "")
    assert "Nobody is logged in" in errors

    commands = "menu curry leaf\nadd 2 mango lassi\nremove papaya\ntip 10%\ntip 2000\n"
    commands += "tip 2\norder it's for me\n"
    code, said, errors = apps.pipe("customer", "--demo", typed=commands)
    assert "Basket at Curry Leaf: 2 Mango lassi." in said
    told = r"^Order (\d+) from Curry Leaf is placed .* Note: it's for me\..* Tip 2"
    placed = re.search(told, said, re.M)
    assert placed is not None, said
    assert re.search(r"Tip 0\.\d0 euros\. Total", said), said
    assert (code, errors.count("\n")) == (1, 2), "the papaya was not in the basket"
    assert "A tip is at most 999, or 100%." in errors

    number = placed[1]
    code, said, errors = apps.pipe("employee", "--demo", "--json", typed=f"accept {number}\n")
    assert (code, errors) == (0, "")
    accepted = json.loads(said)
    assert accepted["data"]["number"] == int(number)
    assert accepted["data"]["status"] == "accepted"

    code, said, errors = apps.pipe("customer", "orders")  # the log-in is remembered
    assert (code, errors) == (0, "")
    assert f"Order {number} from Curry Leaf is accepted" in said
    code, said, errors = apps.pipe("customer", "cancel", "seven")
    assert (code, said) == (2, "")
    assert "not a whole number" in errors


def test_an_order_between_two_terminals_and_a_killed_server(apps: Apps) -> None:
    apps.environment["TIFFIN_CLOCK"] = "12h"
    with (
        apps.terminal("customer", "--demo") as customer,
        apps.terminal("employee", "--demo") as employee,
    ):
        for one in (customer, employee):
            one.sees("You are logged in as")
            one.sees("Type help")
        employee.type("acc")  # half a command stays, below the news
        customer.type("menu Curry Leaf\nadd 1 Mango lassi\n")
        customer.type("address 4 Mill Lane\naddress home\n")
        customer.sees(r"Delivery to 4 Mill Lane\.")
        customer.sees(r"Delivery to 19 Chestnut Walk, 2nd floor\.")
        customer.type("order\n")
        new = employee.sees(r"New\. Order \d+ for")
        found = re.search(r"\d+:\d\d[ap]m New\. Order (\d+)", new)
        assert found is not None, new
        number = found[1]
        employee.type(f"ept {number}\n")
        employee.sees(f"Order {number} for .* is accepted")
        customer.sees(rf"\d+:\d\d[ap]m Order {number} from Curry Leaf is accepted")

        apps.server.kill()
        for one in (customer, employee):
            one.sees("Connection lost: ")
        apps.server.start()
        for one in (customer, employee):
            one.sees("Connection is back")
        employee.type(f"preparing {number}\n")
        customer.sees(f"Order {number} from Curry Leaf is being prepared")
        customer.type(f"rate {number} 4\n")
        customer.sees(f"Order {number} has not been delivered")
        employee.type(f"ready {number}\nout {number} 1\ndelivered {number}\n")
        customer.sees(f"Type rate {number} and 1 to 5 stars")
        customer.type(f"rate {number} 4\n")
        customer.sees(f"Order {number} from Curry Leaf was delivered at .*, rated 4 of 5")
        customer.sees("tiffin> $", customer.text.index("rated 4 of 5"))

        for one in (customer, employee):
            assert "\x1b" not in one.text, "no cursor movement and no colour"
        customer.type("\x04")
        assert customer.ends() == 0
        os.kill(employee.process.pid, signal.SIGTERM)
        assert employee.ends() == 128 + signal.SIGTERM
        for one in (customer, employee):
            assert one.modes == one.modes_before


def test_a_password_is_never_echoed(apps: Apps) -> None:
    with apps.terminal("employee") as terminal:
        terminal.sees("You are not logged in")
        terminal.type("login nobody@example.com\n")
        terminal.sees("Password")
        wait_for(lambda: not terminal.modes[3] & termios.ECHO, what="no echo")
        terminal.type("a long secret\n")
        terminal.sees("tiffin> $", terminal.text.index("Password"))
        assert "secret" not in terminal.text
        terminal.type("\x03")
        assert terminal.ends() == 128 + signal.SIGINT
