"""Steps that wait some seconds, in which they can be undone."""

import re
from pathlib import Path

import pytest
from kitchen_orders import Town
from kitchen_window import kitchen_window

from server.features.orders.schemas import OrderStatus
from support.live_server import LiveServer
from support.relay import relay_to
from support.waiting import wait_until
from tui.common.dialogs.confirm import ConfirmScreen
from tui.employee.kitchen import actions
from tui.employee.kitchen.hold import hold_seconds

S = OrderStatus
LONG = 600.0
"""Seconds that never pass in a test."""


@pytest.mark.parametrize(
    ("value", "seconds"), [("", 5), ("2.5", 2.5), ("600", 5), ("long", 5), ("nan", 5)]
)
def test_a_step_waits_five_seconds_at_most(
    value: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIFFIN_HOLD_SECONDS", value)
    assert hold_seconds() == seconds


async def test_a_step_waits_can_be_undone_and_is_sent_by_the_next(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.bring(await town.place(), S.ACCEPTED)
    async with kitchen_window(demo_server.url, tmp_path, hold=LONG) as window:
        await window.on(order)
        await window.press("enter")
        await window.sees("→ Cooking in ", " s · u undoes")
        await wait_until(lambda: re.search(r"→ (600|59\d) s", window.text), what="it on the card")
        await window.press("u")
        await window.sees(f"Undone: #{order.number} stays “Accepted”")
        assert (await town.now(order)).status is S.ACCEPTED
        await window.press("enter", "enter")
        await window.has(order, S.PREPARING)
        await window.sees("→ Ready in")
        held = window.kitchen.actions.held
        window.kitchen.busy.add(order.id)  # another change of it is on its way
        held.send_now(order.id)
        assert held.of(order.id)
        await window.press("u")
        window.kitchen.busy.discard(order.id)
        held.hold_for = 0.1
        await window.press("enter")
        await window.has(order, S.READY)


async def test_a_change_by_somebody_else_is_asked_about_and_quitting_sends(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    first = await town.bring(await town.place(), S.ACCEPTED)
    second = await town.bring(await town.place(), S.ACCEPTED)
    async with kitchen_window(demo_server.url, tmp_path, hold=LONG) as window:
        await window.on(first)
        await window.press("enter")
        await town.step(first, S.ACCEPTED, driver_id=town.drivers[0]["id"])
        await wait_until(lambda: isinstance(window.app.screen, ConfirmScreen), what="the question")
        assert (await town.now(first)).status is S.ACCEPTED
        await window.press("right", "enter")
        await wait_until(lambda: window.kitchen.actions.held.of(first.id) is None, what="sent")
        await window.has(first, S.PREPARING)
        await window.on(first)
        await window.press("enter")
        await town.step(first, S.READY)
        await window.sees("was quicker")
        assert window.kitchen.actions.held.all == []
        await window.on(second)
        await window.press("enter", "ctrl+q")
        assert (await town.now(second)).status is S.PREPARING


async def test_the_minutes_that_were_confirmed_are_kept_where_the_usual_ones_change(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place()
    async with kitchen_window(demo_server.url, tmp_path, hold=LONG) as window:
        await wait_until(lambda: window.kitchen.restaurant, what="the restaurant's terms")
        usual = window.kitchen.preparation_minutes
        await window.on(order)
        await window.press("enter", "enter", "plus")
        await window.sees("→ Accepted in", "+15 min for everybody")
        await window.press("enter")
        now = await window.has(order, S.ACCEPTED)

        def minutes() -> int:
            now = window.kitchen.board.order(order.id)
            assert now is not None
            assert now.ready_by is not None
            return round((now.ready_by - now.timeline[-1].at).total_seconds() / 60)

        await wait_until(lambda: minutes() == usual, what=f"{usual} minutes, not {now.ready_by}")


async def test_a_step_that_cannot_be_sent_keeps_the_window_open(
    demo_server: LiveServer, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "FLUSH_SECONDS", 0.1)
    first = await town.bring(await town.place(), S.ACCEPTED)
    second = await town.bring(await town.place(), S.ACCEPTED)
    async with (
        relay_to(demo_server.url) as relay,
        kitchen_window(relay.url, tmp_path, hold=LONG) as window,
    ):
        held = window.kitchen.actions.held
        held.hold_for = LONG
        await window.on(first)
        await window.press("enter")
        assert held.of(first.id)
        relay.stall(to_server=True)
        bar = window.text.split("\n")[-1]
        await window.pilot.click(offset=(bar.index("^q"), 47))  # the same as the key
        await wait_until(lambda: isinstance(window.app.screen, ConfirmScreen), what="the question")
        await window.sees("A step has not reached the server yet")
        relay.heal()
        await window.press("escape")
        await window.has(first, S.PREPARING)
        await window.on(second)
        await window.press("enter")
        assert held.of(second.id)
        monkeypatch.setattr(actions, "FLUSH_SECONDS", 60.0)
        relay.refuse()
        await window.press("ctrl+q")
        await window.told(f"#{second.number} may not have changed")
        assert not window.app._exit
        await window.press("ctrl+q")
        await wait_until(lambda: window.app._exit, what="nothing is held any more")
