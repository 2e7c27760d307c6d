"""A full disk ends no server, although gunicorn halts if a new worker does not start."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from server.core.sqlite import READERS
from support.server_process import ON_POSTGRES, ServerProcess
from support.waiting import wait_until

WORKERS = 2


class Gunicorn(ServerProcess):
    """A server of two workers."""

    def at_work(self) -> set[int]:
        """The workers that have opened the database."""
        found = set()
        for worker in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                if has_opened_database(worker):
                    found.add(worker.pid)
        return found


def has_opened_database(worker: psutil.Process) -> bool:
    """Whether it has all of SQLite's connections, or one to PostgreSQL."""
    if not ON_POSTGRES:
        paths = [file.path for file in worker.open_files()]
        return sum(path.endswith(".sqlite3") for path in paths) > READERS
    from support.postgres import shared_server

    held = worker.net_connections("tcp4")
    return any(one.raddr and one.raddr.port == shared_server().port for one in held)


@pytest.fixture(params=[True, False], ids=["demo", "for real"])
def gunicorn(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Gunicorn]:
    env = {"TIFFIN_PHOTO_WORKERS": "0", "TIFFIN_LOG_LEVEL": "ERROR"}
    if request.param:
        env["TIFFIN_DEMO"] = "1"
    server = Gunicorn(data_dir, gunicorn=WORKERS, env=env)
    server.start()
    yield server
    server.terminate()
    print(server.log_tail())


async def test_dead_workers_are_replaced_while_the_disk_is_full(gunicorn: Gunicorn) -> None:
    await wait_until(lambda: len(gunicorn.at_work()) == WORKERS, 40, what="both are up")
    # No file may grow any more, in this process and its children, which inherit the limit.
    resource.prlimit(gunicorn.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    before = gunicorn.at_work()
    for worker in before:  # one after the other
        psutil.Process(worker).kill()

        def replaced(gone: int = worker) -> bool:
            assert gunicorn.running, "gunicorn has ended"
            now = gunicorn.at_work()
            return len(now) == WORKERS and gone not in now

        await wait_until(replaced, 40, what=f"another in place of {worker}")
    await wait_until(gunicorn.ready, 40)
    assert gunicorn.running
    assert not before & gunicorn.at_work()
    # Under gunicorn too, stored files are private.
    if not ON_POSTGRES:
        database = gunicorn.data_dir / "tiffin.sqlite3"
        assert database.stat().st_mode & 0o777 == 0o600
