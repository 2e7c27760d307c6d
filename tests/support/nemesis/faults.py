"""What is broken, numbered; each fault mends itself, or `Stage.heal` does."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

from server.core.clock import to_text
from server.core.databases import opened_database
from server.realtime.log import EventLog
from support.nemesis.crowd import Crowd
from support.nemesis.ledger import Ledger
from support.nemesis.stage import Stage


@dataclass
class Scene:
    """What a fault may use."""

    stage: Stage
    crowd: Crowd
    ledger: Ledger
    chance: random.Random
    """Seeded."""

    async def trim(self) -> None:
        """Drop what the ledger has read, but for the last second."""
        await self.ledger.refresh()
        before = datetime.fromtimestamp(self.ledger.refreshed_at - 1, UTC)
        async with opened_database(self.stage.cluster.postgres.url("tiffin")) as database:
            await EventLog(database).trim(to_text(before))


Act = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    number: int
    name: str
    act: Act
    seconds: float
    """How long it takes, about, without the recovery."""
    may_reset: bool = False
    """Whether clients may be told to read their snapshot again."""
    may_undo: bool = False
    """Whether writes that were acknowledged may be lost."""
    alone: bool = False
    """Whether it goes with no other."""


FAULTS: list[Fault] = []


def fault(
    name: str,
    seconds: float,
    *,
    may_reset: bool = False,
    may_undo: bool = False,
    alone: bool = False,
) -> Callable[[Act], Act]:
    """Number the function's fault, and add it to FAULTS."""

    def add(act: Act) -> Act:
        number = len(FAULTS) + 1
        FAULTS.append(Fault(number, name, act, seconds, may_reset, may_undo, alone))
        return act

    return add


@fault("a worker killed", 1)
async def kill_worker(scene: Scene) -> None:
    master = scene.chance.choice(scene.stage.masters)
    scene.chance.choice(scene.stage.workers(master)).kill()
    await asyncio.sleep(1)


@fault("a master killed, with its workers", 1)
async def kill_master(scene: Scene) -> None:
    master = scene.chance.choice(scene.stage.masters)
    await scene.stage.in_thread(master.kill)
    await asyncio.sleep(1)


@fault("a master killed, its workers left behind", 2)
async def orphan_workers(scene: Scene) -> None:
    psutil.Process(scene.chance.choice(scene.stage.masters).pid).kill()
    await asyncio.sleep(2)


@fault("every worker killed", 1)
async def kill_workers(scene: Scene) -> None:
    for master in scene.stage.masters:
        for worker in scene.stage.workers(master):
            worker.kill()
    await asyncio.sleep(1)


@fault("both masters, Redis, PostgreSQL and nginx killed", 2, alone=True)
async def kill_everything(scene: Scene) -> None:
    stage = scene.stage
    for service in (*stage.masters, stage.redis, stage.cluster.postgres, stage.cluster.nginx):
        if service is not None:
            await stage.in_thread(service.end, signal.SIGKILL)
    await asyncio.sleep(1)


@fault("a master reloaded (HUP)", 3)
async def reload(scene: Scene) -> None:
    psutil.Process(scene.chance.choice(scene.stage.masters).pid).send_signal(signal.SIGHUP)
    await asyncio.sleep(3)


@fault("both masters reloaded at once", 3)
async def reload_both(scene: Scene) -> None:
    for master in scene.stage.masters:
        psutil.Process(master.pid).send_signal(signal.SIGHUP)
    await asyncio.sleep(3)


@fault("half of the cluster stopped (TERM)", 3)
async def stop_half(scene: Scene) -> None:
    await scene.stage.in_thread(scene.chance.choice(scene.stage.masters).stop)
    await asyncio.sleep(1)


async def _frozen_worker(scene: Scene, seconds: float) -> None:
    worker = scene.chance.choice(scene.stage.workers(scene.chance.choice(scene.stage.masters)))
    worker.suspend()
    await asyncio.sleep(seconds)
    worker.resume()


@fault("a worker stopped for 5 s", 5)
async def freeze_worker(scene: Scene) -> None:
    await _frozen_worker(scene, 5)


@fault("a worker stopped for 20 s", 20)
async def freeze_worker_long(scene: Scene) -> None:
    await _frozen_worker(scene, 20)


@fault("a master and its workers stopped for 5 s", 5)
async def freeze_master(scene: Scene) -> None:
    master = scene.chance.choice(scene.stage.masters)
    master.freeze()
    await asyncio.sleep(5)
    master.thaw()


@fault("a master and its workers stopped for 20 s", 20)
async def freeze_master_long(scene: Scene) -> None:
    master = scene.chance.choice(scene.stage.masters)
    master.freeze()
    await asyncio.sleep(20)
    master.thaw()


@fault("Redis restarted", 1)
async def restart_redis(scene: Scene) -> None:
    await scene.stage.in_thread(scene.stage.redis.restart)


@fault("Redis frozen for 5 s (STOP)", 5)
async def freeze_redis(scene: Scene) -> None:
    scene.stage.redis.freeze()
    await asyncio.sleep(5)
    scene.stage.redis.thaw()


@fault("Redis paused for 4 s (CLIENT PAUSE)", 4)
async def pause_redis(scene: Scene) -> None:
    await scene.stage.in_thread(scene.stage.redis.command, "CLIENT", "PAUSE", "4000", "ALL")
    await asyncio.sleep(4)


@fault("Redis full (noeviction)", 4)
async def fill_redis(scene: Scene) -> None:
    redis = scene.stage.redis
    await scene.stage.in_thread(redis.command, "CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(4)
    await scene.stage.in_thread(redis.command, "CONFIG", "SET", "maxmemory", "0")


@fault("Redis out of reach for 6 s", 6)
async def refuse_redis(scene: Scene) -> None:
    for relay in scene.stage.relays_to("redis"):
        relay.refuse()
    await asyncio.sleep(6)
    for relay in scene.stage.relays_to("redis"):
        relay.heal()


@fault("Redis out of one master's reach for 5 s", 5)
async def refuse_redis_to_one(scene: Scene) -> None:
    relay = scene.chance.choice(scene.stage.relays_to("redis"))
    relay.refuse()
    await asyncio.sleep(5)
    relay.heal()


@fault("Redis' pub/sub connections killed, ten times", 3)
async def kill_pubsub(scene: Scene) -> None:
    for _ in range(10):
        await scene.stage.in_thread(scene.stage.redis.kill_pubsub)
        await asyncio.sleep(0.3)


@fault("all of Redis' connections cut, ten times", 3)
async def cut_redis(scene: Scene) -> None:
    for _ in range(10):
        for relay in scene.stage.relays_to("redis"):
            relay.cut()
        await asyncio.sleep(0.3)


@fault("Redis slowed by 0.4 s each way", 5)
async def slow_redis(scene: Scene) -> None:
    for relay in scene.stage.relays_to("redis"):
        relay.delay = 0.4
    await asyncio.sleep(5)
    for relay in scene.stage.relays_to("redis"):
        relay.heal()


async def _stalled(scene: Scene, service: str, seconds: float, **way: bool) -> None:
    relays = [relay for name, relay in scene.stage.relays.items() if name.startswith(service)]
    for relay in relays:
        relay.stall(**way)
    await asyncio.sleep(seconds)
    for relay in relays:
        relay.heal()


@fault("what Redis sends stalled for 5 s", 5)
async def stall_from_redis(scene: Scene) -> None:
    await _stalled(scene, "redis", 5, to_client=True)


@fault("what is sent to Redis stalled for 5 s", 5)
async def stall_to_redis(scene: Scene) -> None:
    await _stalled(scene, "redis", 5, to_server=True)


@fault("PostgreSQL restarted (fast)", 2)
async def restart_postgres(scene: Scene) -> None:
    postgres = scene.stage.cluster.postgres
    await scene.stage.in_thread(postgres.stop)
    await scene.stage.in_thread(postgres.start)


@fault("PostgreSQL crashed, and recovered", 2)
async def crash_postgres(scene: Scene) -> None:
    await scene.stage.in_thread(scene.stage.cluster.postgres.restart)


@fault("a backend of PostgreSQL killed, which ends all", 2)
async def kill_backend(scene: Scene) -> None:
    rows = await scene.stage.rows(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'tiffin'"
    )
    if rows:
        psutil.Process(scene.chance.choice([int(row["pid"]) for row in rows])).kill()
    await asyncio.sleep(2)


@fault("PostgreSQL's connections terminated, five times", 3)
async def terminate_backends(scene: Scene) -> None:
    for _ in range(5):
        await scene.stage.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'tiffin'"
        )
        await asyncio.sleep(0.5)


@fault("PostgreSQL frozen for 5 s (STOP)", 5)
async def freeze_postgres(scene: Scene) -> None:
    scene.stage.cluster.postgres.freeze()
    await asyncio.sleep(5)
    scene.stage.cluster.postgres.thaw()


@fault("PostgreSQL out of one master's reach for 5 s", 5)
async def refuse_postgres_to_one(scene: Scene) -> None:
    relay = scene.chance.choice(scene.stage.relays_to("postgres"))
    relay.refuse()
    await asyncio.sleep(5)
    relay.heal()


@fault("PostgreSQL slowed by 50 ms each way", 5)
async def slow_postgres(scene: Scene) -> None:
    for relay in scene.stage.relays_to("postgres"):
        relay.delay = 0.05
    await asyncio.sleep(5)
    for relay in scene.stage.relays_to("postgres"):
        relay.heal()


@fault("what PostgreSQL answers stalled for 5 s", 5)
async def stall_from_postgres(scene: Scene) -> None:
    await _stalled(scene, "postgres", 5, to_client=True)


@fault("clients' connections cut, eight times", 4)
async def cut_clients(scene: Scene) -> None:
    for _ in range(8):
        scene.stage.clients.cut()
        await asyncio.sleep(0.5)


@fault("clients slowed by 0.5 s each way", 5)
async def slow_clients(scene: Scene) -> None:
    scene.stage.clients.delay = 0.5
    await asyncio.sleep(5)
    scene.stage.clients.heal()


@fault("what is sent to clients stalled for 4 s", 4)
async def stall_to_clients(scene: Scene) -> None:
    await _stalled(scene, "clients", 4, to_client=True)


@fault("what clients send stalled for 4 s", 4)
async def stall_from_clients(scene: Scene) -> None:
    await _stalled(scene, "clients", 4, to_server=True)


@fault("nginx reloaded (HUP), five times", 3)
async def reload_nginx(scene: Scene) -> None:
    for _ in range(5):
        if scene.stage.cluster.nginx is not None:
            psutil.Process(scene.stage.cluster.nginx.pid).send_signal(signal.SIGHUP)
        await asyncio.sleep(0.6)


@fault("nginx killed", 1)
async def kill_nginx(scene: Scene) -> None:
    if scene.stage.cluster.nginx is not None:
        await scene.stage.in_thread(scene.stage.cluster.nginx.kill)
    await asyncio.sleep(1)


@fault("all clients away for 5 s", 5)
async def leave(scene: Scene) -> None:
    await scene.crowd.leave()
    await asyncio.sleep(5)
    scene.crowd.come()


@fault("the log trimmed while all clients are away", 4, may_reset=True, alone=True)
async def trim(scene: Scene) -> None:
    """Half of them come back with cursors from before."""
    await scene.crowd.leave()
    await asyncio.sleep(3)
    await scene.trim()
    scene.crowd.come()


@fault("the log trimmed under clients that are connected", 2, may_reset=True, alone=True)
async def trim_live(scene: Scene) -> None:
    for _ in range(3):
        await scene.trim()
        await asyncio.sleep(0.5)


@fault("another session that holds the locks of all topics for 4 s", 4)
async def lock_topics(scene: Scene) -> None:
    await scene.stage.rows(
        "WITH held AS MATERIALIZED (SELECT 1 FROM topics FOR UPDATE)"
        " SELECT count(*), pg_sleep(4) FROM held"
    )


@fault("Redis that drops slow subscribers (output buffer of 1 byte)", 4)
async def drop_subscribers(scene: Scene) -> None:
    command = scene.stage.redis.command
    limit = "client-output-buffer-limit"
    await scene.stage.in_thread(command, "CONFIG", "SET", limit, "pubsub 1 1 1")
    await asyncio.sleep(4)
    await scene.stage.in_thread(command, "CONFIG", "SET", limit, "pubsub 33554432 8388608 60")


@fault("PostgreSQL's disk full for 4 s", 5, alone=True)
async def fill_disk(scene: Scene) -> None:
    await scene.stage.fill_disk(4)


@fault("PostgreSQL failed over to a synchronous standby", 6, alone=True)
async def fail_over(scene: Scene) -> None:
    standby = await scene.stage.in_thread(scene.stage.cluster.standby, synchronous=True)
    await scene.stage.heal()
    await asyncio.sleep(2)
    await scene.stage.in_thread(scene.stage.cluster.fail_over, standby)


@fault(
    "PostgreSQL failed over to a standby that lags",
    8,
    may_reset=True,
    may_undo=True,
    alone=True,
)
async def fail_over_late(scene: Scene) -> None:
    """What it has lost was acknowledged, and delivered."""
    standby = await scene.stage.in_thread(scene.stage.cluster.standby, synchronous=False)
    await scene.stage.heal()
    await asyncio.sleep(1)
    await scene.stage.in_thread(standby.stop)
    await asyncio.sleep(2)
    await scene.stage.in_thread(scene.stage.cluster.fail_over, standby)


@fault("the clocks of the masters an hour apart", 4, alone=True)
async def skew_clocks(scene: Scene) -> None:
    await scene.stage.in_thread(scene.stage.put_ahead, 1, 3600.0)
    await asyncio.sleep(3)
    await scene.stage.in_thread(scene.stage.put_ahead, 1, 0.0)
