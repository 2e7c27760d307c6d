"""What faults act on, and the acts that several of them are made of."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from server.core.clock import to_text
from server.core.databases import opened_database
from server.realtime.log import EventLog
from support.nemesis.crowd import Crowd
from support.nemesis.ledger import Ledger
from support.nemesis.stage import Stage
from tools.cluster.gunicorn import Gunicorn
from tools.cluster.service import ServiceProcess


@dataclass
class Scene:
    """What a fault may use."""

    stage: Stage
    crowd: Crowd
    ledger: Ledger
    chance: random.Random
    """Seeded."""

    @property
    def master(self) -> Gunicorn:
        """One of the masters."""
        return self.chance.choice(self.stage.masters)

    async def healed_after(self, seconds: float, service: str) -> None:
        """The relays to that service pass everything on by then."""
        await asyncio.sleep(seconds)
        for relay in self.stage.relays_to(service):
            relay.heal()

    async def trim(self) -> None:
        """Drop what the ledger has read, but for the last second."""
        await self.ledger.refresh()
        before = datetime.fromtimestamp(self.ledger.refreshed_at - 1, UTC)
        cluster = self.stage.cluster
        where = cluster.file if cluster.sqlite else cluster.where
        async with opened_database(where) as database:
            await EventLog(database).trim(to_text(before))


Act = Callable[[Scene], Awaitable[None]]


def stalled(service: str, seconds: float, **way: bool) -> Act:
    """What goes that way is held back."""

    async def act(scene: Scene) -> None:
        for relay in scene.stage.relays_to(service):
            relay.stall(**way)
        await scene.healed_after(seconds, service)

    return act


def refused(service: str, seconds: float, *, one: bool = False) -> Act:
    """No connection is possible, or for one master alone."""

    async def act(scene: Scene) -> None:
        relays = scene.stage.relays_to(service)
        for relay in [scene.chance.choice(relays)] if one else relays:
            relay.refuse()
        await scene.healed_after(seconds, service)

    return act


def slowed(service: str, seconds: float, delay: float) -> Act:
    async def act(scene: Scene) -> None:
        for relay in scene.stage.relays_to(service):
            relay.delay = delay
        await scene.healed_after(seconds, service)

    return act


def cut(service: str, times: int) -> Act:
    async def act(scene: Scene) -> None:
        for _ in range(times):
            for relay in scene.stage.relays_to(service):
                relay.cut()
            await asyncio.sleep(0.4)

    return act


def worker_frozen(seconds: float) -> Act:
    async def act(scene: Scene) -> None:
        worker = scene.chance.choice(scene.stage.workers(scene.master))
        worker.suspend()
        await asyncio.sleep(seconds)
        worker.resume()

    return act


def frozen(find: Callable[[Scene], ServiceProcess], seconds: float) -> Act:
    async def act(scene: Scene) -> None:
        service = find(scene)
        service.freeze()
        await asyncio.sleep(seconds)
        service.thaw()

    return act
