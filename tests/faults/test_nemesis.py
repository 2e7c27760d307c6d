"""The nemesis: sixty clients of a cluster in which one thing after the other breaks."""

import os
import random
import uuid
from pathlib import Path

import psutil
import pytest

from support.nemesis.crowd import Crowd
from support.nemesis.nemesis import Nemesis
from support.nemesis.stage import staged
from support.town import open_restaurant
from support.waiting import wait_until
from tools.cluster.nginx import command

SECONDS = float(os.environ.get("NEMESIS_SECONDS", "0"))
ONLY = [int(number) for number in os.environ.get("NEMESIS_FAULTS", "").split()]
PACE = 0.25

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(3 * SECONDS + 300),
    pytest.mark.skipif(not SECONDS, reason="run by make test-all and make faults"),
]


async def test_no_client_misses_anything(tmp_path: Path) -> None:
    if command() is None:
        pytest.skip("there is no nginx here: apt-get install nginx-light")
    seed = int(os.environ.get("NEMESIS_SEED") or random.randrange(1_000_000))
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    async with staged(tmp_path) as stage:
        crowd = Crowd(stage.doors)
        nemesis = Nemesis(stage, crowd, seed, lambda text: print(text, flush=True), ONLY)
        try:
            places = [
                await open_restaurant(
                    stage.cluster.postgres.url("tiffin"),
                    stage.cluster.url,
                    f"{name}-{uuid.uuid4().hex[:6]}",
                    drivers=2,
                    dishes=1,
                )
                for name in ("Saffron", "Harbour")
            ]
            await crowd.assemble(stage.cluster.url, places, PACE)
            assert len(crowd.readers) == 60
            await nemesis.run(SECONDS)
        except BaseException:
            nemesis.save(tmp_path / "histories")
            raise
        finally:
            await crowd.close()
        total = nemesis.total()
        print(total)
        if total.wrong:
            nemesis.save(tmp_path / "histories")
        assert not total.wrong, f"histories are in {tmp_path / 'histories'}"
        assert not crowd.acknowledged.answers

    def left() -> list[psutil.Process]:
        found = psutil.Process().children(recursive=True)
        return [one for one in found if one.pid not in before]

    await wait_until(lambda: not left(), what="no process is left")
