"""1,000 events a second into the kitchen of a real app in a terminal, while keys are pressed.

`python -m benchmarks.panel_load [EVENTS_A_SECOND]`. The events come from _kitchen_load.py, a load
generator in a process of its own that speaks the server's HTTP; app and terminal are real. "Waits"
is the time in which the app could have run, had another process not had the processor. Without
events, the clocks of fifty orders still go; benchmarks/idle_apps.py has what an idle app costs.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks._kitchen_load import NOTE, ORDERS
from benchmarks._terminal import ROOT, Screen, Terminal, app_environment, machine

SIZE = (160, 48)
RATE = 1000
ROUNDS = 3
WARM_SECONDS = 2.0
SECONDS = 12.0
KEYS_APART = (0.15, 0.28)
LIMIT_MS = 20.0
LIMIT_SHARE = 0.25
LEAST_RATE = 0.9
"""Of the events asked for: with fewer, the figures are those of a lighter load."""
DOWN, UP = b"\x1b[B", b"\x1b[A"
CURSOR = "▌"


@dataclass(frozen=True)
class Window:
    """A stretch of time: its name, the app's share of one core, when keys were pressed."""

    name: str
    share: float
    waits: float
    """The share of time in which it could have run but had no processor."""
    kilobytes: float
    """Written to the terminal, a second."""
    pressed: Sequence[float]

    def words(self) -> str:
        """In one line."""
        return (
            f"{self.name:<22}{self.share:6.1%} of one core, waits {self.waits:5.1%}, "
            f"{self.kilobytes:4.0f} kB a second to the terminal, {len(self.pressed)} keys"
        )


class Generator:
    """The process that makes the load."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks._kitchen_load"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def set_rate(self, rate: int) -> int:
        """Events a second from now on; how many have been sent until now."""
        request = urllib.request.Request(f"{self.url}/load?rate={rate}", method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(json.load(answer)["sent"])

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Kitchen:
    """The employee's app in its terminal, logged in, with the cursor on the board."""

    def __init__(self, url: str, home: Path) -> None:
        command = [sys.executable, "-m", "tui.employee", "--server", url]
        self.terminal = Terminal(command, SIZE, app_environment(home))
        self.terminal.sees("Enter the demo")
        self.terminal.press(b"\r")
        self.terminal.sees("open · ")
        self.terminal.sees("#1000")
        self._random = random.Random(7)

    def close(self) -> None:
        """End it."""
        self.terminal.close()

    def watch(self, name: str, *, keys: bool = True) -> Window:
        """Read what it writes for a while; with `keys`, the cursor goes down and up."""
        terminal = self.terminal
        first = len(terminal.pieces)
        pressed: list[float] = []
        began, cost, waited = time.perf_counter(), terminal.cpu(), terminal.waited()
        while (left := began + SECONDS - time.perf_counter()) > 0:
            if keys and left > KEYS_APART[1]:
                pressed.append(terminal.press(UP if len(pressed) % 2 else DOWN))
            terminal.read(min(left, self._random.uniform(*KEYS_APART)) if keys else left)
        wall, cost = time.perf_counter() - began, terminal.cpu() - cost
        waited = terminal.waited() - waited
        written = sum(len(piece.data) for piece in terminal.pieces[first:])
        if len(pressed) % 2:
            terminal.press(UP)
        terminal.read(KEYS_APART[1])
        return Window(name, cost / wall, waited / wall, written / wall / 1000, pressed)

    def answers(self, windows: Sequence[Window]) -> list[list[float | None]]:
        """For each key the ms until the cursor stood where it came to stand; None where nowhere.

        A window after the other, as they were watched.
        """
        screen = Screen(SIZE)
        pieces = iter(self.terminal.pieces)
        piece = next(pieces, None)
        found: list[list[float | None]] = []
        for window in windows:
            found.append([])
            for at in window.pressed:
                while piece is not None and piece.at <= at:
                    screen.feed(piece.data)
                    piece = next(pieces, None)
                before = screen.places(CURSOR)
                seen = [(at, before)]
                while piece is not None and piece.at < at + KEYS_APART[0]:
                    screen.feed(piece.data)
                    seen.append((piece.at, screen.places(CURSOR)))
                    piece = next(pieces, None)
                after = seen[-1][1]
                came = next(when for when, places in seen if places == after)
                found[-1].append((came - at) * 1000 if after != before else None)
        return found


def quantiles(answers: Sequence[float | None]) -> str:
    """p50, p95 and the worst, and how many were never answered."""
    ordered = sorted(answer for answer in answers if answer is not None)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    words = f"p50 {median(ordered):.1f} ms, p95 {p95:.1f} ms, worst {ordered[-1]:.1f} ms"
    lost = len(answers) - len(ordered)
    return f"{words} of {len(answers)}" + (f", {lost} UNANSWERED" if lost else "")


def measure(rate: int, home: Path) -> bool:
    """Print the figures; whether the load was there and the medians are within the limits."""
    with closing(Generator()) as generator, closing(Kitchen(generator.url, home)) as kitchen:
        kitchen.terminal.read(WARM_SECONDS)
        idle = [kitchen.watch("no events", keys=False), kitchen.watch("no events, keys")]
        generator.set_rate(rate)
        kitchen.terminal.read(WARM_SECONDS)
        sent, began = generator.set_rate(rate), time.perf_counter()
        untouched = kitchen.watch(f"{rate} events/s", keys=False)
        loaded = [kitchen.watch(f"{rate} events/s, keys") for _ in range(ROUNDS)]
        took = time.perf_counter() - began
        last = generator.set_rate(0)
        for window in [*idle, untouched, *loaded]:
            print(window.words())
        sent_rate = (last - sent) / took
        print(f"the generator sent {sent_rate:.0f} events a second for {took:.0f} s")
        kitchen.terminal.read(2)
        kitchen.terminal.sees(NOTE.format(last - last % ORDERS).split()[-1], 5)
        print("the newest event is on the screen")
        unloaded, *found = kitchen.answers([idle[1], *loaded])
    answers = [answer for window in found for answer in window]
    share = median(window.share for window in loaded)
    quick = sum(answer is not None and answer < LIMIT_MS for answer in answers) / len(answers)
    print(f"keys, no events: {quantiles(unloaded)}")
    print(f"keys at {rate} events/s: {quantiles(answers)}")
    print(f"wanted within {LIMIT_MS:g} ms: {quick:.0%} of the keys at {rate} events/s are")
    print(
        f"wanted below {LIMIT_SHARE:.0%} of one core: {untouched.share:.1%}, {share:.1%} with keys"
    )
    if sent_rate < LEAST_RATE * rate:
        print("TOO FEW EVENTS: the machine is busy with other work")
        return False
    return share < LIMIT_SHARE and quick > 0.5


def main() -> int:
    """Returns 1 where most keys, or the median of the shares, are over their limit."""
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else RATE
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(rate, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
