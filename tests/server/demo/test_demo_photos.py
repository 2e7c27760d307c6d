"""The demo's dishes and customers have photos from the first start on, as ordinary uploads."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from server.demo.photos import FOLDER
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.waiting import wait_until

MAX_BYTES = 3_000_000


@pytest.fixture
async def town(data_dir: Path) -> AsyncIterator[Rest]:
    """The demo's employee, at a server with a new town."""
    async with (
        running_server(settings_for(data_dir, demo=True), copied=False) as server,
        Rest(server.url) as rest,
    ):
        yield await rest.demo("employee")


async def menus(rest: Rest) -> list[dict[str, Any]]:
    found = (await rest.get("/restaurants")).must(200).json["items"]
    return [(await rest.get(f"/restaurants/{one['id']}")).must(200).json for one in found]


def local(url: str) -> str:
    return url.removeprefix("/api/v1")


async def test_every_dish_has_a_photo_without_background(town: Rest) -> None:
    for restaurant in await menus(town):
        for dish in restaurant["menu"]:
            body = (await town.get(local(dish["photo_url"]))).must(200).body
            with Image.open(io.BytesIO(body), formats=("PNG",)) as picture:
                alpha = picture.convert("RGBA").getchannel("A")
            assert alpha.getpixel((0, 0)) == 0, f"{dish['name']} still shows its table"
            opaque = sum(alpha.histogram()[240:]) / (alpha.width * alpha.height)
            assert 0.05 < opaque < 0.8, f"{dish['name']}: {opaque:.0%} is opaque"


async def test_the_photos_are_uploads_of_the_employee_who_may_delete_them(
    town: Rest, data_dir: Path
) -> None:
    account = town.grant["account"]
    menu = (await town.get(f"/restaurants/{account['restaurant_id']}")).must(200).json["menu"]
    uploads = (await town.get("/uploads")).must(200).json["items"]
    assert [one["menu_item_id"] for one in uploads] == [dish["id"] for dish in menu]
    first = uploads[0]
    assert (first["status"], first["shown"], first["result_url"]) == (
        "done", True, menu[0]["photo_url"],
    )  # fmt: skip
    (await town.get(local(first["original_url"]))).must(200)
    (await town.delete(f"/uploads/{first['id']}")).must(204)
    after = (await town.get(f"/restaurants/{account['restaurant_id']}")).must(200).json["menu"]
    assert "photo_url" not in after[0]
    blobs = data_dir / "blobs"
    await wait_until(lambda: not list(blobs.glob(f"{first['id']}*")), what="its files are gone")

    # a customer has one as well, which is their avatar
    customer = (await town.demo("customer")).grant["account"]
    [own] = (await town.get("/uploads")).must(200).json["items"]
    assert (own["status"], own["purpose"], own["shown"]) == ("done", "avatar", True)
    assert own["result_url"] == customer["avatar_url"]
    assert (await town.get(local(own["result_url"]))).must(200).body.startswith(b"\x89PNG")


async def test_photos_are_added_once_and_stay_deleted(data_dir: Path) -> None:
    def files() -> int:
        return len(list((data_dir / "blobs").glob("upl_*.result")))

    found = []
    for start in range(2):
        async with (
            running_server(settings_for(data_dir, demo=True), copied=False) as server,
            Rest(server.url) as rest,
        ):
            await rest.demo("employee")
            uploads = (await rest.get("/uploads")).must(200).json["items"]
            found.append((len(uploads), files()))
            if start == 0:
                (await rest.delete(f"/uploads/{uploads[0]['id']}")).must(204)
                await wait_until(lambda: files() == found[0][1] - 1, what="its file is gone")
    assert found[1] == (found[0][0] - 1, found[0][1] - 1)


def test_there_is_one_small_photo_of_each_dish() -> None:
    plan = json.loads((FOLDER / "photos.json").read_text("utf-8"))
    town = json.loads((FOLDER.parent / "town.json").read_text("utf-8"))
    dishes = {(one["name"], dish[0]) for one in town["restaurants"] for dish in one["menu"]}
    assert {(one["restaurant"], one["dish"]) for one in plan} == dishes
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MAX_BYTES
