"""What was written while there was no connection, and the window closed before it came back."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from chat_apps import Side, customer_side, employee_side
from textual.widgets import Button, Input

from server.demo.town import PASSWORD_FILE
from server.features.chat.schemas import Chat
from support.live_server import LiveServer
from support.proxy import proxy_to
from support.rest import Rest
from support.waiting import PATIENCE, wait_until
from tui.common.client.meter import State
from tui.common.client.outbox import UnsentMessage
from tui.common.dialogs.login import LoginScreen

pytestmark = pytest.mark.usefixtures("few_frames")

SUBJECT = "Where is my order?"


async def texts(rest: Rest, chat_id: str) -> list[str]:
    """Oldest first, as the server has them."""
    page = (await rest.get(f"/chats/{chat_id}/messages")).must(200).json
    return [one["text"] for one in reversed(page["items"])]


def kept(folder: Path) -> list[Path]:
    """The files of what is unsent."""
    return [path for path in folder.rglob("*.json") if path.match("*.unsent/*/*")]


async def write_without_a_connection(
    url: str,
    folder: Path,
    window: Callable[[str, Path], AbstractAsyncContextManager[Side]],
) -> None:
    """Two messages in a window that is closed while they wait."""
    async with proxy_to(url) as proxy, window(proxy.url, folder) as side:
        await side.go()
        await side.sees(SUBJECT)
        await side.live()
        side.panel.action_write()
        proxy.failing(every=1)
        proxy.cut()
        chat_session = side.panel.current
        assert chat_session is not None
        await wait_until(lambda: chat_session.meter.state is not State.LIVE, what="the cut")
        await side.send_typing("one")
        await side.send_typing("two")
        await side.sees("◌ waiting")
        assert len(chat_session.outbox) == 2


@pytest.mark.parametrize("role", ["customer", "employee"])
async def test_it_is_sent_by_the_next_window(
    demo_server: LiveServer, tmp_path: Path, guest: Rest, desk: Rest, role: str
) -> None:
    chat = (await guest.post("/chats", {"subject": SUBJECT})).must(201).json
    if role == "employee":
        (await desk.post(f"/chats/{chat['id']}/take")).must(200)
    window = customer_side if role == "customer" else employee_side

    await write_without_a_connection(demo_server.url, tmp_path, window)
    assert await texts(guest, chat["id"]) == []
    # Newer chats than that one, so that it would not be in view by itself.
    for number in range(6):
        newer = (await guest.post("/chats", {"subject": f"newer {number}"})).must(201).json
        if role == "employee":
            (await desk.post(f"/chats/{newer['id']}/take")).must(200)
    async with window(demo_server.url, tmp_path) as side:
        await side.go()
        await side.sees(SUBJECT, "one", "two")
        await side.misses("◌ waiting")
        await wait_until(
            lambda: side.panel.current is not None and not side.panel.current.outbox,
            what="them to go",
        )
    assert not kept(tmp_path)
    assert await texts(guest, chat["id"]) == ["one", "two"]


async def test_two_windows_that_have_it_send_one_message(
    demo_server: LiveServer, tmp_path: Path, guest: Rest
) -> None:
    chat = (await guest.post("/chats", {"subject": SUBJECT})).must(201).json
    async with proxy_to(demo_server.url) as proxy, customer_side(proxy.url, tmp_path) as first:
        await first.go()
        await first.live()
        await first.press("enter")
        proxy.failing(every=1)
        proxy.cut()
        await first.send_typing("once")
        await first.sees("◌ waiting")
        async with customer_side(demo_server.url, tmp_path) as second:
            await second.go()
            await second.sees("once", "✓")
            proxy.passing()
            await first.misses("◌ waiting")
            await first.sees("once", "✓")
    assert await texts(guest, chat["id"]) == ["once"]


async def test_what_is_refused_then_can_be_written_again(
    demo_server: LiveServer, tmp_path: Path, guest: Rest
) -> None:
    chat = (await guest.post("/chats", {"subject": SUBJECT})).must(201).json

    await write_without_a_connection(demo_server.url, tmp_path, customer_side)
    (await guest.post(f"/chats/{chat['id']}/close")).must(200)
    async with customer_side(demo_server.url, tmp_path) as side:
        await side.go()
        await side.sees("one", "two", "The chat is closed")
        await side.press("o")
        await side.sees("Write to support")
        await side.press("escape", "e")
        await side.press("enter")
        await wait_until(
            lambda: side.panel.current is not None and not side.panel.current.outbox,
            what="it to go",
        )
    assert await texts(guest, chat["id"]) == ["one\ntwo"]


async def test_an_account_that_is_deleted_leaves_nothing(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    password = (demo_server.settings.data_dir / PASSWORD_FILE).read_text().strip()
    async with customer_side(demo_server.url, tmp_path) as side:
        side.panel.store.write("cht-elsewhere", UnsentMessage("never sent"))
        assert kept(tmp_path)
        await side.press("escape", "f2")
        await side.sees("Delete account")
        side.app.screen.query_one("#delete", Button).press()
        await side.sees("can't be undone")
        side.app.screen.query_one("#password", Input).value = password
        side.app.screen.query_one("#yes", Button).press()
        await side.sees("Your account is deleted")
    assert not kept(tmp_path)


async def test_what_the_disk_does_not_keep_is_asked_about(
    demo_server: LiveServer, tmp_path: Path, guest: Rest
) -> None:
    (await guest.post("/chats", {"subject": SUBJECT})).must(201)
    async with proxy_to(demo_server.url) as proxy, customer_side(proxy.url, tmp_path) as side:
        await side.go()
        await side.sees(SUBJECT)
        await side.live()
        assert side.app.auth.tokens is not None
        side.app.auth.tokens.path.with_suffix(".unsent").write_text("no folder")
        side.panel.action_write()
        proxy.failing(every=1)
        proxy.cut()
        await side.send_typing("one")
        await side.sees("◌ waiting")
        await side.pilot.press(*"half", "ctrl+q")
        await side.sees("A chat message is not sent yet", "A half-written message is not sent yet")


def drafts(folder: Path) -> list[Path]:
    """The files of what is half written."""
    return list(folder.rglob("*.draft"))


@pytest.mark.parametrize("role", ["customer", "employee"])
async def test_half_a_message_is_there_again_in_the_next_window(
    demo_server: LiveServer, tmp_path: Path, guest: Rest, desk: Rest, role: str
) -> None:
    window = customer_side if role == "customer" else employee_side
    for subject in (SUBJECT, "newer"):
        chat = (await guest.post("/chats", {"subject": subject})).must(201).json
        if role == "employee":
            (await desk.post(f"/chats/{chat['id']}/take")).must(200)
    async with window(demo_server.url, tmp_path) as side:
        await side.go()
        older = (await guest.get("/chats")).must(200).json["items"][1]
        side.panel.show_chat(Chat.model_validate(older))
        await side.live()
        side.panel.action_write()
        await side.press(*"half a", "ctrl+q")
        await wait_until(lambda: side.app._exit, what="it closes, and asks nothing")
    (kept_in,) = drafts(tmp_path)
    assert kept_in.stat().st_mode & 0o777 == 0o600
    async with window(demo_server.url, tmp_path) as side:
        await side.go()
        await side.sees(SUBJECT, "half a")
        await side.live()
        side.panel.action_write()
        await side.press("!", "enter")
        await side.sees("half a!", "✓")
    assert not drafts(tmp_path)
    assert await texts(guest, older["id"]) == ["half a!"]


async def test_what_is_typed_is_on_the_disk_before_the_window_is_closed_and_goes_with_a_log_out(
    demo_server: LiveServer, tmp_path: Path, guest: Rest
) -> None:
    (await guest.post("/chats", {"subject": SUBJECT})).must(201)
    async with customer_side(demo_server.url, tmp_path) as side:
        await side.go()
        await side.live()
        side.panel.action_write()
        await side.press(*"half")
        await wait_until(lambda: len(drafts(tmp_path)) == 1, what="the draft")
        await side.press("escape", "f2")
        await side.sees("Log out")
        side.app.screen.query_one("#log-out", Button).press()
        async with asyncio.timeout(PATIENCE):
            while not isinstance(side.app.screen, LoginScreen):
                # Textual draws these when the mouse moves, and fails where one has lost its styles.
                drawn = side.app.screen._compositor.visible_widgets
                assert all(widget.is_attached for widget in drawn)
                await asyncio.sleep(0)
        await side.sees("You are logged out.")
        await wait_until(lambda: not drafts(tmp_path), what="the draft to go")


async def test_a_question_that_was_begun_is_kept_until_it_is_sent(
    demo_server: LiveServer, tmp_path: Path, guest: Rest
) -> None:
    async with customer_side(demo_server.url, tmp_path) as side:
        await side.go()
        await side.press("n")
        await side.sees("What is it about?")
        await side.press(*"Cold", "escape")
        await side.told("Press n to continue it.")
        await side.press("ctrl+q")
        await side.sees("A question to support is not sent yet.")
        await side.press("escape", "n")
        await side.sees("What is it about?", "Cold")
        await side.press("!", "enter")
        await side.live()
        assert side.panel.unsaved() == ""
    assert (await guest.get("/chats")).must(200).json["items"][0]["subject"] == "Cold!"
