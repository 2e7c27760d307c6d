import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kitchen_orders import Town, a_town, an_order
from kitchen_window import kitchen_window
from textual.widgets import Input, OptionList, Static

from server.features.orders.schemas import OrderStatus
from support.live_server import LiveServer
from support.rest import Rest
from support.screen import shown
from support.server_process import StartServer
from support.waiting import PATIENCE, wait_until
from tui.common.client import log_feed
from tui.common.client.clock import ServerClock
from tui.common.dialogs.confirm import ConfirmScreen
from tui.employee.kitchen import actions, feed
from tui.employee.kitchen.dialogs import AcceptScreen, DriverScreen, ReasonScreen
from tui.employee.menu import MenuScreen

S = OrderStatus


async def test_a_new_order_appears_on_an_empty_board_and_rings(
    demo_server: LiveServer, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.sees("No open orders.")
        window.kitchen.alarm._every = 0.5
        order = await town.place(note="nut allergy!")
        await window.sees(f"#{order.number}", "nut allergy!", "1 new order", "Placed 1")
        await wait_until(lambda: window.rings >= 1, what="the bell")
        assert window.kitchen.badge == 1
        await wait_until(lambda: window.rings >= 2, what="the bell again")
        await window.press("down")
        assert window.kitchen.board.unseen == frozenset(), "looked at"
        window.kitchen.needs_redraw = False
        window.kitchen._cursor_moved()
        assert not window.kitchen.needs_redraw, "the cursor alone draws its order, not the panel"
        window.kitchen.request_redraw()
        later = datetime.now(UTC) + timedelta(hours=2)
        monkeypatch.setattr(ServerClock, "now", lambda _clock: later)  # it is right, ours is not
        await window.sees("2h00", f"{later.astimezone():%H:%M}")


async def test_data_is_never_markup(demo_server: LiveServer, town: Town, tmp_path: Path) -> None:
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.press("z")
        order = await town.place(note="[red]no[/red] [@click=app.quit]onions[/]")
        await window.sees("Ana [b]Kowalski[/b]", "[red]no[/red]", "[@click=app.quit]onions[/]")
        await window.press("space")
        await window.sees(f"Order #{order.number}")
        await window.press("escape", "R")
        await window.sees("Ana [b]Kowalski[/b] will read why:")
        await window.press("escape", "enter")
        await window.sees("Ana [b]Kowalski[/b]: 1×")


def test_control_characters_never_reach_the_terminal() -> None:
    from tui.employee.kitchen.cards import card_body
    from tui.employee.kitchen.format import format_order

    order = an_order(1, note="a\x1b[31mb\x07\u202ec\nd")
    shown = [text for text, _ in card_body(order, 14)]
    shown += [line.plain for line in format_order(order, datetime.now(UTC), 40)]
    assert all(char.isprintable() for line in shown for char in line), shown


async def test_an_order_is_taken_through_every_status_by_keyboard(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place(dishes=2)
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        await window.press("enter")
        assert isinstance(window.app.screen, AcceptScreen)
        await window.press("enter")
        accepted = await window.has(order, S.ACCEPTED)
        restaurant = window.kitchen.feed.restaurant if window.kitchen.feed else None
        assert restaurant is not None
        assert accepted.ready_by is not None
        given = (accepted.ready_by - accepted.timeline[-1].at).total_seconds() / 60
        assert round(given) == restaurant.preparation_minutes
        await window.press("enter")
        await window.has(order, S.PREPARING)
        await window.press("enter")
        await window.has(order, S.READY)
        await window.press("enter")
        assert isinstance(window.app.screen, DriverScreen)
        await wait_until(
            lambda: window.app.screen.query_one(OptionList).option_count, what="roster"
        )
        await window.press("1")
        out = await window.has(order, S.OUT_FOR_DELIVERY)
        assert out.driver is not None
        await window.press("enter")
        await wait_until(lambda: window.kitchen.board.order(order.id) is None, what="delivered")
        assert (await town.now(order)).status is S.DELIVERED
        await window.sees("No open orders.", "done today")


async def test_minutes_typed_by_the_cook_are_until_the_order_is_ready(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        await window.press("enter")
        window.app.screen.query_one("#minutes", Input).value = "33"
        await window.press("up", "enter")

        def minutes() -> int:
            now = window.kitchen.board.order(order.id)
            if now is None or now.ready_by is None:
                return 0
            return round((now.ready_by - now.timeline[-1].at).total_seconds() / 60)

        await wait_until(lambda: minutes() == 38, what="38 minutes")
        await window.press("e")
        window.app.screen.query_one("#minutes", Input).value = "50"
        await window.press("enter")
        await wait_until(lambda: minutes() == 50, what="50 minutes")


async def test_an_order_is_rejected_with_a_reason(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    async with kitchen_window(demo_server.url, tmp_path, (80, 24)) as window:
        await window.on(order)
        await window.press("R")
        assert isinstance(window.app.screen, ReasonScreen)
        window.app.copy_to_clipboard("no\tpower\r\n")
        await window.press("tab", "ctrl+v")
        window.app.copy_to_clipboard("\u0301" * 6)
        await window.press("ctrl+v", "ctrl+v", "enter")
        await wait_until(lambda: window.kitchen.board.order(order.id) is None, what="gone")
        present = await town.now(order)
        assert (present.status, present.timeline[-1].reason) == (
            S.CANCELLED,
            "no power" + "\u0301" * 8,
        )


async def test_a_conflict_is_explained_and_the_current_order_shown(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.bring(await town.place(), S.ACCEPTED)
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        stale = window.kitchen.board.order(order.id)
        assert stale is not None
        await town.step(order, S.PREPARING)
        window.kitchen.actions.step(stale)
        await window.sees("was quicker", "Cooking")
        await window.has(order, S.PREPARING)
        assert (await town.now(order)).status is S.PREPARING


async def test_a_driver_is_assigned_and_replaced(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.bring(await town.place(), S.ACCEPTED)
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        named: list[str] = []
        for _ in range(2):
            await window.press("d")
            roster = window.app.screen.query_one(OptionList)
            await wait_until(lambda roster=roster: roster.option_count, what="roster")
            await window.press("enter")
            before = named[-1] if named else None
            await wait_until(
                lambda before=before: (
                    (now := window.kitchen.board.order(order.id)) is not None
                    and now.driver is not None
                    and now.driver.id != before
                ),
                what="another driver",
            )
            present = await town.now(order)
            assert present.driver is not None
            named.append(present.driver.id)
        assert len(set(named)) == 2


async def test_an_order_the_customer_cancels_stays_until_it_is_cleared(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.bring(await town.place(), S.ACCEPTED)
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        (await town.customer.post(f"/orders/{order.id}/cancel", {"reason": "too late"})).must(200)
        await window.sees("has cancelled", "cancelled: too")
        await window.press("enter")
        await wait_until(lambda: window.kitchen.board.order(order.id) is None, what="cleared")


async def test_a_cut_stream_replays_what_was_missed(
    demo_server: LiveServer, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.press("x")
        await window.sees(
            " · back in "
        )  # the missed ones are counted by a request, and it has 10 s
        await window.press("X")
        await window.sees("X restores")
        order = await town.place()
        await window.sees(" s: 1 event missed so far · X restores it")
        assert window.kitchen.board.order(order.id) is None
        await window.press("X")
        await window.live()
        await window.has(order, S.PLACED)
        await window.sees("back after ", " s: 1 replayed in", f"↺ #{order.number}")
        with monkeypatch.context() as patch:
            patch.setattr(log_feed, "MARK_SECONDS", -1)
            window.kitchen.board.replayed.add(order.id)
            window.kitchen.needs_redraw = True
            await wait_until(lambda: "↺" not in shown(window.app), what="the mark going")


async def test_of_two_windows_the_slower_one_is_told_of_the_conflict(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    async with (
        kitchen_window(demo_server.url, tmp_path / "one") as one,
        kitchen_window(demo_server.url, tmp_path / "two", (80, 24)) as two,
    ):
        for window in (one, two):
            await window.on(order)
            await window.press("enter")
            assert isinstance(window.app.screen, AcceptScreen)
        await one.press("enter")
        await two.has(order, S.ACCEPTED)
        assert two.kitchen.board.unseen == frozenset(), "accepted elsewhere: the bell rests"
        await two.press("enter")
        await two.sees("was quicker")
        present = await town.now(order)
        assert (present.status, present.version) == (S.ACCEPTED, 2)


async def test_the_key_for_the_next_step_asks_where_a_colleague_has_just_taken_one(
    demo_server: LiveServer,
    town: Town,
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "JUST_NOW_SECONDS", 3600.0)
    accounts = json.loads((data_dir / "demo-accounts.json").read_text())
    robin = next(one for one in accounts if "curry-leaf" in one["email"])
    order = await town.bring(await town.place(), S.ACCEPTED)
    colleague = await town.employee.another().log_in(robin["email"], robin["password"])
    (await colleague.post(f"/orders/{order.id}/status", {"status": "preparing"})).must(200)
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        await window.press("enter")
        await window.sees("Robin (autopilot) has just changed")
        await window.press("enter")  # no has the focus
        await wait_until(lambda: not isinstance(window.app.screen, ConfirmScreen))
        assert (await town.now(order)).status is S.PREPARING
        await window.press("enter")
        await window.sees("Robin (autopilot) has just changed")
        await window.press("left", "enter")

        async def stepped() -> bool:
            return (await town.now(order)).status is S.READY

        await wait_until(stepped)


async def test_dishes_are_sold_out_added_changed_and_removed(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    async def dish(name: str) -> dict[str, object] | None:
        path = f"/restaurants/{town.restaurant_id}"
        menu = (await town.employee.get(path)).json["menu"]
        return next((one for one in menu if one["name"] == name), None)

    first, second = (one["name"] for one in town.menu[:2])
    async with kitchen_window(demo_server.url, tmp_path, (80, 24)) as window:
        await window.press("s")
        await window.sees(first, "none sold out")
        await window.press("space")
        await window.sees(f"{first}: sold out.")
        assert (await dish(first) or {})["available"] is False
        await window.press("space")
        await window.sees(f"{first}: available again.")
        menu = window.app.screen
        assert isinstance(menu, MenuScreen)
        for available, to in ((False, second), (True, first)):  # quicker than the answers
            menu.action_sold_out()
            menu.query_one(OptionList).highlighted = int(to == second)
            menu.action_sold_out()
            await window.sees(f"{to}: {'available again' if available else 'sold out'}.")
            for name in (first, second):
                assert (await dish(name) or {})["available"] is available
        await window.pilot.click("#dishes", offset=(3, 0))
        await window.sees("Change a dish", first)
        await window.press("escape", "a", *"Laab [b]", "enter", *"hot", "enter", *"9,5", "enter")
        await window.sees("Laab [b] is saved.", "9.50")
        assert (await dish("Laab [b]") or {})["price_cents"] == 950
        await window.press("enter", "tab", "tab")
        window.app.screen.query_one("#price_cents", Input).value = "dear"
        await window.press("enter")
        await window.sees("Enter the price as a number")
        window.app.screen.query_one("#price_cents", Input).value = "10"
        await window.press("enter")
        await window.sees("10.00")
        await window.press("delete", "right", "enter")
        await window.sees("Laab [b] is off the menu.")
        assert await dish("Laab [b]") is None


async def test_r_reads_the_orders_again_and_rejects_nothing(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    async with kitchen_window(demo_server.url, tmp_path, (80, 24)) as window:
        await window.on(order)
        window.kitchen.board.replace([])
        await window.press("r")
        await window.has(order, S.PLACED)
        assert len(window.app.screen_stack) == 1
        await window.live()


async def test_an_old_order_on_its_way_is_on_the_board_however_many_newer_are_over(
    demo_server: LiveServer, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", 2)
    monkeypatch.setattr(feed, "LOOK_BACK", timedelta(0))
    old = await town.bring(await town.place(), S.OUT_FOR_DELIVERY)
    for _ in range(3):
        await town.step(await town.place(), S.CANCELLED, reason="too busy")
    async with kitchen_window(demo_server.url, tmp_path, (80, 24)) as window:
        await window.has(old, S.OUT_FOR_DELIVERY)


async def test_every_size_shows_the_order_and_all_counts(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    new = await town.place()
    ready = await town.bring(await town.place(), S.READY)
    async with kitchen_window(demo_server.url, tmp_path, (160, 48)) as window:
        for size in ((160, 48), (100, 30), (80, 24), (56, 16)):
            await window.pilot.resize_terminal(*size)
            await window.sees(f"#{new.number}", "Placed 1")
            await window.press("right", "right", "right")
            await window.sees(f"#{ready.number}")
            await wait_until(
                lambda: "Ready 1" in window.text,
                what=f"its column's count at {size}",
            )
            await window.press("left", "left", "left", "n")
            assert window.kitchen.cursor.order_id == new.id


async def test_from_132_columns_on_all_columns_of_the_board_in_front_are_in_view(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    async with kitchen_window(demo_server.url, tmp_path, (132, 30)) as window:
        kitchen = window.kitchen
        await window.sees("Placed 1", "On its way 0", f"#{order.number}")
        await wait_until(lambda: kitchen.view.shows_all, what="five columns")
        await window.press("z")  # more room: the order is beside them
        await wait_until(lambda: kitchen.details.size.width > 20, what="the order")
        assert kitchen.view.shows_all
        await window.press("z")
        await window.pilot.resize_terminal(160, 48)
        drivers, support, *_ = (panel.size.height for panel in window.app.panels[1:])
        assert drivers > support, "the map beside the board has more room"
        await window.pilot.resize_terminal(132, 30)
        await window.press("2")
        await wait_until(lambda: not kitchen.view.shows_all, what="another panel in front")
        await window.press("1")
        await wait_until(lambda: kitchen.view.shows_all, what="five columns again")
        await window.pilot.resize_terminal(131, 30)
        await wait_until(lambda: not kitchen.view.shows_all, what="the narrower layout")


async def test_the_card_shows_the_board_or_two_lines(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    async with kitchen_window(demo_server.url, tmp_path, (100, 70)) as window:
        await window.press("2")
        await window.sees(f"#{order.number}")
        assert window.kitchen.has_class("-card")
        summary = window.kitchen.query_one(".summary", Static)
        await wait_until(lambda: "1 placed" in str(summary.render()), what="the summary")


async def test_muting_is_shown_and_stops_the_bell(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.press("m")
        await window.sees("bell off")
        window.kitchen.alarm._every = 0.5
        await town.place()
        await window.sees("Placed 1")
        await asyncio.wait_for(_beats(window.kitchen.view.blink_on, window), PATIENCE)
        assert window.rings == 0
        await window.press("m")
        await wait_until(lambda: window.rings, what="the bell")


async def _beats(blink_on: bool, window: object) -> None:
    """Two beats of the blinking card: the bell was asked as often."""
    view = window.kitchen.view  # type: ignore[attr-defined]
    for _ in range(2):
        await wait_until(lambda blink_on=blink_on: view.blink_on is not blink_on, what="a beat")
        blink_on = view.blink_on


async def test_the_panel_warns_while_the_server_is_away_and_recovers(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = await asyncio.to_thread(start_server, demo=True)
    async with Rest(server.url) as rest:
        order = await (await a_town(rest)).place()
    async with kitchen_window(server.url, tmp_path) as window:
        await window.sees(f"#{order.number}")
        await asyncio.to_thread(server.kill)
        await window.sees("No updates since")
        assert f"#{order.number}" in window.text, "what was known stays in view"
        await asyncio.to_thread(server.start)
        await window.live()
        await window.misses("No updates since")


async def test_a_new_order_blinks_every_half_second(
    demo_server: LiveServer, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing else that would have the board drawn."""
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await town.place()
        await window.sees("Placed 1")
        drawn: list[bool] = []
        redraw = window.kitchen.view.redraw
        monkeypatch.setattr(
            window.kitchen.view,
            "redraw",
            lambda: (drawn.append(window.kitchen.view.blink_on), redraw()),
        )
        await wait_until(lambda: len(drawn) > 4, what="redraws")
        assert {True, False} == set(drawn)
