"""A worker's process: warm, replaced after its jobs, killed when over, gone with its server."""

import asyncio
import ctypes
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from server.features.uploads.child import Child, Limits, Lost
from server.features.uploads.header import SCANS, Unreadable
from server.features.uploads.worker import FILE_BYTES, OPEN_FILES, RESULT
from support.uploads import COFFEE, photo_workers
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[4]


def spent(worker: psutil.Process) -> float:
    """Seconds of the processor that it has had."""
    times = worker.cpu_times()
    return times.user + times.system


def told(worker: psutil.Process, what: str) -> str:
    """What the system says of that process."""
    return Path(f"/proc/{worker.pid}/{what}").read_text()


@pytest.fixture(autouse=True)
async def nobody_elses() -> None:
    """Workers of servers from before are gone."""
    await wait_until(lambda: not photo_workers(), 30, what="the workers of other tests are gone")


@pytest.fixture
def limits(tmp_path: Path) -> Limits:
    home = Path(os.environ["U2NET_HOME"])
    return Limits("u2netp", home, 20, 512 * 1024 * 1024, 100, tmp_path)


@pytest.fixture
def coffee(tmp_path: Path) -> Path:
    """A photo where a worker may read it."""
    return shutil.copy(COFFEE, tmp_path / "sent")


@pytest.fixture
async def child(limits: Limits) -> AsyncIterator[Child]:
    child = Child(limits)
    yield child
    await child.close()


async def test_one_warm_process_that_outlives_deaths_and_bad_files(
    child: Child, coffee: Path, tmp_path: Path
) -> None:
    """One test for all of it: a process takes a while to start."""
    assert not photo_workers(), "none is started before there is a job"
    cut = await child.process(coffee, tmp_path)
    assert (cut.width, cut.height) == (600, 400)
    assert (tmp_path / RESULT).read_bytes().startswith(b"\x89PNG")
    [worker] = photo_workers()
    assert worker.nice() > 0, "the event loop goes first"
    text = tmp_path / "text"
    text.write_text("no picture")
    with pytest.raises(Unreadable):
        await child.process(text, tmp_path)
    await child.process(coffee, tmp_path)
    assert [one.pid for one in photo_workers()] == [worker.pid], "it is kept warm"
    assert child.kills == 0

    worker.send_signal(signal.SIGKILL)  # while it waits: the next job does not notice
    await wait_until(lambda: not child.alive)
    await child.process(coffee, tmp_path)
    [second] = photo_workers()
    assert second.pid != worker.pid

    before = spent(second)
    work = asyncio.create_task(child.process(coffee, tmp_path))
    await wait_until(lambda: spent(second) > before + 0.03, every=0.002, what="it is at work")
    second.send_signal(signal.SIGKILL)  # over its job
    with pytest.raises(Lost, match="may be fine") as lost:
        await work
    assert lost.value.excused, "whoever killed it, it was not the photo"
    assert child.kills >= 1


async def test_a_crash_is_not_an_end_from_outside(
    child: Child, coffee: Path, tmp_path: Path
) -> None:
    await child.process(coffee, tmp_path)
    [worker] = photo_workers()
    before = spent(worker)
    work = asyncio.create_task(child.process(coffee, tmp_path))
    await wait_until(lambda: spent(worker) > before + 0.03, every=0.002, what="it is at work")
    worker.send_signal(signal.SIGSEGV)
    with pytest.raises(Lost, match="failed") as lost:
        await work
    assert lost.value.again
    assert not lost.value.excused


def costly() -> bytes:
    """Two seconds of the processor: as many scans as are taken, of 25 megapixels each."""
    file = io.BytesIO()
    Image.new("L", (5000, 5000), 128).save(file, "JPEG", progressive=True, quality=50)
    content = file.getvalue()
    scans = content.count(b"\xff\xda")
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (SCANS - scans) + b"\xff\xd9"


async def test_over_its_time_over_its_memory_and_after_its_jobs(
    limits: Limits, coffee: Path, tmp_path: Path
) -> None:
    sent = tmp_path / "costly"
    sent.write_bytes(await asyncio.to_thread(costly))
    slow = Child(replace(limits, seconds=0.1))
    with pytest.raises(Lost, match=r"0\.[13] s") as late:
        await slow.process(sent, tmp_path)
    assert not late.value.again, "it would take as long once more"
    large = Child(replace(limits, memory=30 * 1024 * 1024))
    with pytest.raises(Lost, match="more than 30 MB") as much:
        await large.process(coffee, tmp_path)
    assert not much.value.again
    assert (slow.kills, large.kills) == (1, 1)
    await wait_until(lambda: not photo_workers(), what="those that were over are gone")
    short = Child(replace(limits, jobs=1))
    await short.process(coffee, tmp_path)
    [first] = photo_workers()
    await short.process(coffee, tmp_path)
    assert first.pid not in {one.pid for one in photo_workers()}
    assert short.kills == 0, "a replacement is no kill"
    await short.close()
    await wait_until(lambda: not photo_workers())


async def test_it_holds_no_secret_and_may_do_little(
    child: Child, coffee: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it gets is an allow-list; what its libraries leave in a home is nothing."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TIFFIN_JWT_SECRET", "a-secret")
    monkeypatch.setenv("TIFFIN_AZURE_STORAGE_CONNECTION_STRING", "AccountKey=a-secret")
    monkeypatch.setenv("SOMEBODY_ELSES_TOKEN", "a-secret")
    await child.process(coffee, tmp_path)
    [worker] = photo_workers()
    found = told(worker, "environ").split("\0")
    assert not [one for one in found if "TIFFIN" in one or "a-secret" in one]
    assert "ORT_DISABLE_TELEMETRY=1" in found
    assert list(home.iterdir()) == [], "onnxruntime keeps a device id there otherwise"
    assert int(told(worker, "oom_score_adj")) > 0, "the kernel ends the server last"
    assert "NoNewPrivs:\t1" in told(worker, "status")
    for limit, most in (
        (psutil.RLIMIT_CORE, 0),
        (psutil.RLIMIT_FSIZE, FILE_BYTES),
        (psutil.RLIMIT_NOFILE, OPEN_FILES),
    ):
        assert worker.rlimit(limit) == (most, most)
    assert worker.rlimit(psutil.RLIMIT_CPU)[0] < 60
    assert worker.rlimit(psutil.RLIMIT_DATA)[0] < 1024**3


CONFINED = """
import socket, subprocess, sys
from pathlib import Path
from server.features.uploads.worker import confine

own, other = Path(sys.argv[1]), Path(sys.argv[2])
confine(reads=[Path(sys.prefix), Path(sys.base_prefix)], writes=own)
(own / "made").write_text("x")
(own / "made").unlink()
for name, act in {
    "reads": lambda: (other / "jwt-secret").read_text(),
    "lists": lambda: list(other.iterdir()),
    "writes": lambda: (other / "new").write_text("x"),
    "removes": lambda: (other / "jwt-secret").unlink(),
    "links": lambda: (own / "link").symlink_to(other / "jwt-secret"),
    "reads its parent": lambda: Path(f"/proc/{__import__('os').getppid()}/environ").read_bytes(),
    "runs": lambda: subprocess.run(["/bin/true"]),
    "connects": lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), 5),
}.items():
    try:
        act()
    except PermissionError:
        continue
    print(name)
"""


def test_whoever_takes_it_over_reaches_nothing_else(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
    (other / "jwt-secret").write_text("secret")
    if ctypes.CDLL(None).syscall(444, None, 0, 1) < 4:
        pytest.skip("this kernel has no Landlock, or an early one")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        code = subprocess.run(
            [sys.executable, "-c", CONFINED, str(own), str(other), port],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (code.returncode, code.stdout) == (0, ""), code.stderr
    assert (other / "jwt-secret").read_text() == "secret"


SERVER = """
import asyncio, sys
from pathlib import Path
from server.features.uploads.child import Child, Limits

async def main():
    folder = Path(sys.argv[3])
    child = Child(Limits("u2netp", Path(sys.argv[1]), 20, 512 << 20, 100, folder))
    await child.process(Path(sys.argv[2]), folder)
    print("warm", flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_worker_ends_with_a_server_that_was_killed(
    limits: Limits, coffee: Path, tmp_path: Path
) -> None:
    script = tmp_path / "server_of_a_kind.py"
    script.write_text(SERVER)
    arguments = [str(limits.home), str(coffee), str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, str(script), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "warm\n"
        left = psutil.Process(server.pid).children(recursive=True)
        assert left
        server.kill()
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive
