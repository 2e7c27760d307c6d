"""The apps in a real terminal: windows of a tmux for this test alone."""

import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server_process import ROOT
from support.waiting import PATIENCE, wait_for


def tmux_or_skip() -> str:
    """The path of tmux; skips the test where it is not installed."""
    found = shutil.which("tmux")
    if found is None:
        pytest.skip("tmux is not installed: this test plays in a real terminal")
    return found


class Tmux:
    """A tmux server with only our settings; every window is a session of its own."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the socket, and a home for each window."""
        self.folder = folder
        self._command = [tmux_or_skip(), "-L", f"tiffin-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]

    def run(self, *arguments: str) -> str:
        """Send tmux a command; returns its output."""
        done = subprocess.run(
            [*self._command, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={name: os.environ[name] for name in ("PATH",)}
            | {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "HOME": str(self.folder)},
        )
        assert done.returncode == 0, f"tmux {shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    def open(self, app: str, url: str, size: tuple[int, int] = (80, 24)) -> "Window":
        """Start `customer` or `employee` in a window of columns and rows, with an empty home."""
        command = shlex.join([sys.executable, "-m", f"tui.{app}", "--server", url])
        return self.run_in(app, command, size)

    def shell(self, size: tuple[int, int] = (80, 24), **more: str) -> "Window":
        """A shell with job control and the prompt `$ `; `more` is added to its environment."""
        command = "PS1='$ ' exec bash --norc --noprofile -i"
        return self.run_in("shell", command, size, **more)

    def run_in(self, app: str, command: str, size: tuple[int, int], **more_env: str) -> "Window":
        """Run a shell command in a window."""
        home = self.folder / f"home-{app}"
        home.mkdir(exist_ok=True)
        environment = {
            "TIFFIN_HOLD_SECONDS": "0",
            "HOME": home,
            "XDG_STATE_HOME": home / "state",
            "XDG_CONFIG_HOME": home / "config",
            "COLORTERM": "truecolor",
            **more_env,
        }
        more = [text for name, value in environment.items() for text in ("-e", f"{name}={value}")]
        name = f"{app}-{uuid.uuid4().hex[:4]}"
        columns, rows = map(str, size)
        code = self.folder / f"{name}.code"
        self.run(
            *("start-server", ";", "set", "-g", "status", "off"),
            *(";", "new-session", "-d", "-s", name, "-x", columns, "-y", rows),
            *("-c", str(ROOT), *more),
            # tmux itself sometimes misses how its program ended
            f"{command}; echo $? > {shlex.quote(str(code))}; exec cat",
        )
        return Window(self, name, code)

    def close(self) -> None:
        """End it and everything in it."""
        subprocess.run([*self._command, "kill-server"], capture_output=True, timeout=PATIENCE)


class Window:
    """One app in its terminal."""

    def __init__(self, tmux: Tmux, name: str, code: Path) -> None:
        self._tmux = tmux
        self._code = code
        self.name = name

    @property
    def text(self) -> str:
        """What it shows, line by line."""
        return self._tmux.run("capture-pane", "-p", "-t", self.name)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names: `Enter`, `Down`, `C-q`, `n`."""
        self._tmux.run("send-keys", "-t", self.name, *keys)

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        self._tmux.run("send-keys", "-l", "-t", self.name, line)
        self.press("Enter")

    def ask(self, what: str) -> str:
        """tmux's variables about the window: `alternate_on`, `pane_pid` and so on."""
        return self._tmux.run("display", "-p", "-t", self.name, f"#{{{what}}}").strip()

    def resize(self, columns: int, rows: int) -> None:
        """Resize the window."""
        self._tmux.run("resize-window", "-t", self.name, "-x", str(columns), "-y", str(rows))

    def sees(self, *texts: str, seconds: float = PATIENCE) -> str:
        """Wait until all `texts` are shown at once; returns the screen, completely drawn."""
        return self._until(lambda text: all(one in text for one in texts), seconds, f"{texts}")

    def sees_line(self, *texts: str, seconds: float = PATIENCE) -> str:
        """Wait until one line shows all `texts`; returns that line."""

        def line_of(text: str) -> str:
            lines = text.split("\n")
            return next((line for line in lines if all(one in line for one in texts)), "")

        screen = self._until(lambda text: bool(line_of(text)), seconds, f"{texts} in one line")
        return line_of(screen)

    def misses(self, *texts: str, seconds: float = PATIENCE) -> str:
        """Wait until none of `texts` is shown any more; returns the screen."""
        return self._until(lambda t: not any(one in t for one in texts), seconds, f"no {texts}")

    def _until(self, true_of: Callable[[str], bool], seconds: float, what: str) -> str:
        shown = [""]

        def looks_right() -> bool:
            # Between two draws a screen is half of each: twice the same means complete.
            before, shown[0] = shown[0], self.text
            return true_of(shown[0]) and shown[0] == before

        try:
            wait_for(looks_right, seconds, every=0.1, what=f"{self.name} shows {what}")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{shown[0]}\nexit code: {self.exit_code}") from None
        return shown[0]

    @property
    def exit_code(self) -> int | None:
        """None while the app runs."""
        text = self._code.read_text() if self._code.exists() else ""
        return int(text) if text.endswith("\n") else None

    def ends(self, seconds: float = PATIENCE) -> int:
        """Wait until the app has ended; returns its exit code."""
        self._until(lambda _: self.exit_code is not None, seconds, "the end of its app")
        code = self.exit_code
        assert code is not None
        return code


def signed_in(window: Window, *texts: str) -> Window:
    """Log in with the demo's button, and wait for `texts`."""
    window.sees("Enter the demo", "online")
    window.press("Enter")
    window.sees(*texts)
    return window
