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

from benchmarks._figures import machine
from benchmarks.peers.table import RUNS, Run, costs, ratios
from benchmarks.peers.targets import (
    CORES,
    FILES,
    ROOT,
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
RESULTS = ROOT / "benchmarks" / "results" / "peers.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- by make bench ONLY=peers -->", "<!-- end -->"


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
    """Every run with every server, in turns. One that fails is left out."""
    found: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    began = time.monotonic()
    for turn in range(1, rounds + 1):
        for name, run in runs.items():
            for target in targets:
                if not run.includes(target.name):
                    continue
                try:
                    one = measure(target, run.work, run.number, seconds)
                except (AssertionError, OSError, Missing) as error:
                    outcome = f"failed: {error}"
                else:
                    found[name, target.name].append(one)
                    outcome = f"{one.microseconds:9,.1f} µs{one.kilobytes:8,.1f} kB"
                passed = time.monotonic() - began
                print(
                    f"{passed:4.0f} s  round {turn} of {rounds}  {name:8}{target.name:14}{outcome}",
                    flush=True,
                )
    return found


def store(versions: Mapping[type[Target], str], rounds: int, tables: Sequence[str]) -> None:
    """Write the results, and the ratios into README."""
    named = [f"{target.name} {version}" for target, version in versions.items() if version]
    skipped = [target.name for target in TARGETS if target not in versions]
    paragraphs = [
        "# Peers",
        f"`make bench ONLY=peers`: {machine()}; {', '.join(named)}. CPU time and resident memory of"
        f" a server on one core, with what loads it on {'another' if len(CORES) > 1 else 'it too'};"
        f" medians of {rounds} runs, each with a fresh server, which took turns. The peers keep"
        " everything in memory and ask for no token; Tiffin stores it and checks the token. Only"
        " ratios can be compared with another run.",
        *([f"Skipped: {', '.join(skipped)}."] if skipped else []),
        *tables,
    ]
    RESULTS.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"README has no {BEGIN} … {END}"
    text = f"{before}{begin}\n{tables[-1]}\n{end}{after}"
    README.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="a measurement (1.5)")
    parser.add_argument("--runs", default=",".join(RUNS), help="only these; nothing is stored then")
    options = parser.parse_args()
    raise_file_limit(FILES)
    versions = found_here()
    runs = {name: RUNS[name] for name in options.runs.split(",")}
    found = measure_all(list(versions), runs, options.rounds, options.seconds)
    names = [target.name for target in versions]
    tables = [costs(found, names), ratios(found, names)]
    print("\n\n".join(["", *tables]))
    if runs == RUNS:
        store(versions, options.rounds, tables)


if __name__ == "__main__":
    main()
