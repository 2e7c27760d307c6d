"""A worker's process: warm, replaced after its jobs, killed when over, gone with its server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from server.features.uploads.child import Child, Limits, Lost
from server.features.uploads.header import Unreadable
from support.uploads import COFFEE
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[4]
LIMITS = Limits("u2netp", Path(os.environ["U2NET_HOME"]), 20, 512 * 1024 * 1024, 100)


def workers() -> list[psutil.Process]:
    """The child processes that are workers; the one that tracks resources is none."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def spent(worker: psutil.Process) -> float:
    """Seconds of the processor that it has had."""
    times = worker.cpu_times()
    return times.user + times.system


@pytest.fixture(autouse=True)
async def nobody_elses() -> None:
    """Workers of servers from before are gone."""
    await wait_until(lambda: not workers(), 30, what="the workers of other tests are gone")


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    child = Child(LIMITS)
    yield child
    await child.close()


async def test_one_warm_process_that_outlives_deaths_and_bad_files(
    child: Child, tmp_path: Path
) -> None:
    """One test for all of it: a process takes a while to start."""
    assert not workers(), "none is started before there is a job"
    cut = await child.process(COFFEE, tmp_path)
    assert (cut.width, cut.height) == (600, 400)
    assert (tmp_path / cut.result).read_bytes().startswith(b"\x89PNG")
    [worker] = workers()
    assert worker.nice() > 0, "the event loop goes first"
    text = tmp_path / "text"
    text.write_text("no picture")
    with pytest.raises(Unreadable):
        await child.process(text, tmp_path)
    await child.process(COFFEE, tmp_path)
    assert [one.pid for one in workers()] == [worker.pid], "it is kept warm"
    assert child.kills == 0

    worker.send_signal(signal.SIGKILL)  # while it waits: the next job does not notice
    await wait_until(lambda: not child.alive)
    await child.process(COFFEE, tmp_path)
    [second] = workers()
    assert second.pid != worker.pid

    before = spent(second)
    work = asyncio.create_task(child.process(COFFEE, tmp_path))
    await wait_until(lambda: spent(second) > before + 0.03, every=0.002, what="it is at work")
    second.send_signal(signal.SIGKILL)  # over its job
    with pytest.raises(Lost) as lost:
        await work
    assert lost.value.again
    assert child.kills >= 1


async def test_over_its_time_over_its_memory_and_after_its_jobs(tmp_path: Path) -> None:
    slow = Child(replace(LIMITS, seconds=0.01))
    with pytest.raises(Lost, match=r"more than 0\.01 s") as late:
        await slow.process(COFFEE, tmp_path)
    assert late.value.again
    large = Child(replace(LIMITS, memory=30 * 1024 * 1024))
    with pytest.raises(Lost, match="more than 30 MB") as much:
        await large.process(COFFEE, tmp_path)
    assert not much.value.again
    assert (slow.kills, large.kills) == (1, 1)
    await wait_until(lambda: not workers(), what="those that were over are gone")
    short = Child(replace(LIMITS, jobs=1))
    await short.process(COFFEE, tmp_path)
    [first] = workers()
    await short.process(COFFEE, tmp_path)
    assert first.pid not in {one.pid for one in workers()}
    assert short.kills == 0, "a replacement is no kill"
    await short.close()
    await wait_until(lambda: not workers())


SERVER = """
import asyncio, sys
from pathlib import Path
from server.features.uploads.child import Child, Limits

async def main():
    child = Child(Limits("u2netp", Path(sys.argv[1]), 20, 512 << 20, 100))
    await child.process(Path(sys.argv[2]), Path(sys.argv[3]))
    print("warm", flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_worker_ends_with_a_server_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "server_of_a_kind.py"
    script.write_text(SERVER)
    arguments = [str(LIMITS.home), str(COFFEE), str(tmp_path)]
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
