"""`make demo` in a fresh clone: the app first, what photos need second, whatever ends it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.processes import all_gone
from support.rest import Rest
from support.server_process import ROOT
from support.uploads import done, sent
from support.waiting import wait_for, wait_until
from tools.ports import free_port

pytestmark = [pytest.mark.others, pytest.mark.timeout(900)]

INSTALL_SECONDS = 300
"""Where nothing is cached."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git knows, as they are now."""
    folder = tmp_path / "clone"
    folder.mkdir()
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    there = b"\0".join(
        one for one in known.stdout.split(b"\0") if one and (ROOT / os.fsdecode(one)).exists()
    )
    archive = subprocess.run(
        ["tar", "--null", "-T", "-", "-c"], cwd=ROOT, input=there, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder


class Demo:
    """`make demo` without a terminal."""

    def __init__(self, clone: Path, home: Path, port: int) -> None:
        ours = ("TIFFIN_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "U2NET_HOME")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        cache = os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip")
        self.said = home / "said.txt"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                ["make", "demo"],
                cwd=clone,
                env=kept | {"HOME": str(home), "PIP_CACHE_DIR": cache, "TIFFIN_PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        self.beside = clone / ".tiffin" / "demo" / "beside.log"

    def open(self) -> None:
        wait_for(
            lambda: "The town is open" in self.said.read_text() or self.process.poll() is not None,
            INSTALL_SECONDS,
            what="the town is open",
        )
        assert "The town is open" in self.said.read_text(), self.said.read_text()

    def kill(self) -> None:
        """End make without warning: everything ends with it."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        all_gone(family)


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    started: list[Demo] = []
    yield started
    for demo in started:
        if demo.process.poll() is None:
            demo.kill()


async def test_photos_are_installed_second_and_the_next_demo_completes_it(
    clone: Path, tmp_path: Path, demos: list[Demo]
) -> None:
    port = free_port()
    packages = clone / ".venv" / "lib"
    demos.append(Demo(clone, tmp_path, port))
    demos[0].open()
    assert "MB)" in demos[0].said.read_text()
    assert not [*packages.glob("python*/site-packages/rembg")]
    async with Rest(f"http://127.0.0.1:{port}") as rest:
        await rest.demo("customer")
        upload_id = await sent(rest)
        waits: dict[str, Any] = (await rest.get(f"/uploads/{upload_id}")).must(200).json
        assert waits["status"] == "queued"
        assert "not installed here yet" in waits["hold"]
        wait_for(lambda: [*(clone / ".venv").glob("photos-*")], INSTALL_SECONDS, what="its start")
        demos[0].kill()
        assert not [*packages.glob("python*/site-packages/rembg")]
    demos.append(Demo(clone, tmp_path, port))
    demos[1].open()
    async with Rest(f"http://127.0.0.1:{port}") as rest:
        await rest.demo("customer")
        assert (await done(rest, upload_id, INSTALL_SECONDS))["attempts"] == 1

    async def finished() -> bool:
        return "Photos can be processed now" in demos[1].beside.read_text()

    await wait_until(finished)
    assert not [*(clone / ".venv").glob("photos-*")]
