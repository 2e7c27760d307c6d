"""The panel "Drivers" at a real server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from drivers_window import (
    BASE,
    CORNER,
    DriversWindow,
    drivers_window,
    north,
    order_to,
    seen_at,
    town_with_streets,
)
from kitchen_orders import Town, a_town
from textual.widgets import OptionList, Static

from server.core.database import Database
from server.features.orders.schemas import OrderStatus
from server.features.restaurants.service import add_driver
from support.live_server import LiveServer
from support.metrics import figure
from support.rest import Rest
from support.server_process import StartServer
from support.town import database_in
from support.waiting import PATIENCE, wait_until
from tui.common.client.meter import Meter, State
from tui.common.tracking import trip
from tui.employee.drivers import feed, trips
from tui.employee.drivers.controller import MAX_STREAMS
from tui.employee.drivers.dialogs import AssignScreen
from tui.employee.drivers.panel import DriversPanel

S = OrderStatus
QUICK = 60.0
"""Metres a second, that no server takes for a jump."""


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[LiveServer]:
    """The demo's town, with two streets."""
    async with town_with_streets(data_dir) as server:
        yield server


@pytest.fixture
async def town(server: LiveServer) -> AsyncIterator[Town]:
    """Its restaurant, and a customer."""
    async with Rest(server.url) as rest:
        yield await a_town(rest)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vehicle is fast, so that no test takes long."""
    monkeypatch.setattr(trip, "SPEEDS", {})
    monkeypatch.setattr(trip, "USUAL_SPEED", QUICK)
    monkeypatch.setattr(trip, "FASTEST", QUICK)


async def hire(data_dir: Path, restaurant_id: str, *names: str) -> list[str]:
    """Add drivers to the restaurant. Returns their ids."""

    async def each(database: Database) -> list[str]:
        return [await add_driver(database, restaurant_id, one, "bicycle", None) for one in names]

    async with database_in(data_dir) as database:
        return await each(database)


async def test_the_list_shows_what_each_driver_is_doing(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    first, second = town.drivers[:2]
    async with drivers_window(server.url, tmp_path) as window:
        await window.sees(
            "Arjun", "Greta", "bicycle", "scooter", "no location yet", "0 of 2 on the way"
        )
        assert window.text.count(" free") == 2
        out = await order_to(town, north(150), S.OUT_FOR_DELIVERY)
        cooking = await order_to(town, north(90), S.PREPARING)
        await town.step(cooking, S.PREPARING, driver_id=second["id"])
        await window.sees("▶ Arjun", "on the way", f"#{out.number} · scooter", "1 being made")
        ready = await town.bring(await town.now(cooking), S.READY)
        await window.sees("◆ Greta", "1 at the counter", f"#{ready.number} · bicycle")
        assert window.drivers.badge == 1
        await window.sees("1 of 2 on the way")
        await seen_at(town, first["id"], north(150))
        await window.sees("⌂ Arjun", "at the door")
        await town.step(out, S.DELIVERED)
        await window.sees("○ Arjun")
        assert window.drivers.badge == 0


async def test_a_new_position_moves_the_driver_on_the_map(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    driver = town.drivers[0]
    await order_to(town, north(190), S.OUT_FOR_DELIVERY)
    async with drivers_window(server.url, tmp_path) as window:
        await window.choose(driver)
        await seen_at(town, driver["id"], BASE)
        await window.sees(" s ago", "Curry Leaf", "190 m")
        before = window.drivers.map.overlay.watched
        assert before is not None
        await seen_at(town, driver["id"], north(60))
        await window.sees("130 m")
        overlay = window.drivers.map.overlay
        assert overlay.watched is not None
        assert overlay.watched.at.lat == pytest.approx(north(60).lat)
        assert overlay.watched.at != before.at
        assert len(overlay.trail) >= 2
        assert overlay.route[-1].lat == pytest.approx(north(190).lat)
        homes = [marker.label for marker in overlay.markers if marker.kind == "home"]
        assert len(homes) == 1
        # The line below is that of the driver's own stream.
        assert window.drivers.meter.name == f"Driver {driver['name']}"
        assert window.drivers.meter.events >= 2
        await window.press("X")
        await window.sees("X restores")
        await window.press("X")
        await wait_until(lambda: window.drivers.meter.reconnects == 1, what="back after the cut")


async def test_an_old_location_is_called_stale(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    first, second = town.drivers[:2]
    await seen_at(town, first["id"], BASE, ago=16)
    async with drivers_window(server.url, tmp_path) as window:
        await seen_at(town, second["id"], north(100))
        await window.sees("? stale, ", "  bicycle", "  scooter")
        await wait_until(lambda: " s ago" in window.lines_of("Greta"), what="Greta's location")
        assert "stale" not in window.lines_of("Greta")
        assert "stale" in window.lines_of("Arjun")

        def stale() -> dict[str, bool]:
            return {one.label: one.stale for one in window.drivers.map.overlay.markers}

        await wait_until(lambda: stale().items() >= {"Arjun": True, "Greta": False}.items())


async def test_the_map_follows_the_driver_under_the_cursor(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    first, second = town.drivers[:2]
    await seen_at(town, first["id"], BASE)
    async with drivers_window(server.url, tmp_path) as window:
        await window.choose(second)
        await window.press("enter")
        await window.sees("No location from Greta yet")
        assert not window.drivers.map.following
        await window.choose(first)
        await window.press("enter")
        assert window.drivers.map.following
        assert window.drivers.map.overlay.watched is not None
        assert window.drivers.map.overlay.watched.label == "Arjun"
        await window.press("m", "plus", "0")
        assert window.drivers.map.has_focus
        assert not window.drivers.map.following
        await window.press("m", "down")
        assert window.drivers.view.has_focus
        assert window.drivers.view.driver_id == second["id"]
        offered = [command.title for command in window.drivers.commands()]
        assert len(offered) == len(set(offered)) == 4


async def test_the_driver_on_the_way_is_selected_until_the_user_selects_one(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    first, second = town.drivers[:2]
    async with drivers_window(server.url, tmp_path) as window:
        await window.press("1")
        await order_to(town, north(100), S.OUT_FOR_DELIVERY, driver=1)
        await wait_until(
            lambda: window.drivers.view.driver_id == second["id"], what="on who is on the way"
        )
        window.drivers.view.action_move(-1)  # by the wheel; the redraw comes before any message
        window.drivers.redraw()
        await order_to(town, north(100), S.OUT_FOR_DELIVERY, driver=1)
        await window.knows(second, 2)
        assert window.drivers.view.driver_id == first["id"]


async def test_an_order_is_assigned_to_a_driver(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    driver = town.drivers[0]
    await order_to(town, north(30), S.PLACED)
    ready = await order_to(town, north(90), S.READY)
    cooking = await order_to(town, north(60), S.PREPARING)
    async with drivers_window(server.url, tmp_path) as window:
        await wait_until(lambda: window.kitchen.board.open_count == 3, what="the board")
        await window.choose(driver)
        await window.press("a")
        assert isinstance(window.app.screen, AssignScreen)
        await window.sees("leaves with Arjun at once", "9 North Street", "no driver yet")
        choice = window.app.screen.query_one(OptionList)
        assert choice.option_count == 2, "one that nobody has accepted is not for a driver yet"
        await window.press("enter")
        await window.has(ready, S.OUT_FOR_DELIVERY)
        await window.sees(f"#{ready.number} · scooter", "on the way")
        await window.press("a")
        await window.sees("once it is ready")
        await window.press("enter")
        await window.sees(f"#{ready.number}, then #{cooking.number}")
        now = await town.now(cooking)
        assert now.status is S.PREPARING
        assert now.driver is not None
        assert now.driver.id == driver["id"]
        await window.press("a")
        await window.sees("No order can be assigned to Arjun")
        await window.press("escape", "down", "a")
        await window.sees("Arjun has it")


async def test_the_slower_of_two_assignments_is_reported(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    first, second = town.drivers[:2]
    order = await order_to(town, north(90), S.READY)
    async with drivers_window(server.url, tmp_path) as window:
        await wait_until(lambda: window.kitchen.board.open_count == 1, what="the board")
        await window.choose(first)
        await window.press("a")
        await window.sees("no driver yet")
        await town.step(order, S.OUT_FOR_DELIVERY, driver_id=second["id"])
        await window.press("enter")
        await window.told("You changed nothing")
        await window.knows(second, 1)
        await window.knows(first, 0)


@pytest.mark.usefixtures("_quick")
async def test_a_simulated_trip_goes_to_the_door_and_back(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    driver = town.drivers[0]
    order = await order_to(town, north(190), S.OUT_FOR_DELIVERY)
    async with drivers_window(server.url, tmp_path) as window:
        await window.knows(driver, 1)
        await window.choose(driver)
        goes = asyncio.create_task(window.sees(f"simulated: to #{order.number}", "━"))
        returns = asyncio.create_task(window.sees("simulated: back to the rest"))
        await window.press("s")
        await goes
        overlay = window.drivers.map
        await wait_until(
            lambda: overlay.overlay.watched and overlay.overlay.watched.at.lat > north(30).lat,
            what="it moves",
        )
        assert abs(overlay.overlay.watched.at.lng - BASE.lng) < 1e-6, "along the street"  # type: ignore[union-attr]
        await window.told(f"Arjun is at the door with #{order.number}, 9 North Street. Mark")
        await returns
        await window.told("Arjun is back at the restaurant.")
        assert window.controller.trips.get(driver["id"]) is None
        where = (await town.employee.get("/drivers")).must(200).json["items"][0]["location"]
        assert where["lat"] == pytest.approx(BASE.lat, abs=1e-5)


@pytest.mark.usefixtures("_quick")
async def test_a_driver_without_orders_drives_a_loop_on_the_streets_until_stopped(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    driver = town.drivers[1]
    async with drivers_window(server.url, tmp_path) as window:
        await wait_until(lambda: window.drivers.map.basemap is not None, what="the map")
        await window.choose(driver)
        await window.press("s")
        await window.sees("simulated: on a loop")
        track = window.state(driver).track
        await wait_until(
            lambda: track.newest is not None and track.newest.lat > north(30).lat,
            what="off it goes",
        )
        assert track.newest is not None
        on_first = abs(track.newest.lng - BASE.lng) < 1e-6
        assert on_first or abs(track.newest.lat - CORNER.lat) < 1e-6
        await window.press("s")
        await window.told("Greta's trip is stopped.")
        await window.misses("simulated")  # the row is as ever
        # Our own last position is nobody else's: no question is asked.
        await window.press("s")
        await window.sees("simulated: on a loop")


async def test_real_positions_need_a_second_key_press(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trips, "CONFIRM_SECONDS", PATIENCE)
    async with AsyncExitStack() as stack:
        # A position is of the present for twice as long.
        streets = town_with_streets(data_dir, driver_interval_seconds=PATIENCE)
        server = await stack.enter_async_context(streets)
        town = await a_town(await stack.enter_async_context(Rest(server.url)))
        driver = town.drivers[0]
        window = await stack.enter_async_context(drivers_window(server.url, tmp_path))
        await window.choose(driver)
        await seen_at(town, driver["id"], BASE)
        await wait_until(lambda: window.state(driver).track.newest, what="a position")
        await window.press("s")
        await window.told("Arjun is reporting real positions")
        simulated = window.controller.trips
        assert simulated.get(driver["id"]) is None
        await window.press("s")
        await window.sees("simulated: on a loop")
    await wait_until(lambda: len(simulated) == 0, what="no trip goes on after the window is closed")


@pytest.mark.usefixtures("_quick")
async def test_simulated_trips_end_with_the_log_out(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    driver = town.drivers[0]
    async with drivers_window(server.url, tmp_path) as window:
        await window.choose(driver)
        await window.press("s")
        await window.sees("simulated: on a loop")
        simulated = window.controller.trips
        window.app.log_out()
        await wait_until(lambda: not window.app.panels, what="logged out")
        await wait_until(lambda: len(simulated) == 0, what="no trip goes on")


async def test_an_outage_is_shown_and_all_goes_on_after_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = await asyncio.to_thread(
        start_server, demo=True, env={"TIFFIN_DRIVER_INTERVAL_SECONDS": "0.2"}
    )
    async with drivers_window(server.url, tmp_path) as window:
        await window.press("s")
        await window.sees("simulated: on a loop")
        await asyncio.to_thread(server.kill)
        await window.sees("failing:")
        await window.press("r")
        await window.sees("The drivers could not be refreshed")
        assert "▌ ○ Arjun" in window.text, "what was known stays in view"
        await asyncio.to_thread(server.start)
        for words in ("failing:", "could not be refreshed"):
            await wait_until(
                lambda words=words: words not in window.text, what=f"no more {words!r}"
            )
        assert "simulated: on a loop" in window.text


async def test_twelve_drivers_have_streams_and_the_others_are_read(
    server: LiveServer,
    town: Town,
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "LEAST_SECONDS", 0.5)
    names = [f"Driver {number:02d}" for number in range(13)]
    ids = await hire(data_dir, town.restaurant_id, *names)
    out = await order_to(town, north(100), S.READY)
    await town.step(out, S.OUT_FOR_DELIVERY, driver_id=ids[-1])
    async with drivers_window(server.url, tmp_path) as window:
        await wait_until(lambda: window.state({"id": ids[-1]}).out, what="the last is on the way")
        await wait_until(
            lambda: len(window.controller.trackers) == MAX_STREAMS, what="twelve streams"
        )

        def live(streams: bool) -> list[Meter]:
            """Those of drivers, which come and go with who is watched, or all others."""
            meters = window.app.wire.meters.values()
            found = [one for one in meters if ("Driver" in one.name) is streams]
            return [one for one in found if one.state is State.LIVE]

        await wait_until(lambda: len(live(True)) == MAX_STREAMS, what="all live")

        async def no_others() -> bool:
            others = live(False)
            return await figure(town.employee, "held_connections") == MAX_STREAMS + len(others)

        await wait_until(no_others, what="these, and those of other panels")
        watched = window.controller.trackers.get
        await wait_until(lambda: watched(ids[-1]), what="who carries something comes first")
        unwatched = next(one for one in ids if watched(one) is None)
        # Without a stream the next reading of the list shows it.
        await seen_at(town, unwatched, north(50))
        state = window.state({"id": unwatched})
        await wait_until(lambda: state.track.newest, what="seen by the list")
        await window.press("end")
        last = window.drivers.view.driver_id
        assert last is not None
        await wait_until(lambda: watched(last), what="the one in view is watched")
        assert len(window.controller.trackers) == MAX_STREAMS


async def test_a_new_driver_is_found_by_the_board_and_by_refreshing(
    server: LiveServer, town: Town, tmp_path: Path, data_dir: Path
) -> None:
    async with drivers_window(server.url, tmp_path) as window:
        first, second = await hire(data_dir, town.restaurant_id, "Newcomer", "Quiet")
        order = await order_to(town, north(100), S.READY)
        await town.step(order, S.OUT_FOR_DELIVERY, driver_id=first)
        await window.sees("▶ Newcomer")
        await hire(data_dir, town.restaurant_id, "Later")
        await window.press("r")
        await window.sees("Later")
        assert window.drivers.driver_list.get(second) is not None


async def test_a_name_that_steers_terminals_is_harmless(
    server: LiveServer, town: Town, tmp_path: Path, data_dir: Path
) -> None:
    name = "\x1b[2JEve\u202e\x07 [red]b[/red] [@click=app.quit]x[/]"
    (driver_id,) = await hire(data_dir, town.restaurant_id, name)
    order = await order_to(town, north(190), S.READY)
    await seen_at(town, driver_id, north(50), ago=3)
    async with drivers_window(server.url, tmp_path) as window:
        await window.choose({"id": driver_id, "name": name})
        await window.sees("[2JEve [red]b[/red]")
        await window.press("a")
        await window.sees("Assign an order to [2JEve [red]b[/red]")
        await window.press("enter")
        await window.sees(f"#{order.number} · bicycle")
        await window.press("s")
        await window.sees("simulated")
        assert all(char.isprintable() or char == "\n" for char in window.text)


@pytest.mark.parametrize("drivers", [2, 9])
async def test_every_size_shows_list_and_map(
    server: LiveServer, town: Town, tmp_path: Path, data_dir: Path, drivers: int
) -> None:
    await hire(data_dir, town.restaurant_id, *(f"Spare {at}" for at in range(drivers - 2)))
    await order_to(town, north(150), S.OUT_FOR_DELIVERY)
    await seen_at(town, town.drivers[0]["id"], north(20))
    async with drivers_window(server.url, tmp_path) as window:
        await window.choose(town.drivers[0])
        for size in ((160, 48), (100, 30), (80, 24), (160, 48)):
            await window.pilot.resize_terminal(*size)
            await window.sees("▶ Arjun", "on the way", "Curry Leaf", "Greta")
            town_map = window.drivers.map
            await wait_until(
                lambda town_map=town_map: town_map.size.width >= 30 and town_map.size.height >= 10,  # type: ignore[misc]
                what=f"a map at {size}",
            )
        await window.pilot.resize_terminal(56, 16)
        await window.sees("▶ Arjun")
        await wait_until(lambda: not window.drivers.map.display, what="no room for a map")
        await window.press("m")
        await window.sees("Curry Leaf")
        await wait_until(lambda: window.drivers.map.size.height >= 8, what="the map alone")
        await window.press("m")
        await window.sees("▶ Arjun")


async def test_the_card_shows_the_most_urgent_driver_in_two_lines(
    server: LiveServer, town: Town, tmp_path: Path
) -> None:
    driver = town.drivers[1]
    order = await order_to(town, north(150), S.OUT_FOR_DELIVERY, driver=1)
    await seen_at(town, driver["id"], north(20), ago=30)
    async with drivers_window(server.url, tmp_path, (100, 30)) as window:
        await window.press("1")
        summary = window.drivers.query_one(".summary", Static)
        await window.sees("▶ Greta  on the way", f"#{order.number} · ? last seen")
        assert summary.display
        await seen_at(town, driver["id"], north(30))
        await window.sees(f"#{order.number} · 1 on the way · 1 free")


async def test_many_positions_are_drawn_a_few_times_a_second(
    server: LiveServer, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with drivers_window(server.url, tmp_path) as window:
        await window.choose(town.drivers[0])
        drawn = counted(monkeypatch, window)
        stop = asyncio.Event()
        rushes = [asyncio.create_task(_rush(town, one["id"], stop)) for one in town.drivers[:2]]
        try:
            await wait_until(lambda: window.drivers.meter.events > 20, what="a rush")
            meter = window.drivers.meter
            events, drawings, began = meter.events, len(drawn), time.monotonic()
            await wait_until(
                lambda: meter.events > events + 150 and len(drawn) > drawings,
                what="more of it",
            )
            seconds = time.monotonic() - began
            assert 1 <= len(drawn) - drawings <= seconds / DriversPanel.REDRAW_SECONDS + 2
        finally:
            stop.set()
            await asyncio.gather(*rushes)


def counted(monkeypatch: pytest.MonkeyPatch, window: DriversWindow) -> list[float]:
    """When each drawing began, from now on."""
    moments: list[float] = []
    draw = window.drivers._draw

    def counting() -> None:
        moments.append(time.monotonic())
        draw()

    monkeypatch.setattr(window.drivers, "_draw", counting)
    return moments


async def _rush(town: Town, driver_id: str, stop: asyncio.Event) -> None:
    metres = 0
    while not stop.is_set():
        metres = (metres + 1) % 1000
        await seen_at(town, driver_id, north(metres / 10))
