"""The shortest way through a town of 50,000 corners: its CPU time, and what the loop notices.

python -m benchmarks.ways
"""

import asyncio
import time

from server.features.drivers.grid import Place
from server.features.drivers.streets import Streets
from server.features.drivers.ways import Ways

ROWS = 224
TIMES = 5


def corner(row: int, column: int) -> Place:
    """Some hundred metres from the next."""
    return 47.0 + row * 0.001, 15.0 + column * 0.0015


async def main() -> None:
    """Print the figures."""
    began = time.process_time()
    across = [[corner(row, column) for column in range(ROWS)] for row in range(ROWS)]
    streets = Streets([*across, *map(list, zip(*across, strict=True))])
    print(f"{len(streets)} corners read in {time.process_time() - began:.2f} s of CPU")
    ways = Ways(streets)
    for name, end in (("across the town", ROWS - 1), ("some streets on", ROWS // 10)):
        cpu, longest = [], []
        for _ in range(TIMES):
            began = time.process_time()
            finding = asyncio.ensure_future(ways.between(corner(0, 0), corner(end, end)))
            gaps, last = [0.0], time.monotonic()
            while not finding.done():
                await asyncio.sleep(0.001)
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
            cpu.append(time.process_time() - began)
            longest.append(max(gaps))
        cpu.sort()
        longest.sort()
        print(
            f"{name}: {cpu[TIMES // 2] * 1000:.0f} ms of CPU, the loop waits "
            f"{longest[TIMES // 2] * 1000:.0f} ms at most (medians of {TIMES})"
        )
    ways.close()


if __name__ == "__main__":
    asyncio.run(main())
