"""What Tiffin's patterns cost beside nchan, Express, FastAPI and plain aiohttp, in one run.

Each server runs alone on one core, and what loads it on another; they take turns. The peers keep
everything in memory and ask for no token; Tiffin stores it and checks the token. What a peer needs
is installed in .tiffin/peers, nginx with nchan is the system's; a peer that cannot be had is
skipped.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks._figures import machine
from benchmarks.peers.table import OURS, RUNS, Run, table
from benchmarks.peers.targets import (
    CORES,
    FILES,
    Aiohttp,
    Express,
    FastApi,
    Missing,
    Nchan,
    Target,
    measure,
)
from benchmarks.peers.tiffin import Tiffin
from benchmarks.peers.works import Measured
from support.raw_http import raise_file_limit

TARGETS: Sequence[type[Target]] = (Nchan, Express, FastApi, Aiohttp, Tiffin)
RESULTS = Path(__file__).parents[1] / "results" / "peers.md"


def found_here() -> dict[type[Target], str]:
    """The servers that can be had here, with their versions."""
    found = {}
    for target in TARGETS:
        try:
            found[target] = target.make()
        except Missing as missing:
            print(f"{target.name} is skipped: {missing}.", flush=True)
    return found


def measure_all(
    targets: Sequence[type[Target]], runs: Mapping[str, Run], rounds: int, seconds: float
) -> dict[tuple[str, str], list[Measured]]:
    """Every run with every server, in turns."""
    found: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    began = time.monotonic()
    for turn in range(1, rounds + 1):
        for name, run in runs.items():
            for target in targets:
                if run.others and target.name not in (*run.others, OURS):
                    continue
                one = measure(target, run.work, run.number, seconds)
                found[name, target.name].append(one)
                print(
                    f"{time.monotonic() - began:4.0f} s  round {turn} of {rounds}"
                    f"  {name:8}{target.name:14}{one.microseconds:9,.1f} µs"
                    f"{one.kilobytes:8,.1f} kB",
                    flush=True,
                )
    return found


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="a measurement (2)")
    parser.add_argument("--runs", default=",".join(RUNS), help=f"of {','.join(RUNS)}")
    options = parser.parse_args()
    raise_file_limit(FILES)
    versions = found_here()
    runs = {name: RUNS[name] for name in options.runs.split(",")}
    found = measure_all(list(versions), runs, options.rounds, options.seconds)
    shown = table(found, [target.name for target in TARGETS if target in versions])
    print(shown)
    if runs.keys() == RUNS.keys():
        named = [f"{target.name} {version}" for target, version in versions.items() if version]
        skipped = [target.name for target in TARGETS if target not in versions]
        RESULTS.write_text(
            "\n".join(
                [
                    "# Peers",
                    "",
                    f"`make bench ONLY=peers`: {machine()}; {', '.join(named)}. CPU time and"
                    " resident memory of a server on one core, what loads it on"
                    f" {'another' if len(CORES) > 1 else 'the same'}; the medians of"
                    f" {options.rounds} fresh servers each, which took turns. The peers keep"
                    " everything in memory and ask for no token; Tiffin stores it and checks the"
                    " token. Only ratios can be compared with another run.",
                    *([f"Skipped: {', '.join(skipped)}."] if skipped else []),
                    "",
                    shown,
                    "",
                ]
            ),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
