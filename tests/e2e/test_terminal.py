"""The apps' terminal: restored by whatever ends or stops them, and redrawn."""

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from support.processes import all_gone
from support.server_process import ROOT, ServerProcess, server_environment
from support.tmux import Tmux, Window, signed_in
from support.waiting import PATIENCE, wait_for
from tools.ports import free_port

APPS = {"customer": "1 Orders", "employee": "1 Kitchen"}
GIVEN_BACK = {
    "alternate_on": "0",
    "cursor_flag": "1",
    "wrap_flag": "1",
    "mouse_any_flag": "0",
    "mouse_sgr_flag": "0",
    "pane_current_command": "bash",
}


def start(window: Window, app: str, url: str, *, again: bool = False) -> psutil.Process:
    """Type the command of an app and log in, with the demo's button the first time; its process."""
    window.type("clear; " + shlex.join([sys.executable, "-m", f"tui.{app}", "--server", url]))
    if again:
        window.sees(APPS[app])
    else:
        signed_in(window, APPS[app])
    return job_of(window)


def job_of(window: Window) -> psutil.Process:
    shell = psutil.Process(int(window.ask("pane_pid")))
    return wait_for(lambda: next(iter(shell.children()), None), what="the app's process")


def is_given_back(window: Window) -> None:
    found: dict[str, str] = {}

    def as_it_was() -> bool:
        values = window.ask("},#{".join(GIVEN_BACK)).split(",")
        found.update(zip(GIVEN_BACK, values, strict=True))
        return found == GIVEN_BACK

    try:
        wait_for(as_it_was, what="the shell has its terminal")
    except AssertionError as late:
        raise AssertionError(f"{late}\n{found}\n{window.text}") from None


def ended_in_order(window: Window, how: str) -> None:
    """`how` is shown, and `stty -a` says that the terminal is as it was."""
    screen = window.sees(how, "icanon")
    assert " -icanon" not in screen
    assert " -echo " not in screen
    assert "Traceback" not in screen


def words(screen: str) -> list[str]:
    """The screen without figures and ages, which change."""
    return re.findall(r"[A-Za-z]{3,}", screen)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A demo for all tests here."""
    server = ServerProcess(tmp_path_factory.mktemp("demo"), demo=True).start()
    yield server
    server.terminate(seconds=5)
    print(server.log_tail())


def test_signals_that_end_an_app_restore_the_terminal(server: ServerProcess, tmux: Tmux) -> None:
    window = tmux.shell()
    for sign in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        process = start(window, "customer", server.url, again=sign is not signal.SIGTERM)
        assert window.ask("alternate_on") == "1"
        process.send_signal(sign)
        is_given_back(window)
        window.type("echo code $?; stty -a")
        ended_in_order(window, f"code {128 + sign}")


@pytest.mark.parametrize("app", APPS)
def test_an_app_is_suspended_and_redrawn_completely(
    app: str, server: ServerProcess, tmux: Tmux
) -> None:
    window = tmux.shell((100, 30))
    process = start(window, app, server.url)
    window.press("1")
    whole = words(window.sees(APPS[app], "Quit"))

    def comes_back(how: Callable[[], None], of_before: float = 0.9) -> None:
        how()
        shown = window.sees(APPS[app], "Quit")
        assert len(words(shown)) > of_before * len(whole), shown
        assert window.ask("alternate_on") == "1"

    for stop in (lambda: window.press("C-z"), lambda: process.send_signal(signal.SIGTSTP)):
        stop()
        is_given_back(window)
        window.sees("Stopped")
        comes_back(lambda: window.type("clear; fg"))
    process.send_signal(signal.SIGSTOP)
    window.sees("Stopped")
    comes_back(lambda: window.type("fg"))
    # In the background it stops again, instead of drawing over the shell.
    window.press("C-z")
    is_given_back(window)
    window.type("clear; bg; echo still'' here")  # as typed it does not contain what it prints
    window.sees("still here")
    wait_for(lambda: process.status() == psutil.STATUS_STOPPED, what="it is stopped again")
    window.resize(80, 24)
    comes_back(lambda: window.type("clear; fg"), 0.4)
    assert max(map(len, window.text.splitlines())) in (79, 80)
    window.press("C-z")
    is_given_back(window)
    window.type("clear; kill %1; echo kill''ed")
    window.sees("killed")
    process.wait(timeout=PATIENCE)
    window.type("stty -a")
    ended_in_order(window, f"Exit {128 + signal.SIGTERM}")
    assert window.ask("alternate_on") == "0"


def test_the_demo_is_suspended_too(data_dir: Path, tmux: Tmux) -> None:
    environment = server_environment(data_dir, more={"TIFFIN_PORT": str(free_port())})
    del environment["TIFFIN_JWT_SECRET"]
    ours = {name: value for name, value in environment.items() if name.startswith("TIFFIN_")}
    window = tmux.shell((100, 30), **ours)
    window.type("before=$(stty -g)")
    # As make runs it: a process of the same job waits for it.
    window.type(f"sh -c '{sys.executable} -m tui.demo.run; exit $?'")
    window.sees("Enter the demo", "online")
    window.press("Tab", "C-z")
    window.sees("Stopped")
    is_given_back(window)
    window.type("clear; fg")
    window.sees("Enter the demo", "online", "Password")
    family = job_of(window).children(recursive=True)
    demo = next(one for one in family if "tui.demo.run" in one.cmdline())
    demo.send_signal(signal.SIGTERM)
    is_given_back(window)
    window.type("echo code $? modes $([ $before = $(stty -g) ] && echo same)")
    window.sees(f"code {128 + signal.SIGTERM} modes same")
    all_gone(family)


def test_the_lab_has_the_terminal_until_it_is_left(server: ServerProcess, tmux: Tmux) -> None:
    window = tmux.shell((100, 30))
    process = start(window, "customer", server.url)
    window.press("F3")
    window.sees("Ladder of short poll", "run 1")
    window.press("C-z")
    window.sees("Stopped")
    is_given_back(window)
    window.type("clear; fg")
    window.sees("Ladder of short poll")
    window.resize(80, 24)
    window.press("C-q")
    window.sees("1 Orders", "Quit")
    window.press("?")
    window.sees("Keys")
    window.press("Escape", "F3")
    window.sees("short poll", "run 1")
    (lab,) = process.children()
    process.terminate()
    is_given_back(window)
    lab.wait(timeout=PATIENCE)
    window.type("echo code $?")
    window.sees(f"code {128 + signal.SIGTERM}")


def test_invalid_utf_8_and_exported_sizes_change_nothing(server: ServerProcess, tmux: Tmux) -> None:
    window = tmux.shell(
        (100, 30), COLUMNS="60", LINES="17", PYTHONIOENCODING="latin-1", PYTHONUTF8="0"
    )
    start(window, "customer", server.url)
    for columns, rows in ((100, 30), (80, 24)):
        window.resize(columns, rows)
        # The outermost column may be empty.
        wait_for(
            lambda most=columns: max(map(len, window.text.splitlines())) in (most - 1, most),
            what="the size is used",
        )
        window.sees("─", "╭")
    window.press("-H", "ff", "c3")
    window.press("?")
    window.sees("Keys")
    window.press("Escape", "C-q")
    is_given_back(window)


def test_an_app_without_a_shell_is_not_suspended_and_ends_with_its_terminal(
    server: ServerProcess, tmux: Tmux
) -> None:
    command = [sys.executable, "-m", "tui.customer", "--server", server.url]
    window = tmux.run_in("customer", f"trap '' HUP; {shlex.join(command)}", (80, 24))
    signed_in(window, APPS["customer"])
    window.press("C-z", "?")
    window.sees("Keys")
    process = job_of(window)
    tmux.run("kill-session", "-t", window.name)
    process.wait(timeout=PATIENCE)


@pytest.mark.parametrize("app", APPS)
def test_without_a_terminal_an_app_says_so(app: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tui.{app}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().count("\n") == 1
    assert "needs a terminal" in done.stderr.decode()
