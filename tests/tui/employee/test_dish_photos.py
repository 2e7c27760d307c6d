"""The employee's photos: the queue, a dish's photo from the panel and from the menu."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from kitchen_window import KitchenWindow, kitchen_window
from PIL import Image
from textual.widgets import Input, OptionList

from support.live_server import LiveServer, running_server, settings_for
from support.waiting import wait_until
from tui.common.uploads.dialogs import PickScreen
from tui.employee.kitchen.panel import KitchenPanel
from tui.employee.menu import MenuScreen
from tui.employee.uploads import DishPhotoPanel, PhotoSubjectScreen

photos_window = partial(kitchen_window, panels=(KitchenPanel, DishPhotoPanel))


@pytest.fixture
async def queue_only(data_dir: Path) -> AsyncIterator[LiveServer]:
    """The demo's town, where nobody works on photos."""
    async with running_server(settings_for(data_dir, demo=True, photo_workers=0)) as server:
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small picture in a file."""
    path = tmp_path / "today.png"
    Image.new("RGB", (60, 40), (200, 120, 40)).save(path)
    return path


def panel_of(window: KitchenWindow) -> DishPhotoPanel:
    """The panel under test."""
    return next(panel for panel in window.app.panels if isinstance(panel, DishPhotoPanel))


async def pick(window: KitchenWindow, photo: Path) -> None:
    """Choose that file in the picker."""
    await wait_until(lambda: isinstance(window.app.screen, PickScreen), what="the picker")
    window.app.screen.query_one(Input).value = str(photo)
    await window.press("enter")


async def test_the_demos_dishes_are_there_to_compare_in_every_size(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with photos_window(demo_server.url, tmp_path) as window:
        await window.press(str(panel_of(window).number))
        view = panel_of(window).view
        for size in ((160, 48), (100, 30), (80, 24)):
            await window.pilot.resize_terminal(*size)
            await window.sees("Masala dosa", "shown", "on the menu")
            await wait_until(lambda: view.compares and view.settled, what="before and after")
            await wait_until(lambda: panel_of(window).uploads.option_count == 8, what="the list")
            await window.sees("◆", "before", "after")
            chosen = panel_of(window).row
            await window.press("down")
            await wait_until(
                lambda chosen=chosen: (  # type: ignore[misc]
                    panel_of(window).row is not chosen and view.compares and view.settled
                ),
                what="the next one",
            )
            await window.press("up")


async def test_a_broken_result_is_reported_beside_the_original(
    demo_server: LiveServer, tmp_path: Path, data_dir: Path
) -> None:
    for blob in (data_dir / "blobs").glob("*.result"):
        blob.unlink()  # a link to the file of every demo
        blob.write_bytes(b"\x89PNG\r\n\x1a\nnot whole")
    async with photos_window(demo_server.url, tmp_path) as window:
        await window.press(str(panel_of(window).number))
        view = panel_of(window).view
        await wait_until(lambda: view.before is not None and view.settled, what="the original")
        await window.sees("✕ ", "cannot be shown here")


async def test_a_dish_is_chosen_and_its_photo_queued(
    queue_only: LiveServer, tmp_path: Path, photo: Path
) -> None:
    async with photos_window(queue_only.url, tmp_path) as window:
        await window.press(str(panel_of(window).number), "n")
        await wait_until(lambda: isinstance(window.app.screen, PhotoSubjectScreen))
        await window.sees("Every dish has a photo", "Chicken biryani", "Yourself")
        await window.press("down", "enter")
        await window.sees("A photo of Chicken biryani")
        await pick(window, photo)
        await window.sees("next in the queue", "queued", "today.png")
        row = panel_of(window).row
        assert row is not None
        assert panel_of(window).about(row) == "Chicken biryani"
        assert panel_of(window).badge == 1
        await window.press("n")
        await wait_until(lambda: isinstance(window.app.screen, PhotoSubjectScreen))
        await wait_until(lambda: window.app.screen.query_one(OptionList).option_count)
        await window.press("end", "enter")
        await window.sees("A photo for your avatar")
        await pick(window, photo)
        await window.sees("1 ahead of it", "Avatar")


async def test_the_menu_of_the_kitchen_asks_for_a_photo_too(
    queue_only: LiveServer, tmp_path: Path, photo: Path
) -> None:
    async with photos_window(queue_only.url, tmp_path) as window:
        await window.press("s")
        await wait_until(lambda: isinstance(window.app.screen, MenuScreen), what="the menu")
        await window.sees("8 dishes")
        await window.press("down", "down", "p")
        await window.sees("A photo of Idli")
        await pick(window, photo)
        await window.sees("Idli: the photo is being uploaded; see panel 5.")
        await window.press("escape", "5")
        await window.sees("next in the queue", "today.png")


async def test_where_only_one_fits_list_and_picture_alternate(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with photos_window(demo_server.url, tmp_path, (60, 18)) as window:
        await window.press(str(panel_of(window).number))
        panel = panel_of(window)
        await wait_until(lambda: panel.view.has_focus and panel.view.settled, what="the picture")
        await window.press("l")
        await wait_until(lambda: panel.uploads.has_focus, what="the list")
        await window.sees("Chicken biryani", "Mango lassi")
        await window.press("down", "l")
        await wait_until(lambda: panel.view.has_focus, what="the picture again")
        await window.sees("Chicken biryani", "before", "after")
