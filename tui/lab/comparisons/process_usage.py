"""What a process of this machine uses, as Linux tells it."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from tui.lab.comparisons.crowd import Crowd

NOT_TOLD = (
    "not measured: it is less than can be, or this system does not tell it (Linux does, in /proc)"
)
BATCHES = 8
"""Parts in which a crowd joins, so that its memory is measured several times."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses; memory in bytes."""

    resident: int
    """Files apart."""
    reserved: int
    """Of its address space, memory or not: with the stacks of threads."""
    threads: int
    cpu_seconds: float
    """Of all threads since it began."""


def usage_of(pid: int) -> Usage | None:
    """What that process uses now; None where the system does not tell, or it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        memory = Path(f"/proc/{pid}/smaps_rollup").read_text()  # exact, other than the status
        cpu_seconds = time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes it
    except OSError:
        return None
    told = dict(re.findall(r"^(\w+):\s+(\d+)", status + memory, re.M))
    return Usage(
        resident=int(told["Anonymous"]) * 1024,
        reserved=int(told["VmSize"]) * 1024,
        threads=int(told["Threads"]),
        cpu_seconds=cpu_seconds,
    )


async def join_in_batches(crowd: Crowd, count: int, pid: int) -> list[tuple[int, int]]:
    """Let so many more connect to that process; how many there were, and its bytes of memory,
    after each part of them. Raises ChildError."""
    points = []
    before = len(crowd.readers)
    for joined in sorted({count * part // BATCHES for part in range(BATCHES + 1)} - {0}):
        await crowd.join(before + joined - len(crowd.readers))
        if usage := usage_of(pid):
            points.append((len(crowd.readers), usage.resident))
    return points
