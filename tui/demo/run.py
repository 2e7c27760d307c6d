"""The demo in one command: a town's server, an autopilot for its kitchens, the customer app."""

import argparse
import contextlib
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from tui.common.crash import REPORT
from tui.demo.processes import (
    BackstageError,
    Child,
    demo_folder,
    free_port,
    port_is_free,
    wait_ready,
)

USUAL_PORT = 8080
PORTS = range(1, 65536)
INTERVAL = "TIFFIN_DRIVER_INTERVAL_SECONDS"
INTERVAL_SECONDS = 2
"""Between two positions of a driver: whoever looks on wants to see them move."""
LAST_RESORT_SECONDS = 20.0
PARENT_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code; nothing that was started here outlives it."""
    parser = argparse.ArgumentParser(prog="python -m tui.demo.run", description=__doc__)
    parser.add_argument("--port", type=int, default=None, help="default: 8080, or any free one")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="of the kitchens; 2 is half as fast"
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this one does"
    )
    options = parser.parse_args(arguments)
    if options.with_parent:
        _end_with(os.getppid())
    try:
        port = _choose_port(options.port)
        with _told_to_stop():
            return _run(port, options.pace, os.isatty(0) and os.isatty(1))
    except BackstageError as error:
        _say(str(error))
        return 1
    except OSError as fault:
        _say(f"The demo cannot use its folder, or start its processes: {fault}.")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(port: int, pace: float, on_screen: bool) -> int:
    url = f"http://127.0.0.1:{port}"
    data_dir = demo_folder()
    os.umask(0o077)  # what is kept and logged is nobody else's
    data_dir.mkdir(parents=True, exist_ok=True)
    if not os.environ.get(INTERVAL, "").strip():
        os.environ[INTERVAL] = str(INTERVAL_SECONDS)
    children: list[Child] = []
    try:
        _say(_how_to_open(url, on_screen))
        server = Child(
            data_dir / "server.log",
            *("server", "--demo", "--host", "127.0.0.1", "--port", str(port)),
        )
        children.append(server)
        wait_ready(server, url)
        pilot = Child(
            data_dir / "autopilot.log",
            *("tui.demo.autopilot", "--server", url, "--pace", str(pace)),
            *("--accounts", str(data_dir / "demo-accounts.json")),
        )
        children.append(pilot)
        if on_screen:
            return _customer_app(url, _employee_hint(url))
        _say(f"The town is open at {url}. Ctrl-c, or a SIGTERM, closes it.")
        return _stay(server)
    finally:
        _end(children)


def _choose_port(wished: int | None) -> int:
    if wished is not None:
        if wished not in PORTS:
            raise BackstageError(f"{wished} is no port; they go from 1 to {PORTS[-1]}.")
        if not port_is_free(wished):
            raise BackstageError(f"Port {wished} is taken; name another one or none.")
        return wished
    usual = (os.environ.get("TIFFIN_PORT") or os.environ.get("PORT") or "").strip()
    port = int(usual) if usual.isascii() and usual.isdecimal() else USUAL_PORT
    if port in PORTS and port_is_free(port):
        return port
    other = free_port()
    _say(f"Port {port} is taken, so the demo's server uses {other}.")
    return other


def _how_to_open(url: str, on_screen: bool) -> str:
    lines = []
    if not on_screen:
        lines.append("There is no terminal here, so only the server and the autopilot run.")
        lines.append(f"The customer's side, in a terminal:  make customer{_server(url)}")
    lines.append(_employee_hint(url))
    return "\n".join(lines)


def _employee_hint(url: str) -> str:
    return f"The kitchen's side, in a second terminal: make employee{_server(url)}"


def _server(url: str) -> str:
    return f" SERVER={url}" if url != f"http://127.0.0.1:{USUAL_PORT}" else ""


def _customer_app(url: str, hint: str) -> int:
    # In this very process, so that it cannot be left behind. By name, since what both apps share
    # must not import either.
    sys.argv = ["tiffin-customer", "--server", url, "--hint", hint]
    try:
        runpy.run_module("tui.customer", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            _say(end.code)
            return 1
        return end.code or 0
    return 0


def _stay(server: Child) -> int:
    pause = threading.Event()
    while server.running:
        pause.wait(0.3)
    raise BackstageError(
        f"The server ended (exit code {server.returncode}). Its last lines:\n{server.last_lines()}"
    )


def _end(children: list[Child]) -> None:
    for child in reversed(children):
        child.let_go()
    for child in reversed(children):
        child.end()


def _end_with(parent: int) -> None:
    """Take the death of `parent`, of which no signal tells, for a SIGTERM."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextlib.contextmanager
def _told_to_stop() -> Iterator[None]:
    """Turn the signals that end a process into SystemExit, once, so that `finally` blocks run."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for sign in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, signal.SIG_IGN)
        # A screen that hangs on a terminal that is gone must not keep us: the children's pipes
        # close with this process.
        last_resort = threading.Timer(LAST_RESORT_SECONDS, os._exit, (128 + number,))
        last_resort.daemon = True
        last_resort.start()
        raise SystemExit(128 + number)

    signs = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(sign, stop) for sign in signs]
    try:
        yield
    finally:
        for sign, handler in zip(signs, before, strict=True):
            signal.signal(sign, handler)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    REPORT.install()
    sys.exit(main())
