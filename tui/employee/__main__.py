"""`python -m tui.employee`: the employee's window."""

import gc
import os
import sys


def main() -> None:
    """Run the app; the process ends with its exit code."""
    from tui.common.crash import REPORT

    REPORT.install()
    from tui.common.config import choose_language

    choose_language()
    if "--plain" in sys.argv[1:]:
        from tui.plain.cli import run_plain
        from tui.plain.employee import EmployeeShell

        sys.exit(run_plain(EmployeeShell))
    # nothing of what is imported now is garbage; the app turns it on once it has its client
    gc.disable()
    # how soon after a frame the next may follow; what streams bring is painted less often anyway
    os.environ.setdefault("TEXTUAL_FPS", "120")
    from tui.cli import run_app
    from tui.employee.app import EmployeeApp

    sys.exit(run_app(EmployeeApp))


if __name__ == "__main__":
    main()
