"""`make cluster`: Tiffin on PostgreSQL, Redis and Azurite, two gunicorn masters, nginx in front.

It is in tools/ as it needs what only a development environment has: a PostgreSQL and a Redis from
PyPI. The tests use the same parts (tests/support, tests/faults).
"""

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from server.settings import SettingsError
from tools.cluster.cluster import Cluster
from tools.cluster.service import ServiceError
from tui.common.processes import Child, port_is_free
from tui.demo.run import end_with_parent, signals_raise_exit

USUAL_PORT = 8080


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code; every process it starts has ended by then."""
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="with the demo's town")
    parser.add_argument("--port", type=int, help="nginx's port (default: 8080, or any free one)")
    parser.add_argument(
        "--folder",
        type=Path,
        help="for data and logs (default: .tiffin/cluster, or .tiffin/cluster-demo)",
    )
    parser.add_argument("--pace", type=float, default=1.0, help="the kitchens' pace, with --demo")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this one does"
    )
    options = parser.parse_args(arguments)
    if options.with_parent:
        end_with_parent(os.getppid())
    if options.port and not port_is_free(options.port):
        say(f"Port {options.port} is in use; name another one or none.")
        return 1
    folder = options.folder or Path(".tiffin", "cluster-demo" if options.demo else "cluster")
    port = options.port or (USUAL_PORT if port_is_free(USUAL_PORT) else None)
    os.umask(0o077)  # data and logs are private
    try:
        with (
            signals_raise_exit(),
            Cluster(folder, demo=options.demo, port=port, report=say) as cluster,
        ):
            say(f"\n{cluster.page()}\nctrl-c or a SIGTERM ends it.")
            return run(cluster, options.pace if options.demo else None)
    except (ServiceError, SettingsError, OSError) as error:
        say(f"The cluster cannot run: {error}")
        return 1
    except (KeyboardInterrupt, SystemExit):
        return 0


def run(cluster: Cluster, pace: float | None) -> int:
    """Report what ends by itself, until no master is left. With a pace, the autopilot runs."""
    autopilot = None
    if pace is not None:
        accounts = cluster.folder / "one" / "demo-accounts.json"
        autopilot = Child(
            cluster.folder / "autopilot.log",
            *("tui.demo.autopilot", "--server", cluster.url, "--pace", str(pace)),
            *("--accounts", str(accounts)),
        )
    try:
        pause, running = threading.Event(), [*cluster.services]
        while any(master.running for master in cluster.masters):
            for service in [one for one in running if not one.running]:
                running.remove(service)
                say(
                    f"{service.name} has ended with {service.returncode}; the others go on. Its log"
                    f" is {service.log_path}."
                )
            pause.wait(0.3)
        return 1
    finally:
        if autopilot is not None:
            autopilot.end()


def say(text: str) -> None:
    """Print it at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
