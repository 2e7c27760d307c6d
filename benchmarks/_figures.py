"""Formats figures."""

import platform
from collections.abc import Sequence


def machine() -> str:
    """The machine that this ran on."""
    import os

    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"


def share(values: Sequence[float], part: float) -> float:
    """The quantile of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def spread(values: Sequence[float]) -> str:
    """Seconds as milliseconds: p50, p99 and the maximum."""
    middle, high, most = (share(values, part) * 1000 for part in (0.5, 0.99, 1))
    return f"p50 {middle:6.1f}   p99 {high:6.1f}   most {most:6.1f} ms"
