import json
from pathlib import Path

import pytest
from frame_window import Window, signed_in

from support.live_server import LiveServer
from support.screen import sees, shown
from support.waiting import wait_until
from tui.common.client.meter import Pattern, State
from tui.common.wire.log import FrameLog
from tui.common.wire.panel import WirePanel


def traffic(app: Window, count: int = 30) -> None:
    """Events of two patterns, by the meter, as the transports write it."""
    for name, pattern, size in (("track", Pattern.LONG_POLL, 400), ("board", Pattern.SSE, 100)):
        meter = app.wire.meter(name, pattern)
        meter.opened()
        meter.set_state(State.LIVE)
        for number in range(count):
            if pattern is Pattern.LONG_POLL:
                meter.sent(f"GET /orders/{number}/status", 100)
            meter.received(size)
            meter.event(f"{name} {number}", size, payload=50)
            meter.measured(8)


def exported(folder: Path) -> list[Path]:
    """The files that logs were written to."""
    return list(folder.glob("tiffin-wire-*.jsonl"))


def row(app: Window, pattern: str) -> list[str]:
    """The figures of one pattern in the comparison."""
    lines = [
        line.split(f"│ {pattern} ", 1)[1]
        for line in shown(app).split("\n")
        if f"│ {pattern} " in line and "·" not in line
    ]
    return lines[0].split() if lines else []


async def test_it_compares_the_patterns_in_use(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("2")
        traffic(app)
        polls = ["–", "–", "30", "1.0", "500", "B", "10.0×", "1"]
        await wait_until(lambda: row(app, "long poll")[:8] == polls, what="the long poll's")
        stream = ["–", "–", "30", "0.0", "100", "B", "2.0×", "1"]
        await wait_until(lambda: row(app, "SSE")[:8] == stream, what="the stream's")
        await sees(app, "req/ev", "age of news, logged to received, ±")
        await pilot.press("z")
        await wait_until(lambda: "first byte" in " ".join(row(app, "REST")), what="REST's")
        assert row(app, "SSE")[8:10] == ["opening", "8ms"], "what it is"
        assert "WebSocket" not in shown(app)


async def test_the_log_runs_newest_first(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("2")
        traffic(app)
        await sees(app, "◂ board 29")
        lines = [line for line in shown(app).split("\n") if "◂ board" in line]
        assert "board 29" in lines[0]
        assert "board 28" in lines[1]
        await sees(app, "REST")


async def test_p_holds_the_log_still_and_lets_it_run(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("2")
        traffic(app, 3)
        await sees(app, "board 2")
        await pilot.press("p")
        await sees(app, "‖ paused")
        app.wire.meter("board", Pattern.SSE).event("after the pause", 7)
        await wait_until(lambda: row(app, "SSE")[2:3] == ["4"], what="the figures going on")
        assert "after the pause" not in shown(app)
        await pilot.press("p")
        await sees(app, "after the pause")
        assert "‖ paused" not in shown(app)


async def test_e_writes_the_frames_and_says_where(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("2")
        await wait_until(lambda: isinstance(app.focused, FrameLog))
        traffic(app, 5)
        await pilot.press("e")
        await sees(app, "frames in")
        (file,) = exported(tmp_path)
        records = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(records) == len(app.wire.frames)
        assert records[-1]["what"] == "board 4"
        assert records[-1]["pattern"] == "SSE"
        assert records[-1]["direction"] == "in"
        assert records[-1]["bytes"] == 100
        await sees(app, file.name)
        # a second one in the same second does not write over the first
        await pilot.press("e", "e")
        await wait_until(lambda: len(exported(tmp_path)) >= 2)


async def test_a_failed_export_is_reported(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        gone = tmp_path / "gone"
        monkeypatch.setattr(Path, "cwd", lambda *_: gone)
        await pilot.press("2")
        await wait_until(lambda: isinstance(app.focused, FrameLog))
        await pilot.press("e")
        await sees(app, "Not written: No such file")


async def test_frames_are_shown_as_they_are(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("2")
        app.wire.meter("x", Pattern.SSE).event("[b]bold[/b] \x1b]0;title\x07\u202eend", 9)
        await sees(app, "[b]bold[/b] ]0;titleend")


async def test_two_thousand_frames_scroll(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        await pilot.press("2")
        traffic(app, 1200)
        log = app.panels[1].query_one(FrameLog)
        await wait_until(lambda: log.has_focus and log.virtual_size.height == 2000)
        await wait_until(lambda: log.show_vertical_scrollbar, what="until then it does not scroll")
        await pilot.press("end")
        await sees(app, "track 800")
        await pilot.press("home")
        await sees(app, "board 1199")


async def test_the_card_of_the_wire_is_short(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path, (100, 16)) as (app, _):
        traffic(app)
        await sees(app, "requests/min")
        panel = app.panels[1]
        assert isinstance(panel, WirePanel)
        assert not panel.query_one(".body").is_on_screen


async def test_a_frame_is_found_and_opened(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("2", "z")
        await app.session.request("GET", "/me/sessions")
        await app.session.request("GET", "/restaurants")
        traffic(app, 3)
        await sees(app, "▸ GET /orders/1/status")
        await pilot.press("slash", *"/restaur")
        await wait_until(lambda: "track" not in shown(app), what="only what matches")
        lines = [line for line in shown(app).split("\n") if " GET /restaurants" in line]
        (answer, asked) = (line[line.index("│") + 1 :].split() for line in lines)
        assert answer[1:2] + answer[3:6] == ["requests", "◂", "200", "GET"]
        assert answer[-4].endswith("ms")
        assert asked[1:4] == ["requests", answer[2], "▸"], "of one exchange"
        await pilot.press("enter", "enter")
        await sees(app, "HTTP/1.1 200 OK", "Tiffin-Time: ", '  "items": [', "first byte ")
        await pilot.press("p")
        await sees(app, '{"items":[{"')
        await pilot.press("escape", "down", "enter")
        await sees(app, "GET /api/v1/restaurants HTTP/1.1", "Authorization: (not kept)")
        await pilot.press("escape", "escape")
        await sees(app, "◂ board 2")
        await pilot.press("slash", *"/me/sess", "enter", "enter")
        await sees(app, "(not kept)", "of this app: received from the server at")
        assert '"current"' not in shown(app)
