"""A driver's location through real proxies that hold back, cut and fail: it is never old."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from driver_scene import BEHIND, Scene, scene_of, stream_in, watching

from support.live_server import running_server, settings_for
from support.town import PASSWORD
from support.waiting import PATIENCE, keeps, wait_until
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.session import Session
from tui.lab.dials import PRESETS
from tui.lab.network import Network

INTERVAL = 0.5


@pytest.fixture
async def scene(data_dir: Path) -> AsyncIterator[Scene]:
    """With a quick heartbeat."""
    async with (
        running_server(settings_for(data_dir, heartbeat_seconds=0.4)) as server,
        scene_of(server) as scene,
    ):
        yield scene


async def test_where_nothing_is_in_the_way_the_stream_alone_carries(scene: Scene) -> None:
    await scene.move()
    async with watching(stream_in(scene, first_sound=PATIENCE, late=PATIENCE)) as watcher:
        await watcher.sees(1)
        async with scene.moving(INTERVAL):
            await watcher.sees(5)
            meter = watcher.stream.meter
            assert (meter.name, meter.pattern, meter.state) == ("Driver", Pattern.SSE, State.LIVE)
    assert watcher.seqs[:5] == [1, 2, 3, 4, 5]
    assert watcher.carriers == [Pattern.SSE]
    assert scene.asked == (1, 0)
    assert "Driver (poll)" not in scene.session.wire.meters


@pytest.mark.parametrize("head_passes", [False, True], ids=["whole", "body"])
async def test_behind_a_proxy_that_buffers_the_poll_carries(
    scene: Scene, head_passes: bool
) -> None:
    scene.proxy.buffering(head_passes=head_passes)
    await scene.move()
    async with watching(stream_in(scene)) as watcher, scene.moving(INTERVAL):
        await watcher.sees(2)
        meter = watcher.stream.meter
        assert (watcher.stream.carrier, meter.pattern) == (Pattern.LONG_POLL,) * 2
        assert meter.name == "Driver (poll)"
        await wait_until(lambda: meter.state is State.WAITING)
        assert meter.detail.startswith("no stream: nothing came for ")
        assert scene.session.wire.meters["Driver"].state is State.CONNECTING
        await watcher.sees(8)
        assert watcher.behind(scene.put_at) <= BEHIND
    assert watcher.in_order()
    assert watcher.carriers == [Pattern.SSE, Pattern.LONG_POLL]


async def test_behind_the_labs_corporate_proxy_the_poll_carries_in_time(scene: Scene) -> None:
    """It holds a body back until 4 kB: some thirty positions."""
    address = urlsplit(scene.server.url)
    assert address.hostname is not None
    assert address.port is not None
    async with Network(PRESETS["proxy"].dials) as network:
        link = await network.listen("sse", address.hostname, address.port)
        session = Session(f"http://127.0.0.1:{link.port}", Wire())
        await session.log_in(scene.cast.place.employees[0], PASSWORD)
        await scene.move()
        async with watching(stream_in(scene, session)) as watcher, scene.moving(INTERVAL):
            await watcher.carried_by(Pattern.LONG_POLL)
            meter = watcher.stream.meter
            await wait_until(lambda: meter.detail.startswith("no stream: nothing came for "))
            await watcher.sees(6)
            assert watcher.behind(scene.put_at) <= BEHIND
        assert watcher.in_order()
        assert watcher.carriers == [Pattern.SSE, Pattern.LONG_POLL]
        await session.close()


async def test_a_stream_that_comes_through_again_takes_over(scene: Scene) -> None:
    """Held back, it is tried again after a while; the poll is let go once it is heard."""
    scene.proxy.buffering()
    stream = stream_in(scene, first_sound=0.3, silence=1, again=0.5)
    async with watching(stream) as watcher, scene.moving(INTERVAL):
        await watcher.carried_by(Pattern.LONG_POLL)
        await wait_until(lambda: scene.asked[0] >= 2, what="the stream is tried again")
        assert stream.carrier is Pattern.LONG_POLL
        scene.proxy.passing()
        await watcher.carried_by(Pattern.SSE)
        poll = scene.session.wire.meters["Driver (poll)"]
        await wait_until(lambda: (poll.connections, poll.state) == (0, State.IDLE))
        polls = scene.asked[1]
        await watcher.sees(len(scene.put_at) + 3)
        assert scene.asked[1] == polls
        assert watcher.behind(scene.put_at) <= BEHIND
        assert (stream.meter.state, stream.meter.detail) == (State.LIVE, "")
    assert watcher.in_order()


async def test_a_proxy_that_begins_to_buffer_is_found_out_by_its_missing_heartbeats(
    scene: Scene,
) -> None:
    async with watching(stream_in(scene, late=1)) as watcher, scene.moving(INTERVAL):
        frames = scene.session.wire.frames
        await wait_until(
            lambda: sum(one.heartbeats for one in frames) >= 3,
            what="three heartbeats: their interval is known",
        )
        scene.proxy.buffering(head_passes=True)
        await watcher.carried_by(Pattern.LONG_POLL)
        assert watcher.stream.meter.detail.startswith("no stream: nothing came for ")
        await watcher.sees(len(scene.put_at) + 1)
        assert watcher.behind(scene.put_at) <= BEHIND
    assert watcher.in_order()


async def test_a_proxy_that_lets_only_the_first_bytes_through_is_believed_once(
    scene: Scene,
) -> None:
    scene.proxy.buffering(head_passes=True, pieces=2)
    stream = stream_in(scene, silence=1, again=0.3)
    async with watching(stream) as watcher, scene.moving(INTERVAL):
        await wait_until(lambda: scene.asked[0] >= 4)
        await watcher.sees(len(scene.put_at) + 1)
        assert watcher.behind(scene.put_at) <= BEHIND
    assert watcher.in_order()
    assert watcher.carriers == [Pattern.SSE, Pattern.LONG_POLL]


@pytest.mark.parametrize("seconds", [0.5, 1.2])
async def test_behind_a_proxy_that_cuts_it_comes_back_each_time(
    scene: Scene, seconds: float
) -> None:
    scene.proxy.cutting(seconds)
    async with watching(stream_in(scene)) as watcher, scene.moving(INTERVAL):
        await wait_until(lambda: watcher.carriers.count(Pattern.SSE) >= 4)
        assert watcher.behind(scene.put_at) <= BEHIND
    assert watcher.in_order()
    assert watcher.carriers[:4] == [Pattern.SSE, Pattern.LONG_POLL] * 2


async def test_behind_a_proxy_that_holds_back_and_cuts(scene: Scene) -> None:
    """All that comes through is an answer that is quickly given."""
    scene.proxy.buffering(cut_after=1.2)
    stream = stream_in(scene, first_sound=0.3)
    async with watching(stream) as watcher, scene.moving(INTERVAL):
        await wait_until(lambda: scene.proxy.cuts >= 5)
        assert watcher.behind(scene.put_at) <= BEHIND
    assert watcher.in_order()
    # It has brought nothing, and is not asked for time and again (aiohttp repeats one by itself).
    assert scene.asked[0] <= 2


async def test_a_held_poll_that_is_cut_time_and_again_is_asked_for_at_once(scene: Scene) -> None:
    """A driver who moves seldom: no backoff may stand between the position and the poll."""
    scene.proxy.buffering(cut_after=1.2)
    await scene.move()
    async with watching(stream_in(scene, first_sound=0.3)) as watcher:

        async def attempt() -> float:
            cuts = scene.proxy.cuts
            await wait_until(lambda: scene.proxy.cuts >= cuts + 5)
            await scene.move()
            began_at = time.monotonic()
            await watcher.sees(len(scene.put_at))
            return time.monotonic() - began_at

        await keeps(3.0, attempt)  # after so many losses a backoff is 4 s and more
    assert watcher.in_order()


@pytest.mark.parametrize("every", [2, 3])
async def test_behind_a_proxy_that_fails_now_and_then(scene: Scene, every: int) -> None:
    scene.proxy.failing(every)
    async with watching(stream_in(scene)) as watcher, scene.moving(INTERVAL):
        for _ in range(5):
            await watcher.sees(len(scene.put_at) + 1)
            scene.proxy.cut()
        await watcher.sees(len(scene.put_at) + 1)
        assert watcher.behind(scene.put_at) <= BEHIND
    assert scene.proxy.refused >= 2
    assert watcher.in_order()


async def test_a_proxy_that_refuses_all_is_asked_seldom_and_left_behind(scene: Scene) -> None:
    await scene.move()
    async with watching(stream_in(scene)) as watcher:
        await watcher.sees(1)
        scene.proxy.failing(every=1)
        scene.proxy.cut()
        await wait_until(lambda: scene.proxy.refused >= 4)
        meter = watcher.stream.meter
        await wait_until(lambda: meter.state is State.RETRY)
        assert (meter.pattern, meter.detail) == (Pattern.LONG_POLL, "HTTP 502: Bad Gateway")
        scene.proxy.passing()
        await scene.move()
        await watcher.sees(2)
        await watcher.carried_by(Pattern.SSE)
    assert watcher.seqs == [1, 2]
