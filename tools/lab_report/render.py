"""Writes what the lab has found into the pages: the decision report, and blocks of other pages.

A block is what is between `<!-- by make lab-report: NAME ARGUMENTS -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.lab_report.claims import FOLDER, Claim, Results, Value, Verdict, features, runs
from tui.lab.records import PATTERNS

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "lab"
REPORT = Path("docs/decision-report.md")
PAGES = ("README.md", "docs/teaching.md", "docs/patterns/*.md")
BLOCK = re.compile(r"(<!-- by make lab-report: (\S+)((?: \S+)*?) -->\n).*?(<!-- end -->)", re.S)
NAMES = {
    "short-poll": "short polling",
    "long-poll": "long polling",
    "sse": "SSE",
    "websocket": "WebSocket",
    "socketio": "Socket.IO",
}


def pages(kept: Path = KEPT) -> dict[Path, str]:
    """What each page has to hold, with the results in that folder; paths from the root."""
    results = Results(kept)
    found = {REPORT: report(results)}
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text("utf-8")
            found[path.relative_to(ROOT)] = BLOCK.sub(
                lambda block: block[1] + _block(block[2], block[3], results) + block[4], text
            )
    return found


def _block(name: str, arguments: str, results: Results) -> str:
    lines = BLOCKS[name](results, *arguments.split())
    return "".join(f"{line}\n" for line in lines)


def report(results: Results) -> str:
    """The whole page of the decision report."""
    numbered = list(enumerate(features(), start=1))
    verdicts = {
        (number, at): claim.verdict(results)
        for number, feature in numbered
        for at, claim in enumerate(feature.claims, start=1)
    }
    counts = Counter[str](verdict.kind for verdict in verdicts.values())
    lines = [
        "# The decision report, checked",
        "",
        *(FOLDER / "introduction.md").read_text("utf-8").splitlines(),
        "",
        f"Of {len(verdicts)} claims "
        + ", ".join(f"{counts[kind]} {words}" for kind, words in KINDS.items() if counts[kind])
        + ".",
        "",
        "| | claim | verdict |",
        "|---|---|---|",
    ]
    for number, feature in numbered:
        for at, claim in enumerate(feature.claims, start=1):
            words = verdicts[number, at].words
            bold = words if words == "argument" else f"**{words}**"
            lines.append(f"| {number}.{at} | {claim.says} | {bold} |")
    for number, feature in numbered:
        lines += ["", f"## {feature.title}", "", f"The report chooses: {feature.pattern}.", ""]
        for at, claim in enumerate(feature.claims, start=1):
            lines += [*_claim(f"{number}.{at}", claim, verdicts[number, at]), ""]
        lines.pop()
    lines += ["", "## The runs", "", *_runs(results), ""]
    return "\n".join(lines)


KINDS = {
    "holds": "hold",
    "partly": "hold under a condition",
    "fails": "do not hold",
    "unknown": "could not be measured",
    "argument": "are arguments that no figure decides",
}


def _claim(number: str, claim: Claim, verdict: Verdict) -> Iterator[str]:
    """A claim with its verdict, and below it what decided."""
    words = verdict.words[0].upper() + verdict.words[1:]
    yield f"**{number}** *{claim.part}.* {claim.says}"
    yield ""
    yield f"> **{words}.** {verdict.text}"
    if verdict.rule:
        yield ">"
        figures = "; ".join(
            f"`{name}` {_short(value)} ({_source(claim.figures[name])})"
            for name, value in verdict.figures.items()
        )
        yield f"> <sub>{verdict.rule}. {figures}.</sub>"


def _source(path: str) -> str:
    if path.startswith("="):
        return f"`{path[1:].strip()}`"
    return path


def _short(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _runs(results: Results) -> Iterator[str]:
    """What was run, on which machine, and what it takes to run it again."""
    wanted = runs()
    first = results[next(iter(wanted))]
    machine = ", ".join(str(value) for value in first["machine"].values())
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    yield f"On {machine}; {versions}. Each took the seconds that are beside it."
    yield ""
    yield "| run | shows | command | s |"
    yield "|---|---|---|--:|"
    for name, run in wanted.items():
        kept = results[name]
        broken = "" if kept["promises_kept"] else "; **something that was promised was not kept**"
        link = f"[{name}](../benchmarks/results/lab/{name}.json)"
        command = f"`python -m tui.lab run {' '.join(run['arguments'])}`"
        yield f"| {link} | {run['shows']}{broken} | {command} | {kept['took_seconds']:.0f} |"


def table(results: Results) -> Iterator[str]:
    """The table of results in README: a row a pattern, from one run for news and one for costs."""
    rows: dict[str, list[str]] = {}
    for pattern in PATTERNS:
        race, costs, idle = (
            results[run]["patterns"][""][pattern] for run in ("race", "costs", "silence")
        )
        rows[NAMES[pattern]] = [
            f"{race['arrivals']} of {race['events']}",
            f"{race['latency_p50_ms']:,.0f}",
            f"{race['latency_p99_ms']:,.0f}",
            f"{race['requests_per_minute']:.0f}",
            _short(race["bytes_up_per_event"] + race["bytes_down_per_event"]),
            f"{idle['radio_on_share']:.0%}",
            "–" if (cpu := costs["cpu_us_per_event"]) is None else f"{cpu:.0f}",
            _memory(results, pattern),
        ]
    heads = ["seen", "p50 ms", "p99 ms", "requests a minute", "B an event", "radio on, idle"]
    heads += ["server's CPU, µs an event", "its memory, kB a reader"]
    yield "| | " + " | ".join(heads) + " |"
    yield "|---|" + "--:|" * len(heads)
    for name, cells in rows.items():
        yield f"| {name} | " + " | ".join(cells) + " |"


def _memory(results: Results, pattern: str) -> str:
    part = results["held"]["patterns"].get(pattern)
    memory = None if part is None else part[pattern]["memory_bytes_per_reader"]
    return "–" if memory is None else _short(memory / 1000)


def costs(results: Results, pattern: str) -> Iterator[str]:
    """What a pattern costs, each figure with its run."""
    yield "| | | run |"
    yield "|---|--:|---|"
    for words, run, names in COSTS:
        parts = results[run]["patterns"]
        row = parts.get("", parts.get(pattern, {})).get(pattern, {})
        values = [row.get(name) for name in names]
        if None not in values:
            share = names[0].endswith("_share")
            cells = [f"{value:.0%}" if share else _short(value) for value in values]
            yield f"| {words} | {', '.join(cells)} | `{run}` |"


COSTS = (
    ("age of news, p50 and p99, ms", "race", ("latency_p50_ms", "latency_p99_ms")),
    ("events, and those never seen", "race", ("events", "unseen")),
    (
        "requests and new TCP connections a minute",
        "race",
        ("requests_per_minute", "connections_per_minute"),
    ),
    ("bytes up and down for each event", "race", ("bytes_up_per_event", "bytes_down_per_event")),
    ("bytes on the wire for each byte of news", "race", ("overhead",)),
    ("bytes up and down in silence", "silence", ("bytes_up", "bytes_down")),
    ("wake-ups a minute in silence", "silence", ("wake_ups_per_minute",)),
    ("a phone's radio on in silence", "silence", ("radio_on_share",)),
    ("the server's CPU for each event, µs", "costs", ("cpu_us_per_event",)),
    ("the server's memory for each reader, B", "held", ("memory_bytes_per_reader",)),
)


def exchange(results: Results, pattern: str, *ranges: str) -> Iterator[str]:
    """Packets of a pattern as they went by; each range is such as 2-5, counted from 1."""
    packets: list[dict[str, Any]] = results["wire"]["packets"][pattern]
    yield "```text"
    for wanted in ranges:
        first, _, last = wanted.partition("-")
        for packet in packets[int(first) - 1 : int(last or first)]:
            arrow, who = ("──▶", "client") if packet["up"] else ("◀──", "server")
            yield f"{arrow} {who}, {packet['at'] / 1000:.3f} s, {packet['size']:,} bytes"
            yield from (
                f"    {line}".rstrip()
                for line in packet["text"].replace("\n\n\n", "\n\n").split("\n")
            )
    yield "```"


def answers(results: Results, name: str) -> Iterator[str]:
    """The answers to questions of the lesson plan, with figures."""
    entries = tomllib.loads((FOLDER / "answers.toml").read_text("utf-8"))[name]
    for number, entry in enumerate(entries, start=1):
        known = Claim("", "", entry.get("figures", {})).values(results)
        values = {name: _Unknown() if one is None else one for name, one in known.items()}
        yield f"{number}. {entry['asks']}"
        yield ""
        yield f"{' ' * len(f'{number}. ')}*{entry['answer'].format(**values)}*"


class _Unknown:
    """Stands in a sentence for a figure that was not measured, however that would be written."""

    def __format__(self, spec: str) -> str:
        return "–"


BLOCKS: dict[str, Callable[..., Iterator[str]]] = {
    "table": table,
    "costs": costs,
    "exchange": exchange,
    "answers": answers,
}
