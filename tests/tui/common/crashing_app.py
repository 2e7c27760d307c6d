"""Apps that fail where they are told to, with a password among the values of its variables."""

import asyncio
import gc
import os
import sys
from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from server.features.accounts.schemas import Registration
from tui.cli import run_app
from tui.common.app import TiffinApp
from tui.common.client.api import Api  # noqa: F401 imported once, for all
from tui.common.crash import REPORT
from tui.customer.app import CustomerApp
from tui.employee.app import EmployeeApp

PASSWORD = "hunter2"


def fail(password: str) -> None:
    """Fail, while an error about the password is being handled."""
    typed = {"password": password}
    try:
        Registration(email="ana@example.com", password=typed["password"], name="Ana")
    except ValueError:
        raise LookupError("a mistake of ours")  # noqa: B904 its context is wanted


class Broken(Static):
    def render(self) -> Content:
        fail(PASSWORD)
        return Content("")


def crashing(base: type[TiffinApp], where: str) -> type[TiffinApp]:
    class Crashing(base):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **more: object) -> None:
            if where == "start":
                fail(PASSWORD)
            super().__init__(*arguments, **more)

        def compose(self) -> ComposeResult:
            if where == "compose":
                fail(PASSWORD)
            yield from super().compose()
            if where == "render":
                yield Broken()

        async def on_mount(self) -> None:
            if where == "handler":
                self.call_later(fail, PASSWORD)
            elif where in ("worker", "quiet worker"):
                self.run_worker(self.work(), exit_on_error=where == "worker")
                self.set_timer(0.2, self.exit)
            elif where == "task":
                self.alone = asyncio.create_task(self.work())
                self.alone.add_done_callback(self.forget)
            elif where == "unmount":
                self.exit()

        async def work(self) -> None:
            await asyncio.sleep(0)
            fail(PASSWORD)

        def forget(self, _: object) -> None:
            del self.alone
            self.call_later(self.leave)

        def leave(self) -> None:
            gc.collect()
            self.exit()

        async def on_unmount(self) -> None:
            if where == "unmount":
                fail(PASSWORD)

    return Crashing


APPS = {"customer": CustomerApp, "employee": EmployeeApp}


def main(folder: Path, crashes: list[str]) -> None:
    """Run each of `crashes`, such as `customer:render`, with a state folder of that name, and print
    its exit code. They are forked: to import an app takes longer than to run it."""
    for crash in crashes:
        app, where = crash.split(":")
        if not (pid := os.fork()):
            os.environ["XDG_STATE_HOME"] = str(folder / crash)
            REPORT.install()
            sys.exit(run_app(crashing(APPS[app], where), ["--server", "http://127.0.0.1:9"]))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(f"--- {crash} {code}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
