"""The metrics of `/metrics`, in Prometheus' text format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One registry for each application, so that two in one process do not share counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tiffin_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "tiffin_request_seconds",
            "Time to answer, without requests that are held or stream.",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self._registry,
        )

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a value that is computed when the metrics are read."""
        Gauge(f"tiffin_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)
