"""The demo in one command: a server with a town, autopilots for it, and the customer app."""

import argparse
import contextlib
import os
import runpy
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from server.data_dir import default_data_dir
from tui.common.crash import REPORT
from tui.common.processes import Child, ChildError, free_port, port_is_free, wait_ready

USUAL_PORT = 8080
PORTS = range(1, 65536)
INTERVAL = "TIFFIN_DRIVER_INTERVAL_SECONDS"
INTERVAL_SECONDS = 2
"""Between two positions of a driver: short, so that one sees them move."""
LAST_RESORT_SECONDS = 20.0
PARENT_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code; every process it starts has ended by then."""
    parser = argparse.ArgumentParser(prog="tiffin-demo", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument(
        "--port", type=int, default=None, help="the server's port (default: 8080, or any free one)"
    )
    parser.add_argument(
        "--pace",
        type=float,
        default=1.0,
        help="the kitchens' pace (default: 1; 2 takes twice as long)",
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this one does"
    )
    parser.add_argument(
        "--beside",
        metavar="COMMAND",
        default="server.features.uploads.fetch_model",
        help="a module and its arguments, to run while the demo does, printing into beside.log"
        " (default: what fetches the photos' model, once)",
    )
    options = parser.parse_args(arguments)
    if options.with_parent:
        end_with_parent(os.getppid())
    try:
        port = _choose_port(options.port)
        with signals_raise_exit():
            return _run(port, options.pace, options.beside, os.isatty(0) and os.isatty(1))
    except ChildError as error:
        _print(str(error))
        return 1
    except OSError as error:
        _print(f"The demo cannot use its folder, or start its processes: {error}.")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(port: int, pace: float, beside: str, on_screen: bool) -> int:
    url = f"http://127.0.0.1:{port}"
    data_dir = demo_folder()
    os.umask(0o077)  # data and logs are private
    data_dir.mkdir(parents=True, exist_ok=True)
    if not os.environ.get(INTERVAL, "").strip():
        os.environ[INTERVAL] = str(INTERVAL_SECONDS)
    children: list[Child] = []
    try:
        _print(_how_to_open(url, on_screen))
        server = Child(
            data_dir / "server.log",
            *("server", "--demo", "--host", "127.0.0.1", "--port", str(port)),
        )
        children.append(server)
        wait_ready(server, url)
        autopilot = Child(
            data_dir / "autopilot.log",
            *("tui.demo.autopilot", "--server", url, "--pace", str(pace)),
            *("--accounts", str(data_dir / "demo-accounts.json")),
        )
        children.append(autopilot)
        if beside:
            children.append(Child(data_dir / "beside.log", *shlex.split(beside)))
        if on_screen:
            return _customer_app(url, _employee_hint(url))
        _print(f"The town is open at {url}. Ctrl-c or a SIGTERM closes it.")
        return _wait_for(server)
    finally:
        _end(children)


def _choose_port(wished: int | None) -> int:
    if wished is not None:
        if wished not in PORTS:
            raise ChildError(f"{wished} is not a port; ports are 1 to {PORTS[-1]}.")
        if not port_is_free(wished):
            raise ChildError(f"Port {wished} is in use; name another one or none.")
        return wished
    usual = (os.environ.get("TIFFIN_PORT") or os.environ.get("PORT") or "").strip()
    port = int(usual) if usual.isascii() and usual.isdecimal() else USUAL_PORT
    if port in PORTS and port_is_free(port):
        return port
    other = free_port()
    _print(f"Port {port} is in use, so the demo's server uses {other}.")
    return other


def demo_folder() -> Path:
    """Where the demo keeps its data: TIFFIN_DATA_DIR, as the server reads it, or a default.

    Raises OSError where that names a user without a home.
    """
    named = os.environ.get("TIFFIN_DATA_DIR", "").strip()
    try:
        return Path(named).expanduser() if named else default_data_dir(demo=True)
    except RuntimeError:
        raise OSError(f"{named}: that user has no home") from None


def _how_to_open(url: str, on_screen: bool) -> str:
    lines = []
    if not on_screen:
        lines.append("There is no terminal here, so only the server and the autopilot run.")
        lines.append(f"The customer's side, in a terminal:  {_command('customer', url)}")
    lines.append(_employee_hint(url))
    return "\n".join(lines)


def _employee_hint(url: str) -> str:
    return f"The kitchen's side, in a second terminal: {_command('employee', url)}"


def _command(app: str, url: str) -> str:
    usual = url == f"http://127.0.0.1:{USUAL_PORT}"
    if os.environ.get("MAKELEVEL"):
        return f"make {app}" + ("" if usual else f" SERVER={url}")
    return f"tiffin-{app}" + ("" if usual else f" --server {url}")


def _customer_app(url: str, hint: str) -> int:
    # In this process, so that it cannot be left running. By name, because the demo imports no app.
    sys.argv = ["tiffin-customer", "--server", url, "--hint", hint]
    try:
        runpy.run_module("tui.customer", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            _print(end.code)
            return 1
        return end.code or 0
    return 0


def _wait_for(server: Child) -> int:
    pause = threading.Event()
    while server.running:
        pause.wait(0.3)
    raise ChildError(
        f"The server ended (exit code {server.returncode}). Its last lines:\n{server.last_lines()}"
    )


def _end(children: list[Child]) -> None:
    for child in reversed(children):
        child.request_end()
    for child in reversed(children):
        child.end()


def end_with_parent(parent: int) -> None:
    """Send this process a SIGTERM when `parent` ends, which no signal reports."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextlib.contextmanager
def signals_raise_exit() -> Iterator[None]:
    """Turn the first SIGTERM or SIGHUP into SystemExit, so that `finally` blocks run."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        # If the app hangs on a closed terminal, end anyway: the children's pipes close with this
        # process.
        last_resort = threading.Timer(LAST_RESORT_SECONDS, os._exit, (128 + number,))
        last_resort.daemon = True
        last_resort.start()
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, stop) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _print(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def command() -> int:
    """The installed command."""
    REPORT.install()
    return main()


if __name__ == "__main__":
    sys.exit(command())
