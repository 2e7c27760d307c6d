"""A run of the lab at the product's server, read by those who are not the lab's readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from server.features.accounts.schemas import Role
from server.features.lab.schemas import Costs, NewRun, Run, Shape
from tui.common.client.errors import ClientError
from tui.common.client.http import API_PREFIX
from tui.common.client.meter import Wire
from tui.common.client.request import parse
from tui.common.client.session import Session
from tui.lab.comparisons.crowd import Address
from tui.lab.records import Plan

LEAST_EVENTS = 2


@dataclass(frozen=True, slots=True)
class ProductRun:
    """A run that waits to be begun."""

    session: Session
    run: Run
    token: str

    async def begin(self) -> None:
        """Let the source append."""
        await self.session.request("POST", f"/lab/runs/{self.run.id}/begin")

    async def held(self) -> int:
        """How many streams and polls the process of `session` holds."""
        return parse(Costs, await self.session.request("GET", f"{self._path}/costs")).held

    async def state(self) -> Run:
        """Where it stands."""
        return parse(Run, await self.session.request("GET", self._path))

    async def has_ended(self) -> bool:
        """Whether the source appends no more."""
        return not (await self.state()).state.active

    @property
    def status(self) -> Address:
        """A request that is answered at once."""
        return self._address(self.session.base_url, "")

    def poll(self, timeout: int) -> Address:
        """A request that is held until there is an event."""
        query = f"/events?after={self.run.cursor}&timeout={timeout}"
        return self._address(self.session.base_url, query)

    def stream(self, url: str = "") -> Address:
        """Its events as a stream, at another server of the same database where that is named."""
        query = f"/stream?after={self.run.cursor}"
        return self._address(url or self.session.base_url, query)

    @property
    def _path(self) -> str:
        return f"/lab/runs/{self.run.id}"

    def _address(self, url: str, query: str) -> Address:
        headers = {"Authorization": f"Bearer {self.token}"}
        return Address(f"{url}{API_PREFIX}{self._path}{query}", headers)


def events_of(plan: Plan) -> int:
    """How many events such a run has. Raises ValueError where there are too few to measure."""
    count = 0
    while (count + 1) / plan.rate <= plan.seconds:
        count += 1
    if count < LEAST_EVENTS:
        raise ValueError(
            f"{plan.rate:g} events a second for {plan.seconds:g} s are too few to measure: take"
            " more --seconds, or a higher --rate."
        )
    return count


@asynccontextmanager
async def product_run(url: str, plan: Plan, seconds: float) -> AsyncIterator[ProductRun]:
    """A held run at a demo's server, with the plan's events at equal intervals for so long; stopped
    at the block's end. Raises ClientError."""
    session = Session(url, Wire())
    source = NewRun(
        rate=plan.rate,
        shape=Shape.STEADY,
        size=plan.size,
        seconds=seconds,
        seed=plan.seed,
        held=True,
    )
    try:
        await session.demo(Role.CUSTOMER)
        run = parse(Run, await session.request("POST", "/lab/runs", json=source))
        try:
            yield ProductRun(session, run, await session.access_token())
        finally:
            with suppress(ClientError):
                await session.request("DELETE", f"/lab/runs/{run.id}")
    finally:
        await session.close()
