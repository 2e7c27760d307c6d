"""`make lab-report`: pages show the kept results, verdicts follow them, exchanges are today's."""

import json
import re
import shutil
from pathlib import Path

import pytest

from support.live_server import running_server, settings_for
from tools.lab_report.claims import Claim, Results, features
from tools.lab_report.render import KEPT, ROOT, pages
from tools.lab_report.wire import Packet, capture
from tui.lab.records import PATTERNS, Plan

CLAIMS = [claim for feature in features() for claim in feature.claims]
NAME = re.compile(r"([A-Za-z][A-Za-z0-9-]*):")
FRAME = re.compile(r'  (\{"type":"[a-z.]+"|[0-6]\d{0,2}(?:probe)?(?!\d))')
START = re.compile(r"(HTTP/1\.1 \d+|[A-Z]+ /(?:[a-z.]+/)*)")


def test_the_pages_show_the_results_that_are_kept() -> None:
    different = [str(path) for path, text in pages().items() if (ROOT / path).read_text() != text]
    assert not different, "run `make lab-report ARGS='--from benchmarks/results/lab'`"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.says[:50])
def test_a_claim_has_words_for_every_outcome(claim: Claim) -> None:
    assert bool(claim.argument) != bool(claim.figures)
    known = claim.values(Results(KEPT))
    values = {name: 1 if value is None else value for name, value in known.items()}
    for expression, words in ((claim.holds, claim.yes), (claim.where, claim.partly)):
        assert bool(expression) == bool(words)
        words.format(**values)
    assert bool(claim.no) == bool(claim.figures)
    claim.no.format(**values)


@pytest.mark.parametrize(
    ("connections", "words"), [(0.0, "does not hold"), (5.0, "holds in part"), (58.0, "holds")]
)
def test_a_verdict_follows_the_figures(tmp_path: Path, connections: float, words: str) -> None:
    [claim] = [claim for claim in CLAIMS if claim.says.endswith("many TCP connections.")]
    shutil.copy(KEPT / "race.json", tmp_path)
    kept = json.loads((tmp_path / "race.json").read_text())
    kept["patterns"][""]["short-poll"]["connections_per_minute"] = connections
    (tmp_path / "race.json").write_text(json.dumps(kept))
    verdict = claim.verdict(Results(tmp_path))
    assert verdict.words == words
    assert f"{connections:.0f}" in verdict.text


def test_a_figure_too_small_to_measure_is_a_dash_and_decides_nothing(tmp_path: Path) -> None:
    kept = shutil.copytree(KEPT, tmp_path / "kept")
    costs = json.loads((kept / "costs.json").read_text())
    costs["patterns"][""]["sse"]["cpu_us_per_event"] = None
    (kept / "costs.json").write_text(json.dumps(costs))
    [claim] = [claim for claim in CLAIMS if "lightweight compared" in claim.says]
    verdict = claim.verdict(Results(kept))
    assert (verdict.kind, verdict.text[-8:]) == ("unknown", "sse_cpu.")
    written = pages(kept)
    assert "| – |" in written[Path("README.md")]
    assert re.search(r" – and \d+ µs", written[Path("docs/teaching.md")])


async def test_the_exchanges_of_the_pages_are_those_of_today(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, demo=True, photo_workers=0)
    plan = Plan(seconds=1.1, rate=2, shape="steady", poll_seconds=0.5, size=16)
    async with running_server(settings) as server:
        found = await capture(server.url, plan)
    shown = Results(KEPT)["wire"]["packets"]
    assert found.keys() == shown.keys() >= set(PATTERNS)
    for pattern, packets in shown.items():
        for up in (True, False):
            today, then = (_outline(some, up=up) for some in (found[pattern], packets))
            common = min(30, len(today), len(then))  # before the run ends
            assert common >= 3, (pattern, up, today)
            assert today[:common] == then[:common], "run `make lab-report ARGS=wire`"


def _outline(packets: list[Packet], *, up: bool) -> list[str]:
    """What does not change from run to run: how messages begin, and the names of their fields."""
    lines = [
        line for packet in packets if packet["up"] is up for line in packet["text"].split("\n")
    ]
    found = (START.match(line) or FRAME.match(line) or NAME.match(line) for line in lines)
    heartbeats = ("2", "3")  # of Engine.IO
    return [match[1] for match in found if match is not None and match[1] not in heartbeats]
