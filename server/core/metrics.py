"""The metrics of `/metrics`, in Prometheus' text format."""

import asyncio
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from server.core.lifecycle import Component, SupervisedTask
from server.core.metrics_folder import MetricsFolder, merged

logger = logging.getLogger(__name__)

WRITE_SECONDS = 5.0
"""How old the metrics of other processes are at most: newer than the last scrape, which is usually
15 s or longer ago."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of the histogram's buckets."""


class Durations:
    """How long requests of one route took: how many in each bucket, and in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count a request."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds


class Requests(Collector):
    """What is counted of requests, in numbers of Python: prometheus_client's own take a lock each,
    and a twentieth of a small request's time."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str, int]] = Counter()
        """By method, route and status."""
        self.durations: dict[str, Durations] = {}
        """By route."""

    def collect(self) -> Iterator[Metric]:
        """The metrics, as they are now."""
        answered = CounterMetricFamily(
            "tiffin_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self.answered.items():
            answered.add_metric([method, route, str(status)], count)
        yield answered
        took = HistogramMetricFamily(
            "tiffin_request_seconds",
            "Time to answer, without requests that are held or stream.",
            labels=["route"],
        )
        bounds = [*map(str, SECONDS), "+Inf"]
        for route, found in self.durations.items():
            buckets = list(zip(bounds, accumulate(found.counts), strict=True))
            took.add_metric([route], buckets, found.seconds)
        yield took


class Metrics(Component):
    """One registry for each application, so that two in one process do not share counts."""

    def __init__(self) -> None:
        self._folder: MetricsFolder | None = None
        self._refreshes: list[Callable[[], Awaitable[None]]] = []
        self._registry = CollectorRegistry()
        self._requests = Requests()
        self._registry.register(self._requests)
        ProcessCollector(registry=self._registry)  # CPU time, memory, open files

    def count_request(
        self, method: str, route: str, status: int, seconds: float, *, held: bool
    ) -> None:
        """Count an answered request, and how long it took unless it was held on purpose."""
        self._requests.answered[method, route, status] += 1
        if not held:
            durations = self._requests.durations.get(route)
            if durations is None:
                durations = self._requests.durations[route] = Durations()
            durations.add(seconds)

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a value that is computed when the metrics are read."""
        Gauge(f"tiffin_{name}", what, registry=self._registry).set_function(value)

    def states(
        self, name: str, what: str, label: str, states: Callable[[], Awaitable[Mapping[str, str]]]
    ) -> None:
        """Add a value for each state by its name, 1 for `ok`, asked for when they are read."""
        gauge = Gauge(f"tiffin_{name}", what, [label], registry=self._registry)

        async def refresh() -> None:
            for one, state in (await states()).items():
                gauge.labels(one).set(state == "ok")

        self._refreshes.append(refresh)

    def share(self, folder: MetricsFolder) -> None:
        """From its opening on, this process answers for all that share the folder."""
        self._folder = folder
        self.tasks = (SupervisedTask("writing of metrics", self._write_for_ever),)

    async def open(self) -> None:
        """Get a number among the processes that share the metrics."""
        if self._folder is not None:
            try:
                await asyncio.to_thread(self._folder.open)
            except OSError as error:
                logger.warning("/metrics tells only of the process that is asked: %s", error)
                self._folder, self.tasks = None, ()
        await super().open()

    async def close(self) -> None:
        """Give the number up."""
        await super().close()
        if self._folder is not None:
            self._folder.close()

    async def text(self) -> str:
        """The exposition text, of this process as it is now, and of others a few seconds ago."""
        own = await self._own()
        if self._folder is None:
            return own
        others = await asyncio.to_thread(self._folder.others)
        return merged({self._folder.number: own, **others})

    async def _own(self) -> str:
        for refresh in self._refreshes:
            await refresh()
        return generate_latest(self._registry).decode()

    async def _write_for_ever(self) -> None:
        assert self._folder is not None
        failing = False
        while True:
            text = await self._own()
            try:
                await asyncio.to_thread(self._folder.write, text)
            except OSError as error:
                if not failing:
                    logger.warning("other processes cannot tell these metrics: %s", error)
                failing = True
            else:
                failing = False
            await asyncio.sleep(WRITE_SECONDS)
