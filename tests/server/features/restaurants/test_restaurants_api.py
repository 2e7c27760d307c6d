"""Restaurants and their menus over REST."""

import io
import re
import shlex
from pathlib import Path

import pytest

from server.__main__ import _parser
from server.core.errors import Problem
from server.features.restaurants.schemas import NewRestaurant
from server.features.restaurants.service import add_restaurant, restaurant_named
from server.settings import load_settings
from support.accounts import PASSWORD
from support.cast import Cast
from support.live_server import LiveServer
from support.town import database_in

README = Path(__file__).resolve().parents[4] / "README.md"


async def test_every_logged_in_account_reads_restaurants(cast: Cast) -> None:
    for caller in (cast.customer, cast.employee, cast.outsider):
        page = (await caller.get("/restaurants")).must(200).json
        assert [one["name"] for one in page["items"]] == ["Harbour Grill", "Saffron"]
        assert page["next"] is None
        first = (await caller.get("/restaurants", params={"limit": "1"})).must(200).json
        assert [one["name"] for one in first["items"]] == ["Harbour Grill"]
        rest = (await caller.get("/restaurants", params={"before": first["next"]})).must(200).json
        assert [one["name"] for one in rest["items"]] == ["Saffron"]
        assert rest["next"] is None
        menu = (await caller.get(f"/restaurants/{cast.place.id}")).must(200).json["menu"]
        assert [dish["id"] for dish in menu] == list(cast.place.dishes)
        assert menu[0] == {
            "id": cast.place.dishes[0],
            "name": "Dish 1",
            "description": "",
            "price_cents": 901,
            "available": True,
            "category": "",
            "tags": [],
            "version": 1,
        }
    (await cast.customer.get("/restaurants/rst_none")).must(404)
    (await cast.customer.get("/restaurants/%00")).must(404)


async def test_a_menu_is_changed_by_its_restaurants_employees(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}/menu"
    dish = {"name": " Samosa ", "description": "Two,\nwith chutney", "price_cents": 450}
    answer = (await cast.employee.post(path, dish)).must(201)
    added = answer.json
    assert added["name"] == "Samosa"
    assert added["available"] is True
    assert answer.headers["Location"].endswith(added["id"])

    changed = (await cast.employee.patch(f"{path}/{added['id']}", {"available": False})).must(200)
    assert changed.json == added | {"available": False}
    changed = (await cast.employee.patch(f"{path}/{added['id']}", {})).must(200)
    assert changed.json == added | {"available": False}
    (await cast.employee.patch(f"{path}/{added['id']}", {"name": None})).must(422)

    (await cast.employee.delete(f"{path}/{added['id']}")).must(204)
    (await cast.employee.delete(f"{path}/{added['id']}")).must(404)
    (await cast.employee.patch(f"{path}/{added['id']}", {"available": True})).must(404)
    menu = (await cast.customer.get(f"/restaurants/{cast.place.id}")).json["menu"]
    assert added["id"] not in [one["id"] for one in menu]


async def test_a_menu_is_not_changed_by_others(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}/menu"
    dish = {"name": "Mine", "price_cents": 1}
    item = f"{path}/{cast.place.dishes[0]}"
    for caller, status in ((cast.customer, 403), (cast.outsider, 404), (cast.nobody, 401)):
        (await caller.post(path, dish)).must(status)
        (await caller.patch(item, {"price_cents": 1})).must(status)
        (await caller.delete(item)).must(status)
    crossed = f"/restaurants/{cast.elsewhere.id}/menu/{cast.place.dishes[0]}"
    (await cast.outsider.patch(crossed, {"price_cents": 1})).must(404)
    (await cast.outsider.delete(crossed)).must(404)


@pytest.mark.parametrize(
    "dish",
    [
        {"price_cents": 1},
        {"name": "", "price_cents": 1},
        {"name": "x" * 81, "price_cents": 1},
        {"name": "x\u0007", "price_cents": 1},
        {"name": "x", "price_cents": -1},
        {"name": "x", "price_cents": 1.5},
        {"name": "x", "price_cents": 10**12},
        {"name": "x", "price_cents": 1, "available": "perhaps"},
        {"name": "x", "price_cents": 1, "description": "y" * 501},
    ],
)
async def test_invalid_dishes_are_refused(cast: Cast, dish: dict[str, object]) -> None:
    (await cast.employee.post(f"/restaurants/{cast.place.id}/menu", dish)).must(422)


async def test_restaurants_are_found_by_name(cast: Cast, live_server: LiveServer) -> None:
    async with database_in(live_server.settings.data_dir) as database:
        assert await restaurant_named(database, "saffron") == cast.place.id
        assert await restaurant_named(database, cast.place.id) == cast.place.id
        with pytest.raises(Problem, match="there are: Harbour Grill, Saffron"):
            await restaurant_named(database, "Saffran")
        twin = NewRestaurant(name="SAFFRON", cuisine="x", address="x", lat=0, lng=0)
        with pytest.raises(Problem, match="already"):
            await add_restaurant(database, twin)


def test_the_commands_in_readme_open_a_restaurant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(data_dir=tmp_path)

    def run(*command: str) -> int:
        options = _parser().parse_args(command)
        return int(options.run(options, settings))

    found = re.search(r"-m server migrate\n(.*?)python -m server --host", README.read_text(), re.S)
    assert found is not None
    for line in found[1].replace("\\\n", "").splitlines():
        _, _, _, *command = shlex.split(line)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        assert run(*command) == 0
        assert " is " in capsys.readouterr().out
    add = shlex.split("add-restaurant --name Mars --cuisine x --address x --lat 0 --lng 0")
    assert run(*add, "--time-zone", "Mars/Olympus") == 2
    assert "--time-zone: " in capsys.readouterr().err
