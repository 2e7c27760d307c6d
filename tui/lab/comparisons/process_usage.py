"""What a process of this machine uses, as Linux tells it."""

import os
from dataclasses import dataclass
from pathlib import Path

NOT_TOLD = "not measured, as this system does not tell it (Linux does, in /proc)"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses; memory in bytes."""

    resident: int
    reserved: int
    """Of its address space, memory or not: with the stacks of threads."""
    threads: int
    cpu_seconds: float
    """Of all threads since it began."""


def usage_of(pid: int) -> Usage | None:
    """What that process uses now; None where the system does not tell, or it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    told = dict(line.split(":", 1) for line in status.splitlines())
    ticks = int(times[11]) + int(times[12])
    return Usage(
        resident=int(told["VmRSS"].split()[0]) * 1024,
        reserved=int(told["VmSize"].split()[0]) * 1024,
        threads=int(told["Threads"]),
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
    )
