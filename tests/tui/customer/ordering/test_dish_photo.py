"""The photo of the dish in focus, beside the menu."""

from pathlib import Path

from customer_window import MEDIUM, NARROW, WIDE, Kitchen, customer_window, to_menu

from support.live_server import LiveServer
from support.proxy import proxy_to
from support.screen import sees
from support.waiting import wait_until
from tui.customer.app import CustomerApp
from tui.customer.ordering.dish import DishPhoto
from tui.customer.ordering.menu import MenuList

PLACE = "Thai Basil"


def picture_of(app: CustomerApp) -> DishPhoto:
    """The picture beside the menu."""
    return app.screen.query_one(DishPhoto)


async def shows_one(app: CustomerApp) -> None:
    """Wait until there is a photo, drawn."""
    view = picture_of(app)
    await wait_until(lambda: view.after is not None and view.settled, what="the dish's photo")


async def test_the_photo_changes_with_the_selected_dish_in_every_size(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with customer_window(demo_server.url, tmp_path, WIDE) as (app, pilot):
        await to_menu(app, pilot, PLACE)
        for size in (WIDE, MEDIUM, NARROW):
            await pilot.resize_terminal(*size)
            await shows_one(app)
            first = picture_of(app).after
            await pilot.press("down")
            await wait_until(
                lambda first=first: picture_of(app).after not in (None, first),  # type: ignore[misc]
                what="the next one's",
            )
            await pilot.press("up")
            await wait_until(
                lambda first=first: picture_of(app).after is first,  # type: ignore[misc]
                what="the first, not fetched anew",
            )


async def test_without_room_no_photo_is_fetched(demo_server: LiveServer, tmp_path: Path) -> None:
    async with (
        proxy_to(demo_server.url) as proxy,
        customer_window(proxy.url, tmp_path, (72, 24)) as (app, pilot),
    ):
        await to_menu(app, pilot, PLACE)
        await pilot.press("down", "down")
        assert not picture_of(app).size
        assert not [path for path in proxy.requests if path.endswith("/result")]
        await pilot.resize_terminal(*WIDE)
        await shows_one(app)


async def test_a_missing_and_a_broken_photo_are_explained(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path, data_dir: Path
) -> None:
    menu = (await kitchen.restaurant())["menu"]
    missing, broken = (dish["photo_url"].split("/")[-2] for dish in menu[:2])
    (await kitchen.rest.delete(f"/uploads/{missing}")).must(204)
    for blob in (data_dir / "blobs").glob(f"{broken}*.result"):
        blob.unlink()  # a link to the file of every demo
        blob.write_bytes(b"\x89PNG\r\n\x1a\nnot whole")
    async with customer_window(demo_server.url, tmp_path) as (app, pilot):
        await to_menu(app, pilot, "Curry Leaf")
        await sees(app, "no photo yet")
        await pilot.press("down")
        await sees(app, "its photo cannot be shown")
        await pilot.press("down")
        await shows_one(app)


async def test_the_menu_does_not_wait_for_a_photo(demo_server: LiveServer, tmp_path: Path) -> None:
    async with (
        proxy_to(demo_server.url) as proxy,
        customer_window(proxy.url, tmp_path) as (app, pilot),
    ):
        screen = await to_menu(app, pilot, PLACE)
        await shows_one(app)
        proxy.failing(1)
        await pilot.press("down", "down")
        menu = screen.query_one(MenuList)
        dish = menu.dish(menu.highlighted or 0)
        assert dish is menu.items[1], "the third by category"
        await sees(app, "the photo cannot be loaded now")
        await pilot.press("enter")
        await sees(app, f"1× {dish.name}")
        proxy.passing()
        await pilot.press("down")
        await shows_one(app)
