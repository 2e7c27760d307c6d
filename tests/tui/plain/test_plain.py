"""The plain mode through real pipes and real terminals, against real servers."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.server_process import ROOT, ServerProcess, StartServer
from support.waiting import PATIENCE

RUN = """
import fcntl, os, sys, termios
from importlib import import_module
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # its keys send signals
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
    def terminal(self, app: str, *words: str) -> "Iterator[Terminal]":
        """The app in a terminal of its own, to be killed at the end if it still runs."""
        opened = Terminal(self.command(app, *words), self.environment)
        try:
            yield opened
        finally:
            opened.close()


class Terminal:
    """A pseudo-terminal with a program in it; `text` is all that it has written."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.master, side = pty.openpty()
        self.before = termios.tcgetattr(side)
        self.side = side
        self.text = ""
        self.process = subprocess.Popen(
            command,
            stdin=side,
            stdout=side,
            stderr=side,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return
            with self.changed:
                self.text += part.decode(errors="replace").replace("\r\n", "\n")
                self.changed.notify_all()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def sees(self, pattern: str, after: int = 0) -> str:
        """The line that matches, once it is there."""
        with self.changed:
            found = self.changed.wait_for(
                lambda: re.search(f"^.*{pattern}.*$", self.text[after:], re.M), PATIENCE
            )
        assert found is not None, f"no {pattern!r} in:\n{self.text}"
        return str(found[0])

    def ends(self) -> int:
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        os.close(self.side)
        self.reader.join(PATIENCE)
        os.close(self.master)


@pytest.fixture
def apps(start_server: StartServer, tmp_path: Path) -> Apps:
    return Apps(start_server(demo=True), tmp_path)


def test_commands_from_a_pipe_and_one_at_a_time(apps: Apps) -> None:
    code, said, errors = apps.pipe("employee", "orders")
    assert (code, said) == (1, "")
    assert "Nobody is logged in" in errors

    commands = "menu thai basil\nadd 2 green curry\nremove papaya\norder it's for me\n"
    code, said, errors = apps.pipe("customer", "--demo", typed=commands)
    assert "Basket at Thai Basil: 2 Green curry." in said
    placed = re.search(r"^Order (\d+) from Thai Basil is placed .* Note: it's for me\.", said, re.M)
    assert placed is not None, said
    assert (code, errors.count("\n")) == (1, 1), "the papaya was not in the basket"

    number = placed[1]
    code, said, errors = apps.pipe("employee", "--demo", "--json", typed=f"accept {number}\n")
    assert (code, errors) == (0, "")
    accepted = json.loads(said)
    assert accepted["data"]["number"] == int(number)
    assert accepted["data"]["status"] == "accepted"

    code, said, errors = apps.pipe("customer", "orders")  # the log-in is remembered
    assert (code, errors) == (0, "")
    assert f"Order {number} from Thai Basil is accepted" in said
    code, said, errors = apps.pipe("customer", "cancel", "seven")
    assert (code, said) == (2, "")
    assert "not a whole number" in errors


def test_an_order_between_two_terminals_and_a_killed_server(apps: Apps) -> None:
    with (
        apps.terminal("customer", "--demo") as customer,
        apps.terminal("employee", "--demo") as employee,
    ):
        for one in (customer, employee):
            one.sees("You are logged in as")
            one.sees("Type help")
        employee.type("acc")  # half a command stays, below the news
        customer.type("menu Thai Basil\nadd 1 Green curry\norder\n")
        new = employee.sees(r"New\. Order \d+ for")
        found = re.search(r"\d\d:\d\d New\. Order (\d+)", new)
        assert found is not None, new
        number = found[1]
        employee.type(f"ept {number}\n")
        employee.sees(f"Order {number} for .* is accepted")
        customer.sees(rf"\d\d:\d\d Order {number} from Thai Basil is accepted")

        apps.server.kill()
        for one in (customer, employee):
            one.sees("Connection lost: ")
        apps.server.start()
        for one in (customer, employee):
            one.sees("Connection is back")
        employee.type(f"preparing {number}\n")
        customer.sees(f"Order {number} from Thai Basil is being prepared")

        for one in (customer, employee):
            assert "\x1b" not in one.text, "no cursor movement and no colour"
        customer.type("\x04")
        assert customer.ends() == 0
        os.kill(employee.process.pid, signal.SIGTERM)
        assert employee.ends() == 128 + signal.SIGTERM
        for one in (customer, employee):
            assert termios.tcgetattr(one.side) == one.before


def test_a_password_is_never_echoed(apps: Apps) -> None:
    with apps.terminal("employee") as terminal:
        terminal.sees("You are not logged in")
        terminal.type("login nobody@example.com\n")
        terminal.sees("Password")
        deadline = time.monotonic() + PATIENCE
        while termios.tcgetattr(terminal.side)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "the terminal still echoes"
            time.sleep(0.01)
        terminal.type("a long secret\n")
        terminal.sees("tiffin> $", terminal.text.index("Password"))
        assert "secret" not in terminal.text
        terminal.type("\x03")
        assert terminal.ends() == 128 + signal.SIGINT
