"""A customer and an employee talk, each in their app, over one server."""

import json
from itertools import count
from pathlib import Path

import pytest
from chat_apps import Side, customer_side, employee_side
from textual.events import Paste

from server.features.chat.schemas import LONGEST_TEXT
from support.live_server import LiveServer
from support.proxy import proxy_to
from support.rest import Rest
from support.screen import shown
from support.waiting import wait_until
from tui.common import alerts
from tui.common.chat.panel import ConversationPanel
from tui.common.client.meter import State
from tui.customer.chat.dialogs import NewChatScreen
from tui.customer.chat.panel import LIST, SESSIONS_AT_START, ChatPanel
from tui.employee.support.panel import SupportPanel

pytestmark = pytest.mark.usefixtures("few_frames")


async def ask(customer: Side, subject: str) -> None:
    """Open a chat by keys."""
    await customer.go()
    await customer.press("n")
    await wait_until(lambda: isinstance(customer.app.screen, NewChatScreen), what="the dialog")
    await customer.sees("What is it about?", "None")
    await customer.send_typing(subject)
    await customer.live()
    await customer.sees(subject, "Write to support")


async def both_talking(customer: Side, employee: Side) -> None:
    """A chat that the employee has claimed."""
    await ask(customer, "Where is my order?")
    await employee.go()
    panel = employee.panel
    assert isinstance(panel, SupportPanel)
    await wait_until(lambda: panel.rows.chat is not None and panel.rows.has_focus, what="the row")
    await employee.press("enter")
    await employee.live()
    await employee.sees("Write to the customer")


async def test_both_sides_see_messages_read_marks_typing_and_presence(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with (
        customer_side(demo_server.url, tmp_path) as customer,
        employee_side(demo_server.url, tmp_path) as employee,
    ):
        await both_talking(customer, employee)
        rings = employee.rings
        await customer.sees("● Maya")
        await employee.sees("● Ana K.", "you")
        await employee.send_typing("Hello Ana")
        await customer.sees("Maya", "Hello Ana")
        await employee.sees("✓✓")
        await customer.press("w", "e", "l")

        async def typing_is_seen() -> bool:
            await customer.press("l")  # one letter is seen for five seconds
            return "Ana K. is typing" in employee.text

        await wait_until(typing_is_seen, what="that she is typing")
        await customer.press("enter")
        await employee.sees("▌ well")
        await employee.misses("is typing")
        await customer.sees("✓✓")
        assert (customer.rings, employee.rings) == (0, rings)


async def test_what_is_pasted_is_one_message_and_nothing_in_it_steers(
    customer: Side, desk: Rest
) -> None:
    await ask(customer, "A long story")
    # As a terminal's paste comes: to the app, which takes out what steers.
    customer.app.post_message(Paste("first line\r\nsecond \x1b[31mline\x07"))
    await customer.sees("first line", "second [31mline")
    await customer.press("enter")
    await wait_until(lambda: not customer.panel.current.outbox, what="the message to be back")  # type: ignore[union-attr]
    chat = (await desk.get("/chats")).must(200).json["items"][0]
    history = (await desk.get(f"/chats/{chat['id']}/messages")).must(200).json["items"]
    assert [one["text"] for one in history] == ["first line\nsecond [31mline"]


async def test_too_long_a_message_is_counted_and_not_lost(customer: Side) -> None:
    await ask(customer, "A longer story")
    composer = customer.panel.chat_view.composer
    await wait_until(lambda: composer.has_focus, what="the field to have the focus")
    await customer.sees("f2 Account")
    assert "⏎ Write" not in shown(customer.app), "enter sends here"
    composer.insert("x" * (LONGEST_TEXT - 7))
    await customer.sees("7 left")
    composer.insert("y" * 10)
    await customer.sees("3 over")
    await customer.press("enter")
    await customer.told("(3 over)")
    assert len(composer.text) == LONGEST_TEXT + 3
    await customer.press("backspace", "backspace", "backspace", "enter")
    await wait_until(lambda: composer.text == "", what="it to be sent")


async def test_a_cut_line_loses_nothing_and_is_seen(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with (
        customer_side(demo_server.url, tmp_path) as customer,
        employee_side(demo_server.url, tmp_path) as employee,
    ):
        await both_talking(customer, employee)
        await customer.press("escape", "X")
        await customer.sees("X restores")
        await employee.send_typing("while you were away")
        assert "while you were away" not in customer.text
        await customer.press("X")
        await customer.sees("while you were away", "WebSocket · ")
        chat_session = customer.panel.current
        assert chat_session is not None
        assert chat_session.meter.reconnects == 1
        assert customer.text.count("while you were away") == 1


async def test_a_message_out_of_view_rings_and_is_counted(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with (
        customer_side(demo_server.url, tmp_path) as customer,
        employee_side(demo_server.url, tmp_path) as employee,
    ):
        await both_talking(customer, employee)
        rings = employee.rings
        await customer.press("escape", "1")
        await employee.press("escape", "1")
        chat_session = employee.panel.current
        assert chat_session is not None
        chat_session.send("Your rider is here")
        await customer.told("Your rider is here")
        await customer.sees("Chat  1 ")
        assert customer.rings == 1
        assert customer.panel.badge == 1
        assert "✓✓" not in employee.text
        await customer.go()
        await wait_until(lambda: customer.panel.badge == 0, what="the badge to go")
        await employee.sees("✓✓")
        theirs = customer.panel.current
        assert theirs is not None
        theirs.send("Thank you")
        await employee.told("Thank you")
        await wait_until(lambda: employee.panel.badge == 1, what="the badge")
        assert employee.rings == rings + 1


async def test_a_waiting_customer_rings_at_the_desk(customer: Side, employee: Side) -> None:
    assert employee.panel.badge == 0
    await ask(customer, "My order is cold")
    await employee.told("My order is cold")
    await employee.sees("Support  1 ")
    assert employee.rings == 1
    titles = [one.title for one in employee.app._notifications]
    assert titles == ["Ana K."], "the chat's first message is not one more"


async def test_only_one_claims_a_chat_and_the_other_sees_who(
    employee: Side, guest: Rest, desk: Rest, demo_server: LiveServer
) -> None:
    chat = (await guest.post("/chats", {"subject": "Who is it?"})).must(201).json
    await employee.go()
    panel = employee.panel
    assert isinstance(panel, SupportPanel)
    await wait_until(lambda: panel.rows.chat is not None and panel.rows.has_focus, what="the row")
    accounts = json.loads((demo_server.settings.data_dir / "demo-accounts.json").read_text())
    other = await desk.another().log_in(**accounts[0])
    (await other.post(f"/chats/{chat['id']}/take")).must(200)
    await employee.sees("Robin")
    await employee.press("enter")
    await employee.sees("answers here")
    assert not employee.panel.chat_view.has_class("-open")


async def test_a_claim_does_not_pull_back_who_has_gone_on(employee: Side, guest: Rest) -> None:
    for subject in ("Too cold", "Too late"):
        (await guest.post("/chats", {"subject": subject})).must(201)
    panel = employee.panel
    assert isinstance(panel, SupportPanel)
    rows = panel.rows
    await employee.sees("Too cold", "Too late")
    rows.highlighted = 0
    claimed = rows.highlighted_id or ""
    rows.action_select()
    rows.action_cursor_down()  # the next key, as quickly
    gone_to = rows.highlighted_id
    await wait_until(lambda: panel.queue.get(claimed).employee is not None, what="it is claimed")
    group = f"claim-{claimed}"
    await wait_until(lambda: all(one.group != group for one in employee.app.workers), what="ended")
    assert rows.highlighted_id == gone_to != claimed
    assert panel.current is None


async def test_a_chat_is_closed_and_opened_again(demo_server: LiveServer, tmp_path: Path) -> None:
    async with (
        customer_side(demo_server.url, tmp_path) as customer,
        employee_side(demo_server.url, tmp_path) as employee,
    ):
        await both_talking(customer, employee)
        await employee.press("escape", "c")
        await employee.sees("Close this chat?")
        await employee.press("right", "enter")
        await customer.sees("Closed by Maya.")
        await customer.press("escape")
        assert not customer.panel.chat_view.has_class("-open")
        await customer.press(str(customer.panel.number), "o")
        await customer.sees("Write to support")
        await employee.sees("claims it")
        await employee.press("t")
        await employee.sees("Write to the customer")
        await employee.send_typing("Back again")
        await customer.sees("Back again")


async def test_typing_while_the_chat_is_closed_runs_no_command(
    customer: Side, desk: Rest, guest: Rest
) -> None:
    await ask(customer, "Where is my order?")
    chat = (await guest.get("/chats")).must(200).json["items"][0]
    await customer.press("h", "i")
    (await desk.post(f"/chats/{chat['id']}/close")).must(200)
    await customer.sees("Closed by Maya. esc, then o reopens it")
    await customer.press("space", "o", "c", "n", "2", "enter")
    await customer.told("Your text stays here.")
    chat_session = customer.panel.current
    assert chat_session is not None
    assert not chat_session.open
    assert not chat_session.outbox
    assert customer.app.grid.main is customer.panel
    assert customer.panel.chat_view.composer.text == "hi ocn2"
    await customer.press("escape", "o")
    await wait_until(lambda: customer.panel.chat_view.composer.has_focus, what="the field again")
    await customer.press("enter")
    await customer.sees("hi ocn2 ▐")


async def test_all_of_the_history_can_be_scrolled_back_to(
    demo_server: LiveServer, tmp_path: Path, guest: Rest
) -> None:
    chat = (await guest.post("/chats", {"subject": "A long one"})).must(201).json
    async with customer_side(demo_server.url, tmp_path) as customer:
        await customer.go()
        await customer.live()
        chat_session = customer.panel.current
        assert chat_session is not None
        for number in range(130):
            chat_session.send(f"number {number}.")
        await wait_until(lambda: not chat_session.outbox, 60, what="all to be back")
    async with customer_side(demo_server.url, tmp_path) as customer:
        await customer.go()
        await customer.sees("number 129.")
        chat_session = customer.panel.current
        assert chat_session is not None
        assert chat_session.id == chat["id"]
        assert len(chat_session.conversation.messages) == 50
        view = customer.panel.chat_view.messages
        await customer.press("escape")
        assert view.has_focus
        await customer.press("home")
        await wait_until(lambda: view.message_layout.count == 130, what="the whole history in view")
        await customer.press("home")
        await customer.sees("number 0.")
        assert [one.text for one in chat_session.conversation.messages] == [
            f"number {number}." for number in range(130)
        ]


async def test_each_chat_keeps_its_draft(customer: Side, guest: Rest) -> None:
    await ask(customer, "First")
    await customer.press("o", "n", "e")
    await customer.press("escape", "n")
    await customer.sees("What is it about?")
    await customer.send_typing("Second")
    await customer.sees("Second", "Write to support")
    assert customer.panel.chat_view.composer.text == ""
    await customer.press("t", "w", "o", "escape", "l")
    await customer.sees("Your chats", "First", "Second")
    await customer.press("down", "enter")
    await wait_until(
        lambda: customer.panel.chat_view.composer.text == "one", what="the first's draft"
    )


async def test_in_a_closed_chat_that_is_chosen_keys_are_commands(
    customer: Side, guest: Rest
) -> None:
    await ask(customer, "First")
    first = (await guest.get("/chats")).must(200).json["items"][0]
    await customer.press("escape", "n")
    await customer.sees("What is it about?")
    await customer.send_typing("Second")
    await customer.sees("Second", "Write to support")
    (await guest.post(f"/chats/{first['id']}/close")).must(200)
    await wait_until(lambda: not customer.panel.chat_sessions[first["id"]].open, what="the news")
    composer = customer.panel.chat_view.composer
    await wait_until(lambda: composer.has_focus, what="the field")
    customer.panel.action_chats()  # type: ignore[attr-defined]
    await customer.sees("Your chats", "First", "Second")
    await customer.press("down", "enter")
    await customer.sees("Closed by Ana K. o reopens it")
    assert customer.app.focused is customer.panel.chat_view.messages
    await customer.press("o")
    await wait_until(lambda: composer.has_focus, what="the field again")


async def test_chats_work_in_every_size(demo_server: LiveServer, tmp_path: Path) -> None:
    async with (
        customer_side(demo_server.url, tmp_path, (80, 24)) as customer,
        employee_side(demo_server.url, tmp_path, (80, 24)) as employee,
    ):
        await both_talking(customer, employee)
        await employee.send_typing("Hello")
        await customer.sees("Hello", "WebSocket")
        for size in ((100, 30), (160, 48), (56, 16), (200, 60), (80, 24)):
            for side in (customer, employee):
                await side.pilot.resize_terminal(*size)
                await side.sees("Hello", "WebSocket")
        await customer.pilot.resize_terminal(100, 70)
        await customer.press("escape", "1")
        await customer.sees("▌ Hello", "1 Orders", "3 Chat")
        customer.panel.set_class(False, "-roomy")
        await customer.sees("▌Maya Hello")


async def test_an_error_in_a_chat_session_is_shown(customer: Side) -> None:
    await ask(customer, "Trouble")
    panel = customer.panel
    assert isinstance(panel, ConversationPanel)
    chat_session = panel.current
    assert chat_session is not None

    def broken(_frame: object, _now: float) -> None:
        raise RuntimeError("a mistake of ours")

    chat_session.conversation.apply = broken  # type: ignore[method-assign]
    chat_session.send("boom")
    await customer.sees("Stopped by an error")
    assert chat_session.meter.state is State.DOWN

    async def fail() -> None:
        raise RuntimeError("broken")

    assert isinstance(panel, ChatPanel)
    panel.loaded = False
    panel.run_worker(fail(), group=LIST, exit_on_error=False)
    message = "Stopped by an error: RuntimeError('broken')."
    await wait_until(lambda: message in panel.chat_view.empty_text.plain, what="not 'Loading'")


async def test_all_that_is_unread_is_counted_also_in_chats_that_are_not_entered(
    demo_server: LiveServer, tmp_path: Path, guest: Rest, desk: Rest
) -> None:
    async def told(chat: dict[str, str], count: int) -> None:
        for number in range(count):
            body = {"client_id": f"{chat['id']}-{number}", "text": f"number {number}"}
            (await desk.post(f"/chats/{chat['id']}/messages", body)).must(201)

    chats = [
        (await guest.post("/chats", {"subject": f"No. {number}"})).must(201).json
        for number in range(SESSIONS_AT_START + 1)
    ]
    await told(chats[0], 1)
    await told(chats[-1], 60)
    async with customer_side(demo_server.url, tmp_path) as customer:
        await customer.live()
        await wait_until(lambda: customer.panel.badge == 61, what="all of them")
        assert len(customer.panel.chat_sessions) == SESSIONS_AT_START
        await told(chats[-1] | {"id": chats[-2]["id"]}, 1)
        await wait_until(lambda: customer.panel.badge == 62, what="one more")
        assert customer.panel.current is not None
        assert len(customer.panel.current.conversation.messages) == 50
        await customer.go()
        await wait_until(lambda: customer.panel.badge == 2, what="those in view to be read")
        await customer.press("escape", str(customer.panel.number), "question_mark")
        await customer.sees("Keys everywhere")  # the panel's number does not start writing


async def test_messages_that_come_together_ring_once_and_are_one_toast(
    demo_server: LiveServer,
    tmp_path: Path,
    guest: Rest,
    desk: Rest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Time enough to send three messages one after the other.
    monkeypatch.setattr(alerts, "ALERT_SECONDS", 4.0)
    chat = (await guest.post("/chats", {"subject": "Where is my order?"})).must(201).json
    numbers = count(1)

    async def say(who: Rest, *texts: str) -> None:
        for text in texts:
            body = {"client_id": f"{who.token[-9:]}{next(numbers)}", "text": text}
            (await who.post(f"/chats/{chat['id']}/messages", body)).must(201)

    async with (
        proxy_to(demo_server.url) as proxy,
        customer_side(proxy.url, tmp_path) as customer,
        employee_side(demo_server.url, tmp_path) as employee,
    ):
        await customer.live()
        await customer.press("escape", "1")
        await employee.press("escape", "1")
        await say(desk, "one", "two", "three")
        await customer.told("3 new messages from Maya three")
        assert customer.rings == 1
        await say(guest, "four", "five")
        await employee.told("2 new messages from Ana K. five")
        assert employee.rings == 1

        # replayed after a reconnect: what was read in another window meanwhile is nothing new
        proxy.failing(every=1)
        proxy.cut()
        session = customer.panel.current
        assert session is not None
        await wait_until(lambda: session.meter.state is not State.LIVE, what="the cut")
        await say(desk, "read elsewhere", "and this")
        history = (await guest.get(f"/chats/{chat['id']}/messages")).must(200).json
        (await guest.post(f"/chats/{chat['id']}/read", {"cursor": history["cursor"]})).must(204)
        await say(desk, "nobody has read this", "nor this")
        proxy.passing()
        await customer.told("2 new messages from Maya nor this")
        assert customer.rings == 2
        assert customer.panel.badge == 2
        toasts = [one.title for one in customer.app._notifications if "Maya" in one.title]
        assert toasts == ["2 new messages from Maya"], "in place of the one before"
