"""The comparison with other servers: its works, what it notices, and where README has it from."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the load client needs epoll", allow_module_level=True)

import benchmarks  # noqa: F401  (its path to `support`)
from benchmarks._profile import _layer, report
from benchmarks.peers import works
from benchmarks.peers.__main__ import BEGIN, END, README, RESULTS
from benchmarks.peers.client import Connection, mark
from benchmarks.peers.table import OURS, ROWS, RUNS, costs
from benchmarks.peers.targets import ROOT, Aiohttp, Express, FastApi, Missing, Nchan, Target
from benchmarks.peers.tiffin import Tiffin

PEERS = (Nchan, Express, FastApi, Aiohttp)


@pytest.mark.parametrize(
    "target",
    [Tiffin, *(pytest.param(peer, marks=pytest.mark.others) for peer in PEERS)],
    ids=lambda target: target.name,
)
def test_a_server_does_every_work(target: type[Target], tmp_path: Path) -> None:
    try:
        target.make()
    except Missing as missing:
        pytest.skip(str(missing))
    with target(tmp_path) as server:
        for run in RUNS.values():
            if run.includes(target.name):
                assert run.work(server, 64, 0.2).microseconds > 0, run


@pytest.fixture
def connection() -> Connection:
    """A connection on which nothing was received."""
    return Connection(socket.socket(), 0, lambda connection, data: None)


def test_a_mark_is_found_once_however_the_bytes_are_split(connection: Connection) -> None:
    sent = "".join(f'data: "{mark(number, 7)}"\n\n' for number in (1, 20, 300)).encode()
    for size in (1, 3, len(sent)):
        pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
        found = [one for piece in pieces for one in connection.marks(piece)]
        assert found == [(1, 7), (20, 7), (300, 7)]


@pytest.mark.parametrize("numbers", [(0, 2), (0, 1, 1), (1, 0)], ids=["lost", "twice", "order"])
def test_a_wrong_event_ends_the_measurement(
    numbers: tuple[int, ...], connection: Connection
) -> None:
    class Nobody:
        def until(self, fact: Callable[[], bool], what: str) -> None:
            assert fact()

    channel = works.Channel(b"", lambda text: b"")
    streams = works._Streams(Nobody(), [channel], 0)  # type: ignore[arg-type]
    received = "".join(map(mark, numbers)).encode()
    with pytest.raises(AssertionError, match=r"event \d instead of \d"):
        streams._on_events(connection, received)


def test_a_row_without_its_peer_says_neither_yes_nor_no() -> None:
    two = [works.Measured(2, 2, 2)]
    found = {(row.run, name): two for row in ROWS for name in (OURS, "Express")}
    lines = costs(found, ["Express", OURS]).splitlines()[2:]
    known = {"": "yes", "nchan": "not known", "Express": "yes", "FastAPI": "not known"}
    for row, line in zip(ROWS, lines, strict=True):
        verdict = line.split(" | ")[-1].removesuffix(" |")
        expected = known.get(row.peer, "not known")
        assert verdict == ("**no**" if expected == "yes" and row.most < 1 else expected), line


def test_a_profile_names_layers_and_functions() -> None:
    path = f"{ROOT}/server/core/auth.py"
    stack = [f"{_layer(path)}: Gate.check", f"{_layer('/x/site-packages/jwt/api.py')}: decode"]
    lines = report([(stack, 3), (stack[:1], 1)], 100, 9).splitlines()
    assert lines == [
        *("", "By layer", "     75.0 µs  75.0%  jwt", "     25.0 µs  25.0%  server/core"),
        *("", "By function, without the functions it calls"),
        *("     75.0 µs  75.0%  jwt: decode", "     25.0 µs  25.0%  server/core: Gate.check"),
        *("", "By function, with them"),
        *("    100.0 µs 100.0%  server/core: Gate.check", "     75.0 µs  75.0%  jwt: decode"),
    ]


def test_readme_has_the_ratios_that_were_measured() -> None:
    _, _, rest = README.read_text().partition(BEGIN)
    block, end, _ = rest.partition(END)
    assert end
    assert block.strip()
    assert block.strip() in RESULTS.read_text()
