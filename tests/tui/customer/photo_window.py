"""The customer's window with the photos in front, and pictures to send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from customer_window import WIDE, customer_window
from PIL import Image, ImageDraw
from textual.pilot import Pilot

from server.features.uploads.schemas import Upload
from support.rest import Rest
from support.waiting import wait_until
from tui.common.uploads.dialogs import PickScreen
from tui.common.uploads.manager import UploadManager
from tui.common.uploads.panel import PhotoPanel
from tui.customer.app import CustomerApp
from tui.customer.orders.panel import OrdersPanel
from tui.customer.uploads import AvatarPanel


def picture(folder: Path, name: str = "plate.png", size: tuple[int, int] = (120, 90)) -> Path:
    """A plate on a table, in a file."""
    drawn = Image.new("RGB", size, (150, 110, 70))
    wide, high = size
    box = (wide * 0.2, high * 0.1, wide * 0.8, high * 0.9)
    ImageDraw.Draw(drawn).ellipse(box, fill=(240, 240, 235))
    path = folder / name
    drawn.save(path)
    return path


def panel_of(app: CustomerApp) -> PhotoPanel:
    """The panel under test."""
    return next(panel for panel in app.panels if isinstance(panel, PhotoPanel))


def desk_of(app: CustomerApp) -> UploadManager:
    """Its uploads."""
    manager = panel_of(app).manager
    assert manager is not None
    return manager


def in_view(app: CustomerApp) -> Upload:
    """The upload in view."""
    row = panel_of(app).row
    assert isinstance(row, Upload)
    return row


async def without_photos(url: str) -> None:
    """Delete the photo that the demo's customer begins with."""
    async with Rest(url) as rest:
        await rest.demo("customer")
        for one in (await rest.get("/uploads")).must(200).json["items"]:
            (await rest.delete(f"/uploads/{one['id']}")).must(204)


@asynccontextmanager
async def photo_window(
    url: str, store: Path, size: tuple[int, int] = WIDE, *, email: str | None = None
) -> AsyncIterator[tuple[CustomerApp, Pilot[None]]]:
    """A window with this panel in front and its list read."""
    panels = OrdersPanel, AvatarPanel
    async with customer_window(url, store, size, email=email, panels=panels) as (app, pilot):
        await wait_until(lambda: desk_of(app).store.loaded, what="the list of photos")
        await pilot.press(str(panel_of(app).number))
        yield app, pilot


async def send(app: CustomerApp, pilot: Pilot[None], path: Path) -> None:
    """Choose a picture by its path, as one who pastes it. Returns once the list has it."""
    before = len(desk_of(app).rows)
    await pilot.press("n")
    await wait_until(lambda: isinstance(app.screen, PickScreen), what="the picker")
    app.screen.query_one("#path").value = str(path)  # type: ignore[attr-defined]
    await pilot.press("enter")
    # The dialog is gone before its answer is acted on.
    await wait_until(lambda: len(desk_of(app).rows) > before, what="the picture is taken")
