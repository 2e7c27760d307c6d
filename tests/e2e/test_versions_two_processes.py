"""The last version beside this one on one database, as while servers are replaced one by one."""

import asyncio
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.rest import Rest
from support.scene import play
from support.server_process import ON_POSTGRES, ROOT, ServerProcess, where_for
from support.town import PASSWORD
from support.two_processes import Two
from support.waiting import PATIENCE, in_a_thread
from support.witness import Outage

pytestmark = [pytest.mark.others, pytest.mark.timeout(300)]

CLIENT = Path(__file__).with_name("client_of_a_version.py")


def git(*words: str) -> bytes:
    """What git prints; nothing where that is impossible."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


@pytest.fixture(scope="module")
def last_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the newest version: of its tag, or as it came into the changelog."""
    found = git("describe", "--tags", "--abbrev=0", "--match", "v*")
    if not found and git("rev-parse", "--is-shallow-repository") == b"false\n":
        heads = re.findall(r"^## \[\d.*\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
        found = git("log", "-1", "--format=%H", f"-S{heads[0]}", "--", "CHANGELOG.md")
    if not (version := found.decode().strip()):
        pytest.skip("this clone has no version before: `git fetch --tags --unshallow` gets them")
    folder = tmp_path_factory.mktemp("version") / version
    with tarfile.open(fileobj=io.BytesIO(git("archive", version, "server", "tui"))) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory, last_version: Path) -> Iterator[Two]:
    """The last version has made the database and is running when this one migrates it."""
    data_dir = tmp_path_factory.mktemp("versions")
    if ON_POSTGRES:
        from support.postgres import shared_server

        url = str(where_for(data_dir / "tiffin.sqlite3"))
        name = url.rpartition("/")[2]
        in_a_thread(shared_server().execute(f"DROP DATABASE {name}"))
        in_a_thread(shared_server().execute(f"CREATE DATABASE {name}"))
    two = Two(ServerProcess(data_dir, root=last_version), ServerProcess(data_dir))
    try:
        for server in two.both:
            server.start()
        yield two
    finally:
        for server in two.both:
            assert server.terminate() == 0
            print(f"--- {server.url} ---\n{server.log_tail()}")


async def test_each_sees_the_other_ones_orders_once_and_in_order(versions: Two) -> None:
    async def none(two: Two) -> Outage | None:
        return None

    await play(versions, none)


@pytest.mark.parametrize(("client", "server"), [("last", "new"), ("new", "last")])
async def test_a_client_works_with_a_server_of_the_other_version(
    versions: Two, last_version: Path, client: str, server: str
) -> None:
    place = await versions.open_restaurant()
    url = (versions.left if server == "last" else versions.right).url
    async with Rest(url) as rest:
        await rest.register(f"{client}@example.com", PASSWORD)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, CLIENT, url, f"{client}@example.com", place.employees[0], PASSWORD),
        *(place.id, place.dishes[0]),
        cwd=last_version if client == "last" else ROOT,
        env={"PYTHONPATH": str(last_version if client == "last" else ROOT)},
        stdout=subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        seen, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(seen) == {
        "kitchen": ["order.placed", True],
        "status": "accepted",
        "chat": "Hello?",
    }
