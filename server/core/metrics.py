"""The metrics of `/metrics`, in Prometheus' text format."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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


class Metrics:
    """One registry for each application, so that two in one process do not share counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Requests()
        self._registry.register(self._requests)
        ProcessCollector(registry=self._registry)  # CPU time, memory, open files
        self._part = Gauge(
            "tiffin_part_ok", "1 where a part is `ok`.", ["part"], registry=self._registry
        )

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

    def text(self, parts: Mapping[str, str]) -> bytes:
        """The exposition text, with these states of the parts."""
        for name, state in parts.items():
            self._part.labels(name).set(state == "ok")
        return generate_latest(self._registry)
