"""Worker processes: kept warm, replaced, killed at their limits, gone with their server."""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from server.features.uploads import worker_process
from server.features.uploads.image_header import Unreadable
from server.features.uploads.rembg_worker import (
    MAX_FILE_BYTES,
    MAX_OPEN_FILES,
    ORIGINAL,
    RESULT,
    Cutout,
)
from server.features.uploads.worker_process import WorkerLimits, WorkerLost, WorkerProcess
from support.processes import all_gone
from support.uploads import COFFEE, QUICK_WORKER, photo_workers
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[4]


def proc_file(worker: psutil.Process, what: str) -> str:
    """A file of the process in /proc."""
    return Path(f"/proc/{worker.pid}/{what}").read_text()


@pytest.fixture(autouse=True)
async def no_other_workers() -> None:
    """Wait until the workers of earlier tests' servers are gone."""
    await wait_until(lambda: not photo_workers(), what="the workers of other tests are gone")


@pytest.fixture
def limits(tmp_path: Path) -> WorkerLimits:
    home = Path(os.environ["U2NET_HOME"])
    return WorkerLimits("u2netp", home, 20, 512 * 1024 * 1024, 100, tmp_path)


@pytest.fixture
def coffee(tmp_path: Path) -> Path:
    """A photo in a folder that a worker may read."""
    return shutil.copy(COFFEE, tmp_path / "sent")


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets quick workers finish no photo, with True, or all, with False, as at first."""
    path = tmp_path / "held"
    monkeypatch.setattr(worker_process, "PROGRAM", (*QUICK_WORKER, str(path)))
    return lambda held: path.touch() if held else path.unlink()


@pytest.fixture
async def process(limits: WorkerLimits) -> AsyncIterator[WorkerProcess]:
    process = WorkerProcess(limits)
    yield process
    await process.close()


async def at_work(process: WorkerProcess, photo: Path, folder: Path) -> asyncio.Task[Cutout]:
    """A job that has begun: its photo was read, and the model is held."""
    (folder / ORIGINAL).unlink(missing_ok=True)
    work = asyncio.create_task(process.process(photo, folder))
    await wait_until((folder / ORIGINAL).exists, what="it is working")
    return work


async def test_a_process_is_kept_warm_over_bad_files_and_replaced_when_it_dies(
    process: WorkerProcess, coffee: Path, tmp_path: Path, hold: Callable[[bool], None]
) -> None:
    """One test, since a process takes a while to start."""
    assert not photo_workers(), "none starts before there is a job"
    cutout = await process.process(coffee, tmp_path)
    assert (cutout.width, cutout.height) == (600, 400)
    assert (tmp_path / RESULT).read_bytes().startswith(b"\x89PNG")
    [worker] = photo_workers()
    assert worker.nice() > 0, "the event loop has priority"
    text = tmp_path / "text"
    text.write_text("no picture")
    with pytest.raises(Unreadable):
        await process.process(text, tmp_path)
    await process.process(coffee, tmp_path)
    assert [one.pid for one in photo_workers()] == [worker.pid], "it is kept warm"
    assert process.kills == 0

    worker.send_signal(signal.SIGKILL)  # while it is idle: the next job does not notice
    await wait_until(lambda: not process.alive)
    await process.process(coffee, tmp_path)
    [second] = photo_workers()
    assert second.pid != worker.pid

    hold(True)
    work = await at_work(process, coffee, tmp_path)
    second.send_signal(signal.SIGKILL)  # during its job
    with pytest.raises(WorkerLost, match="may be fine") as lost:
        await work
    assert lost.value.excused, "the photo did not kill it"
    assert process.kills >= 1


async def test_a_crash_is_not_excused(
    process: WorkerProcess, coffee: Path, tmp_path: Path, hold: Callable[[bool], None]
) -> None:
    hold(True)
    work = await at_work(process, coffee, tmp_path)
    [worker] = photo_workers()
    worker.send_signal(signal.SIGSEGV)
    with pytest.raises(WorkerLost, match="failed") as lost:
        await work
    assert lost.value.retry
    assert not lost.value.excused


async def test_a_process_ends_at_its_limits_of_time_memory_and_jobs(
    limits: WorkerLimits, coffee: Path, tmp_path: Path, hold: Callable[[bool], None]
) -> None:
    hold(True)
    slow = WorkerProcess(replace(limits, seconds=0.1))
    with pytest.raises(WorkerLost, match=r"0\.[13] s") as late:
        await slow.process(coffee, tmp_path)
    assert not late.value.retry, "it would take as long again"
    hold(False)
    sent = tmp_path / "of 25 megapixels"
    Image.new("L", (5000, 5000)).save(sent, "PNG", compress_level=1)
    large = WorkerProcess(replace(limits, memory=30 * 1024 * 1024))
    with pytest.raises(WorkerLost, match="more than 30 MB") as much:
        await large.process(sent, tmp_path)
    assert not much.value.retry
    assert (slow.kills, large.kills) == (1, 1)
    await wait_until(lambda: not photo_workers(), what="the killed ones are gone")
    short = WorkerProcess(replace(limits, jobs=1))
    await short.process(coffee, tmp_path)
    [first] = photo_workers()
    await short.process(coffee, tmp_path)
    assert first.pid not in {one.pid for one in photo_workers()}
    assert short.kills == 0, "a replacement is not a kill"
    await short.close()
    await wait_until(lambda: not photo_workers())


@pytest.mark.usefixtures("true_model")
async def test_a_process_holds_no_secret_and_has_few_rights(
    process: WorkerProcess, coffee: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment is an allow-list, and its libraries leave nothing in a home directory.

    What it has no use for is not loaded.
    """
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TIFFIN_JWT_SECRET", "a-secret")
    monkeypatch.setenv("TIFFIN_AZURE_STORAGE_CONNECTION_STRING", "AccountKey=a-secret")
    monkeypatch.setenv("SOMEBODY_ELSES_TOKEN", "a-secret")
    await process.process(coffee, tmp_path)
    [worker] = photo_workers()
    loaded = proc_file(worker, "maps")
    assert "llvmlite" not in loaded
    assert "skimage" not in loaded
    found = proc_file(worker, "environ").split("\0")
    assert not [one for one in found if "TIFFIN" in one or "a-secret" in one]
    assert "ORT_DISABLE_TELEMETRY=1" in found
    assert list(home.iterdir()) == [], "onnxruntime stores a device id there otherwise"
    assert int(proc_file(worker, "oom_score_adj")) > 0, "the kernel ends the server last"
    assert "NoNewPrivs:\t1" in proc_file(worker, "status")
    for limit, most in (
        (psutil.RLIMIT_CORE, 0),
        (psutil.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (psutil.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        assert worker.rlimit(limit) == (most, most)
    assert worker.rlimit(psutil.RLIMIT_CPU)[0] < 60
    assert worker.rlimit(psutil.RLIMIT_DATA)[0] < 1024**3


CONFINED = """
import socket, subprocess, sys
from pathlib import Path
from server.features.uploads.rembg_worker import confine

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


def test_a_process_that_is_taken_over_reaches_nothing_else(tmp_path: Path) -> None:
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
from server.features.uploads import worker_process
from server.features.uploads.worker_process import WorkerProcess, WorkerLimits

async def main():
    folder = Path(sys.argv[3])
    worker_process.PROGRAM = tuple(sys.argv[4:])
    process = WorkerProcess(WorkerLimits("u2netp", Path(sys.argv[1]), 20, 512 << 20, 100, folder))
    await process.process(Path(sys.argv[2]), folder)
    print("warm", flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_process_ends_with_a_server_that_was_killed(
    limits: WorkerLimits, coffee: Path, tmp_path: Path
) -> None:
    script = tmp_path / "minimal_server.py"
    script.write_text(SERVER)
    arguments = [str(limits.home), str(coffee), str(tmp_path), *QUICK_WORKER]
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
    all_gone(left)
