"""How much an attacker slows other clients down, at the server's default settings.

The server runs on one core, the attacker on the other, from an address and accounts of his own.
Beside each attack somebody else asks for their profile again and again: how long that takes, and
how much memory the server holds before, at most, and once the attacker has left.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks._attackers import ATTACKS, Target, attack
from benchmarks._figures import machine, share
from support.prober import Prober
from support.rest import Rest
from support.server_process import UNLIMITED, ServerProcess
from support.town import open_restaurant

SERVER_CORE, OTHER_CORE = 0, 1
MAP = Path(__file__).resolve().parents[1] / "server" / "demo" / "map.geojson"
ORDERS = 200
PAUSE_SECONDS = 0.06
"""Between two requests of the other client, which has a limit too."""
FILES = 1024
"""The server's limit of open files, the default of most systems."""
LEAVES_SECONDS = 10.0
"""After which memory that the attacker used has to be back."""


async def seed(folder: Path) -> Target:
    """Create accounts, and a customer with the longest possible list of orders."""
    server = ServerProcess(folder)
    server.start()
    try:
        place = await open_restaurant(folder, server.url)
        async with Rest(server.url) as attacker, Rest(server.url) as victim:
            await attacker.register("stranger@example.org")
            await victim.register("ana@example.com")
            dish = {"menu_item_id": place.dishes[0], "quantity": 1, "note": "n" * 80}
            order = place.basket() | {"items": [dish] * 50}  # all that an order may hold
            for _ in range(ORDERS):
                (await attacker.post("/orders", order)).must(201)
            chats = []
            for number in range(4):
                opened = await attacker.post("/chats", {"subject": f"Where is order {number}?"})
                chats.append(opened.must(201).json["id"])
            return Target(
                port=server.port,
                token=attacker.token or "",
                victim_token=victim.token or "",
                chats=tuple(chats),
                email="ana@example.com",
            )
    finally:
        server.terminate()


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started within run on that core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Memory:
    """Watches a process' resident memory, in megabytes."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.most = self.now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Without its children."""
        return float(self._process.memory_info().rss / 1e6)

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.most = max(self.most, self.now())

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()


def at_any_moment(taken: list[float]) -> list[float]:
    """The same as if a request had been made every 10 ms, also while one was under way.

    Who asks again only after an answer asks least while the server answers slowly.
    """
    felt = []
    for seconds in taken:
        felt.append(seconds)
        felt += [seconds - 0.01 * step for step in range(1, int(seconds / 0.01))]
    return felt


async def suffer(folder: Path, target: Target, name: str, seconds: float, times: int) -> str:
    """One attack, so many times, as a line of the table."""
    server = ServerProcess(folder, port=target.port)
    for limit in UNLIMITED:
        server.environment.pop(f"TIFFIN_{limit.upper()}")
    server.environment["TIFFIN_MAP"] = str(MAP)
    with on_core(SERVER_CORE):
        server.spawn()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        server.wait_ready()
    try:
        memory = Memory(server.pid)
        before = 0.0
        taken: list[float] = []
        left = []
        with on_core(OTHER_CORE):
            for _ in range(times):
                prober = Prober(
                    server.port, target.victim_token, reconnect=True, pause=PAUSE_SECONDS
                )
                await prober.ready()
                await asyncio.sleep(0.5)
                before = before or memory.now()
                await _attack(name, target, seconds)
                taken += await prober.stop()
                await asyncio.sleep(LEAVES_SECONDS)
                left.append(f"{memory.now():4.0f}")
        memory.stop()
        felt = at_any_moment(taken)
        middle, high, most = (share(felt, part) * 1000 for part in (0.5, 0.99, 1))
        return (
            f"{name:<22} {middle:7.1f} {high:8.1f} {most:8.1f}   "
            f"{before:6.0f} {memory.most:7.0f}   {' '.join(left)}"
        )
    finally:
        server.terminate()


async def _attack(name: str, target: Target, seconds: float) -> None:
    """Let the attacker do it for so long."""
    attacker = multiprocessing.get_context("spawn").Process(
        target=attack, args=(name, target), daemon=True
    )
    attacker.start()
    await asyncio.sleep(seconds)
    assert attacker.pid is not None
    os.kill(attacker.pid, signal.SIGKILL)
    attacker.join()


def main() -> None:
    """Every attack, one after the other, each against a new server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--times", type=int, default=1, help="each, against the same server")
    options = parser.parse_args()
    print(f"{machine()}; {options.seconds:g} s an attack")
    print(f"{'':<22} {'GET /me of another, ms':>25}   {'server, MB':>21}")
    print(f"{'attack':<22} {'p50':>7} {'p99':>8} {'most':>8}   before    most  after")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = asyncio.run(seed(folder))
        for attack_name in options.only:
            line = suffer(folder, target, attack_name, options.seconds, options.times)
            print(asyncio.run(line), flush=True)
            time.sleep(0.2)


if __name__ == "__main__":
    main()
