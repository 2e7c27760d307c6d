"""The shortest path through a town of 50,000 corners: its CPU time, and the delay of the loop.

python -m benchmarks.route_search
"""

import asyncio
import time

from server.geo.route_finder import RouteFinder
from server.geo.sphere import LatLng
from server.geo.street_network import StreetNetwork

ROWS = 224
RUNS = 5


def corner(row: int, column: int) -> LatLng:
    """About a hundred metres from the next."""
    return 47.0 + row * 0.001, 15.0 + column * 0.0015


async def main() -> None:
    """Print the figures."""
    started = time.process_time()
    across = [[corner(row, column) for column in range(ROWS)] for row in range(ROWS)]
    streets = StreetNetwork([*across, *map(list, zip(*across, strict=True))])
    print(f"{len(streets)} corners read in {time.process_time() - started:.2f} s of CPU")
    finder = RouteFinder(streets)
    for name, end in (("across the town", ROWS - 1), ("some streets on", ROWS // 10)):
        cpu, longest = [], []
        for _ in range(RUNS):
            started = time.process_time()
            search = asyncio.ensure_future(finder.find(corner(0, 0), corner(end, end)))
            gaps, last = [0.0], time.monotonic()
            while not search.done():
                await asyncio.sleep(0.001)
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
            cpu.append(time.process_time() - started)
            longest.append(max(gaps))
        cpu.sort()
        longest.sort()
        print(
            f"{name}: {cpu[RUNS // 2] * 1000:.0f} ms of CPU, the loop waits "
            f"{longest[RUNS // 2] * 1000:.0f} ms at most (medians of {RUNS})"
        )
    finder.close()


if __name__ == "__main__":
    asyncio.run(main())
