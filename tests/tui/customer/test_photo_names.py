"""Photos whose files have names that would steer a terminal."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from photo_window import desk_of, photo_window, picture
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Button, Input

from support.live_server import running_server, settings_for
from support.screen import sees, shown, steering, told
from support.waiting import wait_until
from tui.common.dialogs.save import SaveScreen
from tui.common.uploads.dialogs import PickScreen, PictureTree
from tui.common.uploads.local_picture import LocalPicture
from tui.common.widgets.path_field import PathField
from tui.customer.app import CustomerApp

NAMES = {
    "\x1b]0;owned\x07a.png": "]0;owneda.png",
    "b\u202egnp.exe.png": "bgnp.exe.png",
    "c[red]\nd.png": "c[red] d.png",
    "d\x9b31m.png": "d31m.png",
    os.fsdecode(b"e\xe9.png"): "e\ufffd.png",
    "f\\ g.png": "f\\ g.png",
}
"""As they are on the disk, and as they are shown."""
NEXT = "]0;owned\\  a-tiffin.png"
"""What the last of them is saved as."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one picture of each name."""
    folder = tmp_path / "home"
    folder.mkdir()
    made = picture(tmp_path).read_bytes()
    for name in NAMES:
        (folder / name).write_bytes(made)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
async def app() -> AsyncIterator[tuple[CustomerApp, Pilot[None]]]:
    """A window at its log-in screen; no server is needed to look at files."""
    app = CustomerApp("http://127.0.0.1:9")
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(lambda: app.screen.query("#email"), what="the log-in screen")
        yield app, pilot


async def test_the_right_file_is_taken_and_its_name_shown_clean(
    app: tuple[CustomerApp, Pilot[None]], home: Path
) -> None:
    window, pilot = app
    for name, seen in NAMES.items():
        chosen: list[LocalPicture | None] = []
        await window.push_screen(PickScreen("Avatar"), chosen.append)
        await sees(window, *NAMES.values())
        assert not steering(shown(window))
        tree = window.screen.query_one(PictureTree)
        tree.focus()
        tree.move_cursor(
            next(one for one in tree.root.children if one.data and one.data.path.name == name)
        )
        await pilot.press("enter")
        await wait_until(lambda chosen=chosen: chosen, what="it is taken")
        assert chosen[0] is not None
        assert (chosen[0].path, chosen[0].name) == (home / name, seen)


async def test_a_pasted_path_is_found_and_shown_clean(
    app: tuple[CustomerApp, Pilot[None]], home: Path
) -> None:
    window, _ = app
    for name in NAMES:
        await window.push_screen(PickScreen("Avatar"))
        field = window.screen.query_one(PathField)
        await wait_until(lambda field=field: field.has_focus, what="the field in focus")
        window.post_message(Paste(f"'{home / name}'\n"))
        await wait_until(lambda field=field: field.value, what="the path in it")
        assert field.path == home / name
        assert not steering(shown(window))
        window.pop_screen()


async def test_what_is_pasted_elsewhere_steers_no_terminal_either(
    app: tuple[CustomerApp, Pilot[None]],
) -> None:
    window, _ = app
    for field, kept in (("email", "a]0;xb"), ("password", "a\x1b]0;x\x07\u202eb")):
        place = window.screen.query_one(f"#{field}", Input)
        place.focus()
        await wait_until(lambda place=place: place.has_focus, what=f"{field} in focus")
        window.post_message(Paste("a\x1b]0;x\x07\u202eb"))
        await wait_until(lambda place=place: place.value, what="it is pasted")
        assert place.value == kept
        assert not steering(shown(window))


async def test_a_photo_of_such_a_name_is_sent_and_saved(
    data_dir: Path, tmp_path: Path, home: Path
) -> None:
    name = "\x1b]0;\u202eowned\x07\\ \na.png"
    (home / name).write_bytes(picture(tmp_path).read_bytes())
    (home / NEXT).write_bytes(b"")
    async with (
        running_server(settings_for(data_dir, demo=True, photo_workers=0)) as server,
        photo_window(server.url, tmp_path) as (app, pilot),
    ):
        await pilot.press("n")
        await wait_until(lambda: isinstance(app.screen, PickScreen), what="the picker")
        app.screen.query_one(PathField).show(home / name)
        await pilot.press("enter")
        await wait_until(lambda: desk_of(app).names, what="it is sent")
        await sees(app, "]0;owned\\  a.png")
        assert not steering(shown(app))
        await pilot.press("s")
        await wait_until(lambda: isinstance(app.screen, SaveScreen), what="where to save it")
        await pilot.press("enter")
        await sees(app, "There is a file", "already", "owned")
        assert not steering(shown(app))
        app.screen.query_one("#yes", Button).press()
        await told(app, f"Saved as {home}/{NEXT}.")
        assert (home / NEXT).stat().st_size
        assert not steering(shown(app))
