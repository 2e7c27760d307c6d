"""Background tasks are restarted whatever ends them, and readiness reports it meanwhile."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from server.core import lifecycle
from server.core.lifecycle import Component, SupervisedTask
from server.core.services import Services
from support.live_server import LiveServer
from support.rest import Rest
from support.waiting import PATIENCE, wait_until


async def fails() -> None:
    raise ValueError("broken")


async def is_cancelled_by_what_it_awaits() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def is_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def returns() -> None:
    return


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RESTART_SECONDS", 0.01)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("end", [fails, is_cancelled_by_what_it_awaits, is_cancelled, returns])
async def test_a_task_that_ends_is_restarted(end: Callable[[], Awaitable[None]]) -> None:
    begun, states = 0, []

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            await end()
        else:
            await asyncio.Event().wait()

    task = SupervisedTask("test", work)
    component = Component()
    component.tasks = [task]
    services = Services(component)
    states.append(await services.tasks_state())
    await component.open()
    await wait_until(lambda: begun == 3)
    states.append(await services.tasks_state())
    await component.close()
    assert states == ["not running: test", "ok"]
    assert not task.running


@pytest.mark.usefixtures("at_once")
async def test_a_stopped_task_is_not_restarted() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        raise ValueError("broken")

    failing = SupervisedTask("test", work)
    failing.start()
    await wait_until(lambda: begun > 1)
    await failing.stop()
    stopped_at = begun
    await asyncio.sleep(5 * lifecycle.RESTART_SECONDS)
    assert begun == stopped_at


async def test_a_stopped_task_may_end_by_itself_and_is_cancelled_again_otherwise() -> None:
    wake, told = asyncio.Event(), 0

    async def loses_a_cancellation() -> None:
        nonlocal told
        while told < 2:
            try:
                await wake.wait()
            except asyncio.CancelledError:
                told += 1

    task = SupervisedTask("test", loses_a_cancellation)
    task.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await task.stop(insist=0.01)
    assert told == 2

    async def ends() -> None:
        await wake.wait()

    task = SupervisedTask("test", ends)
    task.start()
    asyncio.get_running_loop().call_soon(wake.set)
    async with asyncio.timeout(PATIENCE):
        await task.stop(grace=None)


async def test_components_are_opened_in_order_and_closed_in_reverse_also_where_one_fails() -> None:
    calls: list[str] = []

    class First(Component):
        async def open(self) -> None:
            calls.append("open first")

        async def close(self) -> None:
            calls.append("close first")

    class Second(First):
        async def open(self) -> None:
            calls.append("open second")

        async def close(self) -> None:
            calls.append("close second")

    class Failing(Component):
        async def open(self) -> None:
            raise OSError("no such disk")

    services = Services(First(), Second())
    async with services.opened():
        assert isinstance(services[First], First)
    opened = ["open first", "open second", "close second", "close first"]
    assert calls == opened
    services.add(Failing())
    calls.clear()
    with pytest.raises(OSError, match="no such disk"):
        async with services.opened():
            pass
    assert calls == opened


async def test_a_server_reports_each_ended_task_and_recovers(
    live_server: LiveServer, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None is restarted before all have ended and that is asked for.
    monkeypatch.setattr(lifecycle, "RESTART_SECONDS", 4.0)

    def named(name: str) -> asyncio.Task[None] | None:
        return next((task for task in asyncio.all_tasks() if task.get_name() == name), None)

    names = [
        "sweep",
        "renewal of presence",
        "photo janitor",
        "photo worker 1",
        "heartbeat",
        "upkeep",
    ]
    for name in names:
        task = named(name)
        assert task is not None, name
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert (await rest.get("//readyz")).must(503).json["parts"]["tasks"] == "not ok"
    told = (await live_server.parts())["tasks"]
    assert all(name in told for name in names), told

    async def ready() -> bool:
        return (await rest.get("//readyz")).status == 200

    await wait_until(ready)
    assert all(named(name) is not None for name in names)
    await rest.register("ada@example.org")
