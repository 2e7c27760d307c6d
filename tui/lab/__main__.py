"""The lab's command line: runs an experiment, lists what there is, compares two results."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tui.common.client.errors import ClientError
from tui.common.processes import ChildError
from tui.lab.bench import Bench
from tui.lab.compare import compare
from tui.lab.dials import PRESETS
from tui.lab.experiments import EXPERIMENTS
from tui.lab.export import write
from tui.lab.records import LTE_TAIL_SECONDS, READERS, Pace, Plan, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tui.lab.bench import Experiment
    from tui.lab.results import Report

SERVER_HELP = "a demo's server, instead of one of our own"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 1 where a pattern broke its promise, 2 where there
    is no result."""
    parser = argparse.ArgumentParser(prog="tiffin-lab", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tiffin')}")
    parser.add_argument("--server", metavar="URL", default="", help=SERVER_HELP)
    parser.add_argument("--tour", action="store_true", help="begin the screen with the tour")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", help="without one, the lab's screen"
    )
    _add_run(commands.add_parser("run", help="run an experiment, and write its results"))
    commands.add_parser("list", help="the experiments and the networks")
    comparing = commands.add_parser("compare", help="what differs between two results")
    comparing.add_argument("first", type=Path, metavar="A", help="the --out of a run")
    comparing.add_argument("second", type=Path, metavar="B")
    options = parser.parse_args(arguments)
    try:
        if options.command is None:
            return _screen(parser, options.server, tour=options.tour)
        if options.command == "list":
            return _list()
        if options.command == "compare":
            sys.stdout.write(f"{compare(options.first, options.second)}\n")
            return 0
        given = sys.argv[1:] if arguments is None else arguments
        return _run(options, shlex.join(("tiffin-lab", *given)))
    except (ChildError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except ClientError as error:
        parser.exit(2, f"{parser.prog}: {error.message}\n")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--experiment", choices=EXPERIMENTS, help="what is measured (patterns)")
    add("--network", choices=PRESETS, help="what is between readers and server")
    add("--seconds", type=_number(float, above=0, most=86_400), help="how long events come")
    add("--readers", type=_number(int, above=0, most=1000), help="of each pattern, up to 1000")
    add(
        "--seed",
        type=_number(int, above=-1, most=2**53 - 1),
        help="the same one repeats source and network",
    )
    add("--out", type=Path, metavar="DIR", help="where to write the results")
    add("--rate", type=_number(float, above=0, most=100_000), help="events a second, on average")
    add("--shape", choices=get_args(Shape), help="how they follow each other")
    add(
        "--size",
        type=_number(int, above=-1, most=2**24),
        metavar="BYTES",
        help="padding in each event",
    )
    add(
        "--poll-seconds",
        type=_number(float, above=-1),
        metavar="N",
        help="between an answer to a short poll and the next one",
    )
    add("--poll-pace", choices=get_args(Pace), help="a pause of so long, or a fixed rate")
    add(
        "--patterns",
        type=_patterns,
        metavar="A,B",
        help=f"some of {','.join(READERS)}",
    )
    add(
        "--radio-tail",
        type=_number(float, above=0),
        metavar="N",
        help=f"seconds that a phone's radio stays on after a packet ({LTE_TAIL_SECONDS:g})",
    )
    add(
        "--isolated",
        action="store_true",
        default=None,
        help="a server process for each pattern, with Redis, for its CPU and memory",
    )
    add("--server", metavar="URL", default=argparse.SUPPRESS, help=SERVER_HELP)
    add("--redis", metavar="URL", default="", help="for --isolated, instead of one of our own")
    add(
        "--target",
        metavar="URL",
        help="measure somebody else's server instead: only that address is asked, by one reader of "
        "each pattern unless --readers says otherwise (at most 100)",
    )
    add(
        "--description",
        type=Path,
        metavar="FILE",
        help="TOML that says what that server has; examples are in docs/lab-targets",
    )


def _screen(parser: argparse.ArgumentParser, server: str, *, tour: bool) -> int:
    from tui.cli import run_window
    from tui.lab.screen.app import LabApp
    from tui.lab.screen.runs import Runs

    return run_window(parser, lambda: LabApp(Runs(server, begins=not tour), tour=tour))


def _list() -> int:
    lines = ["Experiments:"]
    lines += [f"  {name:<12} {one.title or one.question}" for name, one in EXPERIMENTS.items()]
    lines += ["", "Networks:"]
    lines += [f"  {name:<12} {preset.reason}" for name, preset in PRESETS.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _run(options: argparse.Namespace, command: str) -> int:
    known = {field.name for field in fields(Plan)} - {"experiment", "target"}
    named = vars(options).items()
    given = {name: value for name, value in named if name in known and value is not None}
    if options.target is not None or options.description is not None:
        return _write(_target_report(options, given, command), options.out)
    experiment = EXPERIMENTS[options.experiment or "patterns"]
    if fixed := sorted(experiment.fixed & given.keys()):
        options_named = ", ".join(f"--{name.replace('_', '-')}" for name in fixed)
        raise ValueError(
            f"{experiment.name} is measured in one way only: leave out {options_named}."
        )
    if experiment.own_servers and options.server:
        raise ValueError(f"{experiment.name} starts its own servers: leave out --server.")
    plan = replace(experiment.plan, **given)
    report = asyncio.run(_report(experiment, plan, options.server, options.redis, command))
    return _write(report, options.out)


def _target_report(options: argparse.Namespace, given: Mapping[str, Any], command: str) -> Report:
    from tui.lab.targets.description import read_description
    from tui.lab.targets.run import measure, plan_for

    if options.target is None or options.description is None:
        raise ValueError("--target URL and --description FILE belong together: name both.")
    unfit = {"experiment", "server", "redis", "rate", "shape", "size", "isolated"}
    if named := sorted(name for name in unfit if getattr(options, name)):
        raise ValueError(
            f"A target is not ours to start or to dial: leave out --{', --'.join(named)}."
        )
    described = read_description(options.description)
    plan = plan_for(options.target, described, given)

    async def report() -> Report:
        _begin(plan)
        try:
            return await measure(described, plan, command, _say)
        finally:
            _say("")

    return asyncio.run(report())


def _write(report: Report, folder: Path | None) -> int:
    """Write the results, into the folder or nowhere, and show them; returns the exit code."""
    with contextlib.ExitStack() as stack:
        out = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write(report, out)
        sys.stdout.write((out / "results.md").read_text())
    if folder is not None:
        sys.stdout.write(f"\nWritten to {folder}.\n")
    return 0 if report.kept else 1


async def _report(
    experiment: Experiment, plan: Plan, server: str, redis: str, command: str
) -> Report:
    _begin(plan)
    async with Bench(server, redis, say=_say) as bench:
        try:
            return await bench.report(experiment, plan, command)
        finally:
            _say("")


def _begin(plan: Plan) -> None:
    """Say what is run; SIGTERM ends it with all that it started."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # there are no such signals on Windows
        # What was started ends before this does.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    many = len(plan.patterns)
    readers = f"{plan.readers} of each of {many} patterns" if many > 1 else f"{plan.readers}"
    sys.stderr.write(
        f"Readers: {readers}. Network: {plan.network}. Events: for {plan.seconds:g} s.\n"
    )


def _say(words: str) -> None:
    """Show what goes on, in place of what was shown before, where somebody looks."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()


def _number(kind: type, above: float, most: float = math.inf) -> Callable[[str], float]:
    """Reads a number above one and up to another."""

    def read(text: str) -> float:
        try:
            number: float = kind(text)
        except ValueError:
            number = math.nan
        if not above < number <= most:
            bounds = f" and at most {most:g}" if most < math.inf else ""
            whole = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not {whole} above {above:g}{bounds}")
        return number

    return read


def _patterns(text: str) -> tuple[str, ...]:
    named = text.split(",")
    if unknown := [name for name in named if name not in READERS]:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown)}: the patterns are {', '.join(READERS)}"
        )
    return tuple(name for name in READERS if name in named)


if __name__ == "__main__":
    sys.exit(main())
