"""What the lab's own network and statistics cost, and what they add to the latencies shown."""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from statistics import median

from benchmarks._figures import machine, share
from tui.lab.dials import Dials
from tui.lab.network import Network
from tui.lab.records import SSE, WEBSOCKET, Appended, Arrival, Plan
from tui.lab.runner import LabRun
from tui.lab.servers import servers_for
from tui.lab.statistics import Statistics

EVENT_BYTES = 300
"""About what an event takes over a stream."""
MEGABYTE = 1_000_000
DELAY = 0.02
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def serve() -> None:
    """The child: a server and its clients. For each command on stdin, one line on stdout."""

    async def answer(reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError):
            while asked := await reader.read(1):
                if asked == b"e":
                    writer.write(b"x" * EVENT_BYTES)
                else:
                    for _ in range(MEGABYTE // 50_000):
                        writer.write(b"x" * 50_000)
                        await writer.drain()
        writer.close()

    async def talk(port: int, asks: bytes, size: int) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        took = []
        for ask in asks:
            began = time.perf_counter()
            writer.write(bytes([ask]))
            await reader.readexactly(size)
            took.append(time.perf_counter() - began)
        writer.close()
        return took

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        port, kind, count, clients = line.split()
        size = EVENT_BYTES if kind == "e" else MEGABYTE
        asks = kind.encode() * int(count)
        found = await asyncio.gather(*(talk(int(port), asks, size) for _ in range(int(clients))))
        print(json.dumps([one for took in found for one in took]), flush=True)


async def measure() -> dict[str, list[float]]:
    """Print what passing costs, and return the round trips; only the network is in this process."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.lab_network", "--child"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * MEGABYTE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    server = int(await child.stdout.readline())

    async def order(port: int, kind: str, count: int, clients: int) -> tuple[list[float], float]:
        cpu = time.process_time()
        child.stdin.write(f"{port} {kind} {count} {clients}\n".encode())  # type: ignore[union-attr]
        found = json.loads(await child.stdout.readline())  # type: ignore[union-attr]
        return found, time.process_time() - cpu

    trips = {"direct": (await order(server, "e", 2000, 1))[0]}
    async with Network() as network:
        port = (await network.listen(SSE, "127.0.0.1", server)).port
        for name, dials in (
            ("no dials", Dials()),
            ("delay, jitter, loss", Dials(delay=0.002, jitter=0.001, loss=1e-9)),
            ("all of a phone's line", Dials(0.002, 0.001, MEGABYTE, MEGABYTE, loss=1e-9)),
        ):
            network.turn(dials)
            found, cpu = await order(port, "e", 200, 20)
            print(f"{name:24} {cpu / len(found) * 1e6:6.0f} µs of CPU for an event and its request")
        network.turn(Dials())
        trips["through the network"] = (await order(port, "e", 2000, 1))[0]
        found, cpu = await order(port, "m", 20, 4)
        print(f"{'no dials':24} {cpu / len(found) * 1e3:6.2f} ms of CPU for a megabyte")
        network.turn(Dials(delay=DELAY))
        late = [took - 2 * DELAY for took in (await order(port, "e", 100, 1))[0][1:]]
        trips[f"more than {DELAY * 1000:g} ms each way"] = late
    child.stdin.close()
    await child.wait()
    for name, one in trips.items():
        low, high = (share(one, part) * 1000 for part in (0.5, 0.99))
        print(f"{name:24} p50 {low:5.2f} ms, p99 {high:5.2f} ms for an event and its request")
    return trips


def records() -> None:
    """Print what keeping the figures costs."""
    statistics = Statistics(Plan(patterns=(SSE,), seconds=1e9))
    statistics.begun(0)
    count = 20_000
    cpu = time.process_time()
    for seq in range(1, count + 1):
        statistics.passed(SSE, float(seq), up=False, size=EVENT_BYTES)
        statistics.appended(Appended(seq, float(seq), 100))
        statistics.arrived(Arrival(SSE, 0, seq, float(seq), seq + 0.01 + seq / 1e6, False))
    cpu = time.process_time() - cpu
    print(f"{'statistics':24} {cpu / count * 1e6:6.0f} µs of CPU for an event and its packet")


async def shown(seconds: float) -> dict[str, float]:
    """The median latencies that the lab shows without any dial turned, in seconds."""
    plan = Plan(seconds=seconds, rate=20, seed=1)
    async with servers_for(plan.patterns, isolated=False) as servers:
        statistics = Statistics(plan)
        outcome = await LabRun(plan, servers, statistics, statistics).go()
    print(f"the lab's process used {outcome.busy:.0%} of a core for 100 events a second")
    found = {}
    for figures in statistics.figures(time.monotonic()):
        p50 = figures.latency.percentile(50)
        assert p50 is not None
        found[figures.pattern] = p50
    return found


def main() -> None:
    """Measure, and say whether the lab's own part is below a tenth of what it shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of a run of the lab (10)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asyncio.run(serve())
        return
    print(machine())
    trips = asyncio.run(measure())
    records()
    added = (median(trips["through the network"]) - median(trips["direct"])) / 2
    p50s = asyncio.run(shown(options.seconds))
    for pattern in (SSE, WEBSOCKET):
        part = added / p50s[pattern]
        verdict = "below a tenth" if part < 0.1 else "NOT below a tenth"
        print(
            f"{pattern:24} p50 {p50s[pattern] * 1000:5.1f} ms, of which the network adds "
            f"{added * 1000:.2f} ms: {part:.1%}, {verdict}"
        )


if __name__ == "__main__":
    main()
