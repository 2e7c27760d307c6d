"""Runs a module until the parent process ends.

`python -m tui.common.parent_guard MODULE ARGUMENTS...`: the parent holds the other end of standard
input. When that pipe closes, this process gets a SIGTERM, and is killed after ten more seconds.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 10.0


def _wait_for_parent() -> None:
    while True:
        try:
            if not os.read(0, 4096):
                break
        except OSError:
            break
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def main() -> None:
    """Watch standard input in a thread, and run the module."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tui.common.parent_guard MODULE ARGUMENTS...")
    del sys.argv[0]
    threading.Thread(target=_wait_for_parent, name="parent-guard", daemon=True).start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
