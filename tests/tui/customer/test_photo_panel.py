"""The panel against a live server: sending, following, comparing, saving, deleting."""

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from customer_window import MEDIUM, NARROW, WIDE, focus
from photo_window import (
    desk_of,
    in_view,
    panel_of,
    photo_window,
    picture,
    send,
    without_photos,
)
from PIL import Image
from textual.widgets import Input

from server.features.uploads import estimate
from server.features.uploads.schemas import UploadStatus
from support.live_server import LiveServer, running_server, settings_for
from support.proxy import proxy_to
from support.rest import Rest
from support.screen import misses, sees, shown, told
from support.server_process import StartServer
from support.uploads import COFFEE
from support.uploads import send as send_by_rest
from support.waiting import wait_until
from tui.common.client import short_polling
from tui.common.client.meter import State
from tui.common.client.short_polling import INTERVAL_SECONDS
from tui.common.dialogs.account import AccountScreen, Avatar
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.dialogs.save import SaveScreen
from tui.common.uploads.dialogs import PickScreen
from tui.common.uploads.jobs import JobState


@pytest.fixture
async def queue_only(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveServer]:
    """The demo's town, where nobody works on photos, and wants to be asked every second."""
    monkeypatch.setattr(estimate, "INITIAL_SECONDS", 0.5)
    async with running_server(settings_for(data_dir, demo=True, photo_workers=0)) as server:
        await without_photos(server.url)
        yield server


async def uploads_at(server: LiveServer) -> list[dict[str, object]]:
    """What the demo's customer has there."""
    async with Rest(server.url) as rest:
        await rest.demo("customer")
        found: list[dict[str, object]] = (await rest.get("/uploads")).must(200).json["items"]
        return found


async def test_a_photo_of_a_cup_from_the_file_to_the_avatar(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The one with the real model: a process of its own, as its workers are."""
    model = Path(os.environ["U2NET_HOME"]) / "models" / "u2netp" / "u2netp.onnx"
    if not model.exists():
        pytest.skip(f"{model} is not there; `make model` fetches it")
    url = start_server(demo=True).url
    await without_photos(url)
    async with photo_window(url, tmp_path) as (app, pilot):
        await sees(app, "No photo yet")
        await send(app, pilot, COFFEE)
        await sees(app, "coffee.jpg", "600×400")
        assert panel_of(app).uploads.size.height == 4, "the rest of the room is the picture's"
        assert panel_of(app).view.before is not None, "seen before it has arrived"
        await wait_until(lambda: panel_of(app).badge == 1, what="one under way")
        await told(app, "the photo is ready", seconds=60)
        panel = panel_of(app)
        await wait_until(lambda: panel.view.compares and panel.view.settled, what="both pictures")
        await sees(app, "✓ done", "shown", "your avatar", "after", "◆", "short poll")
        assert panel.meter.requests >= 1
        assert panel.meter.state is State.IDLE
        assert panel.badge == 0
        await wait_until(
            lambda: (
                app.session.account and app.session.account.avatar_url == in_view(app).result_url
            ),
            what="the avatar",
        )
        after = panel.view.after
        assert after is not None
        alpha = after.image.getchannel("A")
        assert alpha.getpixel((alpha.width // 2, alpha.height // 2)) > 200
        assert alpha.getpixel((2, 2)) < 40
        split = panel.view.split
        await pilot.press("left", "left")
        assert panel.view.split < split, "the arrows work from the list"
        await pilot.press("shift+right")
        assert panel.view.split == 1.0
        await pilot.press("f2")
        await wait_until(lambda: bool(app.screen.query(Avatar)), what="the account")
        avatar = app.screen.query_one(Avatar)
        await wait_until(lambda: avatar.after is not None and avatar.settled, what="its picture")
        for size in (NARROW, WIDE):
            await pilot.resize_terminal(*size)
            await wait_until(lambda: avatar.settled and avatar.picture_region.height > 3)
            form = app.screen.query_one("#profile").region
            assert avatar.region in form, "beside the profile, and no higher"
            assert app.screen.query_one("StatusLine").region.bottom < app.size.height
        async with Rest(url) as guest:
            (await (await guest.demo("customer")).delete(f"/uploads/{in_view(app).id}")).must(204)
        await app.api.me()
        await wait_until(lambda: not avatar.display, what="none any more")


async def test_a_missing_model_is_reported(start_server: StartServer, tmp_path: Path) -> None:
    nowhere = {"U2NET_HOME": str(tmp_path / "no-model"), "TIFFIN_PHOTO_LEASE_SECONDS": "1"}
    server = start_server(demo=True, env=nowhere, wait=False)

    def listens() -> bool:
        # Not whether its port is free: who tries that holds it from the server for that moment.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", server.port)).close()
            return True
        return False

    await wait_until(listens, what="it listens, if not ready")
    async with photo_window(server.url, tmp_path) as (app, pilot):
        await send(app, pilot, picture(tmp_path))
        await sees(app, "✕ background", "model is missing or broken", "send the photo", seconds=60)
        assert in_view(app).status is UploadStatus.FAILED
        await told(app, "model is missing or broken")


async def test_the_place_in_the_queue_is_shown_and_another_photo_can_be_opened(
    queue_only: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_polling, "INTERVAL_AT_MOST", INTERVAL_SECONDS)
    async with photo_window(queue_only.url, tmp_path, MEDIUM) as (app, pilot):
        await send(app, pilot, picture(tmp_path, "first.png"))
        await sees(app, "next in the queue")
        first = in_view(app).id
        await send(app, pilot, picture(tmp_path, "second.png", (90, 120)))
        panel = panel_of(app)
        for size in (MEDIUM, NARROW):
            await pilot.resize_terminal(*size)
            await sees(app, "1 ahead of it", "second.png", "queued")
            assert panel.badge == 2
            app.set_focus(panel.view)
            await pilot.press("down")
            await sees(app, "next in the queue", "first.png")
            assert in_view(app).id == first
            assert panel.view.before is not None
            assert panel.view.before.width == 120
            await pilot.press("up")
        # Going to and fro between pending photos polls no faster, and no later.
        meter, began = panel.meter, time.monotonic()
        before = meter.requests
        await pilot.press("down", "up", "down", "up", "down")
        assert desk_of(app)._due_at <= time.monotonic() + INTERVAL_SECONDS
        await wait_until(lambda: meter.requests >= before + 2, what="two polls")
        assert meter.requests - before <= 2 + (time.monotonic() - began) / INTERVAL_SECONDS
        panel.uploads.action_cursor_up()
        panel.redraw()  # as for a poll or a clock, before anything has heard of the key
        assert in_view(app).id != first, "the highlight stays where the key has put it"
        panel.uploads.action_cursor_down()
        panel.action_delete()  # the next key, as quickly
        await wait_until(lambda: app.focused is not None and app.focused.id == "no", what="sure?")
        await pilot.press("right", "enter")
        await sees(app, "second.png", "next in the queue")
        assert [one["id"] for one in await uploads_at(queue_only)] == [in_view(app).id]


async def test_it_is_deleted_after_a_question(queue_only: LiveServer, tmp_path: Path) -> None:
    async with photo_window(queue_only.url, tmp_path) as (app, pilot):
        await send(app, pilot, picture(tmp_path))
        await sees(app, "next in the queue")
        await pilot.press("delete")
        await wait_until(lambda: isinstance(app.screen, ConfirmScreen), what="the question")
        await sees(app, "still being processed")
        await pilot.press("enter")
        await wait_until(lambda: len(app.screen_stack) == 1, what="no is the answer")
        assert len(await uploads_at(queue_only)) == 1
        await pilot.press("delete", "right", "enter")
        await sees(app, "No photo yet")
        assert await uploads_at(queue_only) == []
        await wait_until(lambda: panel_of(app).meter.state is State.IDLE, what="no more polls")


async def test_a_photo_deleted_elsewhere_disappears_from_the_card_and_the_panel(
    queue_only: LiveServer, tmp_path: Path
) -> None:
    async with photo_window(queue_only.url, tmp_path, MEDIUM) as (app, pilot):
        await send(app, pilot, picture(tmp_path))
        await sees(app, "next in the queue")
        await pilot.press("1")
        await wait_until(lambda: app.grid.main is app.panels[0], what="Orders in front")
        await sees(app, "Photo  1", "Avatar", "next in the queue")
        async with Rest(queue_only.url) as rest:
            await rest.demo("customer")
            (await rest.delete(f"/uploads/{in_view(app).id}")).must(204)
        await misses(app, "next in the queue")
        await pilot.press(str(panel_of(app).number))
        await sees(app, "No photo yet")


async def test_a_large_photo_shows_its_progress_and_is_sent_once_after_a_cut(
    queue_only: LiveServer, tmp_path: Path
) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (3000, 2900)).save(path, compress_level=0)
    size = path.stat().st_size
    assert 7_000_000 < size < 10 * 1024 * 1024
    async with (
        proxy_to(queue_only.url) as proxy,
        photo_window(proxy.url, tmp_path) as (app, pilot),
    ):
        proxy.stalling(200_000)
        await send(app, pilot, path)
        job = desk_of(app).jobs[0]
        await wait_until(lambda: 0 < job.sent < size, what="a part of it has gone")
        await sees(app, f"MB of {size / 1e6:.1f} MB", "upload", "sending")
        await pilot.press("X")
        await sees(app, "X restores it")
        assert job.attempts == 1
        await pilot.press("X")
        await sees(app, "attempt 2, ")
        proxy.passing()
        await sees(app, "next in the queue")
        assert job.attempts == 2
        assert len(await uploads_at(queue_only)) == 1


async def test_an_upload_waits_for_its_server_can_be_stopped_and_quitting_asks_first(
    queue_only: LiveServer, tmp_path: Path
) -> None:
    async with (
        proxy_to(queue_only.url) as proxy,
        photo_window(proxy.url, tmp_path) as (app, pilot),
    ):
        proxy.failing(1)
        await send(app, pilot, picture(tmp_path))
        job = desk_of(app).jobs[0]
        await wait_until(lambda: job.state is JobState.WAITING, what="it waits")
        await sees(app, "retrying ", "502")
        await pilot.press("delete", "right", "enter")
        await sees(app, "No photo yet")
        await send(app, pilot, picture(tmp_path, "other.png"))
        again = desk_of(app).jobs[0]
        await wait_until(lambda: again.state is JobState.WAITING, what="this one waits too")
        await pilot.press("ctrl+q")
        await sees(app, "A photo is not sent yet.", "Stay")
        await pilot.press("enter")
        await wait_until(lambda: len(app.screen_stack) == 1, what="the answer: stay")
        proxy.passing()
        await sees(app, "next in the queue")
        assert len(await uploads_at(queue_only)) == 1
        await pilot.press("ctrl+q")
        await wait_until(lambda: app._exit, what="nothing is lost: it closes without a question")


async def test_what_the_server_refuses_stays_with_its_reason(
    queue_only: LiveServer, tmp_path: Path
) -> None:
    """A file that was another one when it was looked at."""
    async with (
        proxy_to(queue_only.url) as proxy,
        photo_window(proxy.url, tmp_path) as (app, pilot),
    ):
        proxy.failing(1)
        path = picture(tmp_path)
        await send(app, pilot, path)
        job = desk_of(app).jobs[0]
        await wait_until(lambda: job.state is JobState.WAITING, what="it waits")
        path.write_bytes(b"%PDF-1.7")
        proxy.passing()
        await wait_until(lambda: job.state is JobState.REFUSED, what="refused")
        await sees(app, "✕ upload", "a PDF", "refused")
        await pilot.press("delete")
        await sees(app, "No photo yet")


async def test_a_cut_poll_comes_back(queue_only: LiveServer, tmp_path: Path) -> None:
    async with photo_window(queue_only.url, tmp_path) as (app, pilot):
        await pilot.press("x")
        await told(app, "nothing to cut")
        await send(app, pilot, picture(tmp_path))
        await sees(app, "next in the queue")
        meter = panel_of(app).meter
        await wait_until(lambda: meter.requests >= 1, what="a poll")
        await pilot.press("X")
        await sees(app, "X restores it")
        await pilot.press("X")
        await wait_until(lambda: meter.reconnects == 1, what="back again")
        assert in_view(app).status is UploadStatus.QUEUED


async def test_a_picture_is_saved_and_a_file_is_replaced_only_on_request(
    queue_only: LiveServer, tmp_path: Path
) -> None:
    source = picture(tmp_path)
    async with photo_window(queue_only.url, tmp_path) as (app, pilot):
        await pilot.press("s")
        await told(app, "no picture to save")
        await send(app, pilot, source)
        await sees(app, "next in the queue")
        target = tmp_path / "kept.png"
        target.write_text("precious")

        async def save(where: Path) -> SaveScreen:
            # A file is there before the dialog that has saved it is gone.
            await wait_until(lambda: len(app.screen_stack) == 1, what="no dialog any more")
            await pilot.press("s")
            await wait_until(lambda: isinstance(app.screen, SaveScreen), what="the question")
            screen = app.screen
            assert isinstance(screen, SaveScreen)
            assert screen.query_one(Input).value.endswith("plate-tiffin.png")
            screen.query_one(Input).value = str(where)
            await pilot.press("enter")
            return screen

        await save(target)
        await wait_until(lambda: isinstance(app.screen, ConfirmScreen), what="may it be replaced?")
        assert target.read_text() == "precious"
        await pilot.press("right", "enter")
        await told(app, "Saved as")
        assert target.read_bytes() == source.read_bytes()
        await save(tmp_path / "no" / "such" / "folder.png")
        await sees(app, "cannot be written")
        await pilot.press("escape")
        await save(tmp_path / ("n" * 300))
        await sees(app, "cannot be written")
        await pilot.press("escape")
        longest = tmp_path / ("n" * 255)
        await save(longest)
        await wait_until(longest.exists, what="the longest name there may be")
        await save(tmp_path)
        await wait_until(lambda: (tmp_path / "plate-tiffin.png").exists(), what="in that folder")


async def test_the_picker_reports_errors_and_opens_folders(
    queue_only: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "Pictures").mkdir()
    (tmp_path / "Pictures" / "notes.txt").write_text("not offered")
    picture(tmp_path / "Pictures", "the plate.png")
    async with photo_window(queue_only.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("n")
        await sees(app, "the plate.png", "JPEG, PNG or WebP")
        assert "notes.txt" not in shown(app)
        await pilot.press(*"Pictures/nothing.jpg", "enter")
        await sees(app, "✕ There is no file")
        for odd, words in (("file://[x", "✕ Enter the path"), ("n" * 300, "cannot be read")):
            app.screen.query_one(Input).value = odd
            await focus(app.screen, "Input")
            await pilot.press("enter")
            await sees(app, words)
        await focus(app.screen, "DirectoryTree")
        await pilot.press("down", "enter")
        await wait_until(lambda: len(app.screen_stack) == 1, what="taken from the tree")
        await sees(app, "the plate.png", "next in the queue")


async def test_from_the_account_screen(queue_only: LiveServer, tmp_path: Path) -> None:
    async with photo_window(queue_only.url, tmp_path) as (app, pilot):
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen), what="the account")
        await pilot.click("#photo")
        await wait_until(lambda: isinstance(app.screen, PickScreen), what="the picker")
        app.screen.query_one(Input).value = str(picture(tmp_path))
        await pilot.press("enter")
        await sees(app, "Your photo is being uploaded; see panel 5")
        await pilot.press("escape")
        await sees(app, "next in the queue")


async def test_photos_sent_elsewhere_are_listed_newest_first_page_by_page(
    queue_only: LiveServer, tmp_path: Path
) -> None:
    content = picture(tmp_path, size=(4, 3)).read_bytes()
    async with Rest(queue_only.url) as rest:
        await rest.demo("customer")
        for _ in range(53):
            (await send_by_rest(rest, content)).must(202)
        wanted = [one["id"] for one in await uploads_at(queue_only)]
    async with photo_window(queue_only.url, tmp_path, MEDIUM) as (app, pilot):
        assert [row.id for row in desk_of(app).rows] == wanted[:50]
        uploads = panel_of(app).uploads
        await wait_until(lambda: uploads.option_count == 50 and uploads.has_focus)
        await pilot.press("end")
        await wait_until(lambda: uploads.highlighted is not None and uploads.highlighted >= 49)
        await wait_until(lambda: len(desk_of(app).rows) == 53, what="the older ones")
        await sees(app, "ahead of it")
        await wait_until(lambda: panel_of(app).view.before is not None, what="fetched")
