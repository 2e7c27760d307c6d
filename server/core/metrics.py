"""The metrics of `/metrics`, in Prometheus' text format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One registry for each application, so that two in one process do not share counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._of_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """Finding them by their labels takes longer than counting."""
        self._requests = Counter(
            "tiffin_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "tiffin_request_seconds",
            "Time to answer, without requests that are held or stream.",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self._registry,
        )

    def count_request(
        self, method: str, route: str, status: int, seconds: float, *, held: bool
    ) -> None:
        """Count an answered request, and how long it took unless it was held on purpose."""
        key = (method, route, status)
        counters = self._of_request.get(key)
        if counters is None:
            labels = self._requests.labels(method, route, str(status)), self._seconds.labels(route)
            counters = self._of_request[key] = labels
        requests, duration = counters
        requests.inc()
        if not held:
            duration.observe(seconds)

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a value that is computed when the metrics are read."""
        Gauge(f"tiffin_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)
