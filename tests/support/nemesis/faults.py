"""What is broken, numbered; each fault mends itself, or `Stage.heal` does."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from support.nemesis.scene import (
    Act,
    Scene,
    cut,
    frozen,
    refused,
    slowed,
    stalled,
    worker_frozen,
)
from support.nemesis.stage import Stage


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
    mounted: bool = False
    """Whether the database has to have a file system of its own."""

    @property
    def subject(self) -> str:
        """What breaks: two at once are of two."""
        words = ("PostgreSQL", "session", "Redis", "client", "nginx")
        return next((word for word in words if word in self.name), "master")

    def goes_with(self, other: "Fault") -> bool:
        """Whether both can be tried at once."""
        return not (self.alone or other.alone) and self.subject != other.subject

    def possible_on(self, stage: Stage) -> bool:
        """Whether there is what it breaks."""
        if self.mounted and not stage.cluster.mounted:
            return False
        return not stage.cluster.sqlite or self.subject not in ("PostgreSQL", "session")


FAULTS: list[Fault] = []


def fault(
    name: str,
    seconds: float,
    *,
    may_reset: bool = False,
    may_undo: bool = False,
    alone: bool = False,
    mounted: bool = False,
) -> Callable[[Act], Act]:
    """Number the function's fault, and add it to FAULTS."""

    def add(act: Act) -> Act:
        number = len(FAULTS) + 1
        FAULTS.append(Fault(number, name, act, seconds, may_reset, may_undo, alone, mounted))
        return act

    return add


@fault("a worker killed", 1)
async def kill_worker(scene: Scene) -> None:
    master = scene.master
    scene.chance.choice(scene.stage.workers(master)).kill()
    await asyncio.sleep(1)


@fault("a master killed, with its workers", 1)
async def kill_master(scene: Scene) -> None:
    master = scene.master
    await scene.stage.in_thread(master.kill)
    await asyncio.sleep(1)


@fault("a master killed, its workers left behind", 2)
async def orphan_workers(scene: Scene) -> None:
    psutil.Process(scene.master.pid).kill()
    await asyncio.sleep(2)


@fault("every worker killed", 1)
async def kill_workers(scene: Scene) -> None:
    for master in scene.stage.masters:
        for worker in scene.stage.workers(master):
            worker.kill()
    await asyncio.sleep(1)


@fault("everything killed: masters, nginx, Redis, database", 2, alone=True)
async def kill_everything(scene: Scene) -> None:
    stage = scene.stage
    for service in reversed(stage.services):
        await stage.in_thread(service.end, signal.SIGKILL)
    await asyncio.sleep(1)


@fault("a master reloaded (HUP)", 3)
async def reload(scene: Scene) -> None:
    psutil.Process(scene.master.pid).send_signal(signal.SIGHUP)
    await asyncio.sleep(3)


@fault("both masters reloaded at once", 3)
async def reload_both(scene: Scene) -> None:
    for master in scene.stage.masters:
        psutil.Process(master.pid).send_signal(signal.SIGHUP)
    await asyncio.sleep(3)


@fault("half of the cluster stopped (TERM)", 3)
async def stop_half(scene: Scene) -> None:
    await scene.stage.in_thread(scene.master.stop)
    await asyncio.sleep(1)


fault("a worker stopped for 5 s", 5)(worker_frozen(5))


fault("a worker stopped for 20 s", 20)(worker_frozen(20))


fault("a master and its workers stopped for 5 s", 5)(frozen(lambda scene: scene.master, 5))


fault("a master and its workers stopped for 20 s", 20)(frozen(lambda scene: scene.master, 20))


@fault("Redis restarted", 1)
async def restart_redis(scene: Scene) -> None:
    await scene.stage.in_thread(scene.stage.redis.restart)


fault("Redis frozen for 5 s (STOP)", 5)(frozen(lambda scene: scene.stage.redis, 5))


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


fault("Redis out of reach for 6 s", 6)(refused("redis", 6))


fault("Redis out of one master's reach for 5 s", 5)(refused("redis", 5, one=True))


@fault("Redis' pub/sub connections killed, ten times", 3)
async def kill_pubsub(scene: Scene) -> None:
    for _ in range(10):
        await scene.stage.in_thread(scene.stage.redis.kill_pubsub)
        await asyncio.sleep(0.3)


fault("all of Redis' connections cut, ten times", 4)(cut("redis", 10))


fault("Redis slowed by 0.4 s each way", 5)(slowed("redis", 5, 0.4))


fault("what Redis sends stalled for 5 s", 5)(stalled("redis", 5, to_client=True))


fault("what is sent to Redis stalled for 5 s", 5)(stalled("redis", 5, to_server=True))


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


fault("PostgreSQL frozen for 5 s (STOP)", 5)(frozen(lambda scene: scene.stage.cluster.postgres, 5))


fault("PostgreSQL out of one master's reach for 5 s", 5)(refused("postgres", 5, one=True))


fault("PostgreSQL slowed by 50 ms each way", 5)(slowed("postgres", 5, 0.05))


fault("what PostgreSQL answers stalled for 5 s", 5)(stalled("postgres", 5, to_client=True))


fault("clients' connections cut, eight times", 4)(cut("clients", 8))


fault("clients slowed by 0.5 s each way", 5)(slowed("clients", 5, 0.5))


fault("what is sent to clients stalled for 4 s", 4)(stalled("clients", 4, to_client=True))


fault("what clients send stalled for 4 s", 4)(stalled("clients", 4, to_server=True))


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


@fault("the database's disk full for 4 s", 5, alone=True, mounted=True)
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


@fault("the database's files kept from growing for 4 s", 5, alone=True)
async def limit_files(scene: Scene) -> None:
    await scene.stage.limit_files(4)


fault("Redis frozen for 20 s (STOP)", 20)(frozen(lambda scene: scene.stage.redis, 20))


fault("PostgreSQL frozen for 20 s (STOP)", 20)(
    frozen(lambda scene: scene.stage.cluster.postgres, 20)
)
