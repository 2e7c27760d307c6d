"""The conversation on the screen: bubbles, marks, scrolling, copying, widths."""

import re

import pytest
from chat_window import ANA, MAYA, ChatWindow, page_of, read_to, said
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content
from textual.events import MouseScrollUp
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from server.features.chat.schemas import ChatMessage
from support.waiting import wait_until
from tui.common.chat.layout import MessageLayout
from tui.common.chat.model import Conversation
from tui.common.client.outbox import UnsentMessage


def conversation(*messages: ChatMessage, before: str | None = None) -> Conversation:
    found = Conversation(ANA.id)
    if messages:
        found.apply_newest_page(page_of(list(messages), before))
    return found


async def test_a_bubble_shows_who_when_and_how_far_it_has_come() -> None:
    mine = said(2, "Great, thank you!", ANA)
    chat = conversation(said(1, "Hi Ana! Your order just left the kitchen."), mine)
    app = ChatWindow(chat)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        text = app.text()
        assert "31 January 2026" in text
        assert re.search(r"^Maya  \d\d:\d\d", text, re.M)
        assert "▌ Hi Ana! Your order just left the kitchen. " in text
        heading = next(line for line in app.lines() if "you  " in line)
        assert heading.rstrip().endswith("✓")
        assert "✓✓" not in text
        assert next(line for line in app.lines() if "Great" in line).rstrip().endswith("▐")
        chat.apply(read_to(MAYA, mine), 0)
        app.view.redraw()
        await pilot.pause()
        assert "✓✓" in app.text()


async def test_what_stands_where_there_are_no_messages_is_painted_when_it_changes() -> None:
    app = ChatWindow(conversation())
    async with app.run_test(size=(60, 20)) as pilot:
        app.view.message = Content("Loading messages…")
        await pilot.pause()
        assert "Loading messages" in app.text()
        app.view.message = Content("No messages yet.")
        app.view.redraw()
        await pilot.pause()
        assert "No messages yet." in app.text()


async def test_what_is_on_its_way_or_refused_is_marked() -> None:
    chat = conversation(said(1))
    chat.add_pending(UnsentMessage("on its way", "a"))
    chat.add_pending(UnsentMessage("not wanted", "b"))
    chat.mark_refused("b", "The chat is closed.")
    app = ChatWindow(chat)
    async with app.run_test(size=(70, 20)) as pilot:
        await pilot.pause()
        waiting = next(line for line in app.lines() if "◌" in line)
        assert "waiting" in waiting
        assert "✕ The chat is closed." in app.text()
        assert app.text().index("on its way") < app.text().index("not wanted")


async def test_it_stays_at_the_end_while_it_is_there_and_else_where_it_is() -> None:
    chat = conversation(*(said(number) for number in range(40)))
    app = ChatWindow(chat)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert "message 39" in app.text()
        chat.apply(said(40), 0)
        app.view.redraw()
        await pilot.pause()
        assert "message 40" in app.text()
        await pilot.press("pageup")
        before = app.lines()
        for number in range(41, 44):
            chat.apply(said(number, sender=MAYA if number < 43 else ANA), 0)
        app.view.redraw()
        await pilot.pause()
        assert [line[:58] for line in app.lines()] == [line[:58] for line in before]
        assert app.view.new_below == 2
        await pilot.press("end")
        assert "message 43" in app.text()
        assert app.view.new_below == 0


async def test_older_messages_come_in_above_and_nothing_moves() -> None:
    messages = [
        said(number, f"message {number} " + "long " * (number % 30)) for number in range(90)
    ]
    chat = conversation(*messages[60:], before="60")
    app = ChatWindow(chat)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert not app.asked_for_older
        await pilot.press("home")
        await pilot.pause()
        assert app.asked_for_older
        await pilot.press("pagedown")
        before = app.lines()
        chat.prepend_page(page_of(messages[20:60], "20"))
        chat.apply(said(90), 0)
        app.view.redraw()
        await pilot.pause()
        assert [line[:58] for line in app.lines()] == [line[:58] for line in before]
        await pilot.press("home")
        assert "message 20 " in app.text()


async def test_another_width_keeps_the_message_in_view() -> None:
    messages = [said(number, f"start{number} " + "many words " * 20) for number in range(60)]
    app = ChatWindow(conversation(*messages))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        await pilot.press(*["pageup"] * 5)
        first = re.search(r"start\d+", app.text())
        assert first is not None
        for columns in (50, 34, 120, 100):
            await pilot.resize_terminal(columns, 30)
            await pilot.pause()
            assert all(cell_len(line) == columns for line in app.lines())
        found = re.search(r"start\d+", app.text())
        assert found is not None
        assert abs(int(found[0][5:]) - int(first[0][5:])) <= 1
        await pilot.press("end")
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert "many words" in app.lines()[-2]


async def test_the_wheel_scrolls() -> None:
    app = ChatWindow(conversation(*(said(number) for number in range(40))))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        before = app.view.scroll_offset.y
        app.view.post_message(MouseScrollUp(app.view, 5, 5, 0, -1, 0, False, False, False, 5, 5))
        await wait_until(lambda: app.view.scroll_offset.y < before, what="scrolled")


async def copied(app: ChatWindow, pilot: Pilot[None], *keys: str) -> str:
    await pilot.press(*keys)
    return app.clipboard


async def test_copying_takes_the_message_that_keys_have_gone_to_or_the_newest() -> None:
    chat = conversation(*(said(number, f"line one of {number}\nline two") for number in range(9)))
    app = ChatWindow(chat)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert await copied(app, pilot, "y") == "line one of 8\nline two"
        assert await copied(app, pilot, "up", "up", "ctrl+c") == "line one of 7\nline two"
        assert await copied(app, pilot, "down", "down", "y") == "line one of 8\nline two"


async def test_copying_takes_what_the_mouse_has_marked_without_the_bubble() -> None:
    chat = conversation(said(1, "first words"), said(2, "second words", ANA))
    app = ChatWindow(chat)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        lines = app.lines()
        top = next(at for at, line in enumerate(lines) if "first words" in line)
        assert app.view.get_selection(Selection(Offset(0, top), Offset(13, top))) == (
            "first words",
            "\n",
        )
        last = next(at for at, line in enumerate(lines) if "second words" in line)
        selected = app.view.get_selection(Selection(Offset(8, top), Offset(60, last)))
        assert selected is not None
        assert selected[0].startswith("words\n")
        assert selected[0].endswith("second words")
        app.screen.selections = {app.view: Selection(Offset(2, top), Offset(13, top))}
        await pilot.pause()
        assert await copied(app, pilot, "ctrl+c") == "first words"


FAMILY = "👨\u200d👩\u200d👧"


DRAWN_OVER = (
    ("漢字 is kanji", (0, 4), "漢字"),
    ("漢字 is kanji", (5, 7), "is"),
    ("漢字 is kanji", (2, 7), "字 is"),
    (f"the {FAMILY} eats", (4, 10), FAMILY),
    (f"the {FAMILY} eats", (11, 15), "eats"),
    ("cafe\u0301 noir", (0, 4), "cafe\u0301"),
    ("cafe\u0301 noir", (0, 5), "cafe\u0301 "),
    ("cafe\u0301 noir", (4, 9), " noir"),
    ("well 👍🏽 done", (5, 9), "👍🏽"),
    ("a\tb", (0, 6), "a\tb"),
)
"""Texts, the cells of each as it is drawn, and what is in those; the mouse stops on the last."""


@pytest.mark.parametrize("own", [False, True])
async def test_the_mouse_copies_what_it_has_been_drawn_over(own: bool) -> None:
    who = ANA if own else MAYA
    messages = [said(seq, f"{text} ..", who) for seq, (text, _, _) in enumerate(DRAWN_OVER, 1)]
    app = ChatWindow(conversation(*messages))
    async with app.run_test(size=(60, 50)) as pilot:
        await pilot.pause()
        rows = [at for at, line in enumerate(app.lines()) if ".." in line]
        for row, (text, cells, taken) in zip(rows, DRAWN_OVER, strict=True):
            left = app.lines()[row].index(text[0])
            await pilot.mouse_down(offset=(left + cells[0], row))
            for x in (cells[0] + 1, cells[1] - 1):  # what is marked so far is painted in between
                await pilot.hover(offset=(left + x, row))
            await pilot.mouse_up(offset=(left + cells[1] - 1, row))
            await pilot.pause()
            assert app.screen.get_selected_text() == taken, text
            ground = app.screen.get_component_rich_style("screen--selection").bgcolor
            parts = app.view.render_line(row)
            marked = [part for part in parts if part.style and part.style.bgcolor == ground]
            assert sum(part.cell_length for part in marked) == cells[1] - cells[0], text


async def test_what_the_width_has_broken_is_copied_in_one_piece() -> None:
    words = "漢字 and words " * 9
    text = f"{words.strip()}\n\n  indented {words.strip()}"
    app = ChatWindow(conversation(said(1, "before"), said(2, text), said(3, "after", ANA)))
    async with app.run_test(size=(40, 40)) as pilot:
        await pilot.pause()
        top = next(at for at, line in enumerate(app.lines()) if "漢字" in line)
        selected = app.view.get_selection(Selection(Offset(2, top), Offset(60, top + 17)))
        assert selected is not None
        assert selected[0].split("\nyou")[0].rstrip("\n") == text
        everything = app.view.get_selection(Selection(None, None))
        assert everything is not None
        assert text in everything[0]
        assert everything[0].endswith("after\n")


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m \x9b2J",
        "\u202egnp.exe",
        "سلام عليكم " * 9,
        "👨‍👩‍👧" * 30,
        "e\u0301" * 90,
        "漢字" * 40,
    ],
)
async def test_whatever_is_written_every_line_is_as_wide_as_the_window(text: str) -> None:
    app = ChatWindow(conversation(said(1, text), said(2, text, ANA)))
    async with app.run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        assert all(cell_len(line) == 40 for line in app.lines())
        assert not set("\x1b\x9b\x07\u202e") & set(app.text())


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.text("ab \n🙂", min_size=1, max_size=60), st.integers(0, 3)), max_size=25
    ),
    st.integers(0, 25),
    st.integers(20, 90),
)
def test_laying_out_bit_by_bit_is_laying_out_at_once(
    messages: list[tuple[str, int]], split: int, width: int
) -> None:
    """Older ones in front, newer ones behind, drafts: the same lines as if all had been there."""
    day = 0
    log = []
    for number, (text, days) in enumerate(messages):
        day += days * 24 * 60
        log.append(said(number, text or "x", minutes=number + day + 1))
    split = min(split, len(log))
    by_bits = Conversation(ANA.id)
    layout = MessageLayout()
    layout.update(by_bits, width)
    if log[split:]:
        by_bits.apply_newest_page(page_of(log[split:], "more"))
        layout.update(by_bits, width)
        last = layout.text_of(layout.count - 1), layout.lines - layout.top_of(layout.count - 1)
        lines = layout.lines
        if log[:split]:
            by_bits.prepend_page(page_of(log[:split]))
            added = layout.update(by_bits, width)
            # What the first message loses where it has no day above it any more stands above
            # its text: the rest has moved by this much.
            assert added == layout.lines - lines
        assert layout.count > 1 or split == 0
        if layout.count > split + 1:
            assert last[0] == layout.text_of(layout.count - 1)
    else:
        for message in log:
            by_bits.apply(message, 0)
            layout.update(by_bits, width)
    at_once = Conversation(ANA.id)
    if log:
        at_once.apply_newest_page(page_of(log))
    other = MessageLayout()
    other.update(at_once, width + 1)
    other.update(at_once, width)
    assert layout.lines == other.lines
    assert [layout.position_at(line) for line in range(layout.lines)] == [
        other.position_at(line) for line in range(other.lines)
    ]
    for index in range(layout.count):
        place = layout.position_at(layout.top_of(index))
        assert place is not None
        assert (place.index, place.line) == (index, 0)
    assert layout.position_at(layout.lines) is None


async def test_a_window_painted_before_it_has_followed_shows_what_it_showed() -> None:
    """As when the focus moves: nothing says that the conversation is measured first."""
    chat = conversation(*(said(number) for number in range(3)), before="older")
    chat.add_pending(UnsentMessage("not wanted", "a"))
    app = ChatWindow(chat)
    async with app.run_test(size=(60, 30)) as pilot:
        await pilot.pause()
        before = app.text()

        async def repaint() -> str:
            app.view.refresh()
            await pilot.pause()
            return app.text()

        chat.discard("a")
        assert await repaint() == before
        chat.prepend_page(page_of([said(number) for number in (-2, -1)]))
        assert await repaint() == before
        app.view.redraw()
        after = await repaint()
        shown = re.findall(r"message (-?\d+) ", after)
        assert shown == ["-2", "-1", "0", "1", "2"]
        assert "not wanted" not in after
        chat.apply_newest_page(page_of([said(90)]))
        assert await repaint() == after
        app.view.redraw()
        assert re.findall(r"message (-?\d+) ", await repaint()) == ["90"]
