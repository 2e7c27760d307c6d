"""The autopilot at work in a live server's kitchen, beside people."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from running_autopilot import running_autopilot

from server.features.accounts.schemas import Credentials
from server.features.orders.schemas import OrderStatus
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.server_process import StartServer
from support.town import PASSWORD, Place, open_restaurant
from support.waiting import PATIENCE, wait_until
from tui.demo.autopilot import rules
from tui.demo.autopilot.__main__ import Autopilot, main, read_accounts

ACROSS_THE_STREET = {"text": "3 Mill Lane", "lat": 48.8601, "lng": 2.36}
"""So near that the trip takes almost no time."""
STEPS = ["placed", "accepted", "preparing", "ready", "out_for_delivery", "delivered"]


@pytest.fixture
async def place(live_server: LiveServer, data_dir: Path) -> Place:
    """A kitchen with an account for the autopilot and one for a person."""
    return await open_restaurant(data_dir, live_server.url, employees=2)


@pytest.fixture
async def guest(rest: Rest) -> Rest:
    """Somebody who orders."""
    return await rest.register("ada@example.com")


@pytest.fixture
async def person(guest: Rest, place: Place) -> Rest:
    """An employee with a screen."""
    return await guest.another().log_in(place.employees[1], PASSWORD)


async def placed(guest: Rest, place: Place) -> dict[str, Any]:
    basket = place.basket() | {"address": ACROSS_THE_STREET}
    order: dict[str, Any] = (await guest.post("/orders", basket)).must(201).json
    return order


async def at_status(
    guest: Rest, order_id: str, status: str, seconds: float = PATIENCE
) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        order: dict[str, Any] = (await guest.get(f"/orders/{order_id}")).must(200).json
        return order if order["status"] == status else None

    order = await wait_until(there, seconds, what=f"order {order_id} is {status}")
    assert order is not None
    return order


async def has_come_to(guest: Rest, order_id: str, status: str) -> None:
    """Wait until it is there, or further."""

    async def there() -> bool:
        order = (await guest.get(f"/orders/{order_id}")).must(200).json
        return STEPS.index(order["status"]) >= STEPS.index(status)

    await wait_until(there, what=f"order {order_id} has come to {status}")


async def step(person: Rest, order_id: str, status: str, **more: Any) -> dict[str, Any]:
    body = {"status": status, **more}
    order: dict[str, Any] = (await person.post(f"/orders/{order_id}/status", body)).must(200).json
    return order


async def test_orders_placed_before_and_after_the_start_are_delivered(
    live_server: LiveServer, place: Place, guest: Rest
) -> None:
    before = await placed(guest, place)
    async with running_autopilot(live_server.url, place.employees[0]) as pilot:
        during = await placed(guest, place)
        for order in (before, during):
            order = await at_status(guest, order["id"], "delivered")
            assert [entry["status"] for entry in order["timeline"]] == STEPS
            assert pilot.session.account is not None
            actors = {entry["by"]["id"] for entry in order["timeline"][1:]}
            assert actors == {pilot.session.account.id}
            assert order["driver"]["id"] in place.drivers
        await wait_until(lambda: not pilot.orders)


@pytest.mark.parametrize("hand_over_at", range(1, 5))
async def test_an_order_that_a_person_has_changed_is_left_alone(
    live_server: LiveServer, place: Place, guest: Rest, person: Rest, hand_over_at: int
) -> None:
    mine = await placed(guest, place)
    for status in STEPS[1 : hand_over_at + 1]:
        driver = {"driver_id": place.drivers[0]} if status == "out_for_delivery" else {}
        mine = await step(person, mine["id"], status, **driver)
    async with running_autopilot(live_server.url, place.employees[0]):
        # Placed later and delivered: by then it has had every occasion to touch the other one.
        later = await placed(guest, place)
        await at_status(guest, later["id"], "delivered")
        now = await at_status(guest, mine["id"], STEPS[hand_over_at])
        assert now["version"] == mine["version"]


async def test_its_own_order_is_left_alone_once_a_person_changes_it(
    live_server: LiveServer,
    place: Place,
    guest: Rest,
    person: Rest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = await placed(guest, place)
    with monkeypatch.context() as slowly:
        # So that the person comes before the autopilot, however late.
        slowly.setitem(rules.STEP_SECONDS, OrderStatus.PREPARING, 3600.0)
        async with running_autopilot(live_server.url, place.employees[0]) as pilot:
            await at_status(guest, order["id"], "preparing")
            await step(person, order["id"], "ready")
            await wait_until(lambda: pilot.orders[order["id"]].status == "ready")
    async with running_autopilot(live_server.url, place.employees[0]):
        later = await placed(guest, place)
        await at_status(guest, later["id"], "delivered")
        now = await at_status(guest, order["id"], "ready")
        assert now["version"] == 4


async def test_new_orders_are_left_for_a_while_to_a_person_who_is_signed_in(
    live_server: LiveServer,
    place: Place,
    guest: Rest,
    person: Rest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def said() -> str:
        page = (await person.get("/announcements")).must(200).json["items"]
        return " ".join(one["title"] for one in page)

    monkeypatch.setitem(rules.STEP_SECONDS, OrderStatus.PLACED, 0.0)
    monkeypatch.setitem(rules.STEP_SECONDS, OrderStatus.ACCEPTED, 3600.0)
    async with running_autopilot(live_server.url, place.employees[0], pace=1):
        left = await placed(guest, place)

        async def told() -> bool:
            return "New orders are yours" in await said()

        await wait_until(told)
        await at_status(guest, left["id"], "placed")
        [session] = (await person.get("/me/sessions")).must(200).json["items"]
        (await person.delete(f"/me/sessions/{session['id']}")).must(204)
        taken = await placed(guest, place)
        taken = await at_status(guest, taken["id"], "accepted")
        await person.log_in(place.employees[1], PASSWORD)
        await step(person, taken["id"], "preparing")

        async def handed_over() -> bool:
            return f"#{taken['number']:04d} is yours now" in await said()

        await wait_until(handed_over)
        await at_status(guest, left["id"], "placed")


async def test_an_order_whose_driver_a_person_assigned_is_left_alone(
    live_server: LiveServer, place: Place, guest: Rest, person: Rest
) -> None:
    order = await placed(guest, place)
    named = await step(person, order["id"], "placed", driver_id=place.drivers[1])
    async with running_autopilot(live_server.url, place.employees[0]):
        later = await placed(guest, place)
        await at_status(guest, later["id"], "delivered")
        now = await at_status(guest, order["id"], "placed")
        assert now["version"] == named["version"]


async def test_without_drivers_orders_wait_at_ready(
    live_server: LiveServer, data_dir: Path, guest: Rest
) -> None:
    lonely = await open_restaurant(data_dir, live_server.url, "Lonely", drivers=0)
    async with running_autopilot(live_server.url, lonely.employees[0]):
        first, second = await placed(guest, lonely), await placed(guest, lonely)
        await at_status(guest, first["id"], "ready")
        await at_status(guest, second["id"], "ready")


async def test_orders_are_delivered_although_all_drivers_are_full(
    live_server: LiveServer, data_dir: Path, guest: Rest
) -> None:
    busy = await open_restaurant(data_dir, live_server.url, "Busy", drivers=1)
    async with running_autopilot(live_server.url, busy.employees[0]):
        orders = [await placed(guest, busy) for _ in range(6)]
        for order in orders:
            await at_status(guest, order["id"], "delivered", seconds=30)


async def test_a_cancelled_order_is_forgotten(
    live_server: LiveServer, place: Place, guest: Rest
) -> None:
    order = await placed(guest, place)
    async with running_autopilot(live_server.url, place.employees[0], pace=1) as pilot:
        await wait_until(lambda: order["id"] in pilot.orders)
        (await guest.post(f"/orders/{order['id']}/cancel", {})).must(200)
        await wait_until(lambda: not pilot.orders)


async def test_two_autopilots_can_run_one_kitchen(
    live_server: LiveServer, place: Place, guest: Rest
) -> None:
    email = place.employees[0]
    async with running_autopilot(live_server.url, email), running_autopilot(live_server.url, email):
        orders = [await placed(guest, place) for _ in range(4)]
        for order in orders:
            order = await at_status(guest, order["id"], "delivered")
            assert order["version"] == len(STEPS)


async def test_the_autopilot_goes_on_after_a_server_restart(
    start_server: StartServer, data_dir: Path
) -> None:
    server = start_server()
    place = await open_restaurant(data_dir, server.url)
    async with (
        running_autopilot(server.url, place.employees[0], pace=0.02),
        Rest(server.url) as guest,
    ):
        await guest.register("ada@example.com")
        first = await placed(guest, place)
        await has_come_to(guest, first["id"], "accepted")
        await asyncio.to_thread(server.restart)
        second = await placed(guest, place)
        for order in (first, second):
            await at_status(guest, order["id"], "delivered", seconds=30)


async def test_a_wrong_password_ends_it_but_an_unreachable_server_does_not(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(settings_for(data_dir)) as server:
        stranger = Credentials(email="no@example.com", password="wrong password")
        pilot = Autopilot(server.url, stranger, set())
        await asyncio.wait_for(pilot.run(), timeout=PATIENCE)
        await pilot.close()
        assert "no@example.com" in caplog.text
    pilot = Autopilot(server.url, stranger, set())
    job = asyncio.create_task(pilot.run())
    await wait_until(lambda: "Retrying in" in caplog.text)
    assert not job.done()
    job.cancel()
    await pilot.close()


async def test_a_customers_account_is_refused(
    live_server: LiveServer, guest: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    customer = Credentials(email="ada@example.com", password="correct horse")
    pilot = Autopilot(live_server.url, customer, set())
    await asyncio.wait_for(pilot.run(), timeout=PATIENCE)
    await pilot.close()
    assert "not an employee" in caplog.text


def test_the_accounts_file_is_read_or_reported(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    assert main(["--accounts", str(path)]) == 2
    with pytest.raises(ValueError, match="python -m server --demo"):
        read_accounts(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a list of accounts"):
        read_accounts(path)
    path.write_text(json.dumps([{"email": "Kim@Example.com", "password": "pw"}]))
    assert read_accounts(path)[0].email == "kim@example.com"


def test_the_accounts_are_read_from_the_demos_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for named, folder in (
        ("", ".tiffin/demo"),
        (" ", ".tiffin/demo"),
        ("~/town ", f"{tmp_path}/town"),
        ("~nobody-of-that-name/town", "no home"),
    ):
        monkeypatch.setenv("TIFFIN_DATA_DIR", named)
        caplog.clear()
        assert main([]) == 2
        assert folder in caplog.text


@pytest.mark.parametrize("wrong", [["--pace", "0"], ["--pace", "x"], ["--account", "nobody"]])
def test_wrong_arguments_are_reported(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(wrong)
    assert end.value.code == 2
