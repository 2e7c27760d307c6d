"""The parser against a plain reading of the standard, at every split of the bytes."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tui.common.client.sse import ServerSentEvent, SSEParser


def by_the_standard(raw: bytes, last_event_id: str = "") -> list[tuple[str, str, str]]:
    """All of the stream at once: decode, cut into lines, take each line as the standard says."""
    text = raw.decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)[:-1]
    events = []
    data, kind, id_buffer = "", "", last_event_id
    for line in lines:
        if line == "":
            if data != "":
                events.append((kind or "message", data.removesuffix("\n"), id_buffer))
            data, kind = "", ""
        elif line.startswith(":"):
            continue
        else:
            name, colon, value = line.partition(":")
            if colon and value.startswith(" "):
                value = value[1:]
            if name == "event":
                kind = value
            elif name == "data":
                data += value + "\n"
            elif name == "id" and "\0" not in value:
                id_buffer = value
    return events


def plain(events: list[ServerSentEvent]) -> list[tuple[str, str, str]]:
    return [(event.type, event.data, event.last_event_id) for event in events]


def fed(pieces: list[bytes]) -> tuple[list[ServerSentEvent], SSEParser]:
    parser = SSEParser()
    return [event for piece in pieces for event in parser.feed(piece)], parser


FRAGMENTS = st.sampled_from(
    [
        b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r",
        b"data", b"data:", b"data: ", b"data:  x", b"event: a", b"event:", b"id: 7", b"id",
        b"id: a\0b", b"retry: 12", b"retry: x", b": note", b":", b" ", b"x", b"\0",
        b"\xef\xbb\xbf", b"\xef\xbb", b"\xff", b"\xc3", b"\xe2\x82\xac", b"\xf0\x9f\x8d\x9b",
        b"\xf0\x9f", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8",
    ]
)  # fmt: skip
STREAMS = st.lists(FRAGMENTS | st.binary(max_size=4), max_size=24).map(b"".join)


@given(STREAMS)
@example(b"\xef\xbb\xbfdata: x\r\n\r\n")
@example(b"\xef\xbbdata: x\n\n")
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n")
@example(b"data: \xf0\x9f\ndata\n\n")
@example(b"id: 1\n\ndata: x\n\nid\ndata: y\n\n")
def test_every_single_split_reads_the_same(raw: bytes) -> None:
    expected = by_the_standard(raw)
    for cut in range(len(raw) + 1):
        events, _ = fed([raw[:cut], raw[cut:]])
        assert plain(events) == expected
    events, _ = fed([raw[index : index + 1] for index in range(len(raw))])
    assert plain(events) == expected


@given(STREAMS, st.lists(st.integers(0, 80), max_size=6))
def test_any_number_of_splits_reads_the_same(raw: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[start:end] for start, end in itertools.pairwise(edges)]
    events, parser = fed(pieces)
    whole, once = fed([raw])
    assert plain(events) == by_the_standard(raw)
    assert [event.has_id for event in events] == [event.has_id for event in whole]
    assert (parser.last_event_id, parser.retry_ms) == (once.last_event_id, once.retry_ms)


@given(STREAMS, STREAMS)
def test_sizes_are_those_of_the_blocks(first: bytes, second: bytes) -> None:
    """What the events are said to weigh is never more than what arrived."""
    events, _ = fed([first, second])
    assert sum(event.size for event in events) <= len(first) + len(second)


def test_a_blocks_size_is_its_bytes() -> None:
    block = "id: 1\nevent: größe\ndata: €\n\n".encode()
    events, _ = fed([b": hello\n\n", block[:9], block[9:], block])
    assert [event.size for event in events] == [len(block), len(block)]


@pytest.mark.parametrize(
    ("raw", "milliseconds"),
    [
        (b"retry: 1500\n", 1500),
        (b"retry:0\n", 0),
        (b"retry: 1.5\n", None),
        (b"retry: -1\n", None),
        (b"retry:\n", None),
        (b"retry:  5\n", None),
        ("retry: ٣\n".encode(), None),
        (b"retry: " + b"9" * 5000 + b"\n", 10**9),
    ],
)
def test_retry_takes_ascii_digits_alone(raw: bytes, milliseconds: int | None) -> None:
    assert fed([raw])[1].retry_ms == milliseconds


def test_an_id_counts_only_once_its_block_has_ended() -> None:
    parser = SSEParser("before")
    assert parser.feed(b"id: next\ndata: x\n") == []
    assert parser.last_event_id == "before"
    [event] = parser.feed(b"\n")
    assert (event.last_event_id, event.has_id) == ("next", True)
    [event] = parser.feed(b"data: y\n\n")
    assert (event.last_event_id, event.has_id) == ("next", False)
    assert parser.feed(b"id: quiet\n\n") == []
    assert parser.last_event_id == "quiet"


def test_a_long_line_in_small_pieces() -> None:
    payload = b"x" * 300_000
    raw = b"data: " + payload + b"\n\n"
    events, _ = fed([raw[start : start + 7] for start in range(0, len(raw), 7)])
    assert [len(event.data) for event in events] == [len(payload)]


WPT = {
    "a mark at the start": (b"\xef\xbb\xbfdata:1\n\ndata:2\n\n", ["1", "2"]),
    "two marks": (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"]),
    "a mark in the middle": (b"data:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", ["1", "3"]),
    "comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:"
        + b"x" * 2048
        + b"\rdata:3\n:data:fail\r:"
        + b"x" * 2048
        + b"\ndata:4\n\n",
        ["1\n2\n3\n4"],
    ),
    "no empty line at the end": (b"retry:1000\ndata:test1\n\nid:test\ndata:test2", ["test1"]),
    "data": (b"data:\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"]),
    "a space is taken away once": (b"data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"]),
    "fields that are none": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        ["test\n\ntest"],
    ),
    "parsing": (
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
        b"data:\r\n data:32\ndata:4\n\n",
        ["\0\n 2\n1\n3\n\n4"],
    ),
    "kinds": (
        b"event:test\ndata:x\n\ndata:x\n\nevent: \ndata:data\n\n",
        [("test", "x"), "x", "data"],
    ),
    "a kind without data": (b"event:a\n\ndata:x\n\n", ["x"]),
    "all line ends": (b"data:test\r\ndata\ndata:test\r\n\r\n", ["test\n\ntest"]),
    "a null character": (b"data:\0\n\n\n\n", ["\0"]),
    "UTF-8": ("data:ok…\n\n".encode(), ["ok…"]),
    "bytes of another encoding": (b"data:\xe0\xe5\xf0\n\n", ["\ufffd\ufffd\ufffd"]),
    "retry among data": (b"retry:3000\ndata:x\n\nretry:1000x\ndata:y\n\n", ["x", "y"]),
}
"""The cases of the web platform's own tests for what a stream is read as, in our words."""


@pytest.mark.parametrize("name", WPT)
def test_the_web_platforms_cases_at_every_split(name: str) -> None:
    raw, told = WPT[name]
    expected = [one if isinstance(one, tuple) else ("message", one) for one in told]
    assert [(kind, data) for kind, data, _ in by_the_standard(raw)] == expected
    for cut in range(len(raw) + 1):
        events, _ = fed([raw[:cut], raw[cut:]])
        assert [(event.type, event.data) for event in events] == expected
    events, _ = fed([raw[index : index + 1] for index in range(len(raw))])
    assert [(event.type, event.data) for event in events] == expected


@pytest.mark.parametrize(
    ("raw", "last"),
    [
        ("id: …\ndata:1\n\n".encode(), "…"),
        (b"id:1\ndata:x\n\ndata:y\n\n", "1"),
        (b"id:1\ndata:x\n\nid:\ndata:y\n\n", ""),
        (b"id:1\ndata:x\n\nid\ndata:y\n\n", ""),
        (b"id:1\ndata:x\n\nid:2\0a\ndata:y\n\n", "1"),
        (b"id:1\ndata:x\n\nid:3\n\n", "3"),
        (b"id:1\ndata:x\n\nid:4\ndata:y", "1"),
    ],
)
def test_the_id_to_come_back_with_at_every_split(raw: bytes, last: str) -> None:
    for cut in range(len(raw) + 1):
        assert fed([raw[:cut], raw[cut:]])[1].last_event_id == last
