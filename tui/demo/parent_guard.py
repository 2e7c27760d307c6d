"""Runs a module for as long as another process holds the other end of its standard input.

`python -m tui.demo.parent_guard MODULE ARGUMENTS...`: when the pipe closes, however its holder
ended, the process gets a SIGTERM, and is gone after ten more seconds at most.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 10.0


def _hold_on() -> None:
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
    """Tie this process to its standard input, then be the module named."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tui.demo.parent_guard MODULE ARGUMENTS...")
    del sys.argv[0]
    threading.Thread(target=_hold_on, name="tether", daemon=True).start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
