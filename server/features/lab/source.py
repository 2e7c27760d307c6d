"""When a run's events are due, and their data."""

import random
import time
from collections.abc import Iterator
from itertools import count

from server.features.lab.schemas import Shape, Source

BURST = 10
"""Events of a burst."""


def due_times(source: Source) -> Iterator[float]:
    """When each event is due, in seconds from the beginning, in order, up to the run's end."""
    if source.shape is Shape.HAND:
        return
    chance = random.Random(source.seed)  # noqa: S311 not a secret
    at = 0.0
    for number in count():
        if source.shape is Shape.POISSON:
            at += chance.expovariate(source.rate)
        elif source.shape is Shape.STEADY:
            at = (number + 1) / source.rate
        else:
            at = (number // BURST + 1) * BURST / source.rate
        if at > source.seconds:
            return
        yield at


def event_data(seq: int, size: int) -> str:
    """An event's data as JSON, with the present time: it is made in the transaction that writes
    it, so that what a commit takes is a part of the event's age."""
    times = f'"monotonic":{time.monotonic():.6f},"wall":{time.time():.6f}'
    return f'{{"seq":{seq},{times},"padding":"{"x" * size}"}}'
