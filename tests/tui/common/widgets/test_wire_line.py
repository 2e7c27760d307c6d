import re
import time

import pytest
from textual.app import App, ComposeResult

from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.themes import NIGHT
from tui.common.widgets.wire_line import TOLD_SECONDS, WireLine


class Line(App[None]):
    def __init__(self, meter: Meter, verb: str = "ev") -> None:
        super().__init__()
        self.meter, self.verb = meter, verb

    def compose(self) -> ComposeResult:
        yield WireLine(self.meter, self.verb)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return NIGHT.variables


def busy() -> Meter:
    meter = Wire().meter("kitchen", Pattern.SSE)
    meter.set_state(State.LIVE)
    for count in range(214):
        meter.received(96)
        meter.event("order.updated", 96, payload=48)
        meter.measured(count % 9 + 1)
    return meter


async def drawn(meter: Meter, width: int) -> str:
    app = Line(meter)
    async with app.run_test(size=(width, 3)):
        return app.query_one(WireLine).render_line(0).text


async def test_parts_go_by_worth_as_it_narrows() -> None:
    meter = busy()
    wide = await drawn(meter, 80)
    for part in ("● SSE", "214 ev", "96 B/ev", "214 ev/min", "0.0 req/ev", "opening   7ms"):
        assert part in wide
    widest = await drawn(meter, 120)
    for part in ("overhead 2.0×", "20.5 kB", " now ", "▂"):
        assert part in widest
    assert "96 B/ev" not in await drawn(meter, 26)
    assert "214 ev" in await drawn(meter, 26)
    for width in range(20, 90):
        line = await drawn(meter, width)
        assert line.startswith("● SSE")
        assert line.endswith("ms")
        assert len(line) <= width - 2


async def test_it_says_why_something_else_carries() -> None:
    """As far as there is room: what is left of the words is worth more than none."""
    meter = Wire().meter("kitchen (poll)", Pattern.LONG_POLL)
    meter.set_state(State.WAITING, "no stream: nothing came for 2 s")
    assert "◐ long poll · 0 ev · no stream: nothing came for 2 s · 0 B" in await drawn(meter, 80)
    for width in range(42, 80):
        line = await drawn(meter, width)
        assert line.startswith("◐ long poll · 0 ev · no stream: n")
        assert len(line) <= width - 2


async def test_one_is_not_counted_as_several() -> None:
    app = Line(Wire().meter("orders", Pattern.LONG_POLL), "polls")
    async with app.run_test(size=(80, 3)):
        app.meter.set_state(State.WAITING)
        app.meter.sent("GET /orders", 400)
        assert "1 poll ·" in app.query_one(WireLine).render_line(0).text
        app.meter.sent("GET /orders", 400)
        assert "2 polls ·" in app.query_one(WireLine).render_line(0).text


async def test_it_tells_what_was_replayed() -> None:
    meter = busy()
    meter.retrying("lost", 1.0)
    meter.set_state(State.LIVE)
    meter.opened()
    meter.missed(3)
    meter.reconnected()
    assert "back after 0.0 s: 0 of 3 replayed" in await drawn(meter, 80)
    for _ in range(3):
        meter.event("order.placed", 1096, replayed=True)
    line = await drawn(meter, 80)
    assert re.search(r"back after 0\.0 s: 3 replayed in [\d,]+ ms, 3,288 B", line), line
    assert meter.outage is not None
    meter.outage.back_at = time.monotonic() - TOLD_SECONDS
    assert "back, 3 replayed" in await drawn(meter, 80)
    meter.reconnected()
    assert "back 2×, 3 replayed" in await drawn(meter, 80)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (State.CONNECTING, "◌ SSE · connecting"),
        (State.DOWN, "✕ SSE · down · forbidden"),
        (State.WAITING, "◐ SSE"),
        (State.IDLE, "○ SSE"),
    ],
)
async def test_every_state_has_a_glyph_and_a_word(state: State, says: str) -> None:
    meter = busy()
    meter.set_state(state, "forbidden" if state is State.DOWN else "")
    assert says in await drawn(meter, 80)


async def test_a_lost_stream_counts_down_and_quotes_nothing_dangerous() -> None:
    meter = busy()
    meter.retrying("refused \x1b[2J[b]now[/b]", 59.4)
    line = await drawn(meter, 80)
    found = re.search(r"◌ SSE · reconnecting in (\d+)s", line)
    assert found is not None, line
    assert 20 < int(found[1]) <= 59, "counted from when it was lost, however long painting takes"
    assert "\x1b" not in line
    assert "[b]now[/b]" in line


async def test_it_repaints_only_for_what_it_shows() -> None:
    meter = busy()
    meter.last_event_at = time.monotonic() - 100_000
    app = Line(meter)
    async with app.run_test(size=(80, 3)) as pilot:
        line = app.query_one(WireLine)
        line.update()
        await pilot.pause()
        painted = 0
        plain_refresh = line.refresh

        def counted(*args: object, **more: object) -> WireLine:
            nonlocal painted
            painted += 1
            return plain_refresh()

        line.refresh = counted  # type: ignore[method-assign,assignment]
        line.update()
        assert painted == 0
        meter.received(1)  # of 20.5 kB
        line.update()
        assert painted == 0
        meter.received(100)
        line.update()
        assert painted == 1
