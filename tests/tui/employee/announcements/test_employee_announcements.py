"""The employee's panel: composed here, seen in the customer's window, acknowledged, counted."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from kitchen_window import KitchenWindow, kitchen_window
from textual.events import Key

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import told
from support.waiting import wait_until
from tui.common.client.meter import State
from tui.common.dialogs.confirm import ConfirmScreen
from tui.employee.announcements.compose import ComposeScreen
from tui.employee.announcements.panel import EmployeeAnnouncementsPanel
from tui.employee.kitchen.panel import KitchenPanel

news_window = partial(kitchen_window, panels=(KitchenPanel, EmployeeAnnouncementsPanel))


def desk_of(window: KitchenWindow) -> EmployeeAnnouncementsPanel:
    """The panel under test."""
    return next(
        panel for panel in window.app.panels if isinstance(panel, EmployeeAnnouncementsPanel)
    )


async def composing(window: KitchenWindow) -> ComposeScreen:
    """The dialog, by key."""
    await window.press("n")
    await wait_until(lambda: isinstance(window.app.screen, ComposeScreen), what="the dialog")
    screen = window.app.screen
    assert isinstance(screen, ComposeScreen)
    return screen


async def at_desk(window: KitchenWindow) -> EmployeeAnnouncementsPanel:
    """In front of the panel, live."""
    desk = desk_of(window)
    await wait_until(lambda: desk.store.loaded and desk.meter.state is State.LIVE, what="live")
    await window.press(str(desk.number))
    return desk


@pytest.fixture
async def guest(demo_server: LiveServer) -> AsyncIterator[Rest]:
    """The demo's customer by REST."""
    async with Rest(demo_server.url) as rest:
        yield await rest.demo("customer")


@pytest.mark.parametrize("size", [(160, 48), (80, 24)])
async def test_an_announcement_is_composed_by_keys_and_its_readers_are_counted(
    demo_server: LiveServer, guest: Rest, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with news_window(demo_server.url, tmp_path, size) as window:
        await at_desk(window)
        await composing(window)
        await window.press(*"Rain", "tab", *"Slow", "enter", *"down", "tab")
        await window.press("enter")
        await window.sees("warning: also a toast", "critical: a toast until read")
        await window.press("down", "enter")
        await window.sees("● Rain", "NOTICE Slow down", "warning: also a toast")
        for _ in ("audience", "expires"):
            await window.press("tab", "enter", "down", "enter")
        await window.sees("customers", "in one hour")
        await window.press("ctrl+s")
        await window.sees("people see “Rain” over whatever they do: customers.")
        await window.press("enter")
        await wait_until(lambda: isinstance(window.app.screen, ComposeScreen), what="kept")
        assert (await guest.get("/announcements")).must(200).json["items"] == []
        await window.press("ctrl+s")
        await window.sees("Not yet")
        await window.press("right", "enter")
        await window.sees("NOTICE for customers: Slow down", "0 of ")
        items = (await guest.get("/announcements")).must(200).json["items"]
        assert [(one["title"], one["body"]) for one in items] == [("Rain", "Slow\ndown")]
        assert items[0]["expires_at"]
        (await guest.post(f"/announcements/{items[0]['id']}/ack")).must(204)
        await window.sees("1 of ", "━")
        assert desk_of(window).badge == 0, "one's own is nothing to read"
        assert desk_of(window).draft.is_empty


async def test_keys_that_arrive_at_once_reach_their_fields(
    demo_server: LiveServer, guest: Rest, tmp_path: Path
) -> None:
    """As over a slow line, or from a program."""
    async with news_window(demo_server.url, tmp_path) as window:
        await at_desk(window)
        await composing(window)
        for key in [*"Rain", "tab", *"Slow", "tab", "right", "right", "ctrl+s"]:
            window.app.post_message(Key(key, key if len(key) == 1 else None))
        await window.sees("people see “Rain” over whatever they do")
        await window.press("right", "enter")
        await told(window.app, "Sent to everyone.")
        made = (await guest.get("/announcements")).must(200).json["items"][0]
        assert (made["title"], made["body"], made["severity"]) == ("Rain", "Slow", "critical")


async def test_withdrawn_after_a_question(
    demo_server: LiveServer, guest: Rest, tmp_path: Path
) -> None:
    async with news_window(demo_server.url, tmp_path) as window:
        desk = await at_desk(window)
        await composing(window)
        await window.press(*"Rain", "tab", *"Slow", "ctrl+s")
        await wait_until(lambda: len(desk.store) == 1 and len(window.app.screen_stack) == 1)
        for answer, left in (("enter", 1), ("right", 1), ("enter", 0)):
            if not isinstance(window.app.screen, ConfirmScreen):
                await window.press("w")
                await wait_until(lambda: isinstance(window.app.screen, ConfirmScreen))
            await window.press(answer)
            await wait_until(lambda left=left: len(desk.store) == left)  # type: ignore[misc]
        await window.sees("No announcements.")
        assert (await guest.get("/announcements")).must(200).json["items"] == []


async def test_a_draft_is_kept(demo_server: LiveServer, guest: Rest, tmp_path: Path) -> None:
    async with news_window(demo_server.url, tmp_path) as window:
        await at_desk(window)
        await composing(window)
        await window.press("ctrl+s")
        await window.sees("Title: is empty.")
        await window.press(*"Rain", "escape")
        await told(window.app, "Press n to continue it")
        await composing(window)
        await window.sees("Rain")
        await window.press("tab", *"Slow")
        await demo_server.runner.cleanup()
        await window.press("ctrl+s")
        await window.sees("✕ ")
        await window.press("escape")
        draft = desk_of(window).draft
        assert (draft.title, draft.body) == ("Rain", "Slow")
        await window.press("ctrl+q")
        await window.sees("An announcement is not sent yet.")
        await window.press("ctrl+q")
        await wait_until(lambda: window.app._exit, what="pressed twice, it closes")


async def test_an_announcement_sent_twice_is_one(
    demo_server: LiveServer, guest: Rest, tmp_path: Path
) -> None:
    """An answer that was lost: the same draft again is the same announcement."""
    async with news_window(demo_server.url, tmp_path) as window:
        desk = await at_desk(window)
        desk.draft.title, desk.draft.body = "Rain", "Slow"
        new, key = desk.draft.attempt(window.app.session.server_now())
        lost = await window.app.api.announce(new, key)
        screen = await composing(window)
        assert screen is not None
        await window.press("ctrl+s")
        await wait_until(lambda: len(window.app.screen_stack) == 1, what="sent")
        items = (await guest.get("/announcements")).must(200).json["items"]
        assert [one["id"] for one in items] == [lost.id]


async def test_announcements_for_customers_are_not_unread_for_employees(
    demo_server: LiveServer, guest: Rest, tmp_path: Path
) -> None:
    async with news_window(demo_server.url, tmp_path) as window:
        desk = await at_desk(window)
        accounts = json.loads((demo_server.settings.data_dir / "demo-accounts.json").read_text())
        green_bowl = next(one for one in accounts if "green-bowl" in one["email"])
        other = await guest.another().log_in(**green_bowl)
        for audience in ("customers", "employees"):
            body = {"title": f"To {audience}", "body": "x", "severity": "info"}
            (await other.post("/announcements", body | {"audience": audience})).must(201)
        await window.sees("● To employees", "for customers: x", "Announcements  1")
        await window.press("end")
        await wait_until(
            lambda: desk.rows.at_cursor and desk.rows.at_cursor.title == "To customers"
        )
        await window.press("enter")
        assert desk.store.sending == 0
        assert desk.badge == 1
