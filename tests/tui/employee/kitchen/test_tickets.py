"""Tickets: their text, and their way to a printer, a device and a file."""

import asyncio
import contextlib
import os
import re
from pathlib import Path

import pytest
from kitchen_orders import a_town, an_order
from kitchen_window import kitchen_window
from rich.cells import cell_len
from textual.widgets import Input

from support.live_server import LiveServer
from support.rest import Rest
from support.waiting import PATIENCE, wait_until
from tui.common import hosted, language
from tui.common.config import SETTINGS, Config, read_config
from tui.common.dialogs.save import SaveScreen
from tui.common.format import fit, set_clock
from tui.customer.chat.dialogs import subject_of
from tui.employee.kitchen import tickets
from tui.employee.kitchen.actions import _cancelled
from tui.employee.kitchen.tickets import TicketError, Tickets, TicketSettings

NASTY = "no \x1b@\x1dV\x01 onions, Gemüse für € 5 加辣 " * 3


@pytest.mark.parametrize("width", [int(one) for one in SETTINGS["tickets_width"][1]])
def test_a_ticket_fits_its_roll_and_steers_no_printer(width: int) -> None:
    order = an_order(7, note=NASTY)
    lines = tickets.ticket_lines(order, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "2x Pad thai" in lines[3]
    assert "23.00" in lines[3]
    data = tickets.ticket_bytes(order, TicketSettings(width=width, escpos=True))
    inside = data.removeprefix(b"\x1b@\x1bt\x13").removesuffix(b"\n\n\n\x1dV\x01")
    assert all(byte >= 32 or byte == 10 for byte in inside)
    assert "Gemüse".encode("cp858") in inside


def test_the_head_of_a_ticket_follows_the_users_clock() -> None:
    assert re.search(r" \d\d:\d\d$", tickets.ticket_lines(an_order(7), 32)[1])
    set_clock(twelve_hours=True)
    try:
        assert re.search(r" \d+:\d\d[ap]m$", tickets.ticket_lines(an_order(7), 32)[1])
    finally:
        set_clock(twelve_hours=False)


def test_what_leaves_the_app_has_no_marks_of_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_isolating", True)
    monkeypatch.setattr(language, "_language", "ar")
    order = an_order(7, note=None)
    text = tickets.ticket_text(order.model_copy(update={"ready_by": order.timeline[0].at}), 32)
    assert "Ready by" in text
    assert text == language.without_isolates(text)
    names = language.listed(["2 Soups", "Rice"])
    sold_out = fit(language.Message("Sold out: {names}.").format(names=names), 80)
    assert sold_out != "Sold out: 2 Soups, Rice."
    assert _cancelled(order, sold_out).reason == "Sold out: 2 Soups, Rice."
    assert subject_of(order) == language.without_isolates(subject_of(order))


def test_no_name_and_no_address_looks_like_the_total() -> None:
    order, width = an_order(7), 32
    fake = f"Anna{' ' * 28}Total{' ' * 20}0.00 X"
    nasty = order.model_copy(
        update={
            "customer": order.customer.model_copy(update={"name": fake}),
            "address": order.address.model_copy(update={"text": fake}),
        }
    )
    assert sum(line.startswith("Total") for line in tickets.ticket_lines(nasty, width)) == 1


async def test_a_network_printer_gets_the_ticket_and_one_that_is_off_is_said() -> None:
    printed = bytearray()
    full = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        printed.extend(await reader.read())
        writer.close()
        full.set()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = TicketSettings(f"127.0.0.1:{port}", 32, escpos=True)
        await Tickets(settings).send(an_order(7))
        await asyncio.wait_for(full.wait(), PATIENCE)
    assert printed == tickets.ticket_bytes(an_order(7), settings)
    for target in (settings.target, "no..host:9100"):
        with pytest.raises(TicketError, match="Check the printer"):
            await Tickets(TicketSettings(target)).send(an_order(7))


async def test_a_device_that_is_full_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "SEND_SECONDS", 0.2)
    device = tmp_path / "lp0"
    os.mkfifo(device)
    with pytest.raises(TicketError, match="nothing reads there"):
        await Tickets(TicketSettings(str(device))).send(an_order(7))
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            while os.write(handle, bytes(4096)):
                pass
        with pytest.raises(TicketError, match="takes nothing"):
            await Tickets(TicketSettings(str(device))).send(an_order(7))
    finally:
        os.close(handle)


async def test_an_order_is_saved_by_key_and_by_itself(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "tickets.txt"
    monkeypatch.setenv("TIFFIN_TICKETS", str(target))
    monkeypatch.setenv("TIFFIN_TICKETS_AUTO", "1")
    config = read_config()
    assert (config.tickets, config.tickets_auto, config.problems) == (str(target), True, ())
    async with Rest(demo_server.url) as rest:
        town = await a_town(rest)
        old = await town.place()
        async with kitchen_window(demo_server.url, tmp_path, config=config) as window:
            await window.on(old)
            await window.press("p")
            await window.sees(f"#{old.number} went to")
            new = await town.place()
            await wait_until(lambda: f"#{new.number}" in target.read_text(), what="its ticket")
            assert target.read_text().count(f"#{old.number}") == 1


async def test_a_ticket_is_saved_where_there_is_no_printer_and_never_by_a_visitor(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, saved = tmp_path / "tickets.txt", tmp_path / "ticket.txt"
    async with Rest(demo_server.url) as rest:
        order = await (await a_town(rest)).place()
    async with kitchen_window(demo_server.url, tmp_path) as window:
        await window.on(order)
        await window.press("p")
        await wait_until(lambda: isinstance(window.app.screen, SaveScreen), what="the path")
        window.app.screen.query_one(Input).value = str(saved)
        await window.press("enter")
        await wait_until(saved.exists, what="the ticket")
        assert f"#{order.number}" in saved.read_text()
    monkeypatch.setattr(hosted, "_where", "ssh")
    config = Config(tickets=str(target), tickets_auto=True)
    async with kitchen_window(demo_server.url, tmp_path, config=config) as window:
        await window.on(order)
        await window.press("p")
        await window.told("Nothing can be saved over ssh.")
        assert not target.exists()
