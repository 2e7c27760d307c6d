"""History and Figures: any day's orders and figures, by the restaurant's clock."""

import csv
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from kitchen_orders import Town
from kitchen_window import kitchen_window
from textual.widgets import Input, Sparkline

from server.core.clock import now, to_text
from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.hours import zone_of
from support.live_server import LiveServer
from support.town import database_in
from support.waiting import wait_until
from tui.common.client.errors import ClientError
from tui.common.config import Config
from tui.common.dialogs.save import SaveScreen
from tui.common.format import day_name, hours_minutes, set_clock
from tui.common.wire.frame_screen import log_time
from tui.employee.history.figures import FiguresScreen, csv_of
from tui.employee.history.orders import HistoryScreen
from tui.employee.history.span import span_name, span_of

DAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("since", "until", "start", "end"),
    [
        ("", "", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("18", "20:30", "2026-03-01T18:00", "2026-03-01T20:30"),
        ("6pm", "8 PM", "2026-03-01T18:00", "2026-03-01T20:00"),
        ("12am", "12pm", "2026-03-01T00:00", "2026-03-01T12:00"),
        ("22:00", "2", "2026-03-01T22:00", "2026-03-02T02:00"),
        ("22.15", "24", "2026-03-01T22:15", "2026-03-02T00:00"),
        ("2026-02-01", "2026-02-28", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("2026-02-01 18", "", "2026-02-01T18:00", "2026-02-02T00:00"),
    ],
)
def test_a_span_is_typed_as_people_write_times(
    since: str, until: str, start: str, end: str
) -> None:
    found = span_of(DAY, since, until)
    assert found == (datetime.fromisoformat(start), datetime.fromisoformat(end))


@pytest.mark.parametrize(
    ("since", "until", "name", "by_half_days"),
    [
        ("", "", "Sun 1 Mar 2026", "Sun 1 Mar 2026"),
        ("18", "20:30", "Sun 1 Mar 2026 18:00 to 20:30", "Sun 1 Mar 2026 6:00pm to 8:30pm"),
        ("22", "", "Sun 1 Mar 2026 22:00 to 24:00", "Sun 1 Mar 2026 10:00pm to 12:00am"),
        (
            "22",
            "2",
            "Sun 1 Mar 2026 22:00 to Mon 2 Mar 2026 02:00",
            "Sun 1 Mar 2026 10:00pm to Mon 2 Mar 2026 2:00am",
        ),
    ],
)
def test_a_span_is_named_by_the_users_clock(
    since: str, until: str, name: str, by_half_days: str
) -> None:
    assert span_name(*span_of(DAY, since, until)) == name
    set_clock(twelve_hours=True)
    try:
        assert span_name(*span_of(DAY, since, until)) == by_half_days
        at = datetime.fromisoformat("2026-03-01T09:05:00")
        assert hours_minutes(at, in_column=True) == " 9:05am"
        assert log_time(at.timestamp() + 7.125) == " 9:05:07.125am"
    finally:
        set_clock(twelve_hours=False)
    assert log_time(at.timestamp() + 7.125) == "09:05:07.125"


@pytest.mark.parametrize("wrong", ["noon", "25", "13pm", "2026-02-30", "0001-01-01", "18:60"])
def test_what_is_no_time_is_refused(wrong: str) -> None:
    with pytest.raises(ClientError):
        span_of(DAY, "2026-03-01", wrong)


async def yesterday_at(town: Town, server: LiveServer, orders: dict[str, Order]) -> None:
    """Have these orders been placed yesterday, at so many o'clock by the restaurant's clock."""
    place = (await town.employee.get(f"/restaurants/{town.restaurant_id}")).must(200).json
    zone = zone_of(place["time_zone"])
    day = (now().astimezone(zone) - timedelta(days=1)).date()
    async with database_in(server.settings.data_dir) as database:
        for clock, order in orders.items():
            at = to_text(datetime.combine(day, time.fromisoformat(clock), zone))
            sql = "UPDATE orders SET placed_at = :at WHERE id = :id"
            await database.write(
                lambda tx, at=at, order=order, sql=sql: tx.execute(sql, {"at": at, "id": order.id})
            )


async def test_yesterdays_third_ticket_is_printed_again_and_orders_are_found(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    tickets = tmp_path / "tickets.txt"
    config = Config(tickets=str(tickets))
    old = [await town.bring(await town.place(), OrderStatus.READY) for _ in range(3)]
    await yesterday_at(town, demo_server, dict(zip(("11:00", "19:00", "18:00"), old, strict=True)))
    new = await town.place(dishes=2)
    async with kitchen_window(demo_server.url, tmp_path, (80, 24), config=config) as window:
        await wait_until(lambda: window.kitchen.restaurant, what="the restaurant's terms")
        await window.press("h")
        await window.sees("1 order ", f"#{new.number}")
        await window.press("left")
        await window.sees("3 orders ", "3. ")
        screen = window.app.screen
        assert isinstance(screen, HistoryScreen)
        assert [order.id for order in screen.rows.orders] == [old[0].id, old[2].id, old[1].id]
        await window.press("down", "down", "p")
        await wait_until(tickets.exists, what="the ticket")
        await window.told(f"#{old[1].number} went to")
        assert f"#{old[1].number}" in tickets.read_text()
        await window.press("slash", *new.items[1].name.upper(), "enter")
        await window.sees("orders with “", f"#{new.number}")
        await window.press("enter")
        await window.sees(f"Order #{new.number}", "1 Linden Street")
        await window.press("p")
        await window.told(f"#{new.number} went to")
        await window.press("escape", "escape")
        await window.sees("3 orders ")
        await window.press("escape")
        assert len(window.app.screen_stack) == 1


async def test_what_was_taken_between_six_and_eight_is_shown_and_saved(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    old = [await town.bring(await town.place(), OrderStatus.READY) for _ in range(2)]
    await yesterday_at(town, demo_server, dict(zip(("18:30", "21:00"), old, strict=True)))
    target = tmp_path / "figures.csv"
    async with kitchen_window(demo_server.url, tmp_path, (80, 24)) as window:
        await wait_until(lambda: window.kitchen.restaurant, what="the restaurant's terms")
        await window.press("T")
        await window.sees("Orders      0", "nothing is ready yet")
        await window.press("left")
        await window.sees("Orders      2")
        screen = window.app.screen
        assert isinstance(screen, FiguresScreen)
        await window.sees(f"Figures of {day_name(screen._day)} ─", "12:00       18:00 ")
        assert screen.query_one(Sparkline).size.width == 48, "the whole day, at two cells an hour"
        await window.press("slash", *"6pm", "enter", *"soon", "enter")
        await window.sees("“soon” is no time")
        screen.query_one("#to", Input).value = "8pm"
        await window.press("slash", "enter", "enter")
        await window.sees("18:00 to 20:00", "Orders      1", "18:00 to 19:00", "0 of the 1")
        await window.press("s")
        await wait_until(lambda: isinstance(window.app.screen, SaveScreen), what="the path")
        window.app.screen.query_one(Input).value = str(target)
        await window.press("enter")
        await window.told("Saved as")
    rows = list(csv.reader(target.read_text().splitlines()))
    assert rows[1][2:] == ["1", f"{old[0].total_cents / 100:.2f}", old[0].currency]
    dish = old[0].items[0]
    assert ["dish", dish.name, str(dish.quantity)] in [row[:3] for row in rows]
    summary = screen.summary
    assert summary
    for name in ("=1+1", "\u200b@SUM(A1)", "\uff1dcmd"):
        nasty = summary.dishes[0].model_copy(update={"name": name})
        table = csv_of(summary.model_copy(update={"dishes": [nasty]}))
        assert table.splitlines()[-1].startswith("dish,'"), "no formula"
