"""The histogram's rows of known latencies: pure functions, without an app."""

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from tui.lab.histogram import BUCKET_GROWTH, EXACT_VALUES, Histogram
from tui.lab.records import LONG_POLL, PATTERNS, SHORT_POLL, SSE
from tui.lab.screen.histogram import LEAST_MS, counts_of, edges_for, full_bar, marks_of, rows_of


def of(*ms: float) -> Histogram:
    histogram = Histogram()
    for value in ms:
        histogram.add(value / 1000)
    return histogram


def drawn(latencies: dict[str, Histogram], focus: str, width: int, height: int) -> list[str]:
    rows, _ = rows_of(latencies, focus, width, height, footer=False)
    return ["".join(words for words, _ in row) for row in rows]


def test_known_latencies_are_in_the_rows_of_their_range_with_counts_and_percentiles() -> None:
    latencies = {
        SHORT_POLL: of(*range(10, 1000, 10)),  # 99 of them, evenly
        SSE: of(*[4] * 90, *[5] * 5, *[30] * 4, 31.5),
    }
    assert drawn(latencies, SSE, 60, 12) == [
        "        ms  short poll             ▸SSE                    ",
        "        2–5                         █████████▉    90 p50   ",
        "       5–10                         ▌              5 p95   ",
        "      10–20 ▏              1                               ",
        "      20–50 ▍              3        ▌              5 p99   ",
        "     50–100 ▌              5                               ",
        "    100–200 █▏            10                               ",
        "    200–500 ███▎          30                               ",
        "   500–1000 █████▌        50 p50–99                        ",
    ]


@given(
    st.lists(st.lists(st.floats(-5, 200_000), max_size=40), min_size=1, max_size=6),
    st.integers(1, 40),
    st.booleans(),
)
def test_every_latency_is_in_one_row_and_percentiles_are_where_they_say(
    patterns: list[list[float]], lines: int, exact: bool
) -> None:
    latencies = [of(*values) for values in patterns]
    if not exact:
        for latency in latencies:
            latency._exact = None  # as after very many
    edges = edges_for(latencies, lines)
    if not any(patterns):
        assert edges == []
        return
    assert 2 <= len(edges) <= lines + 1
    assert edges == sorted(set(edges))
    slack = (1.0 if exact else math.sqrt(BUCKET_GROWTH)) * 1.0001
    for values, latency in zip(patterns, latencies, strict=True):
        counts = counts_of(latency, edges)
        assert sum(counts) == len(values)
        for row, count in enumerate(counts):
            low = -math.inf if row == 0 else edges[row]
            high = math.inf if row == len(counts) - 1 else edges[row + 1]
            least = sum(low * slack <= value < high / slack for value in values)
            most = sum(low / slack <= value < high * slack for value in values)
            assert least <= count <= most
        for row, words in marks_of(counts).items():
            assert counts[row]
            percentile = latency.percentile(int(words[1:3]))
            assert percentile is not None
            assert row == 0 or edges[row] / slack <= percentile * 1000
            assert row == len(counts) - 1 or percentile * 1000 < edges[row + 1] * slack
    longest = max(max(values) for values in patterns if values)
    assert edges[-1] > min(max(longest, LEAST_MS), 1e5) or len(edges) == lines + 1


def test_every_size_is_kept_and_the_focus_is_marked() -> None:
    latencies = {pattern: of(0.3, 7, 7, 2000) for pattern in PATTERNS}
    for width in (40, 54, 74, 96, 156):
        for height in (4, 8, 20, 44):
            lines = drawn(latencies, LONG_POLL, width, height)
            assert len(lines) <= height
            assert all(len(line) <= width for line in lines), (width, height)
            assert "▸long" in lines[0]
            found = re.findall(r"p\d\d", "\n".join(lines[1:]))
            assert len(found) >= 2 * (len(PATTERNS) if width >= 98 else 1)
    assert drawn({SSE: Histogram()}, SSE, 74, 20) == ["Nothing has arrived yet."]
    assert [full_bar(most) for most in (1, 2, 3, 9, 10, 11, 499, 501)] == [
        1, 2, 5, 10, 10, 20, 500, 1000,
    ]  # fmt: skip


def test_of_very_many_the_rows_come_from_the_buckets() -> None:
    latency = of(*[3] * EXACT_VALUES, *[150] * (12 * EXACT_VALUES))
    assert latency._exact is None
    edges = edges_for([latency], 8)
    counts = dict(zip(edges, counts_of(latency, edges), strict=False))
    assert {edge: count for edge, count in counts.items() if count} == {2: 1000, 100: 12_000}
    assert "12k" in "".join(drawn({SSE: latency}, SSE, 74, 9))
