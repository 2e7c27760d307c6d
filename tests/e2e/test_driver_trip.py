"""The demo's driver goes to the door; and what `curl -N` shows of a driver on the way."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import pairwise
from math import cos, hypot, radians
from pathlib import Path
from typing import Any

import pytest

from support.curl import Curl, curl
from support.event_stream import event_stream
from support.rest import Rest
from support.server_process import ROOT, ServerProcess, StartServer, server_environment
from support.town import PASSWORD, Place, open_restaurant
from support.two_processes import Two
from support.waiting import PATIENCE, wait_until

LatLng = tuple[float, float]
"""Latitude and longitude."""


def metres(a: LatLng, b: LatLng) -> float:
    """On a flat plane, exact enough within a town."""
    north = (b[0] - a[0]) * 111_195
    return hypot(north, (b[1] - a[1]) * 111_195 * cos(radians(a[0])))


def metres_off(spot: LatLng, a: LatLng, b: LatLng) -> float:
    """From the point to the nearest point on the line from `a` to `b`."""
    scale = cos(radians(spot[0]))
    ax, ay, bx, by = a[1] * scale, a[0], b[1] * scale, b[0]
    x, y = spot[1] * scale, spot[0]
    square = (bx - ax) ** 2 + (by - ay) ** 2
    share = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square if square else 0.0
    share = min(1.0, max(0.0, share))
    return hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay)) * 111_195


def streets_of(town: dict[str, Any]) -> list[list[LatLng]]:
    """The lines of every street on the map."""
    lines: list[list[list[float]]] = []
    for feature in town["features"]:
        if feature["properties"].get("kind") == "street":
            shape = feature["geometry"]
            several = shape["type"] == "MultiLineString"
            lines += shape["coordinates"] if several else [shape["coordinates"]]
    return [[(lat, lng) for lng, lat, *_ in line] for line in lines]


@pytest.fixture
def demo(start_server: StartServer) -> ServerProcess:
    """The demo's town, whose drivers report their position twice a second."""
    return start_server(demo=True, env={"TIFFIN_DRIVER_INTERVAL_SECONDS": "0.5"})


@pytest.fixture
def autopilot(demo: ServerProcess) -> Iterator[Path]:
    """Autopilots for all its kitchens, as a separate process; their log."""
    log = demo.data_dir / "autopilot.log"
    command = [sys.executable, "-m", "tui.demo.autopilot", "--server", demo.url]
    command += ["--pace", "0.05", "--accounts", str(demo.data_dir / "demo-accounts.json")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=server_environment(demo.data_dir), stdout=out, stderr=out
        )
    yield log
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0, log.read_text()
    print(log.read_text())


async def test_the_demos_driver_follows_the_streets_to_the_door(
    demo: ServerProcess, autopilot: Path
) -> None:
    async with Rest(demo.url) as customer:
        await customer.demo("customer")
        streets = streets_of((await customer.get("/map")).must(200).json)
        where, order_id = await ordered(customer, streets)

        async def order() -> dict[str, Any]:
            found: dict[str, Any] = (await customer.get(f"/orders/{order_id}")).must(200).json
            return found

        async def left() -> dict[str, Any] | None:
            found = await order()
            return found if found["status"] == "out_for_delivery" else None

        gone = await wait_until(left, what=f"it leaves, as {autopilot} says")
        assert gone is not None
        path = f"/drivers/{gone['driver']['id']}/location/stream"
        seen, etas = [], [gone["eta"]]
        async with event_stream(customer, path) as stream:
            while (event := await stream.next()).type == "location":
                seen.append(event.data)
                if eta := (await order()).get("eta"):  # None once the driver is there
                    etas.append(eta)
        assert (event.type, event.data) == ("end", {"order_id": order_id, "status": "delivered"})
        assert (await order())["status"] == "delivered"

    spots = [(one["lat"], one["lng"]) for one in seen]
    print(f"{len(seen)} positions, etas {etas}")
    assert len(seen) >= 8
    assert [one["seq"] for one in seen] == sorted({one["seq"] for one in seen})
    for spot in spots:
        assert min(metres_off(spot, a, b) for line in streets for a, b in pairwise(line)) < 15
    assert metres(spots[-1], where) < 15
    assert sum(metres(a, b) for a, b in pairwise(spots)) > 200
    # Around a corner the driver may be further off for a moment, but overall they get nearer.
    assert metres(spots[0], where) > 200
    assert not any("suspect" in one for one in seen)
    assert all(one["heading"] is not None for one in seen)
    first, last = (datetime.fromisoformat(one) for one in (max(etas), etas[-1]))
    assert (first - last).total_seconds() > 20, etas


async def ordered(customer: Rest, streets: list[list[LatLng]]) -> tuple[LatLng, str]:
    """An order from some restaurant to a corner about 300 m away; that corner, and the order."""
    place = (await customer.get("/restaurants")).must(200).json["items"][0]
    start = (place["lat"], place["lng"])
    corners = [corner for line in streets for corner in line]
    where = min(corners, key=lambda corner: abs(metres(start, corner) - 300))
    assert 200 < metres(start, where) < 400
    menu = (await customer.get(f"/restaurants/{place['id']}")).must(200).json["menu"]
    dish = next(one for one in menu if one["available"])
    basket = {
        "restaurant_id": place["id"],
        "items": [{"menu_item_id": dish["id"], "quantity": 1}],
        "address": {"text": "At the corner", "lat": where[0], "lng": where[1]},
    }
    order_id: str = (await customer.post("/orders", basket)).must(201).json["id"]
    return where, order_id


class Kitchen:
    """A restaurant, an employee and a customer, each at its own server."""

    def __init__(self, place: Place, employee: Rest, customer: Rest) -> None:
        self.place, self.employee, self.customer = place, employee, customer
        self.path = f"/drivers/{place.drivers[0]}/location"
        self.stream = f"{self.path}/stream"

    async def put(self, lat: float) -> None:
        """Report that the driver is there."""
        (await self.employee.put(self.path, {"lat": lat, "lng": 2.36})).must(204)

    async def sent_off(self) -> str:
        """An order on its way."""
        order_id: str = (
            (await self.customer.post("/orders", self.place.basket())).must(201).json["id"]
        )
        for status in ("accepted", "preparing", "ready", "out_for_delivery"):
            await self.step(order_id, status)
        return order_id

    async def step(self, order_id: str, status: str) -> None:
        """Take one more step."""
        body = {"status": status}
        if status == "out_for_delivery":
            body["driver_id"] = self.place.drivers[0]
        (await self.employee.post(f"/orders/{order_id}/status", body)).must(200)


@pytest.fixture
async def kitchen(two: Two) -> AsyncIterator[Kitchen]:
    """The employee at one process, the customer at the other."""
    place = await two.open_restaurant()
    async with Rest(two.left.url) as employee, Rest(two.right.url) as customer:
        await employee.log_in(place.employees[0], PASSWORD)
        await customer.register(f"guest-{place.id}@example.com")
        yield Kitchen(place, employee, customer)


def lat_of(event: dict[str, str]) -> float:
    """Where that was."""
    lat: float = json.loads(event["data"])["lat"]
    return lat


async def test_curl_gets_the_latest_location_then_changes_then_the_end(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await kitchen.sent_off()
    for lat in (48.861, 48.862):
        await kitchen.put(lat)
    with curl(kitchen.customer, kitchen.stream, tmp_path) as watching:
        first = await watching.has(1)
        assert lat_of(first) == 48.862
        assert first["id"]
        assert "retry" in watching.blocks[0]
        for _ in range(3):
            await kitchen.put(48.862)
        await kitchen.put(48.863)
        assert lat_of(await watching.has(2)) == 48.863
        await kitchen.step(order_id, "delivered")
        end = await watching.has(1, "end")
        assert json.loads(end["data"]) == {"order_id": order_id, "status": "delivered"}
        assert await watching.ends() == 0
    with curl(kitchen.customer, kitchen.stream, tmp_path) as late:
        assert await late.ends() == 22
        assert json.loads(late.text.partition("curl:")[0])["status"] == 404


async def test_curl_resumes_after_its_last_event(kitchen: Kitchen, tmp_path: Path) -> None:
    await kitchen.sent_off()
    ids = []
    with curl(kitchen.customer, kitchen.stream, tmp_path) as watching:
        for count, lat in enumerate((48.861, 48.862), start=1):
            await kitchen.put(lat)
            ids.append((await watching.has(count))["id"])

    def again(last: str) -> Any:
        return curl(kitchen.customer, kitchen.stream, tmp_path, **{"Last-Event-ID": last})

    with again(ids[0]) as behind, again(ids[1]) as up_to_date:
        assert lat_of(await behind.has(1)) == 48.862
        await wait_until(lambda: up_to_date.blocks)
        await kitchen.put(48.863)
        assert lat_of(await up_to_date.has(1)) == 48.863
        assert lat_of(await behind.has(2)) == 48.863


async def test_curl_gets_comments_while_nothing_moves(
    start_server: StartServer, data_dir: Path, tmp_path: Path
) -> None:
    server = start_server(env={"TIFFIN_HEARTBEAT_SECONDS": "0.5"})
    place = await open_restaurant(data_dir, server.url)
    async with Rest(server.url) as employee:
        await employee.log_in(place.employees[0], PASSWORD)
        kitchen = Kitchen(place, employee, employee)
        await kitchen.put(48.861)
        with curl(employee, kitchen.stream, tmp_path) as watching:
            await watching.has(1)
            await wait_until(lambda: comments(watching) >= 2, what="two comments")
            assert len(watching.events("location")) == 1


def comments(watching: Curl) -> int:
    """Blocks that contain only a comment."""
    return sum("" in block for block in watching.blocks)


async def test_others_cannot_see_the_driver_with_curl(kitchen: Kitchen, tmp_path: Path) -> None:
    await kitchen.sent_off()
    await kitchen.put(48.861)
    other = await kitchen.customer.another().register(f"other-{kitchen.place.id}@example.com")
    for rest, status in ((other, 404), (kitchen.customer.another(), 401)):
        with curl(rest, kitchen.stream, tmp_path) as refused:
            assert await refused.ends() == 22
            assert json.loads(refused.text.partition("curl:")[0])["status"] == status
            assert "48.861" not in refused.text
