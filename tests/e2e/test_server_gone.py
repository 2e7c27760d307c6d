"""Apps in terminals whose server stops, stays away, or was never there."""

import time

import pytest

from support.rest import Rest
from support.server_process import StartServer
from support.tmux import Tmux, Window

BACK_WITHIN = 30.0
"""Seconds from the server's readiness to the app's showing the present state; it waits for eight
between two attempts at most."""
STREAM_WITHIN = 60.0
"""A server that is slow to answer as it starts is taken for a network without streams, which is
polled meanwhile and asked again after up to 30 s."""
TITLES = ("1 Orders", "1 Kitchen")
AWAY = [3.0, pytest.param(60.0, marks=pytest.mark.soak)]


def quit_by_key(window: Window) -> None:
    window.press("C-q")
    assert window.ends() == 0


async def place_order(customer: Rest) -> dict[str, object]:
    """An order at the restaurant of the demo's employee."""
    town = (await customer.get("/restaurants")).must(200).json["items"]
    place = next(one for one in town if one["name"] == "Curry Leaf")
    menu = (await customer.get(f"/restaurants/{place['id']}")).must(200).json["menu"]
    basket = {
        "restaurant_id": place["id"],
        "items": [{"menu_item_id": menu[0]["id"], "quantity": 1}],
        "address": {"text": "1 Quay Street", "lat": place["lat"], "lng": place["lng"]},
    }
    order: dict[str, object] = (await customer.post("/orders", basket)).must(201).json
    return order


@pytest.mark.parametrize("seconds", AWAY)
async def test_an_app_waits_for_its_server_outlives_it_and_misses_nothing(
    start_server: StartServer, tmux: Tmux, seconds: float
) -> None:
    """Before there is one, while it is away, and when the app is started again meanwhile: in one
    test, as an app takes a second of processor time to start."""
    server = start_server(demo=True)
    async with Rest(server.url) as customer, Rest(server.url) as employee:
        await customer.demo("customer")
        await employee.demo("employee")
        first = await place_order(customer)
        number = f"#{first['number']}"

        server.kill()
        windows = [tmux.open("customer", server.url), tmux.open("employee", server.url)]
        for window in windows:
            window.sees("not responding, retrying")
            window.press("Enter")
            window.sees("does not answer", "connection refused", "Retrying")
        server.start()
        for window, title in zip(windows, TITLES, strict=True):
            window.sees(title, seconds=BACK_WITHIN)
        for window, live in zip(windows, ("◐ long poll", "● SSE"), strict=True):
            window.sees(number, live, seconds=STREAM_WITHIN)

        server.kill()
        gone = time.monotonic()
        for window in windows:
            window.sees("reconnecting")
        windows[1].sees("No updates since", "may be out of date")
        while time.monotonic() - gone < seconds:
            for window in windows:
                window.press("Down", "Up")
                window.sees(number, "reconnecting")
                assert window.exit_code is None

        # At the other process, or an app might be back in the middle of it.
        meanwhile = start_server(demo=True)
        customer.base_url = employee.base_url = meanwhile.url
        for status in ("accepted", "preparing"):
            change = {"status": status}
            (await employee.post(f"/orders/{first['id']}/status", change)).must(200)
        second = await place_order(customer)
        server.start()
        back = time.monotonic()

        def left() -> float:
            return BACK_WITHIN - (time.monotonic() - back)

        windows[1].sees("Placed 1", "Cooking 1", seconds=left())
        windows[1].press("n")
        windows[1].sees(f"#{second['number']}")
        windows[1].misses("No updates since", seconds=left())
        windows[0].sees_line(number, "cooking", seconds=left())
        for window, live in zip(windows, ("◐ long poll", "● SSE"), strict=True):
            window.sees(live, seconds=STREAM_WITHIN)
            quit_by_key(window)

    server.kill()
    windows = [tmux.open("customer", server.url), tmux.open("employee", server.url)]
    for window in windows:
        window.sees("not responding, retrying", "does not answer", "connection refused")
    server.start()
    for window, title in zip(windows, TITLES, strict=True):
        window.sees(title, seconds=BACK_WITHIN)
        quit_by_key(window)
