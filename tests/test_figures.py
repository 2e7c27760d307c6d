"""The figures of the pages are those that were measured: benchmarks/results has them."""

import re
from functools import cache
from math import ceil, floor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORDS = {2: "twice"}


@cache
def results(name: str) -> str:
    """What a benchmark has written."""
    return (ROOT / "benchmarks" / "results" / name).read_text()


def figures(name: str, pattern: str) -> list[float]:
    """The groups of the first match of a pattern in a benchmark's results."""
    found = re.search(pattern, results(name), re.MULTILINE)
    assert found is not None, f"{name} has no {pattern}"
    return [float(group.replace(",", "")) for group in found.groups()]


def row(name: str, title: str) -> list[float]:
    """The numbers of the first row with that title in a table."""
    [line] = [one for one in results(name).splitlines() if one.startswith(f"| {title} |")][:1]
    cells = [cell.strip().replace(",", "") for cell in line.split("|")[2:-1]]
    return [float(cell) for cell in cells if re.fullmatch(r"[\d.]+", cell)]


def peer(title: str) -> float:
    """Tiffin's figure beside those of its peers."""
    return row("peers.md", title)[-1]


def sizing() -> list[str]:
    """The lines of docs/operating.md that tell how much a machine carries."""
    stream, poll, socket = (
        peer(f"memory of {what}, kB") for what in ("an idle stream", "a held poll", "a chat socket")
    )
    processes = [
        *figures("held_connections.txt", r"^before: (\d+) MB"),
        *(row("growth.md", title)[0] for title in ("10,000 streams", "1,000 held polls")),
    ]
    order = peer("an order placed, to its kitchen's one stream, µs")
    on_postgres = row("cluster.md", "1")
    crowd = peer("a chat message to its room, 50 rooms as fast as they can, µs")
    message = peer("a chat message, 1,000 sockets, 300 a second, µs")
    thousand, all_streams = (peer(f"an event to {n} streams, a delivery, µs") for n in STREAMS)
    read, alone = peer("`GET` one order, µs"), row("growth.md", "read an order")[:-1]
    [pictures] = figures("photos.txt", r"([\d.]+) pictures a second")
    [workers] = figures("photos.txt", r"kept: .* (\d+) MB by its workers")
    [p99] = figures("growth.md", r"by 3 processes.*?p99 +([\d.]+)")
    half, most = figures("attacks.txt", r"^from 200 addresses +([\d.]+) +([\d.]+)")
    low, high = floor(min(processes) / 10) * 10, ceil(max(processes) / 10) * 10
    return [
        f"| a process | {low} to {high} MB |",
        f"| {stream:.1f} kB; {poll:.0f} kB; {socket:.0f} kB of memory;",
        f"an order placed, with its event to a stream | {order / 1000:.1f} ms of CPU |",
        f"| the same on PostgreSQL | {WORDS[round(on_postgres[3] / on_postgres[1])]} that of the",
        f"| {read / 1000:.2f} ms; {sum(alone) / len(alone) / 1000:.1f} ms when requests come one",
        f"| {crowd / 1000:.1f} ms in a crowd, {message / 1000:.1f} ms at 300 a second |",
        f"| an event to each further stream | {thousand:.0f} to {all_streams:.0f} µs |",
        f"| {round(workers / 2, -1):.0f} MB; {pictures / 2:.1f} photos a second each |",
        f"carries some {round(0.5e6 / order, -2):.0f} orders a second at half its CPU",
        f"three processes got their share of it, p99 {p99:.0f} ms a write",
        f"took more than {floor(half)} ms, one in a hundred more than {floor(most)} ms",
    ]


STREAMS = ("1,000", "10,000")


def growing() -> list[str]:
    """Those of docs/scaling.md."""
    thousand, all_streams = (peer(f"an event to {n} streams, a delivery, µs") for n in STREAMS)
    queue = "a chat message, in 16 rooms"
    [without] = row("scaling.md", f"{queue} ÷ {queue}, without the queue's event")
    [channel] = figures("scaling.md", r"one process follows takes (\d+) bytes")
    hundreds = {200: "two hundred"}[int(round(channel, -2))]
    return [
        f"costs it {thousand:.0f} to {all_streams:.0f} µs",
        f"Messages in sixteen rooms are {WORDS[round(without)]} as fast without it",
        f"some {hundreds} bytes each",
    ]


README = (
    ("long_polling.txt", r"^with Redis.*\n.*p50 +([\d.]+)", "p50 {:.0f} ms with Redis,"),
    ("long_polling.txt", r"^without Redis.*\n.*p50 +([\d.]+)", ", {:.0f} ms without |"),
    ("held_connections.txt", r"\(([\d.]+) KB each\)", "| {:.0f} KB each;"),
    ("held_connections.txt", r"p50 ([\d.]+) p99 ([\d.]+)", "p50 {:.0f} ms, p99 {:.0f} ms;"),
    ("first_paint.txt", r"^customer, .*median ([\d.]+)", "| {:.2f} and"),
    ("first_paint.txt", r"^employee, .*median ([\d.]+)", "and {:.2f} s of CPU,"),
    ("first_paint.txt", r"^python with .*median ([\d.]+)", ", {:.2f} s of it Python with"),
    ("broadcast.txt", r"beside +1 at once.*most +([\d.]+)", "waits {} ms at most,"),
    ("broadcast.txt", r"beside +20 at once.*most +([\d.]+)", ", and {} ms while"),
    ("chat.txt", r"^WebSocket, 500 .*\n.*p50 +([\d.]+)", "trip {} ms over WebSocket,"),
    ("chat.txt", r"^Socket\.IO, 500 .*\n.*p50 +([\d.]+)", ", {} ms over Socket.IO;"),
    ("chat.txt", r"^WebSocket, 6000 .*time, (\d+) µs", "they can, {:.0f} and"),
    ("chat.txt", r"^Socket\.IO, 6000 .*time, (\d+) µs", "and {:.0f} µs of CPU"),
    ("chat_view.txt", r"^a frame anywhere in it +([\d.]+)", "| a frame {:.1f} ms,"),
    ("chat_view.txt", r"^one more, and its frame +([\d.]+)", "a new line {:.1f} ms,"),
    ("chat_view.txt", r"^all of it at another width +([\d.]+)", "width {:.0f} ms of CPU |"),
    ("growth.md", r"last ÷ first \|\n.*\n.*\| ([\d.]+) \|$", "| at most {} times the CPU"),
    ("photos.txt", r"([\d.]+) pictures a second", "| {:.1f} a second with two workers;"),
    ("photos.txt", r"(\d+) MB by the server, (\d+) MB", "; {:.0f} MB, and {:.0f} MB for the"),
    ("photos.txt", r"ping above idle: ([\d.]+)", "p99 {} ms above idle."),
    ("photos.txt", r"pool[\s\S]*?([\d.]+) pictures a second", "pool: {:.1f} a second,"),
    ("photos.txt", r"kept: (\d+) MB$", ", {:.0f} MB |"),
    ("panel_load.txt", r"one core: ([\d.]+)%", "| {:.0f}% of a core;"),
    (
        "panel_load.txt",
        r"^keys at 1000 .*p50 ([\d.]+) ms, p95 ([\d.]+)",
        "{:.0f} ms, p95 {:.0f} ms,",
    ),
    ("panel_load.txt", r"within 20 ms: (\d+)%", "{:.0f}% of them within 20 ms"),
)
"""What README says of a benchmark's results."""


def readme() -> list[str]:
    """Those of README's second table."""
    return [words.format(*figures(name, pattern)) for name, pattern, words in README]


@pytest.mark.parametrize(
    ("page", "measured"),
    [("README", readme()), ("docs/operating", sizing()), ("docs/scaling", growing())],
)
def test_a_page_has_the_figures_that_were_measured(page: str, measured: list[str]) -> None:
    text = " ".join((ROOT / f"{page}.md").read_text().split())
    assert [one for one in measured if one not in text] == [], "write these into the page"
